//! Counters of a server.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a [`Server`](crate::Server): they show whether the loop serves the requests, and whether the kernel sends the files.
///
/// ```
/// use private_media_listener::{Limits, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let stats = Server::new(listener, Limits::default()).stats();
/// assert_eq!(stats.fast_requests() + stats.fallback_requests(), 0);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Default)]
pub struct Stats {
    accepted_connections: AtomicU64,
    closed_connections: AtomicU64,
    refused_connections: AtomicU64,
    fast_requests: AtomicU64,
    fallback_requests: AtomicU64,
    http2_requests: AtomicU64,
    failed_handshakes: AtomicU64,
    sendfile_bytes: AtomicU64,
}

impl Stats {
    /// Returns the number of connections that were accepted.
    #[must_use]
    pub fn accepted_connections(&self) -> u64 {
        self.accepted_connections.load(Ordering::Relaxed)
    }

    /// Returns the number of accepted connections that have ended.
    #[must_use]
    pub fn closed_connections(&self) -> u64 {
        self.closed_connections.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that were refused, because their client had too many.
    #[must_use]
    pub fn refused_connections(&self) -> u64 {
        self.refused_connections.load(Ordering::Relaxed)
    }

    pub(crate) fn count_refused_connection(&self) {
        self.refused_connections.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts a connection as accepted, and as closed when the result is dropped.
    pub(crate) fn open_connection(self: &Arc<Self>) -> OpenConnection {
        self.accepted_connections.fetch_add(1, Ordering::Relaxed);
        OpenConnection(Arc::clone(self))
    }

    /// Returns the number of requests that the loop served.
    #[must_use]
    pub fn fast_requests(&self) -> u64 {
        self.fast_requests.load(Ordering::Relaxed)
    }

    /// Returns the number of requests in HTTP/1 that hyper served.
    #[must_use]
    pub fn fallback_requests(&self) -> u64 {
        self.fallback_requests.load(Ordering::Relaxed)
    }

    /// Returns the number of requests in HTTP/2.
    #[must_use]
    pub fn http2_requests(&self) -> u64 {
        self.http2_requests.load(Ordering::Relaxed)
    }

    /// Returns the number of connections that ended with an error before or in their TLS handshake.
    #[must_use]
    pub fn failed_handshakes(&self) -> u64 {
        self.failed_handshakes.load(Ordering::Relaxed)
    }

    /// Returns the number of bytes that were sent with sendfile(2).
    #[must_use]
    pub fn sendfile_bytes(&self) -> u64 {
        self.sendfile_bytes.load(Ordering::Relaxed)
    }

    pub(crate) fn count_fast_request(&self) {
        self.fast_requests.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_fallback_request(&self) {
        self.fallback_requests.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "http2")]
    pub(crate) fn count_http2_request(&self) {
        self.http2_requests.fetch_add(1, Ordering::Relaxed);
    }

    #[cfg(feature = "tls")]
    pub(crate) fn count_failed_handshake(&self) {
        self.failed_handshakes.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn count_sendfile(&self, bytes: usize) {
        self.sendfile_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

/// An open connection, for the counters.
#[derive(Debug)]
pub(crate) struct OpenConnection(Arc<Stats>);

impl Drop for OpenConnection {
    fn drop(&mut self) {
        self.0.closed_connections.fetch_add(1, Ordering::Relaxed);
    }
}
