//! What the threads that serve and the one that writes have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::counters::Counters;
use super::options::Overflow;
use crate::log::Queue;
use crate::metrics::AuditCounts;

/// The state of a running audit.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) overflow: Overflow,
    pub(super) is_failing: AtomicBool,
    /// All requests that were refused.
    pub(super) refused: AtomicU64,
    /// Those of them that have a record. Only the thread that writes changes it.
    pub(super) reported_refused: AtomicU64,
    pub(super) counters: Arc<Counters>,
    pub(super) is_stopping: AtomicBool,
    pub(super) is_finished: Mutex<bool>,
    pub(super) finished: Condvar,
}

impl Shared {
    pub(super) fn is_stopping(&self) -> bool {
        self.is_stopping.load(Ordering::Acquire)
    }

    pub(super) fn is_failing(&self) -> bool {
        self.is_failing.load(Ordering::Relaxed)
    }

    pub(super) fn set_failing(&self, is_failing: bool) {
        self.is_failing.store(is_failing, Ordering::Relaxed);
    }

    /// Returns how many requests were refused since the last call.
    pub(super) fn take_refused(&self) -> u64 {
        let refused = self.refused.load(Ordering::Relaxed);
        refused - self.reported_refused.swap(refused, Ordering::Relaxed)
    }

    /// Returns the counts of the metrics.
    pub(super) fn counts(&self) -> AuditCounts {
        let Self { queue, refused, counters, .. } = self;
        AuditCounts {
            written: counters.written(),
            dropped: queue.dropped() + counters.lost_records(),
            refused_requests: refused.load(Ordering::Relaxed),
            write_errors: counters.write_errors(),
            queue_bytes: queue.len() as u64,
            file_bytes: counters.file_bytes(),
            last_sync: counters.last_sync(),
        }
    }

    pub(super) fn finish(&self) {
        *self.is_finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
    }
}
