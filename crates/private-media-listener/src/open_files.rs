//! Computes how many connections the limit of open files allows.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The descriptors of a worker: a listening socket, two of an epoll, an eventfd, the signal pipe, and an accepted connection that waits
/// for a permit.
const PER_WORKER: u64 = 6;
/// The descriptors of a connection: its socket, and the file that is being sent.
const PER_CONNECTION: u64 = 2;
/// The minimum number of connections. With fewer, a server does not start.
const MIN_CONNECTIONS: usize = 4;

/// The number of connections that the process's limit of open files allows.
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
    /// The number of open files that all wanted connections need.
    needed: u64,
    limit: u64,
}

impl OpenFiles {
    /// Raises the limit of open files as far as needed and allowed. `workers` are threads with a listening socket each, and `others` is
    /// the number of files that the process will open besides. Fails if fewer than four connections fit.
    pub fn reserve(connections: usize, workers: usize, others: u64) -> Result<Self, TooFewOpenFiles> {
        let wanted = connections;
        let others = open_files().saturating_add(others) + PER_WORKER * workers as u64;
        let need =
            |connections: usize| others.saturating_add(PER_CONNECTION.saturating_mul(connections as u64));
        let (needed, fewest) = (need(wanted), MIN_CONNECTIONS.min(wanted));
        let limit = raise(needed);
        let fit = usize::try_from(limit.saturating_sub(others) / PER_CONNECTION).unwrap_or(usize::MAX);
        if fit < fewest {
            return Err(TooFewOpenFiles { limit, needed: need(fewest), workers, connections: fewest });
        }
        Ok(Self { connections: fit.min(wanted), wanted, needed, limit })
    }

    /// Returns the number of concurrent connections that fit, at most the wanted number.
    #[must_use]
    pub fn connections(&self) -> usize {
        self.connections
    }

    /// Returns the raised limit of open files.
    #[must_use]
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Returns the number of open files that the wanted connections need, if not all of them fit.
    #[must_use]
    pub fn shortage(&self) -> Option<u64> {
        (self.connections < self.wanted).then_some(self.needed)
    }
}

/// Raises the limit of open files to `needed`, or as far as allowed, and returns it.
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

/// Returns the number of files that this process has open.
fn open_files() -> u64 {
    // A guess for systems without /proc: standard input, output and error, and as many again.
    std::fs::read_dir("/proc/self/fd").map_or(6, |entries| entries.count() as u64)
}

/// The error of [`OpenFiles::reserve`]: the limit of open files is too low for any useful number of connections.
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
            "{workers} workers and {connections} connections need {needed} open files, but the limit is {limit}; \
             raise it (ulimit -n, or LimitNOFILE= in a systemd unit) or use fewer workers"
        )
    }
}

impl std::error::Error for TooFewOpenFiles {}
