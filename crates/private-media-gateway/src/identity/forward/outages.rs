//! The log of an application that does not answer.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

/// The time between two lines about failures.
const PAUSE: Duration = Duration::from_secs(10);

/// Logs failed questions: the first one, then their number, and the end.
#[derive(Debug)]
pub(super) struct OutageLog {
    /// The URL of the application, without credentials.
    url: String,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    logged: Option<Instant>,
    /// Failures since the last line.
    failures: u64,
    /// Whether the last line was about a failure.
    is_out: bool,
}

impl OutageLog {
    pub(super) fn new(url: String) -> Self {
        Self { url, state: Mutex::default() }
    }

    /// Logs a question that was not answered, or counts it.
    pub(super) fn failed(&self, problem: &str) {
        if let Some(failures) = self.count(Instant::now()) {
            let url = self.url.as_str();
            tracing::error!(
                source = "forward",
                url,
                problem,
                failures,
                "the application does not answer; clients with its credentials are denied"
            );
        }
    }

    /// Logs the end of an outage, if there was one.
    pub(super) fn answered(&self) {
        if let Some(failures) = self.recover() {
            let url = self.url.as_str();
            tracing::info!(source = "forward", url, failures, "the application answers again");
        }
    }

    /// Counts a failure. Returns their number if it is to be logged now.
    fn count(&self, now: Instant) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.failures += 1;
        if state.logged.is_some_and(|logged| now.duration_since(logged) < PAUSE) {
            return None;
        }
        state.logged = Some(now);
        state.is_out = true;
        Some(std::mem::take(&mut state.failures))
    }

    /// Ends an outage. Returns the number of failures that were not logged, if a line is due.
    fn recover(&self) -> Option<u64> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut state.is_out).then(|| std::mem::take(&mut state.failures))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outage_is_a_few_lines() {
        let (log, begin) = (OutageLog::new("http://app/".into()), Instant::now());
        let at = |millis: u64| log.count(begin + Duration::from_millis(millis));
        let lines: Vec<_> = (0..25_000).step_by(10).filter_map(at).collect();
        assert_eq!(lines, [1, 1000, 1000]);
        assert_eq!((log.recover(), log.recover()), (Some(499), None));
        // An application that fails now and then does not flood the log.
        let flaps =
            (25_000..45_000).step_by(10).filter(|millis| at(*millis).is_some() || log.recover().is_some());
        assert!(flaps.count() <= 4);
    }
}
