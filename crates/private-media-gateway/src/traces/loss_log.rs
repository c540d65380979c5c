//! The log of spans that did not reach the collector.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

/// The time between two warnings of the same kind.
const PAUSE: Duration = Duration::from_secs(60);

/// Spans that were lost since the start of the process.
static LOST: AtomicU64 = AtomicU64::new(0);

/// Returns the number of spans that were lost; `None` in builds that export none.
#[expect(clippy::unnecessary_wraps, reason = "builds without the feature return none")]
pub(crate) fn lost_spans() -> Option<u64> {
    Some(LOST.load(Ordering::Relaxed))
}

/// Logs lost spans: one warning when an outage begins, and their number when it ends.
#[derive(Debug, Default)]
pub(super) struct LossLog {
    /// When an outage was last logged.
    outage: Option<Instant>,
    /// Whether the begin of an outage was logged, and not yet its end.
    is_out: bool,
    /// When a full queue was last logged.
    overflow: Option<Instant>,
    /// Lost spans that no line has counted.
    lost: u64,
}

impl LossLog {
    /// Logs spans that could not be exported.
    pub(super) fn failed(&mut self, spans: u64, problem: &str, now: Instant) {
        self.count(spans);
        if !self.is_out && is_due(self.outage, now) {
            (self.is_out, self.outage) = (true, Some(now));
            tracing::warn!(
                problem,
                "traces cannot be exported; requests are served, and their spans are dropped"
            );
        }
    }

    /// Logs the end of an outage, if there was one.
    pub(super) fn exported(&mut self) {
        if std::mem::take(&mut self.is_out) {
            let lost = std::mem::take(&mut self.lost);
            tracing::info!(lost, "traces are exported again");
        }
    }

    /// Logs spans for which the queue had no space.
    pub(super) fn overflowed(&mut self, spans: u64, now: Instant) {
        if spans == 0 {
            return;
        }
        self.count(spans);
        if !self.is_out && is_due(self.overflow, now) {
            self.overflow = Some(now);
            let lost = std::mem::take(&mut self.lost);
            tracing::warn!(
                lost,
                "spans were dropped: the collector is slower than the requests; sample fewer (OTEL_TRACES_SAMPLER), or raise OTEL_BSP_MAX_QUEUE_SIZE"
            );
        }
    }

    /// Logs what no line has counted.
    pub(super) fn stopped(&mut self) {
        let lost = std::mem::take(&mut self.lost);
        if lost > 0 {
            tracing::warn!(lost, "spans were dropped");
        }
    }

    fn count(&mut self, spans: u64) {
        self.lost += spans;
        LOST.fetch_add(spans, Ordering::Relaxed);
    }
}

fn is_due(last: Option<Instant>, now: Instant) -> bool {
    last.is_none_or(|last| now.duration_since(last) >= PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_two_lines_and_a_flapping_collector_is_one_outage_a_minute() {
        let (mut log, begin) = (LossLog::default(), Instant::now());
        for second in 0..30 {
            log.failed(4, "refused", begin + Duration::from_secs(second));
            log.overflowed(1, begin + Duration::from_secs(second));
            assert_eq!((log.is_out, log.outage), (true, Some(begin)));
        }
        assert_eq!(log.lost, 150);
        log.exported();
        assert_eq!((log.is_out, log.lost), (false, 0));
        log.failed(4, "refused", begin + Duration::from_secs(31));
        assert_eq!((log.is_out, log.lost), (false, 4));
        log.failed(4, "refused", begin + Duration::from_secs(61));
        assert_eq!((log.is_out, log.lost), (true, 8));
    }

    #[test]
    fn a_full_queue_is_one_line_a_minute() {
        let (mut log, begin) = (LossLog::default(), Instant::now());
        log.overflowed(0, begin);
        assert_eq!(log.overflow, None);
        log.overflowed(3, begin);
        assert_eq!((log.overflow, log.lost), (Some(begin), 0));
        log.overflowed(3, begin + Duration::from_secs(59));
        assert_eq!((log.overflow, log.lost), (Some(begin), 3));
        log.overflowed(3, begin + Duration::from_secs(60));
        assert_eq!(log.lost, 0);
        assert!(lost_spans() >= Some(9));
    }
}
