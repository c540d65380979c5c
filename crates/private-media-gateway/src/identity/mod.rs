//! The identity sources of a configuration.

mod accounts;
mod django;
pub(crate) mod forward;
pub(crate) mod header;
mod jwt;
mod user_headers;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use http::HeaderValue;
use http::request::Parts;
use private_media::identity::IdentityChain;
use private_media::identity::accounts::AccountsOptions;
use private_media::{Accounts, CacheCounts, Identify, Identity, User};
use private_media_django::{DjangoSessions, UserKey};

use self::forward::Forward;
use self::header::HeaderIdentity;
use crate::config::{Config, ConfigError, DjangoConfig, JwtConfig, Source};
use crate::pages::FRONT;
use crate::supervise::Task;
pub(crate) use accounts::{load as load_accounts, reload_interval};
pub(crate) use jwt::check_key_file;
use jwt::{JwtIdentity, KeyStore};

/// The identity sources of a configuration, in order. Cheap to clone.
#[derive(Clone)]
pub(crate) struct IdentityBackend(Vec<OpenSource>);

/// The identity sources that a process had before it reloads its configuration.
#[derive(Clone, Default)]
pub(crate) struct Previous {
    /// The current sources. The keys of tokens are kept, as their server may be down at the moment.
    pub(crate) sources: Option<IdentityBackend>,
    /// The last accounts of the process, whose ended sessions and throttled attempts are kept.
    pub(crate) accounts: Option<Accounts>,
}

/// An open identity source.
#[derive(Clone)]
enum OpenSource {
    /// The accounts, their file, and the task that reloads it.
    Accounts(Accounts, PathBuf, #[expect(dead_code, reason = "ends when it is dropped")] Option<Arc<Task>>),
    Django(DjangoSessions, Box<DjangoConfig>),
    Jwt(JwtIdentity),
    Forward(Forward),
    Header(Arc<HeaderIdentity>),
}

impl IdentityBackend {
    /// Opens the identity sources of a configuration, and checks them.
    pub(crate) async fn open(config: &Config) -> Result<Self, ConfigError> {
        Self::open_after(config, &Previous::default()).await
    }

    /// Like [`open`](Self::open), in a process that has other sources open.
    pub(crate) async fn open_after(config: &Config, previous: &Previous) -> Result<Self, ConfigError> {
        let mut sources = Vec::new();
        for source in &config.identity {
            sources.push(match &source.source {
                Source::Accounts(accounts) => {
                    let options = AccountsOptions::new()
                        .home(format!("{}{FRONT}", config.url))
                        .branding(config.branding()?);
                    let (opened, task) =
                        accounts::open(accounts, &config.url, options, previous.accounts.as_ref())?;
                    OpenSource::Accounts(opened, accounts.file.path.clone(), Some(Arc::new(task)))
                }
                Source::Django(django) => OpenSource::Django(django::open(django).await?, django.clone()),
                Source::Jwt(jwt) => {
                    let keys = previous.sources.as_ref().and_then(|sources| sources.keys_of(jwt));
                    OpenSource::Jwt(JwtIdentity::open(jwt, config.other_issuers(jwt), keys).await?)
                }
                Source::Forward(options) => {
                    let forward = Forward::new((**options).clone());
                    OpenSource::Forward(
                        forward.map_err(|error| ConfigError::new(format!("identity: {error}")))?,
                    )
                }
                Source::Header(options) => {
                    OpenSource::Header(Arc::new(HeaderIdentity::new((**options).clone())))
                }
            });
        }
        Ok(Self(sources))
    }

    /// Returns the open keys of a `jwt` source with the same origin of its keys.
    fn keys_of(&self, config: &JwtConfig) -> Option<KeyStore> {
        self.0.iter().find_map(|source| match source {
            OpenSource::Jwt(tokens) => tokens.keys_of(&config.options),
            _ => None,
        })
    }

    /// Returns the identity of a user by name or id, without credentials. The first source that knows the user decides. A user who may not
    /// sign in is rejected.
    pub(crate) async fn find(&self, user: &str) -> Result<Identity, ConfigError> {
        for source in &self.0 {
            if let Some(identity) = source.find(user).await? {
                return Ok(identity);
            }
        }
        if user == "anonymous" {
            return Ok(Identity::Anonymous);
        }
        let unknown: Vec<_> = self.0.iter().map(OpenSource::unknown_user).collect();
        Err(ConfigError::new(format!(
            "unknown user {user:?}: {}, or use anonymous for clients that are not signed in",
            unknown.join("; ")
        )))
    }

    /// Returns a new session as a `Cookie` header, if other processes accept it. Only accounts can create sessions.
    pub(crate) fn session_of(&self, name: &str, lifetime: Duration) -> Option<HeaderValue> {
        self.accounts().filter(Accounts::has_secret)?.session_of(name, lifetime)
    }

    /// Returns the accounts, which have pages for signing in and out.
    pub(crate) fn accounts(&self) -> Option<Accounts> {
        self.0.iter().find_map(|source| match source {
            OpenSource::Accounts(accounts, ..) => Some(accounts.clone()),
            _ => None,
        })
    }

    /// Returns how many identities were found in the caches of the sources.
    pub(crate) fn cache_counts(&self) -> CacheCounts {
        let counts = self.0.iter().map(|source| match source {
            OpenSource::Accounts(accounts, ..) => accounts.session_cache_counts(),
            OpenSource::Django(sessions, _) => sessions.cache_counts(),
            OpenSource::Jwt(tokens) => tokens.cache_counts(),
            OpenSource::Forward(forward) => forward.cache_counts(),
            OpenSource::Header(_) => CacheCounts::default(),
        });
        counts.sum()
    }

    /// Returns whether a source depends on the address of the client for requests without an `Authorization` header.
    pub(crate) fn needs_peer(&self) -> bool {
        self.0.iter().any(|source| match source {
            OpenSource::Accounts(..) | OpenSource::Django(..) | OpenSource::Jwt(_) => false,
            OpenSource::Forward(_) | OpenSource::Header(_) => true,
        })
    }

    /// Returns the names of the sources that recognize the credential of a request.
    pub(crate) fn recognizing(&self, request: &Parts) -> Vec<&'static str> {
        let recognizes = |source: &&OpenSource| source.identify().recognizes(request);
        self.0.iter().filter(recognizes).map(OpenSource::name).collect()
    }

    /// Returns the implementation that identifies the clients of requests.
    pub(crate) fn to_identify(&self) -> Box<dyn Identify> {
        let mut sources: Vec<_> = self.0.iter().map(OpenSource::to_identify).collect();
        match sources.pop() {
            // A chain of one would only cost time.
            Some(only) if sources.is_empty() => only,
            last => Box::new(IdentityChain::new(sources.into_iter().chain(last).collect())),
        }
    }
}

impl fmt::Debug for IdentityBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(OpenSource::name)).finish()
    }
}

#[cfg(test)]
impl From<Accounts> for IdentityBackend {
    fn from(accounts: Accounts) -> Self {
        Self(vec![OpenSource::Accounts(accounts, PathBuf::new(), None)])
    }
}

impl OpenSource {
    fn name(&self) -> &'static str {
        match self {
            Self::Accounts(..) => "accounts",
            Self::Django(..) => "django",
            Self::Jwt(_) => "jwt",
            Self::Forward(_) => "forward",
            Self::Header(_) => "header",
        }
    }

    fn identify(&self) -> &dyn Identify {
        match self {
            Self::Accounts(accounts, ..) => accounts,
            Self::Django(sessions, _) => sessions,
            Self::Jwt(tokens) => tokens,
            Self::Forward(forward) => forward,
            Self::Header(header) => header,
        }
    }

    fn to_identify(&self) -> Box<dyn Identify> {
        match self {
            Self::Accounts(accounts, ..) => Box::new(accounts.clone()),
            Self::Django(sessions, _) => Box::new(sessions.clone()),
            Self::Jwt(tokens) => Box::new(tokens.clone()),
            Self::Forward(forward) => Box::new(forward.clone()),
            Self::Header(header) => Box::new(Arc::clone(header)),
        }
    }

    /// Returns the identity of a user by name or id.
    async fn find(&self, user: &str) -> Result<Option<Identity>, ConfigError> {
        let found = match self {
            Self::Accounts(accounts, ..) => (accounts.find(user), accounts.find_by_id(user)),
            Self::Django(sessions, config) => (
                django::find(sessions, config, UserKey::Name(user)).await?,
                django::find(sessions, config, UserKey::Id(user)).await?,
            ),
            Self::Jwt(_) | Self::Forward(_) | Self::Header(_) => (None, None),
        };
        match found {
            (Some(by_name), Some(by_id)) if by_name != by_id => Err(ConfigError::new(format!(
                "ambiguous user {user:?}: the name of one user and the id of another; use the id of the one or the name of the other"
            ))),
            (Some(found), _) | (None, Some(found)) => Ok(Some(found)),
            (None, None) => Ok(None),
        }
    }

    /// Returns the problem of a user that the source does not know, with the fix.
    fn unknown_user(&self) -> String {
        match self {
            Self::Accounts(_, file, _) => format!(
                "no such account in {}; list the accounts with private-media account list",
                file.display()
            ),
            Self::Django(..) => "no such user in Django's database; use a username or an id".to_owned(),
            Self::Jwt(_) | Self::Forward(_) | Self::Header(_) => {
                format!(
                    "{} cannot look users up; make a user up, e.g. {{ id = \"7\" }}, or use --cookie or --token",
                    self.name()
                )
            }
        }
    }
}

/// Returns how many files the sources keep open beside their databases.
pub(crate) fn open_files(config: &Config) -> u64 {
    let asked = config.identity.iter().filter(|source| matches!(source.source, Source::Forward(_)));
    asked.count() as u64 * forward::MAX_QUESTIONS as u64
}

/// Returns the users with an account. Users of other sources are not listed.
pub(crate) fn users(config: &Config) -> Result<Vec<User>, ConfigError> {
    match config.accounts() {
        Some(accounts) => Ok(load_accounts(accounts)?.users().collect()),
        None => Ok(vec![]),
    }
}
