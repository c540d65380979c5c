//! The identity source `jwt`: JSON Web Tokens (RFC 7519) that another server signed.
//!
//! The configuration decides which keys, algorithms, issuer and audiences are accepted; a token only selects among them. Tokens are
//! not revoked: a sign-out takes effect when the browser drops its cookie, or when the token expires.

mod claims;
mod credential;
mod fetch;
mod key;
mod key_set;
mod key_store;
mod public_key;
mod ring_provider;
mod unique_json;
mod verify;

use std::fmt;
use std::future::ready;
use std::sync::Arc;
use std::time::{Instant, SystemTime};

use futures_core::future::BoxFuture;
use http::header::{AUTHORIZATION, COOKIE, HeaderName};
use http::request::Parts;
use private_media::decision_cache::{CacheKey, DecisionCache};
use private_media::identity::Rejection;
use private_media::{CacheCounts, Identify, IdentifyError, Identity, User};

use crate::config::{ConfigError, JwtConfig, JwtOptions, KeyFile, KeySource};
use crate::http_client::{HttpClient, shown};
use claims::{Reason, Seconds, seconds};
use credential::{CookieName, Credential};
use key_set::NoKey;
pub(super) use key_store::KeyStore;

/// The name of this source.
const SOURCE: &str = "jwt";

/// Identifies users by a token in the `Authorization` header or in a cookie. Cheap to clone; all clones share their state.
#[derive(Clone)]
pub(crate) struct JwtIdentity(Arc<Inner>);

struct Inner {
    options: JwtOptions,
    cookie: Option<CookieName>,
    keys: KeyStore,
    /// The issuers of the other `jwt` sources, whose tokens are left to them.
    other_issuers: Vec<String>,
    cache: DecisionCache<Verdict>,
}

/// The cached result of verifying a token.
#[derive(Clone)]
struct Verdict {
    identity: Identity,
    /// The end of the token, if it is valid.
    until: Option<Seconds>,
}

/// The reason why a token identifies no user.
enum Failure {
    Rejected(Reason),
    /// The token names a key that is not known (yet).
    UnknownKey,
    Error(IdentifyError),
}

/// Checks that a file contains keys. The error says what is wrong with it.
pub(crate) fn check_key_file(file: &KeyFile) -> Result<(), String> {
    fetch::read(file).map(drop)
}

impl JwtIdentity {
    /// Reads or fetches the keys. A file that cannot be read is an error. A key server that does not respond is none: tokens are denied
    /// until it does.
    ///
    /// Keys of the same origin that are open already are used instead.
    pub(crate) async fn open(
        config: &JwtConfig,
        other_issuers: Vec<String>,
        keys: Option<KeyStore>,
    ) -> Result<Self, ConfigError> {
        ring_provider::install();
        let options = config.options.clone();
        let error = |problem: &dyn fmt::Display| config.keys_setting.error_with(&problem.to_string());
        let (origin, fetch) = match &options.keys {
            KeySource::Url(url) => {
                let client = HttpClient::new(fetch::LIMITS).map_err(|problem| error(&problem))?;
                (shown(url), fetch::from_url(client, url.clone()))
            }
            KeySource::File(file) => {
                fetch::read(file).map_err(|problem| error(&problem))?;
                let every = super::reload_interval(options.cache_ttl);
                (file.path.display().to_string(), fetch::from_file(file.clone(), every))
            }
        };
        let keys = match keys {
            Some(keys) => keys,
            None => KeyStore::open(origin, options.max_stale, fetch).await,
        };
        Ok(Self::new(options, other_issuers, keys))
    }

    fn new(options: JwtOptions, other_issuers: Vec<String>, keys: KeyStore) -> Self {
        let cache = DecisionCache::new(options.cache_ttl);
        let cookie = options.cookie.as_deref().map(CookieName::new);
        Self(Arc::new(Inner { options, cookie, keys, other_issuers, cache }))
    }

    /// Returns the keys, if a source with these options would fetch the same from a server.
    pub(super) fn keys_of(&self, options: &JwtOptions) -> Option<KeyStore> {
        let own = &self.0.options;
        let is_same = own.keys == options.keys && own.max_stale == options.max_stale;
        (is_same && matches!(own.keys, KeySource::Url(_))).then(|| self.0.keys.clone())
    }

    /// Returns how many tokens were found in the cache.
    pub(super) fn cache_counts(&self) -> CacheCounts {
        self.0.cache.counts()
    }

    fn credential<'a>(&self, request: &'a Parts) -> Option<Result<Credential<'a>, &'static str>> {
        Credential::find(&request.headers, self.0.cookie.as_ref())
    }

    /// Returns the identity of a credential. Only an invalid one that needs no further look at the keys is cached as such.
    async fn identify_credential(
        &self,
        credential: Credential<'_>,
        key: CacheKey,
    ) -> Result<Identity, IdentifyError> {
        let requested = Instant::now();
        let verdict = match self.verify(&credential, SystemTime::now()).await {
            Ok((user, until)) => Verdict { identity: user.into(), until: Some(until) },
            Err(Failure::Rejected(reason)) => Verdict { identity: rejected(reason), until: None },
            Err(Failure::UnknownKey) => return Ok(rejected("no key has the id and algorithm of the token")),
            Err(Failure::Error(error)) => return Err(error),
        };
        self.0.cache.insert(key, verdict.clone(), verdict.until.is_some(), requested);
        Ok(verdict.identity)
    }

    /// Returns the user of a valid token, and when the token ends.
    async fn verify(&self, credential: &Credential<'_>, now: SystemTime) -> Result<(User, Seconds), Failure> {
        let Inner { options, keys, .. } = &*self.0;
        let token = credential.token().map_err(|reason| Failure::Rejected(reason.into()))?;
        let hint = verify::key_hint(&token, &options.algorithms)?;
        let mut set = keys.current()?;
        let is_unknown =
            set.find(hint.id.as_deref(), hint.algorithm).is_err_and(|error| error == NoKey::Unknown);
        if is_unknown && keys.refresh().await {
            set = keys.current()?;
        }
        let key = set.find(hint.id.as_deref(), hint.algorithm)?;
        let claims = verify::claims(&token, hint.algorithm, key, options)?;
        let until = claims.valid_until(options, seconds(now))?;
        Ok((claims.user(&options.claims)?.source(SOURCE), until))
    }
}

impl Identify for JwtIdentity {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        let credential = match self.credential(request) {
            Some(Ok(credential)) => credential,
            Some(Err(reason)) => return Box::pin(ready(Ok(rejected(reason)))),
            None => return Box::pin(ready(Ok(Identity::Anonymous))),
        };
        // A change of the keys invalidates all verdicts.
        let generation = self.0.keys.generation().to_le_bytes();
        let parts = credential.parts().iter().map(|part| part.as_bytes());
        let key = CacheKey::of(std::iter::once(&generation[..]).chain(parts));
        match self.0.cache.get(key, Instant::now()) {
            Some(Verdict { identity, until })
                if until.is_none_or(|until| seconds(SystemTime::now()) < until) =>
            {
                Box::pin(ready(Ok(identity)))
            }
            _ => Box::pin(self.identify_credential(credential, key)),
        }
    }

    /// Of several `jwt` sources, the one of the token's issuer recognizes it. If no source has this issuer, all do, so the first one
    /// rejects it.
    fn recognizes(&self, request: &Parts) -> bool {
        let Some(credential) = self.credential(request) else { return false };
        if self.0.other_issuers.is_empty() {
            return true;
        }
        let issuer = credential
            .and_then(|credential| credential.token())
            .ok()
            .and_then(|token| verify::unverified_issuer(&token));
        issuer.is_none_or(|issuer| !self.0.other_issuers.contains(&issuer))
    }

    fn vary(&self) -> Vec<HeaderName> {
        let cookie = self.0.cookie.as_ref().map(|_| COOKIE);
        std::iter::once(AUTHORIZATION).chain(cookie).collect()
    }
}

fn rejected(reason: impl Into<Reason>) -> Identity {
    Rejection::new(SOURCE, reason).into()
}

impl From<Reason> for Failure {
    fn from(reason: Reason) -> Self {
        Self::Rejected(reason)
    }
}

impl From<IdentifyError> for Failure {
    fn from(error: IdentifyError) -> Self {
        Self::Error(error)
    }
}

impl From<NoKey> for Failure {
    fn from(error: NoKey) -> Self {
        match error {
            NoKey::Unknown => Self::UnknownKey,
            NoKey::Ambiguous => {
                Self::Rejected("the token names no key (kid), and several could have signed it".into())
            }
        }
    }
}

impl fmt::Debug for JwtIdentity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("JwtIdentity").field("options", &self.0.options).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
