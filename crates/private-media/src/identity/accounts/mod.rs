//! The built-in accounts: a file of names and passwords, HTTP Basic, and a sign-in page.

mod file;
mod known;
mod page;
mod password;
mod refusals;
mod session;
mod throttle;

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_core::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;
use tokio::sync::Semaphore;

use super::{Identify, IdentifyError, Identity};
use file::Account;
pub use file::{AccountsError, AccountsFile, NewAccount};
use known::{Known, SignedIn};
pub use page::is_cross_site;
use session::{Key, Session};
use throttle::Throttle;

/// The accounts that can sign in, as [`Identify`] and as the pages `-/sign-in` and `-/sign-out`. Cheap to clone; the clones are
/// one.
///
/// A request is told apart by HTTP Basic (RFC 7617), where it has an `Authorization` field, else by the session cookie that
/// signing in sets. What is wrong, malformed, expired or gone is anonymous.
///
/// Guessing is slowed down for each account and client address. Passwords are checked one at a time: each takes 19 MiB and a
/// processor for some 20 ms, and neither can be had by sending many.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

/// How [`Accounts`] behave.
#[derive(Debug, Clone)]
pub struct AccountsOptions {
    /// Where private media is mounted: the sign-in page is at `url` + `-/sign-in`.
    pub url: String,
    /// The `Path` of the session cookie (RFC 6265 section 4.1.2.4).
    pub cookie_path: String,
    /// How long a sign-in lasts.
    pub session: Duration,
    /// How long a password that was right is not hashed again.
    pub cache: Duration,
}

impl Default for AccountsOptions {
    fn default() -> Self {
        Self {
            url: "/private/".into(),
            cookie_path: "/".into(),
            session: Duration::from_secs(14 * 86_400),
            cache: Duration::from_secs(5),
        }
    }
}

/// The address a request came from: whoever accepts connections puts it into the request's extensions, and guessing is then
/// slowed down for each address on its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);

struct Inner {
    options: AccountsOptions,
    /// Signs sessions where the file has no secret.
    own_key: Key,
    current: RwLock<Arc<Current>>,
    throttle: Mutex<Throttle>,
    refusals: refusals::Refusals,
    ended: Mutex<HashMap<[u8; 16], SystemTime>>,
    hashing: Semaphore,
    /// Passwords that were right a moment ago, by a digest that nobody else can make, and whose they are.
    verified: Mutex<Verified>,
    verified_key: Key,
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicUsize,
}

type Verified = HashMap<[u8; 32], (Arc<Account>, Instant)>;

/// The accounts as they are now.
struct Current {
    accounts: HashMap<String, Arc<Account>>,
    key: Key,
    has_secret: bool,
    known: Known,
}

/// The most sessions that are remembered as ended, and passwords as right.
const REMEMBERED: usize = 10_000;

impl Accounts {
    /// The accounts of a file. An error means that the system gives no random numbers.
    pub fn new(file: AccountsFile, options: AccountsOptions) -> Result<Self, AccountsError> {
        let random = || Key::random().ok_or_else(AccountsError::no_random);
        let own_key = random()?;
        let current = RwLock::new(Arc::new(Current::new(file, &own_key)));
        Ok(Self(Arc::new(Inner {
            options,
            own_key,
            current,
            throttle: Mutex::default(),
            refusals: refusals::Refusals::default(),
            ended: Mutex::default(),
            hashing: Semaphore::new(1),
            verified: Mutex::default(),
            verified_key: random()?,
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicUsize::new(0),
        })))
    }

    /// Takes up the accounts of a file that has changed. Who is not in it any more, or has another password, is signed out.
    pub fn replace(&self, file: AccountsFile) {
        let current = Arc::new(Current::new(file, &self.0.own_key));
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        locked(&self.0.verified).clear();
    }

    /// Whether the file holds the secret that signs sessions. Without one they end with the process.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.current().has_secret
    }

    /// The identity of an account, without its password: for whoever runs the application.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Identity> {
        self.current().accounts.get(name).map(|account| Identity::User(Arc::clone(&account.user)))
    }

    /// A session for an account without its password, as the `Cookie` field that a browser would send: for whoever runs the
    /// application and wants to see what this reader sees. It counts wherever the same file is in force, as long as the file
    /// has a secret. `None` if there is no such account.
    #[must_use]
    pub fn session_of(&self, name: &str, lasts: Duration) -> Option<HeaderValue> {
        let account = self.current().accounts.get(name).cloned()?;
        let token = self.begin_session(&account, SystemTime::now() + lasts)?;
        let mut field = HeaderValue::try_from(format!("{}={token}", session::NAME)).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    /// Checks a name and a password, and slows down whoever guesses. `from` is the client's address, where it is known.
    pub async fn verify(
        &self,
        name: &str,
        password: &str,
        from: Option<ClientAddr>,
    ) -> Result<Identity, Refused> {
        let account = self.verify_account(name, password, from).await?;
        Ok(Identity::User(Arc::clone(&account.user)))
    }

    async fn verify_account(
        &self,
        name: &str,
        password: &str,
        from: Option<ClientAddr>,
    ) -> Result<Arc<Account>, Refused> {
        let digest = self.0.verified_key.sign(&[name.as_bytes(), password.as_bytes()]);
        if let Some(account) = self.verified(&digest) {
            return Ok(account);
        }
        let who = throttle::Guesser::new(name, from.map(|ClientAddr(ip)| ip));
        if let Some(wait) = locked(&self.0.throttle).wait(&who, Instant::now()) {
            return Err(Refused { wait: Some(wait) });
        }
        let permit = self.0.hashing.acquire().await;
        // Many requests of one browser wait here for the same password.
        if let Some(account) = self.verified(&digest) {
            return Ok(account);
        }
        // And so do many guesses: those that were made meanwhile count.
        if let Some(wait) = locked(&self.0.throttle).wait(&who, Instant::now()) {
            return Err(Refused { wait: Some(wait) });
        }
        let account = self.current().accounts.get(name).cloned();
        let hash = account.as_ref().map(|account| account.password.clone());
        let password = password.to_owned();
        #[cfg(test)]
        self.0.hashed.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        // A name that is unknown takes as long as one that is known.
        let right = tokio::task::spawn_blocking(move || password::verify(hash.as_ref(), &password)).await;
        drop(permit);
        let mut throttle = locked(&self.0.throttle);
        let Some(account) = account.filter(|_| right.unwrap_or(false)) else {
            throttle.failed(&who, Instant::now());
            return Err(Refused { wait: None });
        };
        throttle.succeeded(&who);
        drop(throttle);
        self.remember(digest, &account);
        Ok(account)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The account that this password was right for, if it is the account still: what was hashed while the accounts were replaced
    /// may be remembered, but counts for nothing.
    fn verified(&self, digest: &[u8; 32]) -> Option<Arc<Account>> {
        let verified = locked(&self.0.verified);
        let (account, until) = verified.get(digest)?;
        let current = self.current().accounts.get(account.name()).cloned()?;
        (*until > Instant::now() && Arc::ptr_eq(account, &current)).then_some(current)
    }

    fn remember(&self, digest: [u8; 32], account: &Arc<Account>) {
        let now = Instant::now();
        let mut verified = locked(&self.0.verified);
        if verified.len() >= REMEMBERED {
            verified.retain(|_, (_, until)| *until > now);
        }
        if verified.len() < REMEMBERED && !self.0.options.cache.is_zero() {
            verified.insert(digest, (Arc::clone(account), now + self.0.options.cache));
        }
    }

    /// The user of a session cookie's value.
    fn session(&self, token: &str, now: SystemTime) -> Option<SignedIn> {
        let signed_in = self.current().signed_in(token)?;
        let counts = signed_in.0.expires > now && !locked(&self.0.ended).contains_key(&signed_in.0.id);
        counts.then_some(signed_in)
    }

    /// A new session for a user who has proven to be this account. It ends with the password that was proven, also if that was
    /// changed a moment ago.
    fn begin_session(&self, account: &Account, expires: SystemTime) -> Option<String> {
        let current = self.current();
        let session = Session {
            id: session::random()?,
            name: account.name().to_owned(),
            stamp: session::stamp(&current.key, account.password.expose()),
            expires,
        };
        Some(session.to_token(&current.key))
    }

    fn end_session(&self, session: &Session, now: SystemTime) {
        let mut ended = locked(&self.0.ended);
        if ended.len() >= REMEMBERED {
            ended.retain(|_, expires| *expires > now);
        }
        if ended.len() >= REMEMBERED {
            tracing::warn!(
                "more sessions were ended than are remembered; the cookie of this one lasts until it expires"
            );
            return;
        }
        ended.insert(session.id, session.expires);
    }
}

impl Current {
    fn new(file: AccountsFile, own_key: &Key) -> Self {
        let secret = file.secret();
        Self {
            has_secret: secret.is_some(),
            key: secret.map_or_else(|| own_key.clone(), Key::new),
            accounts: file
                .into_accounts()
                .map(|account| (account.name().to_owned(), Arc::new(account)))
                .collect(),
            known: Known::default(),
        }
    }

    /// Whose session a token is, by our signature and the password that it was made with. Whether it has ended is another question.
    fn signed_in(&self, token: &str) -> Option<SignedIn> {
        if let Some(known) = self.known.get(token) {
            return Some(known);
        }
        let session = Session::parse(token, &self.key)?;
        let account = self.accounts.get(&session.name)?;
        let is_current = session.stamp == session::stamp(&self.key, account.password.expose());
        let signed_in = is_current.then(|| (Arc::new(session), Identity::User(Arc::clone(&account.user))))?;
        self.known.insert(token, &signed_in);
        Some(signed_in)
    }
}

impl Identify for Accounts {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let mut fields = request.headers.get_all(AUTHORIZATION).iter();
        let Some(field) = fields.next() else {
            let session = session::cookie(&request.headers);
            let session = session.and_then(|token| self.session(token, SystemTime::now()));
            let identity = session.map(|(_, identity)| identity).unwrap_or_default();
            return Box::pin(std::future::ready(Ok(identity)));
        };
        Box::pin(async move {
            // Whoever sends credentials is who they say or nobody, and never who the cookie says.
            let credentials = basic(field.as_bytes()).filter(|_| fields.next().is_none());
            let Some((name, password)) = credentials else { return Ok(Identity::Anonymous) };
            let from = request.extensions.get().copied();
            Ok(self.verify(&name, &password, from).await.unwrap_or_default())
        })
    }
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("options", &self.0.options).finish_non_exhaustive()
    }
}

/// A name and a password that were not right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refused {
    /// How long to wait before the next try is looked at, if this one was not, as there have been too many.
    pub wait: Option<Duration>,
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.wait {
            Some(wait) => write!(f, "too many tries; the next is looked at in {} s", wait.as_secs() + 1),
            None => f.write_str("the name or the password is wrong"),
        }
    }
}

impl std::error::Error for Refused {}

/// The name and password of an `Authorization` field: RFC 7617, in UTF-8.
fn basic(field: &[u8]) -> Option<(String, String)> {
    let (scheme, encoded) = std::str::from_utf8(field).ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("basic") {
        return None;
    }
    let decoded = String::from_utf8(STANDARD.decode(encoded.trim()).ok()?).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

/// What is behind these locks is whole between any two operations, so a panic elsewhere does not spoil it.
fn locked<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
