//! Locks, and work that may wait for the disk.

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks a mutex. No panic leaves its value inconsistent, so a poisoned one is usable.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs work that may wait for the disk. `None` if the runtime ends meanwhile.
pub(crate) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    tokio::task::spawn_blocking(work).await.ok()
}
