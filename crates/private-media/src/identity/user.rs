//! Users and identities.

use std::sync::Arc;

/// An authenticated user, with the properties that permissions can depend on.
///
/// ```
/// use private_media::User;
///
/// let user = User::new("7").name("alice").staff(false).group("sales");
/// assert_eq!(user.id(), "7");
/// assert!(user.in_group("sales"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    id: String,
    name: String,
    staff: bool,
    groups: Vec<String>,
}

impl User {
    /// Creates a user with this id, which grants compare with `{owner}`. The name is the id until it is set.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { name: id.clone(), id, staff: false, groups: Vec::new() }
    }

    /// Sets the display name.
    #[must_use]
    pub fn name(mut self, name: impl Into<String>) -> Self {
        self.name = name.into();
        self
    }

    /// Sets whether the user is staff.
    #[must_use]
    pub fn staff(mut self, staff: bool) -> Self {
        self.staff = staff;
        self
    }

    /// Adds the user to a group.
    #[must_use]
    pub fn group(mut self, group: impl Into<String>) -> Self {
        self.groups.push(group.into());
        self
    }

    /// Returns the id.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// Returns the display name.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.name
    }

    /// Returns whether the user is staff.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.staff
    }

    /// Returns whether the user belongs to this group.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// Returns the groups of the user.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }
}

/// The client of a request: a user, or anonymous. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// The client is not signed in.
    #[default]
    Anonymous,
    /// The client is this user.
    User(Arc<User>),
}

impl Identity {
    /// Returns the user, unless the client is anonymous.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::Anonymous => None,
            Self::User(user) => Some(user),
        }
    }
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self::User(Arc::new(user))
    }
}
