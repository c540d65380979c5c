//! Checks the root periodically, and reports whether it is ready.

use std::pin::pin;
use std::time::Duration;

use private_media::{PrivateMedia, Storage};

use crate::causes::root_cause;
use crate::health::Health;
use crate::supervise::{self, Task};

/// The longest time of a check before the root counts as not ready.
const TIMEOUT: Duration = Duration::from_secs(5);

/// The longest pause between two checks.
pub(crate) const LONGEST_PAUSE: Duration = Duration::from_secs(10);

/// Starts a task that checks the storage with this pause between two checks, and reports to the health. The check reopens a replaced
/// root.
pub(crate) fn spawn(media: &PrivateMedia, health: &Health, every: Duration) -> Task {
    let (media, health) = (media.clone(), health.clone());
    let every = every.clamp(Duration::from_secs(1), LONGEST_PAUSE);
    supervise::spawn("root", move || {
        let (media, health) = (media.clone(), health.clone());
        async move { watch(media.storage(), &health, every).await }
    })
}

async fn watch(storage: &dyn Storage, health: &Health, every: Duration) {
    loop {
        // A hanging file system blocks one thread of the blocking pool, so no further check starts until this one ends.
        let mut check = pin!(storage.ready());
        let result = if let Ok(result) = tokio::time::timeout(TIMEOUT, &mut check).await {
            result
        } else {
            let problem = format!("the storage did not respond within {} s", TIMEOUT.as_secs());
            health.set("root", Err(&problem));
            check.await
        };
        match result {
            Ok(()) => health.set("root", Ok(())),
            Err(error) => health.set("root", Err(&root_cause(&error))),
        }
        tokio::time::sleep(every).await;
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Mutex};

    use futures_util::future::BoxFuture;
    use private_media::permission::{Delete, List, Permit, Read, Write};
    use private_media::storage::{Content, Entry, Metadata};
    use private_media::{MediaFile, MediaPath, SaveOptions, StorageError};
    use tokio::sync::oneshot;

    use super::*;

    /// A storage whose first check hangs until the test ends it.
    #[derive(Debug)]
    struct Hanging {
        checks: Arc<AtomicUsize>,
        first: Mutex<Option<oneshot::Receiver<()>>>,
    }

    impl Storage for Hanging {
        fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
            self.checks.fetch_add(1, Ordering::SeqCst);
            let hangs = self.first.lock().unwrap().take();
            Box::pin(async {
                if let Some(hangs) = hangs {
                    hangs.await.unwrap();
                }
                Ok(())
            })
        }

        fn open<'a>(&'a self, _: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
            unreachable!()
        }

        fn save<'a>(
            &'a self,
            _: &'a Permit<Write>,
            _: Content<'a>,
            _: &'a SaveOptions,
        ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
            unreachable!()
        }

        fn delete<'a>(&'a self, _: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
            unreachable!()
        }

        fn metadata<'a>(&'a self, _: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
            unreachable!()
        }

        fn list<'a>(&'a self, _: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
            unreachable!()
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_hanging_check_is_not_ready_and_is_not_repeated() {
        let checks = Arc::new(AtomicUsize::new(0));
        let (end, first) = oneshot::channel();
        let storage = Hanging { checks: Arc::clone(&checks), first: Mutex::new(Some(first)) };
        let (media, health) = (PrivateMedia::builder(storage).build(), Health::default());
        let task = spawn(&media, &health, Duration::ZERO);
        tokio::time::sleep(TIMEOUT.mul_f64(0.99)).await;
        assert!(health.is_ready());
        tokio::time::sleep(Duration::from_secs(60)).await;
        assert!(!health.is_ready());
        assert_eq!(checks.load(Ordering::SeqCst), 1);
        end.send(()).unwrap();
        tokio::time::sleep(Duration::from_millis(1)).await;
        assert!(health.is_ready());
        tokio::time::sleep(Duration::from_secs(10)).await;
        assert!(checks.load(Ordering::SeqCst) > 5, "it goes on");
        drop(task);
    }
}
