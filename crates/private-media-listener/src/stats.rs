//! Counters that show which way requests take.

use std::sync::atomic::{AtomicU64, Ordering};

/// Counters of a [`Server`](crate::Server). Each server has its own unless it is given one, so counting costs no contention.
///
/// A benchmark or a test reads them to make sure that requests take the fast loop and that files are sent by the kernel.
#[derive(Debug, Default)]
pub struct Stats {
    fast_requests: AtomicU64,
    fallback_requests: AtomicU64,
    sendfile_bytes: AtomicU64,
}

impl Stats {
    /// Returns the number of requests that the loop answered.
    #[must_use]
    pub fn fast_requests(&self) -> u64 {
        self.fast_requests.load(Ordering::Relaxed)
    }

    /// Returns the number of requests that hyper answered.
    #[must_use]
    pub fn fallback_requests(&self) -> u64 {
        self.fallback_requests.load(Ordering::Relaxed)
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

    pub(crate) fn count_sendfile(&self, bytes: usize) {
        self.sendfile_bytes.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}
