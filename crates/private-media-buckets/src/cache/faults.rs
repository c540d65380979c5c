//! Errors of the cache's disk, which never fail a response.

use std::io;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, Instant};

use super::sync::lock;

/// After an error, nothing is written for this time. Warnings are as rare.
const PAUSE: Duration = Duration::from_secs(10);

/// Counts errors, and logs them at a limited rate.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    count: AtomicU64,
    paused_until: Mutex<Option<Instant>>,
    quiet_until: Mutex<Option<Instant>>,
}

impl Faults {
    pub(crate) fn count(&self) -> u64 {
        self.count.load(Ordering::Relaxed)
    }

    /// Reports an error of the disk. Nothing is cached for some seconds.
    pub(crate) fn report(&self, doing: &str, error: &io::Error) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if begin(&self.paused_until) {
            tracing::warn!(%error, "the block cache has a problem while {doing}; files come from the bucket");
        }
    }

    /// Reports a file that another program or a power failure has damaged.
    pub(crate) fn report_damage(&self) {
        self.count.fetch_add(1, Ordering::Relaxed);
        if begin(&self.quiet_until) {
            tracing::warn!(
                "a file of the block cache is damaged; its content is requested from the bucket again"
            );
        }
    }

    /// Returns whether nothing should be written now.
    pub(crate) fn is_paused(&self) -> bool {
        lock(&self.paused_until).is_some_and(|until| Instant::now() < until)
    }
}

/// Begins a time, unless it has begun already.
fn begin(until: &Mutex<Option<Instant>>) -> bool {
    let (now, mut until) = (Instant::now(), lock(until));
    let begins = until.is_none_or(|until| now >= until);
    if begins {
        *until = Some(now + PAUSE);
    }
    begins
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn an_error_pauses_the_cache() {
        let faults = Faults::default();
        assert!(!faults.is_paused());
        faults.report_damage();
        assert!(!faults.is_paused(), "one damaged file is no fault of the disk");
        faults.report("writing", &io::ErrorKind::StorageFull.into());
        assert!(faults.is_paused());
        tokio::time::advance(PAUSE / 2).await;
        faults.report("writing", &io::ErrorKind::StorageFull.into());
        tokio::time::advance(PAUSE / 2).await;
        assert!(!faults.is_paused(), "a later error does not prolong the pause");
        assert_eq!(faults.count(), 3);
    }
}
