//! The library's errors as Python's.

use std::io;

use private_media::{PathError, StorageError};
use pyo3::exceptions::{PyFileNotFoundError, PyOSError, PyValueError};
use pyo3::{PyErr, create_exception};
use rustix::io::Errno;

create_exception!(
    private_media._core,
    IllegalPath,
    PyValueError,
    "A text that names no private file, such as one with '..' in it."
);

pub(crate) fn illegal(path: &str, error: PathError) -> PyErr {
    IllegalPath::new_err(format!("{path:?}: {error}"))
}

/// An error of the storage about this name.
pub(crate) fn failed(name: &str, error: StorageError) -> PyErr {
    match error {
        StorageError::NotFound { reason, .. } => {
            PyFileNotFoundError::new_err((Errno::NOENT.raw_os_error(), reason, name.to_owned()))
        }
        StorageError::Full => {
            let text = StorageError::Full.to_string();
            PyOSError::new_err((Errno::NOSPC.raw_os_error(), text, name.to_owned()))
        }
        // What Python's own code raised while it gave the content is raised again, as it was.
        StorageError::Content(source) => source.into(),
        StorageError::Io { doing, source } => numbered(name, doing, &source),
        error => PyOSError::new_err(error.to_string()),
    }
}

/// Python makes the fitting exception of a number, such as `PermissionError`.
fn numbered(name: &str, doing: &str, source: &io::Error) -> PyErr {
    let number = source.raw_os_error().or(match source.kind() {
        io::ErrorKind::NotFound => Some(Errno::NOENT.raw_os_error()),
        io::ErrorKind::NotADirectory => Some(Errno::NOTDIR.raw_os_error()),
        io::ErrorKind::AlreadyExists => Some(Errno::EXIST.raw_os_error()),
        io::ErrorKind::PermissionDenied => Some(Errno::ACCESS.raw_os_error()),
        _ => None,
    });
    match number {
        Some(number) => PyOSError::new_err((number, format!("{doing}: {source}"), name.to_owned())),
        None => PyOSError::new_err(format!("{name}: {doing}: {source}")),
    }
}
