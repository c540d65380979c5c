//! Converts errors of the operating system to storage errors.

use std::io;

use rustix::io::Errno;

use crate::storage::StorageError;

/// Converts an error to [`StorageError::Full`] if the space or quota is exhausted, or else to [`StorageError::Io`].
pub(super) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> StorageError {
    move |source| match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => StorageError::Full,
        _ => StorageError::Io { doing, source },
    }
}
