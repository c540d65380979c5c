//! The source of sessions and users.

use std::fmt;
use std::time::SystemTime;

use futures_core::future::BoxFuture;
use private_media::{IdentifyError, User};

/// Reads Django's sessions and users: a [`Database`](crate::Database), or an implementation of your own. It never writes.
///
/// An error means that the source failed; a missing row is `None`.
///
/// ```
/// use futures_util::future::{BoxFuture, ready};
/// use private_media::IdentifyError;
/// use private_media_django::{DjangoSource, SessionRow, UserKey, UserRow};
///
/// /// Without sessions, and so for cookies that hold the session themselves.
/// struct OneUser;
///
/// impl DjangoSource for OneUser {
///     fn session<'a>(&'a self, _: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
///         Box::pin(ready(Ok(None)))
///     }
///
///     fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
///         let is_hers = matches!(key, UserKey::Id("7") | UserKey::Name("alice"));
///         let alice = UserRow { id: "7".into(), name: "alice".into(), is_active: true, ..UserRow::default() };
///         Box::pin(ready(Ok(is_hers.then_some(alice))))
///     }
/// }
/// ```
pub trait DjangoSource: Send + Sync + 'static {
    /// Returns the row with exactly this session key, also if it has expired.
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>>;

    /// Returns the user with exactly this id or name, also if the user is not active.
    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>>;
}

/// The key of a user lookup.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum UserKey<'a> {
    /// The primary key, as stored in a session.
    Id(&'a str),
    /// The name to sign in with.
    Name(&'a str),
}

/// A row of `django_session`.
#[derive(Clone)]
pub struct SessionRow {
    /// `session_data`: the signed content of the session.
    pub data: String,
    /// `expire_date`.
    pub expires: SystemTime,
}

impl fmt::Debug for SessionRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SessionRow").field("expires", &self.expires).finish_non_exhaustive()
    }
}

/// A row of `auth_user`, and the names of the user's groups.
#[derive(Clone, Default)]
pub struct UserRow {
    /// The primary key, which `{owner}` matches in paths.
    pub id: String,
    /// `username`.
    pub name: String,
    /// `password`: the hash, as Django stores it.
    pub password: String,
    /// `is_active`: inactive users are anonymous.
    pub is_active: bool,
    /// `is_staff`.
    pub is_staff: bool,
    /// `is_superuser`: counts as staff in grants.
    pub is_superuser: bool,
    /// The names of the groups.
    pub groups: Vec<String>,
}

impl UserRow {
    /// Returns the user that permissions see.
    pub(crate) fn user(&self) -> User {
        let is_staff = self.is_staff || self.is_superuser;
        let user = User::new(&self.id).name(&self.name).staff(is_staff).source(crate::SOURCE);
        self.groups.iter().fold(user, User::group)
    }
}

impl fmt::Debug for UserRow {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserRow").field("id", &self.id).field("name", &self.name).finish_non_exhaustive()
    }
}
