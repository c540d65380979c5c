//! The source of sessions and users.

use std::fmt;
use std::time::SystemTime;

use futures_core::future::BoxFuture;
use private_media::{IdentifyError, User};

/// The name of this identity source in users and rejections.
pub(crate) const SOURCE: &str = "django";

/// Reads Django's sessions and users. [`Database`](crate::Database) implements it; implement it yourself for other stores.
///
/// An error means that the source failed. A missing row is `None`.
///
/// ```
/// use futures_util::future::{BoxFuture, ready};
/// use private_media::IdentifyError;
/// use private_media_django::{DjangoSource, SessionRow, UserKey, UserRow};
///
/// /// Knows one user and no session, so it is only for `SessionEngine::SignedCookies`.
/// struct OneUser;
///
/// impl DjangoSource for OneUser {
///     fn session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
///         Box::pin(ready(Ok(None)))
///     }
///
///     fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
///         let is_alice = matches!(key, UserKey::Id("7") | UserKey::Name("alice"));
///         let alice = UserRow::new("7", "alice").active(true);
///         Box::pin(ready(Ok(is_alice.then_some(alice))))
///     }
/// }
/// ```
pub trait DjangoSource: Send + Sync + 'static {
    /// Returns the row with exactly this session key, even if it has expired.
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>>;

    /// Returns the user with exactly this id or name, even if the user is not active.
    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>>;
}

/// The key of a user lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum UserKey<'a> {
    /// The primary key, as stored in a session.
    Id(&'a str),
    /// `username`, the name to sign in with.
    Name(&'a str),
}

/// A row of `django_session`. `Debug` hides its content.
#[derive(Clone)]
#[non_exhaustive]
pub struct SessionRow {
    /// `session_data`: the signed content of the session.
    pub data: String,
    /// `expire_date`.
    pub expires: SystemTime,
}

impl SessionRow {
    /// Returns a row with this content.
    #[must_use]
    pub fn new(data: impl Into<String>, expires: SystemTime) -> Self {
        Self { data: data.into(), expires }
    }
}

impl fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A row of `auth_user`, and the names of the user's groups. `Debug` hides the password hash.
#[derive(Clone)]
#[non_exhaustive]
pub struct UserRow {
    /// The primary key. `{owner}` in a path matches it.
    pub id: String,
    /// `username`.
    pub name: String,
    /// `password`: the hash, as Django stores it.
    pub password: String,
    /// `is_active`. An inactive user is anonymous.
    pub is_active: bool,
    /// `is_staff`.
    pub is_staff: bool,
    /// `is_superuser`. A superuser is staff in grants.
    pub is_superuser: bool,
    /// The names of the groups.
    pub groups: Vec<String>,
}

impl UserRow {
    /// Returns an inactive user without a password, groups and rights.
    #[must_use]
    pub fn new(id: impl Into<String>, name: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            name: name.into(),
            password: String::new(),
            is_active: false,
            is_staff: false,
            is_superuser: false,
            groups: Vec::new(),
        }
    }

    /// Sets [`UserRow::password`].
    #[must_use]
    pub fn password(mut self, hash: impl Into<String>) -> Self {
        self.password = hash.into();
        self
    }

    /// Sets [`UserRow::is_active`].
    #[must_use]
    pub fn active(mut self, active: bool) -> Self {
        self.is_active = active;
        self
    }

    /// Sets [`UserRow::is_staff`].
    #[must_use]
    pub fn staff(mut self, staff: bool) -> Self {
        self.is_staff = staff;
        self
    }

    /// Sets [`UserRow::is_superuser`].
    #[must_use]
    pub fn superuser(mut self, superuser: bool) -> Self {
        self.is_superuser = superuser;
        self
    }

    /// Sets [`UserRow::groups`].
    #[must_use]
    pub fn groups(mut self, groups: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.groups = groups.into_iter().map(Into::into).collect();
        self
    }

    /// Returns the user that permissions see.
    pub(crate) fn user(&self) -> User {
        let is_staff = self.is_staff || self.is_superuser;
        let user = User::new(&self.id).name(&self.name).staff(is_staff).source(SOURCE);
        self.groups.iter().fold(user, User::group)
    }
}

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRow").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
