//! Identifies users of [`private_media`] by their Django session, without running Django.
//!
//! [`DjangoSessions`] verifies the session cookie of a Django project as Django's session middleware and `get_user` do. A client that is
//! anonymous to Django is anonymous here. The crate reads the project's database and never writes to it.
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
//!     .identify(DjangoSessions::new(database, keys, DjangoOptions::new()))
//!     .permissions("cars/{owner}/{*file}=owner,staff".parse::<Grants>()?)
//!     .build();
//! # Ok(media)
//! # }
//! ```
//!
//! Only projects with Django's own `User` model are supported. Another user model or authentication backend may depend on data that this
//! crate does not read.
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
use private_media::CacheCounts;
use private_media::decision_cache::{CacheKey, DecisionCache};
use private_media::identity::{Identify, IdentifyError, Identity, Rejection, has_cookie, single_cookie};

pub use database::Database;
pub use error::DjangoError;
pub use private_media_sql::DatabaseUrl;
pub use secret::SecretKeys;
use session::{NoUser, Session};
use source::SOURCE;
pub use source::{DjangoSource, SessionRow, UserKey, UserRow};

const NOT_ACTIVE: &str = "the user is not active";

/// Identifies users by the session cookie of a Django project. Cheap to clone; all clones share their state.
///
/// A cookie identifies a user if its session exists, has not expired and is signed by one of the secret keys; if the backend that
/// authenticated the user is still configured; and if the user exists, is active and has the same password as at sign-in. Another
/// cookie is [rejected](Identity::Rejected). A client without a cookie is anonymous, and so is the visitor of a session without a user.
/// A database error is an error, so the request is denied.
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
/// let options = DjangoOptions::new().cookie("shop_session");
/// assert_eq!(options.cookie, "shop_session");
/// assert_eq!(options.backends, ["django.contrib.auth.backends.ModelBackend"]);
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DjangoOptions {
    /// `SESSION_ENGINE`: where sessions are stored.
    pub engine: SessionEngine,
    /// `SESSION_COOKIE_NAME`.
    pub cookie: String,
    /// `AUTHENTICATION_BACKENDS`.
    pub backends: Vec<String>,
    /// How long an identity is cached. Sign-outs take effect within this time.
    pub cache_ttl: Duration,
}

impl DjangoOptions {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`DjangoOptions::engine`].
    #[must_use]
    pub fn engine(mut self, engine: SessionEngine) -> Self {
        self.engine = engine;
        self
    }

    /// Sets [`DjangoOptions::cookie`].
    #[must_use]
    pub fn cookie(mut self, name: impl Into<String>) -> Self {
        self.cookie = name.into();
        self
    }

    /// Sets [`DjangoOptions::backends`].
    #[must_use]
    pub fn backends(mut self, backends: impl IntoIterator<Item = impl Into<String>>) -> Self {
        self.backends = backends.into_iter().map(Into::into).collect();
        self
    }

    /// Sets [`DjangoOptions::cache_ttl`].
    #[must_use]
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.cache_ttl = ttl;
        self
    }
}

impl Default for DjangoOptions {
    fn default() -> Self {
        Self {
            engine: SessionEngine::Database,
            cookie: "sessionid".into(),
            backends: vec!["django.contrib.auth.backends.ModelBackend".into()],
            cache_ttl: Duration::from_secs(5),
        }
    }
}

/// Where Django stores the content of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum SessionEngine {
    /// In the database: the engines `db` and `cached_db`.
    Database,
    /// In the cookie: the engine `signed_cookies`.
    SignedCookies {
        /// `SESSION_COOKIE_AGE`: how long a signature is valid.
        max_age: Duration,
    },
}

impl DjangoSessions {
    /// Returns an identity source that accepts the sessions of a source that one of these keys signed.
    pub fn new(source: impl DjangoSource, keys: SecretKeys, options: DjangoOptions) -> Self {
        let cache = DecisionCache::new(options.cache_ttl);
        Self(Arc::new(Inner { source: Box::new(source), keys, options, cache }))
    }

    /// Returns the identity of the user with this name or id, without a session: for administration. An inactive user is rejected. `None`
    /// means that the user does not exist.
    pub async fn find(&self, key: UserKey<'_>) -> Result<Option<Identity>, IdentifyError> {
        let user = self.0.source.user(key).await?;
        Ok(user.map(|user| if user.is_active { user.user().into() } else { rejected(NOT_ACTIVE) }))
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
        let session = match self.session(value, now).await? {
            Ok(session) => session,
            Err(NoUser::Anonymous) => return Ok(Identity::Anonymous),
            Err(NoUser::Invalid(reason)) => return Ok(rejected(reason)),
        };
        if !self.options.backends.contains(&session.backend) {
            return Ok(rejected("the backend that authenticated the user is not among the configured ones"));
        }
        let user = self.source.user(UserKey::Id(&session.user_id)).await?;
        Ok(match user {
            None => rejected("the user does not exist"),
            Some(user) if !user.is_active => rejected(NOT_ACTIVE),
            Some(user) if !session.matches(&user.password, &self.keys) => {
                rejected("the password or the secret key was changed after the sign-in")
            }
            Some(user) => user.user().into(),
        })
    }

    async fn session(&self, value: &str, now: SystemTime) -> Result<Result<Session, NoUser>, IdentifyError> {
        match self.options.engine {
            SessionEngine::SignedCookies { max_age } => {
                Ok(Session::from_cookie(value, &self.keys, max_age, now))
            }
            SessionEngine::Database if is_session_key(value) => {
                Ok(match self.source.session(value).await? {
                    None => {
                        Err(NoUser::Invalid("the session does not exist: it was signed out, or it expired"))
                    }
                    Some(row) if row.expires <= now => Err(NoUser::Invalid("the session expired")),
                    Some(row) => Session::from_row(&row.data, &self.keys),
                })
            }
            SessionEngine::Database => Ok(Err(NoUser::Invalid("the cookie is not a session key"))),
        }
    }
}

fn rejected(reason: &'static str) -> Identity {
    Rejection::new(SOURCE, reason).into()
}

/// Returns whether Django may have generated this session key. Other keys are not looked up.
fn is_session_key(value: &str) -> bool {
    (8..=40).contains(&value.len()) && value.bytes().all(|byte| byte.is_ascii_alphanumeric())
}

impl DjangoSessions {
    /// Returns how many sessions were found in the cache of identities.
    #[must_use]
    pub fn cache_counts(&self) -> CacheCounts {
        self.0.cache.counts()
    }
}

impl Identify for DjangoSessions {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async {
            match single_cookie(&request.headers, &self.0.options.cookie) {
                Some("") => Ok(Identity::Anonymous),
                Some(value) => self.identify_cookie(value).await,
                None if self.recognizes(request) => {
                    Ok(rejected("the request has two session cookies, or one that is not ASCII"))
                }
                None => Ok(Identity::Anonymous),
            }
        })
    }

    fn recognizes(&self, request: &Parts) -> bool {
        has_cookie(&request.headers, &self.0.options.cookie)
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
