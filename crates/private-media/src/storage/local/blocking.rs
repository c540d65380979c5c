//! Runs blocking work.

use std::io;

use crate::storage::StorageError;

/// Runs work that may wait for the disk on the blocking pool.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(StorageError::Io { doing: "waiting for the disk", source: io::Error::other(error) })
        }
    }
}
