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

    /// The identity of a user by name, without credentials. Whoever is known and may not sign in is anonymous.
    pub(crate) async fn find(&self, config: &Config, name: &str) -> Result<Identity, ConfigError> {
        let (found, unknown) = match self {
            Self::Accounts(accounts) => {
                let file = config.accounts.display();
                let unknown = format!(
                    "account in {file}; private-media account list shows them, and anonymous is whoever is not signed in"
                );
                (accounts.find(name), unknown)
            }
            Self::Django(sessions) => {
                let found = sessions.find(name).await.map_err(|error| {
                    let cause =
                        std::error::Error::source(&error).map(ToString::to_string).unwrap_or_default();
                    config.database_error(&format_args!("it gives no answer ({cause}); see that it runs"))
                });
                let unknown =
                    "user in Django's database; write a username, or anonymous for whoever is not signed in";
                (found?, unknown.to_owned())
            }
        };
        match found {
            Some(identity) => Ok(identity),
            None if name == "anonymous" => Ok(Identity::Anonymous),
            None => Err(ConfigError::new(format!("user {name:?}: there is no such {unknown}"))),
        }
    }

    /// A session of somebody as the `Cookie` field that a browser would send, if it counts in other processes too. Django alone
    /// makes those of its users.
    pub(crate) fn session_of(&self, name: &str, lasts: Duration) -> Option<HeaderValue> {
        match self {
            Self::Accounts(accounts) if accounts.has_secret() => accounts.session_of(name, lasts),
            Self::Accounts(_) | Self::Django(_) => None,
        }
    }

    /// The accounts, which have pages to sign in and out at. Those of a Django project are its own.
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

/// The users of whom the program has a list: those with an account.
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
    if django.options.engine == SessionEngine::Rows {
        database.check_sessions().await.map_err(|error| config.database_error(&error))?;
    }
    Ok(DjangoSessions::new(database, keys, django.options.clone()))
}

fn open_accounts(config: &Config) -> Result<Accounts, ConfigError> {
    // Looked at before it is read, so that no change goes unseen.
    let seen = stamp(&config.accounts);
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
    supervise::spawn("accounts", move || reload(reloaded.clone(), path.clone(), seen, every));
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

/// Takes up what `private-media account` changes, as often as answers may be kept and at SIGHUP. A file that is wrong changes nothing; it
/// is read again each time, and the log says so once.
async fn reload(accounts: Accounts, path: PathBuf, mut seen: Stamp, every: Duration) {
    let path: Arc<Path> = path.into();
    let mut hangup = Hangup::register_or_ignore();
    let mut problem = None;
    loop {
        tokio::select! {
            () = tokio::time::sleep(reload_interval(every)) => {}
            () = hangup.recv() => {}
        }
        let (before, path) = (problem.is_none().then_some(seen), Arc::clone(&path));
        let Ok((now, file)) = tokio::task::spawn_blocking(move || load_changed(&path, before)).await else {
            continue;
        };
        seen = now;
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

/// How often the accounts file is looked at, by how long answers may be kept.
pub(crate) fn reload_interval(cache: Duration) -> Duration {
    cache.clamp(Duration::from_millis(200), Duration::from_secs(60))
}

/// Loads the file if it is another than before. The stamp is of a time before the file was read, so that no change goes unseen.
fn load_changed(path: &Path, before: Option<Stamp>) -> (Stamp, Option<Result<AccountsFile, String>>) {
    let mut now = stamp(path);
    if before == Some(now) {
        return (now, None);
    }
    // An editor may be writing it: half of it can be valid, too.
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

/// How long a file that changes is left alone, and how often at most.
const SETTLE_TIME: Duration = Duration::from_millis(50);
const SETTLE_ROUNDS: usize = 20;

/// Modification and change time, inode and length. The change time cannot be set back.
type Stamp = Option<(SystemTime, (i64, i64), u64, u64)>;

/// What changes when the file does.
fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    let changed = (metadata.ctime(), metadata.ctime_nsec());
    Some((metadata.modified().ok()?, changed, metadata.ino(), metadata.len()))
}
