//! Who asks.

use std::sync::Arc;

/// A person (or a program) that is known by name. What of it a permission may look at is all here.
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
    /// A user with this id, the one that stands at `{owner}` in a path; its name is the id until it is given one.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        Self { name: id.clone(), id, staff: false, groups: Vec::new() }
    }

    /// Sets the name that people see.
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

    /// The id: what paths and logs hold.
    #[must_use]
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name that people see.
    #[must_use]
    pub fn display_name(&self) -> &str {
        &self.name
    }

    /// Whether the user is staff.
    #[must_use]
    pub fn is_staff(&self) -> bool {
        self.staff
    }

    /// Whether the user belongs to a group.
    #[must_use]
    pub fn in_group(&self, group: &str) -> bool {
        self.groups.iter().any(|own| own == group)
    }

    /// The groups the user belongs to.
    #[must_use]
    pub fn groups(&self) -> &[String] {
        &self.groups
    }
}

/// The answer to "who asks?": somebody known, or nobody in particular. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// Nobody is signed in.
    #[default]
    Anonymous,
    /// Somebody is.
    User(Arc<User>),
}

impl Identity {
    /// The user, if there is one.
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
