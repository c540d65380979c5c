//! Users and identities.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::sync::Arc;

use super::Rejection;

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
    source: Option<Cow<'static, str>>,
    claims: BTreeMap<String, String>,
}

impl User {
    /// Creates a user with this id, which grants compare with `{owner}`. The name is the id until it is set.
    #[must_use]
    pub fn new(id: impl Into<String>) -> Self {
        let id = id.into();
        let name = id.clone();
        Self { id, name, staff: false, groups: Vec::new(), source: None, claims: BTreeMap::new() }
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

    /// Sets the name of the identity source that identifies the user, such as `jwt`.
    #[must_use]
    pub fn source(mut self, source: impl Into<Cow<'static, str>>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Adds a claim of the user's credential. A value that is not a text is JSON.
    #[must_use]
    pub fn claim(mut self, name: impl Into<String>, value: impl Into<String>) -> Self {
        self.claims.insert(name.into(), value.into());
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

    /// Returns the name of the identity source that identified the user.
    #[must_use]
    pub fn identified_by(&self) -> Option<&str> {
        self.source.as_deref()
    }

    /// Returns the claims of the user's credential, by name.
    #[must_use]
    pub fn claims(&self) -> &BTreeMap<String, String> {
        &self.claims
    }
}

/// The client of a request. Cheap to clone.
///
/// A client with a rejected credential has the permissions of an anonymous one: decide by [`Identity::user`], not by a comparison with
/// [`Identity::Anonymous`].
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Identity {
    /// The client sent no credential.
    #[default]
    Anonymous,
    /// The client is this user.
    User(Arc<User>),
    /// The client sent a credential that is invalid, for example an expired one.
    Rejected(Arc<Rejection>),
}

impl Identity {
    /// Returns the user, if the client is signed in.
    #[must_use]
    pub fn user(&self) -> Option<&User> {
        match self {
            Self::User(user) => Some(user),
            Self::Anonymous | Self::Rejected(_) => None,
        }
    }

    /// Returns the user, if the client is signed in, for longer than this identity lives.
    #[cfg(feature = "accounts")]
    pub(crate) fn shared_user(&self) -> Option<Arc<User>> {
        match self {
            Self::User(user) => Some(Arc::clone(user)),
            Self::Anonymous | Self::Rejected(_) => None,
        }
    }

    /// Returns why the client's credential is invalid, if it is.
    #[must_use]
    pub fn rejection(&self) -> Option<&Rejection> {
        match self {
            Self::Rejected(rejection) => Some(rejection),
            Self::Anonymous | Self::User(_) => None,
        }
    }
}

impl From<User> for Identity {
    fn from(user: User) -> Self {
        Self::User(Arc::new(user))
    }
}

impl From<Rejection> for Identity {
    fn from(rejection: Rejection) -> Self {
        Self::Rejected(Arc::new(rejection))
    }
}
