//! Django's own sessions, read without Django.
//!
//! Somebody who has signed in to a Django project is known here by the same session cookie. Whoever would be nobody to Django
//! is nobody here. Nothing is ever written: what Django would renew, such as a session that an old `SECRET_KEY` has signed, it
//! renews when it sees it itself.
//!
//! This is for projects with Django's own `User`: a project's own user model or authentication backend may decide by more
//! than what is read here.

mod database;
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

pub use database::{Database, DatabaseUrl};
pub use secret::SecretKeys;
use session::Session;
pub use source::{DjangoSource, SessionRow, UserKey, UserRow};

/// Readers told apart by the session cookie of a Django project. Cheap to clone; the clones are one.
///
/// A cookie counts if Django would take it for somebody's: the session is there, has not expired and is signed by one of the
/// secret keys; the backend that signed the user in is still in the list; the user is there and active, and has the password
/// of then. What is absent, malformed, expired or wrong is anonymous. A database that cannot be asked is an error, and so a
/// denial.
///
/// ```no_run
/// use private_media::{LocalStorage, PrivateMedia};
/// use private_media_django::{Database, DjangoOptions, DjangoSessions, SecretKeys};
///
/// # async fn media() -> Result<PrivateMedia, Box<dyn std::error::Error>> {
/// let database = Database::connect(&"sqlite:db.sqlite3".parse()?).await?;
/// let keys = SecretKeys::load("secret.key")?;
/// let sessions = DjangoSessions::new(database, keys, DjangoOptions::default());
/// let media = PrivateMedia::builder(LocalStorage::open_root("private")?).identify(sessions).build();
/// # Ok(media)
/// # }
/// ```
#[derive(Clone)]
pub struct DjangoSessions(Arc<Inner>);

struct Inner {
    source: Box<dyn DjangoSource>,
    keys: SecretKeys,
    options: DjangoOptions,
    answers: DecisionCache<Identity>,
}

/// How the Django project is set up. The default is Django's.
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
    /// How long an answer is kept. So late, at most, is noticed who has signed out.
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

/// Where Django keeps what a session holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SessionEngine {
    /// In rows of the database: `db`, and `cached_db`, whose rows decide here.
    Rows,
    /// In the cookie itself: `signed_cookies`.
    Cookies {
        /// `SESSION_COOKIE_AGE`.
        max_age: Duration,
    },
}

impl DjangoSessions {
    /// The sessions of a source that one of these keys has signed.
    pub fn new(source: impl DjangoSource, keys: SecretKeys, options: DjangoOptions) -> Self {
        let answers = DecisionCache::new(options.cache);
        Self(Arc::new(Inner { source: Box::new(source), keys, options, answers }))
    }

    /// The identity of a user by name, without a session: for whoever runs the application. A user who is not active is
    /// anonymous, whatever they sign in with; `None` is no user at all.
    pub async fn find(&self, name: &str) -> Result<Option<Identity>, IdentifyError> {
        let user = self.0.source.user(UserKey::Name(name)).await?;
        Ok(user.map(|user| if user.is_active { user.user().into() } else { Identity::Anonymous }))
    }

    async fn identify_cookie(&self, value: &str) -> Result<Identity, IdentifyError> {
        let (fingerprint, asked) = (CacheKey::of([value]), Instant::now());
        if let Some(identity) = self.0.answers.get(fingerprint, asked) {
            return Ok(identity);
        }
        let identity = self.0.who(value, SystemTime::now()).await?;
        self.0.answers.insert(fingerprint, identity.clone(), identity.user().is_some(), asked);
        Ok(identity)
    }
}

impl Inner {
    /// Whose cookie is this? The same as Django's session store and `get_user` would say.
    async fn who(&self, value: &str, now: SystemTime) -> Result<Identity, IdentifyError> {
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

/// Whether Django could have made this key. No other is looked up.
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

/// What is wrong with the secret keys or the database, and what mends it. It holds neither a key nor a password.
#[derive(Debug)]
pub struct DjangoError(String);

impl DjangoError {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

impl fmt::Display for DjangoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DjangoError {}

#[cfg(test)]
mod tests;
