//! The built-in accounts, whose file is reloaded when it changes.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use private_media::Accounts;
use private_media::identity::accounts::{AccountsFile, AccountsOptions};

use crate::config::{AccountsConfig, ConfigError};
use crate::supervise::{self, Task};

/// Opens the accounts, and a task that reloads them. `url` is the URL prefix of the private files, and `options` are the others. After
/// others in the same process, they share with those what attackers must not reset.
pub(super) fn open(
    config: &AccountsConfig,
    url: &str,
    options: AccountsOptions,
    previous: Option<&Accounts>,
) -> Result<(Accounts, Task), ConfigError> {
    let path = &config.file.path;
    // Taken before the file is read, so that a later change is detected.
    let loaded = if previous.is_some() { settled_stamp(path) } else { stamp(path) };
    let file = load(config)?;
    let options = options
        .url(url)
        .cookie_path(url)
        .session_lifetime(config.session_lifetime)
        .cache_ttl(config.cache_ttl);
    let accounts = match previous {
        Some(_) if file.is_empty() => return Err(ConfigError::new(is_empty(path))),
        Some(previous) => previous.reconfigured(file, options),
        None => Accounts::new(file, options).map_err(|error| ConfigError::new(error.to_string()))?,
    };
    if !accounts.has_secret() {
        tracing::warn!(
            accounts = %path.display(),
            "the accounts file has no secret, so every sign-in ends with this process; private-media account add writes one"
        );
    }
    let (reloaded, path, every) = (accounts.clone(), path.clone(), config.cache_ttl);
    let task = supervise::spawn("accounts", move || reload(reloaded.clone(), path.clone(), loaded, every));
    Ok((accounts, task))
}

/// Loads the accounts file.
pub(crate) fn load(config: &AccountsConfig) -> Result<AccountsFile, ConfigError> {
    match AccountsFile::load(&config.file.path) {
        Ok(file) => Ok(file),
        Err(error) if error.is_missing() => Err(config
            .file
            .setting
            .error("there is no such file", "make it with: private-media account add NAME")),
        Err(error) => Err(ConfigError::new(error.to_string())),
    }
}

/// Reloads the accounts file after a change, checking it at this interval. An invalid file changes nothing: it is read
/// again at each check, and logged once.
async fn reload(accounts: Accounts, path: PathBuf, mut loaded: Stamp, every: Duration) {
    let path: Arc<Path> = path.into();
    let mut problem = None;
    loop {
        tokio::time::sleep(reload_interval(every)).await;
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
    let now = stamp(path);
    if before == Some(now) {
        return (now, None);
    }
    let now = settled_stamp(path);
    let file = AccountsFile::load(path).map_err(|error| error.to_string());
    let file = file.and_then(|file| if file.is_empty() { Err(is_empty(path)) } else { Ok(file) });
    (now, Some(file))
}

fn is_empty(path: &Path) -> String {
    format!("{}: empty; restore it", path.display())
}

/// Waits until the file does not change, as an editor may still be writing it, and half of it may be valid. Returns its stamp.
fn settled_stamp(path: &Path) -> Stamp {
    let mut now = stamp(path);
    for _ in 0..SETTLE_ROUNDS {
        std::thread::sleep(SETTLE_TIME);
        let before = std::mem::replace(&mut now, stamp(path));
        if before == now {
            break;
        }
    }
    now
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
