//! Built-in accounts: a file of names and password hashes, HTTP Basic, and a sign-in page.

mod counters;
mod device;
mod ended;
mod file;
mod hashing;
mod lock;
mod login_error;
mod page;
mod password;
mod refusals;
mod revocation;
mod session;
mod session_cache;
mod session_record;
mod sign_ins;
mod stored_sessions;
mod throttle;
mod update;

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures_core::future::BoxFuture;
use http::header::{AUTHORIZATION, HeaderValue};
use http::request::Parts;

use super::{ClientAddr, Cookie, Identify, IdentifyError, Identity, Rejection, cookie, has_cookie};
use crate::cache_counts::CacheCounter;
use crate::pages::Branding;
use counters::Counters;
pub use counters::SignInCounts;
use ended::EndedSessions;
use file::{Account, SOURCE};
pub use file::{AccountsError, AccountsFile, NewAccount};
pub use hashing::ClientClosed;
use hashing::{HashQueue, QueueFull};
use lock::locked;
pub use login_error::LoginError;
pub use revocation::{Revocation, RevocationError, RevocationStore};
use session::{Key, Session};
use session_cache::{SessionCache, SignedIn};
pub use session_record::{SessionAction, SessionRecord};
use throttle::{Guesser, Throttle};

/// Built-in accounts: implements [`Identify`], and serves the pages `-/sign-in` and `-/sign-out`. Cheap to clone. All clones share their
/// state.
///
/// A request with an `Authorization` header is identified by HTTP Basic (RFC 7617), other requests by the session cookie that a sign-in
/// sets. Wrong, malformed and expired credentials are [rejected](Identity::Rejected). With another scheme than
/// Basic, the request is anonymous.
///
/// Attempts are throttled by account, by client address, and by both. A browser that has signed in to the account before has its own
/// counter. One password is hashed at a time, because each takes 19 MiB and 20 ms of CPU. Client addresses take turns, and a full queue
/// rejects further attempts.
#[derive(Clone)]
pub struct Accounts(Arc<Inner>);

/// Settings of [`Accounts`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct AccountsOptions {
    /// The URL path where private media is mounted. The sign-in page is at `url` + `-/sign-in`.
    pub url: String,
    /// The `Path` of the session cookie (RFC 6265 section 4.1.2.4).
    pub cookie_path: String,
    /// How long a session is valid.
    pub session_lifetime: Duration,
    /// How long a verified password is cached instead of hashed again.
    pub cache_ttl: Duration,
    /// The URL path that a sign-in or sign-out leads to if its form names no other path of the site.
    pub home: String,
    /// The name and the logo on the pages.
    pub branding: Branding,
}

impl AccountsOptions {
    /// Returns the default options.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets [`AccountsOptions::url`].
    #[must_use]
    pub fn url(mut self, url: impl Into<String>) -> Self {
        self.url = url.into();
        self
    }

    /// Sets [`AccountsOptions::cookie_path`].
    #[must_use]
    pub fn cookie_path(mut self, path: impl Into<String>) -> Self {
        self.cookie_path = path.into();
        self
    }

    /// Sets [`AccountsOptions::session_lifetime`].
    #[must_use]
    pub fn session_lifetime(mut self, lifetime: Duration) -> Self {
        self.session_lifetime = lifetime;
        self
    }

    /// Sets [`AccountsOptions::cache_ttl`].
    #[must_use]
    pub fn cache_ttl(mut self, ttl: Duration) -> Self {
        self.cache_ttl = ttl;
        self
    }

    /// Sets [`AccountsOptions::home`].
    #[must_use]
    pub fn home(mut self, path: impl Into<String>) -> Self {
        self.home = path.into();
        self
    }

    /// Sets [`AccountsOptions::branding`].
    #[must_use]
    pub fn branding(mut self, branding: Branding) -> Self {
        self.branding = branding;
        self
    }
}

impl Default for AccountsOptions {
    fn default() -> Self {
        Self {
            url: "/private/".into(),
            cookie_path: "/".into(),
            session_lifetime: Duration::from_secs(14 * 86_400),
            cache_ttl: Duration::from_secs(5),
            home: "/".into(),
            branding: Branding::default(),
        }
    }
}

struct Inner {
    options: AccountsOptions,
    current: RwLock<Arc<Current>>,
    memory: Arc<Memory>,
    /// The number of these accounts among those that share the memory.
    number: u64,
}

/// What outlives a change of the options, because an attacker could otherwise profit from it.
struct Memory {
    /// The key of sessions if the file has no secret.
    own_key: Key,
    throttle: Mutex<Throttle>,
    refusals: refusals::Refusals,
    counters: Counters,
    /// Of the caches of all versions of the accounts.
    session_lookups: Arc<CacheCounter>,
    ended: EndedSessions,
    hashing: HashQueue<Result<Arc<Account>, LoginError>>,
    /// The recently verified passwords, by account name.
    verified: Mutex<HashMap<String, Verified>>,
    verified_key: Key,
    numbers: AtomicU64,
    #[cfg(test)]
    hashed: std::sync::atomic::AtomicUsize,
}

/// A password that was verified recently, as a keyed digest.
struct Verified {
    digest: [u8; 32],
    account: Arc<Account>,
    at: Instant,
}

/// The result of comparing a password with the one that was verified recently.
enum Remembered {
    Right(Arc<Account>),
    Wrong,
    /// No password of the account was verified recently.
    Nothing,
}

/// A name, a password, and the client that sent them.
struct Attempt {
    guesser: Guesser,
    name: String,
    password: String,
    digest: [u8; 32],
}

/// The current accounts.
struct Current {
    accounts: HashMap<String, Arc<Account>>,
    key: Key,
    device_key: Key,
    has_secret: bool,
    digest: Option<[u8; 32]>,
    sessions: SessionCache,
}

impl Accounts {
    /// Returns the accounts of a file. Fails if the system provides no random numbers.
    ///
    /// Passwords are checked on a Tokio runtime with timers, as `#[tokio::main]` makes it.
    pub fn new(file: AccountsFile, options: AccountsOptions) -> Result<Self, AccountsError> {
        let random = || Key::random().ok_or_else(AccountsError::no_random);
        let memory = Memory {
            own_key: random()?,
            throttle: Mutex::default(),
            refusals: refusals::Refusals::default(),
            counters: Counters::default(),
            session_lookups: Arc::default(),
            ended: EndedSessions::default(),
            hashing: HashQueue::default(),
            verified: Mutex::default(),
            verified_key: random()?,
            numbers: AtomicU64::new(0),
            #[cfg(test)]
            hashed: std::sync::atomic::AtomicUsize::new(0),
        };
        let current = Arc::new(Current::new(file, &memory));
        Ok(Self::with_memory(options, current, Arc::new(memory)))
    }

    fn with_memory(options: AccountsOptions, current: Arc<Current>, memory: Arc<Memory>) -> Self {
        let number = memory.numbers.fetch_add(1, Ordering::Relaxed);
        Self(Arc::new(Inner { options, current: RwLock::new(current), memory, number }))
    }

    /// Returns accounts of another file or with other options, for a process that reloads its configuration. They share with these the
    /// ended sessions and their store, the throttled attempts, the passwords that wait to be hashed, and the key of sessions if the file
    /// has no secret. These accounts do not change.
    ///
    /// ```
    /// use private_media::Accounts;
    /// use private_media::identity::accounts::{AccountsFile, AccountsOptions};
    ///
    /// let accounts = Accounts::new(AccountsFile::default(), AccountsOptions::new())?;
    /// let reloaded = accounts.reconfigured(AccountsFile::default(), AccountsOptions::new().url("/media/"));
    /// # assert!(!reloaded.has_secret());
    /// # Ok::<_, private_media::identity::accounts::AccountsError>(())
    /// ```
    #[must_use]
    pub fn reconfigured(&self, file: AccountsFile, options: AccountsOptions) -> Self {
        let (memory, current) = (Arc::clone(&self.0.memory), self.current());
        // Passwords and sessions that were verified with the same file need not be verified again.
        let is_same = current.digest.is_some() && current.digest == file.digest();
        let current = if is_same { current } else { Arc::new(Current::new(file, &memory)) };
        Self::with_memory(options, current, memory)
    }

    /// Replaces the accounts. Users who were removed, or whose password has changed, are signed out.
    pub fn replace(&self, file: AccountsFile) {
        let current = Arc::new(Current::new(file, &self.0.memory));
        *self.0.current.write().unwrap_or_else(PoisonError::into_inner) = current;
        locked(&self.0.memory.verified).clear();
    }

    /// Returns whether the file has the secret that signs sessions. Without one, sessions end with the process.
    #[must_use]
    pub fn has_secret(&self) -> bool {
        self.current().has_secret
    }

    /// Returns the identity of an account without its password, for administration.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<Identity> {
        self.current().accounts.get(name).map(|account| Identity::User(Arc::clone(&account.user)))
    }

    /// Returns the identity of the account with this user id, for administration.
    #[must_use]
    pub fn find_by_id(&self, id: &str) -> Option<Identity> {
        let current = self.current();
        let account = current.accounts.values().find(|account| account.user.id() == id)?;
        Some(Identity::User(Arc::clone(&account.user)))
    }

    /// Creates a session for an account without its password, for administration. Returns it as a `Cookie` header; `None` if the account
    /// does not exist. If the file has a secret, every process with the same file accepts the session.
    #[must_use]
    pub fn session_of(&self, name: &str, lifetime: Duration) -> Option<HeaderValue> {
        let account = self.current().accounts.get(name).cloned()?;
        let token = self.begin_session(&account, SystemTime::now() + lifetime)?;
        let mut field = HeaderValue::try_from(format!("{}={token}", session::NAME)).ok()?;
        field.set_sensitive(true);
        Some(field)
    }

    /// Verifies a name and a password, and throttles wrong attempts. `from` is the address of the client, if known.
    pub async fn verify(
        &self,
        name: &str,
        password: &str,
        from: Option<ClientAddr>,
    ) -> Result<Identity, LoginError> {
        let guesser = Guesser::new(name, from, None);
        let account = self.verify_account(name, password, guesser, ClientClosed::default()).await?;
        Ok(Identity::User(Arc::clone(&account.user)))
    }

    async fn verify_account(
        &self,
        name: &str,
        password: &str,
        guesser: Guesser,
        closed: ClientClosed,
    ) -> Result<Arc<Account>, LoginError> {
        let now = Instant::now();
        // Checked first, so that a throttled client learns nothing, not even about a cached password.
        if let Some(wait) = locked(&self.0.memory.throttle).wait(&guesser, now) {
            return Err(LoginError::throttled(wait));
        }
        let digest = self.0.memory.verified_key.sign(&[name.as_bytes(), password.as_bytes()]);
        let is_counted = match self.remembered(name, &digest) {
            Remembered::Right(account) => return Ok(account),
            // Known to be wrong, so it counts even if the client disconnects now. It is still hashed, so that it takes the same time.
            Remembered::Wrong => {
                locked(&self.0.memory.throttle).begin(&guesser, now).map_err(LoginError::throttled)?;
                true
            }
            Remembered::Nothing => false,
        };
        let lane = guesser.lane();
        let attempt = Attempt { guesser, name: name.to_owned(), password: password.to_owned(), digest };
        let accounts = self.clone();
        // Jobs are joined only if they compare the password with the same accounts.
        let mut key = digest;
        for (byte, number) in key.iter_mut().zip(self.0.number.to_le_bytes()) {
            *byte ^= number;
        }
        let checked =
            self.0.memory.hashing.run(lane, key, closed, move || accounts.check(&attempt, is_counted));
        checked.await.unwrap_or_else(|QueueFull| Err(LoginError::overloaded()))
    }

    /// Hashes a password, and returns its account. Blocks the thread.
    fn check(&self, attempt: &Attempt, is_counted: bool) -> Result<Arc<Account>, LoginError> {
        let Attempt { guesser, name, password, digest } = attempt;
        if !is_counted {
            // Another request with the same password may have been verified meanwhile, or other attempts counted.
            if let Remembered::Right(account) = self.remembered(name, digest) {
                return Ok(account);
            }
            locked(&self.0.memory.throttle).begin(guesser, Instant::now()).map_err(LoginError::throttled)?;
        }
        let account = self.current().accounts.get(name).cloned();
        #[cfg(test)]
        self.0.memory.hashed.fetch_add(1, Ordering::Relaxed);
        // An unknown name takes the same time, so the time does not reveal which names exist.
        let is_right = password::verify(account.as_ref().map(|account| &account.password), password);
        let account = account.filter(|_| is_right).ok_or(LoginError::Wrong)?;
        locked(&self.0.memory.throttle).succeeded(guesser, Instant::now());
        self.remember(*digest, &account);
        Ok(account)
    }

    fn current(&self) -> Arc<Current> {
        Arc::clone(&self.0.current.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Compares a password with the one that was verified recently, if the account has not been replaced since. A password that was hashed
    /// while the accounts were replaced may be remembered, but is not used.
    fn remembered(&self, name: &str, digest: &[u8; 32]) -> Remembered {
        let verified = locked(&self.0.memory.verified);
        let Some(last) = verified.get(name).filter(|last| last.at.elapsed() < self.0.options.cache_ttl)
        else {
            return Remembered::Nothing;
        };
        let account = self.current().accounts.get(name).cloned();
        match account.filter(|account| Arc::ptr_eq(account, &last.account)) {
            Some(account) if last.digest == *digest => Remembered::Right(account),
            Some(_) => Remembered::Wrong,
            None => Remembered::Nothing,
        }
    }

    fn remember(&self, digest: [u8; 32], account: &Arc<Account>) {
        if !self.0.options.cache_ttl.is_zero() {
            let (account, at) = (Arc::clone(account), Instant::now());
            locked(&self.0.memory.verified)
                .insert(account.name().to_owned(), Verified { digest, account, at });
        }
    }

    /// Returns the guesser of a sign-in attempt: a known device of the account, or else an address.
    fn guesser(&self, name: &str, request: &Parts) -> Guesser {
        let current = self.current();
        let device = current.accounts.get(name).and_then(|account| {
            device::known(&request.headers, account, &current.device_key, SystemTime::now())
        });
        Guesser::new(name, request.extensions.get().copied(), device)
    }

    /// Returns the session of a token, and its user, if it has neither ended nor expired.
    fn session(&self, token: impl AsRef<[u8]>, now: SystemTime) -> Result<SignedIn, Rejection> {
        let signed_in = self.current().signed_in(token.as_ref()).map_err(rejection)?;
        let (session, _) = &signed_in;
        if session.expires <= now {
            let ago = now.duration_since(session.expires).unwrap_or_default().as_secs();
            return Err(Rejection::new(SOURCE, format!("the session expired {ago} s ago")));
        }
        if self.0.memory.ended.contains(session) {
            return Err(rejection("the session was signed out"));
        }
        Ok(signed_in)
    }

    /// Identifies the client by its session cookie.
    fn identify_cookie(&self, request: &Parts) -> Identity {
        let session = match cookie(&request.headers, session::NAME) {
            Cookie::None | Cookie::One(b"") => return Identity::Anonymous,
            Cookie::One(token) => self.session(token, SystemTime::now()),
            Cookie::Several => Err(rejection("the request has two session cookies")),
        };
        session.map_or_else(Identity::from, |(_, identity)| identity)
    }

    /// Creates a session for an account whose password was verified. It ends with that password, even if the password has changed
    /// meanwhile.
    fn begin_session(&self, account: &Account, expires: SystemTime) -> Option<String> {
        let current = self.current();
        let session = Session {
            id: session::random()?,
            issued: self.0.memory.ended.issue_time(account.name(), SystemTime::now()),
            name: account.name().to_owned(),
            stamp: session::stamp(&current.key, account.password.expose()),
            expires,
        };
        Some(session.to_token(&current.key))
    }
}

impl Current {
    fn new(file: AccountsFile, memory: &Memory) -> Self {
        let secret = file.secret();
        let key = secret.map_or_else(|| memory.own_key.clone(), Key::new);
        Self {
            has_secret: secret.is_some(),
            digest: file.digest(),
            device_key: device::key(&key),
            key,
            accounts: file
                .into_accounts()
                .map(|account| (account.name().to_owned(), Arc::new(account)))
                .collect(),
            sessions: SessionCache::new(Arc::clone(&memory.session_lookups)),
        }
    }

    /// Returns the session of a token, and its user, if the signature is valid and the password has not changed; otherwise the reason.
    /// The caller checks whether the session has ended or expired.
    fn signed_in(&self, token: &[u8]) -> Result<SignedIn, &'static str> {
        if let Some(signed_in) = self.sessions.get(token) {
            return Ok(signed_in);
        }
        let session = Session::parse(token, &self.key)
            .ok_or("the session cookie is malformed, or signed with another secret")?;
        let account = self.accounts.get(&session.name).ok_or("the account was removed")?;
        if session.stamp != session::stamp(&self.key, account.password.expose()) {
            return Err("the password was changed after the sign-in");
        }
        let signed_in = (Arc::new(session), Identity::User(Arc::clone(&account.user)));
        self.sessions.insert(token, &signed_in);
        Ok(signed_in)
    }
}

impl Identify for Accounts {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(async move {
            // A request with an Authorization header is never identified by its cookie.
            let mut fields = authorization(request);
            let Some(field) = fields.next() else { return Ok(self.identify_cookie(request)) };
            if !self.recognizes(request) {
                return Ok(Identity::Anonymous);
            }
            let credentials = basic(field.as_bytes()).filter(|_| fields.next().is_none());
            let Some((name, password)) = credentials else {
                return Ok(rejection("malformed HTTP Basic credentials").into());
            };
            let guesser = self.guesser(&name, request);
            let closed = request.extensions.get().cloned().unwrap_or_default();
            let verified = self.verify_account(&name, &password, guesser, closed).await;
            if let Err(refused) = &verified {
                self.sign_in_refused(&name, request, refused);
            }
            match verified {
                Ok(account) => Ok(Identity::User(Arc::clone(&account.user))),
                Err(LoginError::Wrong) => Ok(rejection("the name or the password is wrong").into()),
                Err(LoginError::Throttled { retry_after }) => Err(IdentifyError::throttled(retry_after)),
                Err(LoginError::Overloaded { retry_after }) => Err(IdentifyError::overloaded(retry_after)),
            }
        })
    }

    fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
        authorization(request).next().is_none().then(|| Ok(self.identify_cookie(request)))
    }

    fn recognizes(&self, request: &Parts) -> bool {
        let mut fields = authorization(request).peekable();
        if fields.peek().is_none() {
            return has_cookie(&request.headers, session::NAME);
        }
        fields.any(|field| encoded_basic(field.as_bytes()).is_some())
    }
}

/// Returns the `Authorization` fields of a request. A scan of the few headers is cheaper than hashing the name.
fn authorization(request: &Parts) -> impl Iterator<Item = &HeaderValue> {
    request.headers.iter().filter(|(name, _)| *name == AUTHORIZATION).map(|(_, value)| value)
}

impl fmt::Debug for Accounts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Accounts").field("options", &self.0.options).finish_non_exhaustive()
    }
}

fn rejection(reason: &'static str) -> Rejection {
    Rejection::new(SOURCE, reason)
}

/// Returns the credentials of an `Authorization` field whose scheme is Basic.
fn encoded_basic(field: &[u8]) -> Option<&[u8]> {
    let (scheme, encoded) = field.split_at_checked(field.iter().position(|byte| *byte == b' ')?)?;
    scheme.eq_ignore_ascii_case(b"basic").then_some(encoded)
}

/// Returns the name and password of an `Authorization` field (RFC 7617, in UTF-8).
fn basic(field: &[u8]) -> Option<(String, String)> {
    let decoded = STANDARD.decode(encoded_basic(field)?.trim_ascii()).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (name, password) = decoded.split_once(':')?;
    Some((name.to_owned(), password.to_owned()))
}

#[cfg(test)]
mod tests;
