//! What the threads that serve and the one that writes have in common.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, PoisonError};

use super::options::Overflow;
use crate::log::Queue;

/// The state of a running audit.
#[derive(Debug)]
pub(super) struct Shared {
    pub(super) queue: Queue,
    pub(super) overflow: Overflow,
    pub(super) is_failing: AtomicBool,
    pub(super) refused: AtomicU64,
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
        self.refused.swap(0, Ordering::Relaxed)
    }

    pub(super) fn finish(&self) {
        *self.is_finished.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.finished.notify_all();
    }
}
