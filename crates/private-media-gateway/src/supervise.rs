//! Long-lived tasks. A task that ends is logged and started again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::AbortHandle;

/// The pause before a task that ended is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// A supervised task. It ends when this is dropped.
#[derive(Debug)]
#[must_use = "dropping this ends the task"]
pub(crate) struct Task(AbortHandle);

impl Task {
    /// Lets the task run as long as its runtime.
    pub(crate) fn detach(self) {
        std::mem::forget(self);
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Spawns a task that runs until the returned guard is dropped. If it panics or returns, that is logged at `error`, and `start` is called
/// again after a second. So a task must not hold state that a restart may not lose.
pub(crate) fn spawn<F>(name: &'static str, start: impl Fn() -> F + Send + Sync + 'static) -> Task
where
    F: Future<Output = ()> + Send,
{
    spawn_with_delay(name, RESTART_DELAY, start)
}

fn spawn_with_delay<F>(
    name: &'static str,
    delay: Duration,
    start: impl Fn() -> F + Send + Sync + 'static,
) -> Task
where
    F: Future<Output = ()> + Send,
{
    let supervised = async move {
        loop {
            let how = match AssertUnwindSafe(async { start().await }).catch_unwind().await {
                Ok(()) => "returned",
                Err(_) => "panicked",
            };
            tracing::error!(task = name, how, "a background task ended; restarting it");
            tokio::time::sleep(delay).await;
        }
    };
    Task(tokio::spawn(supervised).abort_handle())
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[tokio::test]
    async fn a_task_that_panics_or_returns_is_restarted() {
        let starts = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&starts);
        let task = spawn_with_delay("test", Duration::from_millis(1), move || {
            let start = counted.fetch_add(1, Ordering::SeqCst);
            async move {
                match start {
                    0 => panic!("for the test"),
                    1 => {}
                    _ => std::future::pending().await,
                }
            }
        });
        while starts.load(Ordering::SeqCst) < 3 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let handle = task.0.clone();
        assert!(!handle.is_finished());
        drop(task);
        while !handle.is_finished() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}
