//! The limit of open files, and the connections that fit below it.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What each worker opens: a listening socket, two descriptors of an epoll, an eventfd, the pipe of signals, and a client that it has
/// accepted and that waits for its turn.
const PER_WORKER: u64 = 6;
/// What the process opens beside workers and connections: the root, the thread of signals, 8 descriptors of a state database, 24 of a pool
/// of 8 SQLite connections, and files and folders that are looked at for a moment.
const OWN: u64 = 64;
/// What each connection opens: its socket and the file that it is sent.
const PER_CONNECTION: u64 = 2;
/// The fewest connections that are worth a start.
const FEWEST: usize = 4;

/// The connections that fit below the limit of open files.
#[derive(Debug)]
pub(crate) struct Fit {
    pub(crate) connections: usize,
    wanted: usize,
    /// The open files that as many as are wanted would need.
    needed: u64,
    limit: u64,
}

impl Fit {
    /// Raises the limit of open files as far as this process may. Where hardly any connection fits below it, that is an error.
    pub(crate) fn reserve(wanted: usize, workers: usize) -> Result<Self, TooFewOpenFiles> {
        let others = open_files() + OWN + PER_WORKER * workers as u64 + kept_handles() as u64;
        let need =
            |connections: usize| others.saturating_add(PER_CONNECTION.saturating_mul(connections as u64));
        let (needed, fewest) = (need(wanted), FEWEST.min(wanted));
        let limit = raise(needed);
        let fit = usize::try_from(limit.saturating_sub(others) / PER_CONNECTION).unwrap_or(usize::MAX);
        if fit < fewest {
            return Err(TooFewOpenFiles { limit, needed: need(fewest), workers, connections: fewest });
        }
        Ok(Self { connections: fit.min(wanted), wanted, needed, limit })
    }

    /// Says that fewer connections than wanted are served: a warning if somebody asked for so many.
    pub(crate) fn log(&self, is_asked_for: bool) {
        let Self { connections, wanted, needed, limit } = *self;
        if connections == wanted {
            return;
        }
        let cut = format!(
            "serving {connections} connections at a time: limits.max_connections = {wanted} needs {needed} open files (ulimit -n)"
        );
        if is_asked_for {
            tracing::warn!(limit, connections, "{cut}");
        } else {
            tracing::info!(limit, connections, "{cut}");
        }
    }
}

/// How many files may be kept open that nobody is sent, of those that the system lets this process have.
pub(crate) fn kept_handles() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    limit.map_or(256, |limit| usize::try_from(limit / 32).map_or(256, |share| share.min(256)))
}

/// Raises the limit of open files to what is needed, or as far as this process may, and returns it.
fn raise(needed: u64) -> u64 {
    let limit = getrlimit(Resource::Nofile);
    let current = limit.current.unwrap_or(u64::MAX);
    let reachable = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    if current >= reachable {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum }) {
        Ok(()) => reachable,
        Err(_) => current,
    }
}

/// The number of files that this process has open now.
fn open_files() -> u64 {
    // Without /proc: standard input, output and error, and as many again.
    std::fs::read_dir("/proc/self/fd").map_or(6, |entries| entries.count() as u64)
}

/// The limit of open files leaves no room for connections.
#[derive(Debug)]
pub struct TooFewOpenFiles {
    limit: u64,
    needed: u64,
    workers: usize,
    connections: usize,
}

impl fmt::Display for TooFewOpenFiles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { limit, needed, workers, connections } = self;
        write!(
            f,
            "{workers} workers and limits.max_connections = {connections} need {needed} open files, and the limit is {limit}; \
             raise it (ulimit -n, or LimitNOFILE= in a systemd unit) or lower workers"
        )
    }
}

impl std::error::Error for TooFewOpenFiles {}
