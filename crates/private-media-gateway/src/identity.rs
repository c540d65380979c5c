//! The identity source of a configuration: the built-in accounts, or a Django project.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use http::HeaderValue;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media::{Accounts, Identify, Identity, User};
use private_media_django::{Database, DjangoSessions, SecretKeys, SessionEngine};

use crate::config::{Config, ConfigError, Django, Source};
use crate::signals::Hangup;
use crate::supervise;

/// The identity source of a configuration. Cheap to clone.
#[derive(Clone)]
pub(crate) enum IdentityBackend {
    Accounts(Accounts),
    Django(DjangoSessions),
}

impl IdentityBackend {
    /// Opens the identity source of a configuration, and checks it.
    pub(crate) async fn open(config: &Config) -> Result<Self, ConfigError> {
        match &config.source {
            Source::Accounts => open_accounts(config).map(Self::Accounts),
            Source::Django(django) => open_django(config, django).await.map(Self::Django),
        }
    }

    /// Returns the identity of a user by name, without credentials. A user who may not sign in is anonymous.
    pub(crate) async fn find(&self, config: &Config, name: &str) -> Result<Identity, ConfigError> {
        let (found, unknown) = match self {
            Self::Accounts(accounts) => {
                let file = config.accounts.display();
                let unknown = format!(
                    "account in {file}; list the accounts with private-media account list, or use anonymous for clients that are not signed in"
                );
                (accounts.find(name), unknown)
            }
            Self::Django(sessions) => {
                let found = sessions.find(name).await.map_err(|error| {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    config.database_error(&format_args!("no response ({cause}); check that it runs"))
                });
                let unknown = "user in Django's database; use a username, or anonymous for clients that are not signed in";
                (found?, unknown.to_owned())
            }
        };
        match found {
            Some(identity) => Ok(identity),
            None if name == "anonymous" => Ok(Identity::Anonymous),
            None => Err(ConfigError::new(format!("unknown user {name:?}: no such {unknown}"))),
        }
    }

    /// Returns a new session as a `Cookie` header, if other processes accept it. Django sessions can be created only by Django.
    pub(crate) fn session_of(&self, name: &str, lifetime: Duration) -> Option<HeaderValue> {
        match self {
            Self::Accounts(accounts) if accounts.has_secret() => accounts.session_of(name, lifetime),
            Self::Accounts(_) | Self::Django(_) => None,
        }
    }

    /// Returns the accounts, which have pages for signing in and out. A Django project has its own pages.
    pub(crate) fn accounts(&self) -> Option<Accounts> {
        match self {
            Self::Accounts(accounts) => Some(accounts.clone()),
            Self::Django(_) => None,
        }
    }

    /// Returns the implementation that identifies the clients of requests.
    pub(crate) fn to_identify(&self) -> Arc<dyn Identify> {
        match self {
            Self::Accounts(accounts) => Arc::new(accounts.clone()),
            Self::Django(sessions) => Arc::new(sessions.clone()),
        }
    }
}

/// Returns the users with an account. Users of a Django project are not listed.
pub(crate) fn users(config: &Config) -> Result<Vec<User>, ConfigError> {
    match &config.source {
        Source::Accounts => Ok(load_accounts(config)?.users().collect()),
        Source::Django(_) => Ok(vec![]),
    }
}

async fn open_django(config: &Config, django: &Django) -> Result<DjangoSessions, ConfigError> {
    let keys = SecretKeys::load(&django.secret_file).map_err(|error| config.secret_file_error(&error))?;
    let database =
        Database::connect(&django.database).await.map_err(|error| config.database_error(&error))?;
    if django.options.engine == SessionEngine::Database {
        database.check_sessions().await.map_err(|error| config.database_error(&error))?;
    }
    Ok(DjangoSessions::new(database, keys, django.options.clone()))
}

fn open_accounts(config: &Config) -> Result<Accounts, ConfigError> {
    // Taken before the file is read, so that a later change is detected.
    let loaded = stamp(&config.accounts);
    let file = load_accounts(config)?;
    let options = AccountsOptions::new()
        .url(&config.url)
        .cookie_path(&config.url)
        .session_lifetime(config.session_lifetime)
        .cache_ttl(config.cache_ttl);
    let accounts = Accounts::new(file, options).map_err(|error| ConfigError::new(error.to_string()))?;
    if !accounts.has_secret() {
        tracing::warn!(
            accounts = %config.accounts.display(),
            "the accounts file has no secret, so every sign-in ends with this process; private-media account add writes one"
        );
    }
    let (reloaded, path, every) = (accounts.clone(), config.accounts.clone(), config.cache_ttl);
    supervise::spawn("accounts", move || reload(reloaded.clone(), path.clone(), loaded, every));
    Ok(accounts)
}

pub(crate) fn load_accounts(config: &Config) -> Result<AccountsFile, ConfigError> {
    match AccountsFile::load(&config.accounts) {
        Ok(file) => Ok(file),
        Err(error) if error.is_missing() => {
            Err(config
                .accounts_error("there is no such file", "make it with: private-media account add NAME"))
        }
        Err(error) => Err(ConfigError::new(error.to_string())),
    }
}

/// Reloads the accounts file after a change, checking it at this interval and at SIGHUP. An invalid file changes nothing: it is read
/// again at each check, and logged once.
async fn reload(accounts: Accounts, path: PathBuf, mut loaded: Stamp, every: Duration) {
    let path: Arc<Path> = path.into();
    let mut hangup = Hangup::register_or_ignore();
    let mut problem = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(reload_interval(every)) => {}
            () = hangup.recv() => {}
        }
        let (before, path) = (problem.is_none().then_some(loaded), Arc::clone(&path));
        let Ok((now, file)) = tokio::task::spawn_blocking(move || load_changed(&path, before)).await else {
            continue;
        };
        loaded = now;
        match file {
            Some(Ok(file)) => {
                accounts.replace(file);
                problem = None;
                tracing::info!("the accounts have changed");
            }
            Some(Err(error)) => {
                if problem.as_ref() != Some(&error) {
                    tracing::error!(error, "the accounts stay as they were");
                }
                problem = Some(error);
            }
            None => {}
        }
    }
}

/// Returns the interval at which the accounts file is checked.
pub(crate) fn reload_interval(cache_ttl: Duration) -> Duration {
    cache_ttl.clamp(Duration::from_millis(200), Duration::from_secs(60))
}

/// Loads the file if its stamp has changed. The stamp is taken before the file is read, so that a later change is detected.
fn load_changed(path: &Path, before: Option<Stamp>) -> (Stamp, Option<Result<AccountsFile, String>>) {
    let mut now = stamp(path);
    if before == Some(now) {
        return (now, None);
    }
    // An editor may still be writing the file, and half of it may be valid.
    for _ in 0..SETTLE_ROUNDS {
        std::thread::sleep(SETTLE_TIME);
        let before = std::mem::replace(&mut now, stamp(path));
        if before == now {
            break;
        }
    }
    let file = AccountsFile::load(path).map_err(|error| error.to_string());
    let file = file.and_then(|file| {
        if file.is_empty() { Err(format!("{}: empty; restore it", path.display())) } else { Ok(file) }
    });
    (now, Some(file))
}

/// How long a changed file must stay unchanged before it is read.
const SETTLE_TIME: Duration = Duration::from_millis(50);
/// After this many rounds, a file that still changes is read anyway.
const SETTLE_ROUNDS: usize = 20;

/// The modification time, change time, inode and length of a file. The change time cannot be set back.
type Stamp = Option<(SystemTime, (i64, i64), u64, u64)>;

/// Returns a value that changes with the file; `None` if the file cannot be read.
fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Some((metadata.modified().ok()?, changed, metadata.ino(), metadata.len()))
}
