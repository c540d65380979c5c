//! Converts errors of the library to Python exceptions.

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
    "A path that is not valid for a private file, e.g. one that contains '..'."
);

create_exception!(
    private_media._core,
    BucketUnavailable,
    PyOSError,
    "The bucket does not respond, or is overloaded. A client may try again."
);

/// Converts the error of an invalid path.
pub(crate) fn path_error(path: &str, error: PathError) -> PyErr {
    IllegalPath::new_err(format!("{path:?}: {error}"))
}

/// Converts a storage error. `name` is the file.
pub(crate) fn storage_error(name: &Path, error: StorageError) -> PyErr {
    match error {
        StorageError::NotFound { reason, source: None } => {
            PyOSError::new_err((Errno::NOENT.raw_os_error(), reason, name.as_os_str().to_owned()))
        }
        StorageError::NotFound { source, .. } => os_error(name, not_found_errno(source.as_ref()), None),
        StorageError::Exists => os_error(name, Errno::EXIST.raw_os_error(), None),
        StorageError::Full => os_error(name, Errno::NOSPC.raw_os_error(), None),
        // An exception of the content's iterator is raised again, unchanged.
        StorageError::Content(source) => source.into(),
        StorageError::Io { doing, source } => match errno(&source) {
            // The error of a bucket has more to say than its number.
            Some(errno) if source.raw_os_error().is_none() => {
                os_error(name, errno, Some(&format!("{doing}: {source}")))
            }
            Some(errno) => os_error(name, errno, Some(doing)),
            None => PyOSError::new_err(format!("{}: {doing}: {source}", name.display())),
        },
        StorageError::Unavailable { doing, source } => {
            BucketUnavailable::new_err(format!("{}: {doing} failed: {source}", name.display()))
        }
        error => PyOSError::new_err(error.to_string()),
    }
}

/// Converts an error of reading an open file of a bucket.
pub(crate) fn read_error(name: &str, source: io::Error) -> PyErr {
    let doing = "reading the file";
    let error = match errno(&source) {
        Some(_) => StorageError::Io { doing, source },
        None => StorageError::Unavailable { doing, source },
    };
    storage_error(Path::new(name), error)
}

/// Returns the closest error number of the operating system.
fn errno(source: &io::Error) -> Option<i32> {
    source.raw_os_error().or(match source.kind() {
        io::ErrorKind::NotFound => Some(Errno::NOENT.raw_os_error()),
        io::ErrorKind::NotADirectory => Some(Errno::NOTDIR.raw_os_error()),
        io::ErrorKind::IsADirectory => Some(Errno::ISDIR.raw_os_error()),
        io::ErrorKind::StaleNetworkFileHandle => Some(Errno::STALE.raw_os_error()),
        io::ErrorKind::InvalidFilename => Some(Errno::NAMETOOLONG.raw_os_error()),
        io::ErrorKind::AlreadyExists => Some(Errno::EXIST.raw_os_error()),
        io::ErrorKind::PermissionDenied => Some(Errno::ACCESS.raw_os_error()),
        _ => None,
    })
}

/// Returns the error number of a file that is not found. Links out of the root and special files count as missing.
fn not_found_errno(source: Option<&io::Error>) -> i32 {
    match source.and_then(io::Error::raw_os_error) {
        None => Errno::NOENT.raw_os_error(),
        Some(errno) if errno == Errno::XDEV.raw_os_error() => Errno::NOENT.raw_os_error(),
        Some(errno) => errno,
    }
}

/// Creates the `OSError` of an error number, with a note about what failed. Python selects the subclass, e.g. `PermissionError`.
pub(crate) fn os_error(name: &Path, errno: i32, doing: Option<&str>) -> PyErr {
    Python::attach(|py| {
        let text = || py.import("os")?.call_method1("strerror", (errno,))?.extract::<String>();
        let error = PyOSError::new_err((errno, text().unwrap_or_default(), name.as_os_str().to_owned()));
        if let Some(doing) = doing {
            // Python 3.10 has no notes.
            let _ = error.value(py).call_method1("add_note", (doing,));
        }
        error
    })
}
