//! Long-lived tasks. A task that ends is logged and started again.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::AbortHandle;

/// The pause before a task that ended is started again.
const RESTART_DELAY: Duration = Duration::from_secs(1);

/// Spawns a task that runs as long as its runtime. If it panics or returns, that is logged at `error`, and `start` is called again after
/// a second. So a task must not hold state that a restart may not lose.
///
/// Aborting the handle ends the task and its supervision.
pub(crate) fn spawn<F>(name: &'static str, start: impl Fn() -> F + Send + Sync + 'static) -> AbortHandle
where
    F: Future<Output = ()> + Send,
{
    spawn_with_delay(name, RESTART_DELAY, start)
}

fn spawn_with_delay<F>(
    name: &'static str,
    delay: Duration,
    start: impl Fn() -> F + Send + Sync + 'static,
) -> AbortHandle
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
    tokio::spawn(supervised).abort_handle()
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
        let handle = spawn_with_delay("test", Duration::from_millis(1), move || {
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
        assert!(!handle.is_finished());
        handle.abort();
    }
}
