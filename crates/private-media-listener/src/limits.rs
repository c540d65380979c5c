//! The limits of a server.

use std::time::Duration;

/// Limits of a server.
///
/// ```
/// use std::time::Duration;
///
/// use private_media_listener::Limits;
///
/// let limits = Limits::default().max_connections(1000).header_timeout(Duration::from_secs(5));
/// assert_eq!(limits.max_connections, 1000);
/// assert_eq!(limits.min_rate, 512);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The maximum number of concurrent connections. Further clients wait in the kernel's queue. Default: 10,000.
    pub max_connections: usize,
    /// How long the head of a request may take to arrive, and how long a connection may be idle. Default: 15 s.
    pub header_timeout: Duration,
    /// The minimum rate at which a client has to receive a response or send content, in bytes per second, averaged over 30 seconds.
    /// Default: 512.
    pub min_rate: u64,
    /// How long running responses have to complete after the shutdown begins. Default: 30 s.
    pub shutdown_timeout: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 10_000,
            header_timeout: Duration::from_secs(15),
            min_rate: 512,
            shutdown_timeout: Duration::from_secs(30),
        }
    }
}

impl Limits {
    /// Sets [`Limits::max_connections`].
    #[must_use]
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Sets [`Limits::header_timeout`].
    #[must_use]
    pub fn header_timeout(mut self, timeout: Duration) -> Self {
        self.header_timeout = timeout;
        self
    }

    /// Sets [`Limits::min_rate`].
    #[must_use]
    pub fn min_rate(mut self, bytes_per_second: u64) -> Self {
        self.min_rate = bytes_per_second;
        self
    }

    /// Sets [`Limits::shutdown_timeout`].
    #[must_use]
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }
}
