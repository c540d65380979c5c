//! The limit of open files, and the connections that fit below it.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What each worker opens: a listening socket, two descriptors of an epoll, an eventfd, the pipe of signals, and a client that it has
/// accepted and that waits for a permit.
const PER_WORKER: u64 = 6;
/// What each connection opens: its socket and the file that it is sent.
const PER_CONNECTION: u64 = 2;
/// The fewest connections that are worth a start.
const FEWEST: usize = 4;

/// The connections that fit below the process's limit of open files.
///
/// ```
/// let files = private_media_listener::OpenFiles::reserve(100, 1, 64)?;
/// assert!(files.connections() <= 100);
/// # Ok::<_, private_media_listener::TooFewOpenFiles>(())
/// ```
#[derive(Debug, Clone, Copy)]
pub struct OpenFiles {
    connections: usize,
    wanted: usize,
    /// The open files that all wanted connections need.
    needed: u64,
    limit: u64,
}

impl OpenFiles {
    /// Raises the limit of open files as far as this process may, for so many connections and workers (threads with a listening socket
    /// each) and for `others`, the files that the process is still going to open for itself. Fails if hardly any connection fits.
    pub fn reserve(connections: usize, workers: usize, others: u64) -> Result<Self, TooFewOpenFiles> {
        let wanted = connections;
        let others = open_files().saturating_add(others) + PER_WORKER * workers as u64;
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

    /// Returns the number of connections that can be served at a time.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Returns the limit of open files, after it was raised.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the number of open files that all the wanted connections need, if they do not fit.
    #[must_use]
    pub fn shortage(&self) -> Option<u64> {
        (self.connections < self.wanted).then_some(self.needed)
    }
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

/// The error when the limit of open files leaves no room for connections.
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
            "{workers} workers and {connections} connections need {needed} open files, and the limit is {limit}; \
             raise it (ulimit -n, or LimitNOFILE= in a systemd unit) or use fewer workers"
        )
    }
}

impl std::error::Error for TooFewOpenFiles {}
