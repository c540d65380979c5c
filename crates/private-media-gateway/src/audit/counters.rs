//! Counts what the thread of the audit does.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime};

/// What the thread of the audit has done, for the metrics.
#[derive(Debug, Default)]
pub(super) struct Counters {
    written: AtomicU64,
    /// Records that left the queue, but could not be written.
    lost: AtomicU64,
    write_errors: AtomicU64,
    file_bytes: AtomicU64,
    /// In milliseconds since 1970; 0 if there was no sync.
    last_sync: AtomicU64,
}

impl Counters {
    /// Counts records that were appended to the file, which has this length then.
    pub(super) fn appended(&self, records: u64, file_bytes: u64) {
        self.written.fetch_add(records, Ordering::Relaxed);
        self.file_bytes.store(file_bytes, Ordering::Relaxed);
    }

    pub(super) fn lost(&self, records: u64) {
        self.lost.fetch_add(records, Ordering::Relaxed);
    }

    pub(super) fn failed(&self) {
        self.write_errors.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn synced(&self) {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        self.last_sync.store(u64::try_from(now.as_millis()).unwrap_or(u64::MAX), Ordering::Relaxed);
    }

    pub(super) fn written(&self) -> u64 {
        self.written.load(Ordering::Relaxed)
    }

    pub(super) fn lost_records(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }

    pub(super) fn write_errors(&self) -> u64 {
        self.write_errors.load(Ordering::Relaxed)
    }

    pub(super) fn file_bytes(&self) -> u64 {
        self.file_bytes.load(Ordering::Relaxed)
    }

    /// Returns when records were last synced, since 1970.
    pub(super) fn last_sync(&self) -> Duration {
        Duration::from_millis(self.last_sync.load(Ordering::Relaxed))
    }
}
