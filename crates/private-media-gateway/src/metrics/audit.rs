//! The metrics of the audit.

use std::fmt;
use std::time::Duration;

use prometheus::proto::MetricFamily;

use super::family::{counters, float, gauge};

/// What an audit has counted since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AuditCounts {
    /// Records that were appended to the file.
    pub(crate) written: u64,
    /// Records that are missing in the file.
    pub(crate) dropped: u64,
    /// Requests that were refused, because they could not be recorded.
    pub(crate) refused_requests: u64,
    /// Failed writes and syncs.
    pub(crate) write_errors: u64,
    /// The size of the records that wait to be written.
    pub(crate) queue_bytes: u64,
    /// The length of the current file.
    pub(crate) file_bytes: u64,
    /// When the records were last synced to disk, since 1970.
    pub(crate) last_sync: Duration,
}

/// An audit whose counts are metrics.
pub(crate) trait AuditSource: fmt::Debug + Send + Sync {
    /// Returns the current counts.
    fn counts(&self) -> AuditCounts;
}

impl AuditCounts {
    /// Returns the metrics.
    pub(super) fn families(&self) -> [MetricFamily; 6] {
        [
            counters(
                "private_media_audit_records_total",
                "Audit records that were written, or dropped because they could not be written.",
                &[(&[("result", "written")], self.written), (&[("result", "dropped")], self.dropped)],
            ),
            counters(
                "private_media_audit_refused_requests_total",
                "Requests that were refused, because they could not be recorded and audit.overflow is deny.",
                &[(&[], self.refused_requests)],
            ),
            counters(
                "private_media_audit_write_errors_total",
                "Failed attempts to write or sync the audit file.",
                &[(&[], self.write_errors)],
            ),
            gauge(
                "private_media_audit_queue_bytes",
                "The size of the audit records that wait to be written.",
                &[],
                float(self.queue_bytes),
            ),
            gauge(
                "private_media_audit_file_bytes",
                "The size of the audit file, which is rotated at audit.rotate_size.",
                &[],
                float(self.file_bytes),
            ),
            gauge(
                "private_media_audit_last_sync_time_seconds",
                "When audit records were last synced to disk, in seconds since 1970.",
                &[],
                self.last_sync.as_secs_f64(),
            ),
        ]
    }
}
