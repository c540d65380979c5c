//! The library's errors as Python's.

use std::io;
use std::path::Path;

use private_media::{PathError, StorageError};
use pyo3::exceptions::{PyOSError, PyValueError};
use pyo3::prelude::*;
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
pub(crate) fn failed(name: &Path, error: StorageError) -> PyErr {
    match error {
        StorageError::NotFound { reason, source: None } => {
            PyOSError::new_err((Errno::NOENT.raw_os_error(), reason, name.as_os_str().to_owned()))
        }
        StorageError::NotFound { source, .. } => numbered(name, not_found_number(source.as_ref()), None),
        StorageError::Full => numbered(name, Errno::NOSPC.raw_os_error(), None),
        // What Python's own code raised while it gave the content is raised again, as it was.
        StorageError::Content(source) => source.into(),
        StorageError::Io { doing, source } => match number(&source) {
            Some(number) => numbered(name, number, Some(doing)),
            None => PyOSError::new_err(format!("{}: {doing}: {source}", name.display())),
        },
        error => PyOSError::new_err(error.to_string()),
    }
}

/// The number that says the same in the operating system.
fn number(source: &io::Error) -> Option<i32> {
    source.raw_os_error().or(match source.kind() {
        io::ErrorKind::NotFound => Some(Errno::NOENT.raw_os_error()),
        io::ErrorKind::NotADirectory => Some(Errno::NOTDIR.raw_os_error()),
        io::ErrorKind::AlreadyExists => Some(Errno::EXIST.raw_os_error()),
        io::ErrorKind::PermissionDenied => Some(Errno::ACCESS.raw_os_error()),
        _ => None,
    })
}

/// A link that leads out of the root, and what is no file, are as good as missing.
fn not_found_number(source: Option<&io::Error>) -> i32 {
    match source.and_then(io::Error::raw_os_error) {
        None => Errno::NOENT.raw_os_error(),
        Some(number) if number == Errno::XDEV.raw_os_error() => Errno::NOENT.raw_os_error(),
        Some(number) => number,
    }
}

/// Returns the exception that Python has for this number, such as `PermissionError`, with the text of the operating system.
fn numbered(name: &Path, number: i32, doing: Option<&str>) -> PyErr {
    Python::attach(|py| {
        let text = || py.import("os")?.call_method1("strerror", (number,))?.extract::<String>();
        let error = PyOSError::new_err((number, text().unwrap_or_default(), name.as_os_str().to_owned()));
        if let Some(doing) = doing {
            // A note is shown below the traceback; Python 3.10 has none.
            let _ = error.value(py).call_method1("add_note", (doing,));
        }
        error
    })
}
