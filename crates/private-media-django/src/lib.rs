//! Identifies users of [`private_media`] by their Django session, without running Django.
//!
//! A user who is signed in to a Django project is known here by the same session cookie. [`DjangoSessions`] verifies the cookie as
//! Django's session middleware and `get_user` do; whoever is anonymous to Django is anonymous here. It reads the project's
//! database and never writes to it.
//!
//! ```toml
//! [dependencies]
//! private-media = "0.1"
//! private-media-django = "0.1"
//! ```
//!
//! ```no_run
//! use private_media::{Grants, LocalStorage, PrivateMedia};
//! use private_media_django::{Database, DjangoOptions, DjangoSessions, SecretKeys};
//!
//! # async fn media() -> Result<PrivateMedia, Box<dyn std::error::Error>> {
//! let database = Database::connect(&"postgres://reader@localhost/shop".parse()?).await?;
//! database.check_sessions().await?;
//! // The file holds the project's SECRET_KEY. Only its owner may read it.
//! let keys = SecretKeys::load("secret.key")?;
//! let media = PrivateMedia::builder(LocalStorage::open_root("private")?)
//!     .identify(DjangoSessions::new(database, keys, DjangoOptions::default()))
//!     .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
//!     .build();
//! # Ok(media)
//! # }
//! ```
//!
//! Only projects with Django's own `User` model are supported: another user model or authentication backend may decide by more
//! than what is read here.
//!
//! [`Database`] reads SQLite, PostgreSQL, MySQL and MariaDB, and needs a Tokio runtime. For another source of sessions and users,
//! implement [`DjangoSource`].

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod database;
mod error;
mod secret;
mod session;
mod signing;
mod source;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use futures_core::future::BoxFuture;
use http::header::{COOKIE, HeaderName};
use http::request::Parts;
use private_media::decision_cache::{CacheKey, DecisionCache};
use private_media::identity::{Identify, IdentifyError, Identity, single_cookie};

pub use database::Database;
pub use error::DjangoError;
pub use private_media_sql::DatabaseUrl;
pub use secret::SecretKeys;
use session::Session;
pub use source::{DjangoSource, SessionRow, UserKey, UserRow};

/// Identifies users by the session cookie of a Django project. Cheap to clone; all clones share their state.
///
/// A cookie identifies a user if its session exists, has not expired and is signed by one of the secret keys; if the backend that
/// authenticated the user is still configured; and if the user exists, is active and has the same password as at sign-in. A client
/// without such a cookie is anonymous. A database error is an error, so the request is denied.
///
/// A session that a fallback key signed is accepted. Django signs it again with the current key the next time that it sees it.
#[derive(Clone)]
pub struct DjangoSessions(Arc<Inner>);

struct Inner {
    source: Box<dyn DjangoSource>,
    keys: SecretKeys,
    options: DjangoOptions,
    cache: DecisionCache<Identity>,
}

/// The settings of the Django project. The defaults are those of Django.
///
/// ```
/// use private_media_django::DjangoOptions;
///
/// let options = DjangoOptions { cookie: "shop_session".into(), ..DjangoOptions::default() };
/// assert_eq!(options.backends, ["django.contrib.auth.backends.ModelBackend"]);
/// ```
#[derive(Debug, Clone)]
pub struct DjangoOptions {
    /// Where sessions are: `SESSION_ENGINE`.
    pub engine: SessionEngine,
    /// `SESSION_COOKIE_NAME`.
    pub cookie: String,
    /// `AUTHENTICATION_BACKENDS`.
    pub backends: Vec<String>,
    /// How long an identity is cached. Sign-outs take effect within this time.
    pub cache: Duration,
}

impl Default for DjangoOptions {
    fn default() -> Self {
        Self {
            engine: SessionEngine::Rows,
            cookie: "sessionid".into(),
            backends: vec!["django.contrib.auth.backends.ModelBackend".into()],
            cache: Duration::from_secs(5),
        }
    }
}

/// Where Django stores the data of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEngine {
    /// In the database: the engines `db` and `cached_db`.
    Rows,
    /// In the cookie itself: the engine `signed_cookies`.
    Cookies {
        /// `SESSION_COOKIE_AGE`.
        max_age: Duration,
    },
}

impl DjangoSessions {
    /// Accepts the sessions of a source that one of these keys has signed.
    pub fn new(source: impl DjangoSource, keys: SecretKeys, options: DjangoOptions) -> Self {
        let cache = DecisionCache::new(options.cache);
        Self(Arc::new(Inner { source: Box::new(source), keys, options, cache }))
    }

    /// Returns the identity of the user with this name, without a session: for administration. An inactive user is anonymous;
    /// `None` means that the user does not exist.
    pub async fn find(&self, name: &str) -> Result<Option<Identity>, IdentifyError> {
        let user = self.0.source.user(UserKey::Name(name)).await?;
        Ok(user.map(|user| if user.is_active { user.user().into() } else { Identity::Anonymous }))
    }

    async fn identify_cookie(&self, value: &str) -> Result<Identity, IdentifyError> {
        let (key, now) = (CacheKey::of([value]), Instant::now());
        if let Some(identity) = self.0.cache.get(key, now) {
            return Ok(identity);
        }
        let identity = self.0.identity(value, SystemTime::now()).await?;
        self.0.cache.insert(key, identity.clone(), identity.user().is_some(), now);
        Ok(identity)
    }
}

impl Inner {
    /// Returns the identity of a session cookie, as Django's session store and `get_user` do.
    async fn identity(&self, value: &str, now: SystemTime) -> Result<Identity, IdentifyError> {
        let Some(session) = self.session(value, now).await? else { return Ok(Identity::Anonymous) };
        if !self.options.backends.contains(&session.backend) {
            return Ok(Identity::Anonymous);
        }
        let user = self.source.user(UserKey::Id(&session.user_id)).await?;
        let user = user.filter(|user| user.is_active && session.is_of(&user.password, &self.keys));
        Ok(user.map(|user| user.user().into()).unwrap_or_default())
    }

    async fn session(&self, value: &str, now: SystemTime) -> Result<Option<Session>, IdentifyError> {
        match self.options.engine {
            SessionEngine::Cookies { max_age } => Ok(Session::from_cookie(value, &self.keys, max_age, now)),
            SessionEngine::Rows if is_session_key(value) => {
                let row = self.source.session(value).await?.filter(|row| row.expires > now);
                Ok(row.and_then(|row| Session::from_row(&row.data, &self.keys)))
            }
            SessionEngine::Rows => Ok(None),
        }
    }
}

/// Returns whether Django can have generated this key. Other keys are not looked up.
fn is_session_key(value: &str) -> bool {
    (8..=40).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl Identify for DjangoSessions {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async {
            match single_cookie(&request.headers, &self.0.options.cookie) {
                Some(value) => self.identify_cookie(value).await,
                None => Ok(Identity::Anonymous),
            }
        })
    }

    fn vary(&self) -> Vec<HeaderName> {
        vec![COOKIE]
    }
}

impl fmt::Debug for DjangoSessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DjangoSessions").field("options", &self.0.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
