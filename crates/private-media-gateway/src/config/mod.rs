//! What is typed (flags, environment, TOML) becomes what is meant: a [`Config`] exists only if it makes sense.

mod delivery;
mod identity;
mod keys;
mod layers;
mod show;

use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use private_media::permission::{Grant, Grants};

use crate::front::{Part, Server, SiteError, urls};
use crate::limits::Limits;
use crate::state::{StateError, StateUrl};

pub(crate) use identity::{Django, Source};
#[cfg(fuzzing)]
pub(crate) use keys::KEYS;
pub(crate) use keys::{PUBLIC_URL, args, args_beside_public_url};
use layers::Origin;
pub(crate) use layers::{Layers, Setting};

/// The configuration in force.
#[derive(Debug, Clone)]
pub(crate) struct Config {
    pub(crate) listen: Vec<SocketAddr>,
    /// Where the listening address came from, for the error when it is taken.
    pub(crate) listen_setting: Setting,
    pub(crate) root: PathBuf,
    pub(crate) url: String,
    pub(crate) debug: bool,
    pub(crate) workers: usize,
    pub(crate) log: String,
    /// The state store. `None` where none is needed: Django has the sessions, and no store was asked for.
    pub(crate) state: Option<StateUrl>,
    pub(crate) source: Source,
    pub(crate) accounts: PathBuf,
    pub(crate) cache_ttl: Duration,
    pub(crate) session_lifetime: Duration,
    pub(crate) grants: Grants,
    /// How long after a look a file counts as what it was then.
    pub(crate) revalidate_after: Duration,
    /// Whether symbolic links below the root are followed.
    pub(crate) follow_links: bool,
    pub(crate) server: Server,
    pub(crate) limits: Limits,
    /// Whether `limits.max_connections` is not the default.
    pub(crate) max_connections_is_set: bool,
    layers: Layers,
}

impl Config {
    /// The configuration of these command-line arguments, the environment and the TOML file.
    pub(crate) fn load(matches: &clap::ArgMatches) -> Result<Self, ConfigError> {
        Self::new(Layers::load(matches)?)
    }

    fn new(layers: Layers) -> Result<Self, ConfigError> {
        let listen_setting = layers.get(&keys::LISTEN);
        let private_url = layers.get(&keys::URL).parse_with(url)?;
        let cache_ttl = layers.get(&keys::CACHE_TTL).parse_with(duration)?;
        let session_lifetime = layers.get(&keys::SESSION_LIFETIME).parse_with(positive_duration)?;
        let source = identity::source(&layers, cache_ttl, session_lifetime)?;
        Ok(Self {
            listen: listen_setting.parse_with(addresses)?,
            listen_setting,
            root: layers.path(&keys::ROOT),
            server: delivery::server(&layers, &private_url)?,
            url: private_url,
            debug: layers.get(&keys::DEBUG).parse("true or false")?,
            workers: layers.get(&keys::WORKERS).parse_with(workers)?,
            log: layers.get(&keys::LOG).parse_with(log_filter)?,
            accounts: layers.path(&keys::ACCOUNTS),
            state: state(&layers, &source)?,
            source,
            cache_ttl,
            session_lifetime,
            grants: grants(&layers.get(&keys::GRANT))?,
            revalidate_after: layers.get(&keys::REVALIDATE_AFTER).parse_with(duration)?,
            follow_links: layers.get(&keys::FOLLOW_LINKS).parse("true or false")?,
            max_connections_is_set: *layers.get(&keys::MAX_CONNECTIONS).origin() != Origin::Default,
            limits: Limits {
                max_connections: layers.get(&keys::MAX_CONNECTIONS).parse_with(connections)?,
                header_timeout: layers.get(&keys::HEADER_TIMEOUT).parse_with(positive_duration)?,
                min_rate: layers.get(&keys::MIN_RATE).parse_with(min_rate)?,
                shutdown_timeout: layers.get(&keys::SHUTDOWN_TIMEOUT).parse_with(duration)?,
            },
            layers,
        })
    }

    /// Looks at the root before anything is served from it: it exists, it is a folder, and nobody else serves it.
    pub(crate) fn check_root(&self) -> Result<(), ConfigError> {
        let setting = self.layers.get(&keys::ROOT);
        let root = dev_ino(&self.root).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => setting.error(
                "there is no such folder",
                &format!("create it with: mkdir -p -m 750 {}", self.root.display()),
            ),
            _ => setting.error(&error.to_string(), "name a folder that this user can read"),
        })?;
        let Some(root) = root else {
            return Err(setting.error("it is not a folder", "name the folder that holds the private files"));
        };
        if let Err(error) = std::fs::read_dir(&self.root) {
            return Err(setting.error(&format!("it cannot be read ({error})"), "let this user read it"));
        }
        for (setting, file) in self.own_files() {
            let folder = file.parent().filter(|folder| !folder.as_os_str().is_empty());
            if above(folder.unwrap_or(Path::new("."))).any(|id| id == root) {
                return Err(setting.error(
                    "it lies in the private root, where a grant could give it away",
                    "move it out of there",
                ));
            }
        }
        let public = self.layers.get(&keys::PUBLIC);
        for folder in self.layers.paths(&keys::PUBLIC) {
            let public = |problem: &str, fix: &str| {
                public.with_value(&folder.display().to_string()).error(problem, fix)
            };
            let Ok(Some(shared)) = dev_ino(&folder) else {
                return Err(public(
                    "there is no such folder",
                    "name folders that the application serves to everybody",
                ));
            };
            if above(&self.root).any(|id| id == shared) {
                return Err(setting.error(
                    &format!("it lies in {}, which the application serves to everybody", folder.display()),
                    "move it out of there",
                ));
            }
            if above(&folder).any(|id| id == root) {
                return Err(public("it lies in the private root", "move it out of there"));
            }
        }
        Ok(())
    }

    /// The files that tell readers apart, and are nobody's to read.
    fn own_files(&self) -> Vec<(Setting, PathBuf)> {
        let setting = |key| self.layers.get(key);
        let state = self.state.as_ref().and_then(StateUrl::file).map(Path::to_path_buf);
        let state = state.map(|file| (setting(&keys::STATE), file));
        let mut files: Vec<_> = match &self.source {
            Source::Accounts => vec![(setting(&keys::ACCOUNTS), self.accounts.clone())],
            Source::Django(django) => {
                let database = django.database.file().map(Path::to_path_buf);
                let database = database.map(|file| (setting(&keys::DATABASE), file));
                let secret = (setting(&keys::SECRET_FILE), django.secret_file.clone());
                database.into_iter().chain([secret]).collect()
            }
        };
        files.extend(state);
        files
    }

    /// The root's whole path, as another program is to see it.
    pub(crate) fn absolute_root(&self) -> Result<PathBuf, ConfigError> {
        absolute(&self.root).map_err(|error| self.root_error(&error))
    }

    /// An error about the root that was met when it was opened.
    pub(crate) fn root_error(&self, error: &dyn std::error::Error) -> ConfigError {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        self.layers.get(&keys::ROOT).error(&cause, "name a folder that this user can read")
    }

    /// An error about what a front server has to know, naming where that was said.
    pub(crate) fn front_error(&self, front: &str, error: &SiteError) -> ConfigError {
        let problem_and_fix = error.problem_and_fix(|name| name);
        let key = match error.part() {
            // Only `config` takes it, so it is no key of the configuration.
            Part::Front => return ConfigError::new(format!("--front {front:?}: {problem_and_fix}")),
            Part::Gateway | Part::Application => &keys::LISTEN,
            Part::Url => &keys::URL,
            Part::Root => &keys::ROOT,
            Part::Server => &keys::MODE,
            Part::InternalUrl => &keys::INTERNAL_URL,
            Part::Encoding => &keys::SENDFILE_ENCODING,
            Part::Public => &keys::PUBLIC,
        };
        self.layers.get(key).error_with(&problem_and_fix)
    }

    /// An error about the accounts file, naming where its path was given.
    pub(crate) fn accounts_error(&self, problem: &str, fix: &str) -> ConfigError {
        self.layers.get(&keys::ACCOUNTS).error(problem, fix)
    }

    /// The TOML file that was read, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.layers.file()
    }

    /// The folders that the application serves to everybody.
    pub(crate) fn public_folders(&self) -> Vec<PathBuf> {
        self.layers.paths(&keys::PUBLIC)
    }

    /// An error about Django's database, naming where it was given.
    pub(crate) fn database_error(&self, error: &dyn fmt::Display) -> ConfigError {
        self.layers.get(&keys::DATABASE).error_with(&error.to_string())
    }

    /// An error about the state store, naming where it was given.
    pub(crate) fn state_error(&self, error: &StateError) -> ConfigError {
        let general = match &self.state {
            Some(StateUrl::Postgres(_)) => "see that the server runs, and that this user may create tables",
            _ => {
                "name a file in a folder that this user can write to, or memory to forget sign-outs at a restart"
            }
        };
        let fix = error.fix().unwrap_or(general);
        self.layers.get(&keys::STATE).error(&format!("cannot open the state store: {error}"), fix)
    }

    /// An error about the file of Django's secret keys, naming where its path was given.
    pub(crate) fn secret_file_error(&self, error: &dyn fmt::Display) -> ConfigError {
        self.layers.get(&keys::SECRET_FILE).error_with(&error.to_string())
    }

    /// Loads arguments for a fuzz target; `None` if the address would be looked up in the DNS.
    #[cfg(fuzzing)]
    pub(crate) fn load_offline(matches: &clap::ArgMatches) -> Option<Result<Self, ConfigError>> {
        let layers = match Layers::load(matches) {
            Ok(layers) => layers,
            Err(error) => return Some(Err(error)),
        };
        let is_literal = layers.get(&keys::LISTEN).parse::<SocketAddr>("").is_ok();
        is_literal.then(|| Self::new(layers))
    }

    /// All values but where they came from. Two configurations with the same meaning behave the same.
    #[cfg(fuzzing)]
    pub(crate) fn meaning(&self) -> String {
        let Self { listen, root, url, debug, workers, log, source, accounts, .. } = self;
        let Self {
            cache_ttl, session_lifetime, grants, revalidate_after, follow_links, server, limits, ..
        } = self;
        let settings =
            format!("{listen:?} {root:?} {url:?} {debug} {workers} {log:?} {source:?} {accounts:?}");
        let grants: Vec<_> = grants.iter().map(ToString::to_string).collect();
        let public = self.public_folders();
        format!(
            "{settings} {cache_ttl:?} {session_lifetime:?} {grants:?} {revalidate_after:?} {follow_links} {server:?} {limits:?} {public:?}"
        )
    }

    /// The configuration as TOML, each value with where it came from.
    pub(crate) fn to_toml(&self) -> String {
        show::toml(&self.layers)
    }
}

/// A folder's whole path. Links in it stay; where `..` leads, only the kernel knows.
fn absolute(path: &Path) -> std::io::Result<PathBuf> {
    let whole = std::path::absolute(path)?.components().collect::<PathBuf>();
    if whole.components().any(|part| part == Component::ParentDir) {
        let folder = std::fs::File::open(&whole)?;
        return std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    }
    Ok(whole)
}

/// Whether something lies in a folder, by whatever names and links. What is not there lies nowhere.
pub(crate) fn is_inside(path: &Path, folder: &Path) -> bool {
    let is_folder = dev_ino(path).is_ok_and(|id| id.is_some());
    let beside = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let Ok(Some(folder)) = dev_ino(folder) else { return false };
    above(if is_folder { path } else { beside }).any(|id| id == folder)
}

/// Device and inode: which folder it is, by whatever name. `None` if it is something else.
fn dev_ino(path: &Path) -> std::io::Result<Option<(u64, u64)>> {
    let metadata = std::fs::metadata(path)?;
    Ok(metadata.is_dir().then(|| (metadata.dev(), metadata.ino())))
}

/// A folder and all that it lies in, up to `/`. The kernel resolves each `..`, so symlinks do not deceive.
fn above(folder: &Path) -> impl Iterator<Item = (u64, u64)> {
    let mut path = folder.to_path_buf();
    let mut last = None;
    std::iter::from_fn(move || {
        let id = dev_ino(&path).ok().flatten().filter(|id| Some(*id) != last)?;
        last = Some(id);
        path.push("..");
        Some(id)
    })
}

pub(crate) fn addresses(value: &str) -> Result<Vec<SocketAddr>, String> {
    match value.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        _ => Err("it is no address; write HOST:PORT, such as 127.0.0.1:8000".into()),
    }
}

pub(crate) fn url(value: &str) -> Result<String, String> {
    urls::prefix(value).map(Into::into).map_err(|problem| format!("{problem}; {}", urls::FIX))
}

fn workers(value: &str) -> Result<usize, String> {
    match value {
        "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        _ => at_least_one(value).map_err(|error| format!("{error}, or auto for one a core")),
    }
}

/// The store is for the sessions of accounts. With Django there is one only where it was asked for.
fn state(layers: &Layers, source: &Source) -> Result<Option<StateUrl>, ConfigError> {
    let setting = layers.get(&keys::STATE);
    let is_default = *setting.origin() == Origin::Default;
    // The default is beside the configuration, wherever the program is started.
    let beside = layers.file().and_then(Path::parent).filter(|_| is_default);
    let url = setting.parse_with(|value| StateUrl::parse(value, beside.unwrap_or(setting.folder())))?;
    Ok((matches!(source, Source::Accounts) || !is_default).then_some(url))
}

fn at_least_one(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|number| *number > 0).ok_or("write a number of at least 1".into())
}

fn connections(value: &str) -> Result<usize, String> {
    number(value).and_then(|_| at_least_one(value).ok()).ok_or("write a number of at least 1".into())
}

fn min_rate(value: &str) -> Result<u64, String> {
    number(value).ok_or("write a number of bytes a second, such as 512".into())
}

/// A number that TOML can hold, so that `config show` prints what a file may say.
fn number(value: &str) -> Option<u64> {
    value.parse::<i64>().ok()?.try_into().ok()
}

fn duration(value: &str) -> Result<Duration, String> {
    const YEAR: Duration = Duration::from_secs(366 * 86_400);
    let time = humantime::parse_duration(value)
        .map_err(|_| "it is no time; write a number and a unit, such as 5s, 10m or 14d")?;
    if time > YEAR { Err("it is over a year; write a shorter time, such as 14d".into()) } else { Ok(time) }
}

pub(crate) fn positive_duration(value: &str) -> Result<Duration, String> {
    let time = duration(value)?;
    if time.is_zero() {
        Err("it has to be more than nothing; write a time such as 10s".into())
    } else {
        Ok(time)
    }
}

pub(crate) fn log_filter(value: &str) -> Result<String, String> {
    // A lone word that is no level would be taken for the name of a module, and silence everything else.
    let is_legal = value.parse::<tracing_subscriber::filter::LevelFilter>().is_ok()
        || (value.contains('=') && tracing_subscriber::EnvFilter::from_str(value).is_ok());
    if is_legal {
        Ok(value.into())
    } else {
        Err("it is no log filter; write error, warn, info, debug or trace".into())
    }
}

fn grants(setting: &Setting) -> Result<Grants, ConfigError> {
    if setting.values().is_empty() {
        return Ok(Grants::default());
    }
    let grants = setting.values().iter().map(|value| {
        Grant::from_str(value).map_err(|error| setting.with_value(value).error_with(&error.to_string()))
    });
    Ok(Grants::new(grants.collect::<Result<Vec<_>, _>>()?))
}

/// What is wrong with the configuration, in one line that names the key, the value and the fix.
#[derive(Debug)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value may hold anything, and the error stays one line all the same.
        f.write_str(&self.0.replace(|c: char| c.is_control(), " "))
    }
}

impl std::error::Error for ConfigError {}
