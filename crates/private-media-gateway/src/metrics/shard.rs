//! The counters of some threads, and the part of a request that they count.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use super::histogram::Histogram;
use super::labels::Labels;

/// The counters of some threads, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
pub(super) struct Shard {
    pub(super) requests: [AtomicU64; Labels::COUNT],
    pub(super) request_duration: Histogram,
    /// Of identity, permission and storage.
    pub(super) step_durations: [Histogram; 3],
    /// Failures of identity, lookup and storage.
    pub(super) failures: [AtomicU64; 3],
    pub(super) response_bytes: AtomicU64,
}

impl Default for Shard {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        Self {
            requests: std::array::from_fn(zero),
            request_duration: Histogram::default(),
            step_durations: std::array::from_fn(|_| Histogram::default()),
            failures: std::array::from_fn(zero),
            response_bytes: AtomicU64::new(0),
        }
    }
}

/// A request whose response is being sent.
#[derive(Debug)]
pub(crate) struct Sample {
    pub(super) shard: &'static Shard,
    pub(super) labels: Labels,
    pub(super) begin: Instant,
}

impl Sample {
    /// Records the end of the response.
    pub(crate) fn end(self, bytes: u64) {
        let Self { shard, labels, begin } = self;
        if let Some(requests) = shard.requests.get(labels.index()) {
            requests.fetch_add(1, Ordering::Relaxed);
        }
        shard.response_bytes.fetch_add(bytes, Ordering::Relaxed);
        shard.request_duration.observe(begin.elapsed());
    }
}
