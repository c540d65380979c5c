//! Converts the errors of a bucket.

use std::io;
use std::time::Duration;

use object_store::Error;
use private_media::StorageError;

/// Converts the error of an operation on a file.
pub(crate) fn storage_error(doing: &'static str, error: Error) -> StorageError {
    match error {
        Error::NotFound { .. } => StorageError::not_found("no such object"),
        // Networks and servers fail like this.
        Error::Generic { .. } => StorageError::Unavailable { doing, source: io::Error::other(error) },
        _ => StorageError::Io { doing, source: io_error(error) },
    }
}

/// Converts an error of a whole bucket, where "not found" means that there is no such bucket.
pub(crate) fn bucket_error(doing: &'static str, error: Error) -> StorageError {
    match error {
        Error::NotFound { .. } => StorageError::Io { doing, source: io_error(error) },
        error => storage_error(doing, error),
    }
}

/// Converts the error of reading an open file.
pub(crate) fn read_error(error: Error) -> io::Error {
    match error {
        Error::NotFound { .. } | Error::Precondition { .. } | Error::NotModified { .. } => io::Error::new(
            io::ErrorKind::StaleNetworkFileHandle,
            "the file was replaced or deleted after it was opened",
        ),
        error => io_error(error),
    }
}

fn io_error(error: Error) -> io::Error {
    let kind = match error {
        Error::NotFound { .. } => io::ErrorKind::NotFound,
        Error::PermissionDenied { .. } | Error::Unauthenticated { .. } => io::ErrorKind::PermissionDenied,
        Error::NotSupported { .. } | Error::NotImplemented { .. } => io::ErrorKind::Unsupported,
        Error::InvalidPath { .. } => io::ErrorKind::InvalidInput,
        _ => io::ErrorKind::Other,
    };
    io::Error::new(kind, error)
}

/// Returns an error of the arguments of an operation.
pub(crate) fn failed(doing: &'static str, kind: io::ErrorKind, problem: &str) -> StorageError {
    StorageError::Io { doing, source: io::Error::new(kind, problem) }
}

/// Waits for the response of a bucket, for at most this time.
pub(crate) async fn within<T>(
    limit: Duration,
    response: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    let Ok(result) = tokio::time::timeout(limit, response).await else {
        let problem = format!("no response within {} s", limit.as_secs_f32());
        return Err(Error::Generic { store: "bucket", source: problem.into() });
    };
    result
}
