//! What one client may take of the gateway.

use std::time::Duration;

/// What one client may take of the gateway.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at a time: fewer if the limit of open files leaves room for fewer.
    pub max_connections: usize,
    /// How long a request's head may take, and how long a connection may idle between two.
    pub header_timeout: Duration,
    /// The slowest that a client may take a response, or send the content of a request, in bytes a second, averaged over half a minute.
    pub min_rate: u64,
    /// How long running downloads may go on after the signal to stop.
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
