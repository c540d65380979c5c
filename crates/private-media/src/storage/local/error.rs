//! Turns errors of the operating system into storage errors.

use std::io;

use rustix::io::Errno;

use crate::storage::StorageError;

/// Turns an error into [`StorageError::Full`] if space or quota is used up, else into [`StorageError::Io`].
pub(super) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> StorageError {
    move |source| match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => StorageError::Full,
        _ => StorageError::Io { doing, source },
    }
}
