//! The error of a storage operation.

use std::fmt;
use std::io;

/// The error of a storage operation.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The file does not exist, or cannot be served.
    NotFound {
        /// The reason, for the log.
        reason: String,
        /// The error of the operating system that is the reason, if any.
        source: Option<io::Error>,
    },
    /// The content exceeds [`SaveOptions::max_len`](crate::SaveOptions::max_len).
    TooLarge {
        /// The limit in bytes.
        max_len: u64,
    },
    /// The device or the quota is full.
    Full,
    /// A file with this name exists, and neither [`SaveOptions::replace`](crate::SaveOptions::replace) nor a free name is allowed.
    Exists,
    /// Reading the content failed, so nothing was stored.
    Content(io::Error),
    /// The server that stores the files does not respond, or is overloaded. The client gets a 503, and may try again.
    Unavailable {
        /// The operation that failed.
        doing: &'static str,
        /// The error.
        source: io::Error,
    },
    /// Any other error of the operating system.
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The error.
        source: io::Error,
    },
}

impl StorageError {
    /// Returns [`StorageError::NotFound`] with this reason.
    pub fn not_found(reason: impl fmt::Display) -> Self {
        Self::NotFound { reason: reason.to_string(), source: None }
    }

    /// Returns [`StorageError::NotFound`] with this reason and the error of the operating system.
    #[cfg(feature = "local")]
    pub(super) fn not_found_as(reason: impl fmt::Display, source: impl Into<io::Error>) -> Self {
        Self::NotFound { reason: reason.to_string(), source: Some(source.into()) }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { reason, .. } => write!(f, "not found: {reason}"),
            Self::TooLarge { max_len } => write!(f, "content exceeds the limit of {max_len} bytes"),
            Self::Full => f.write_str("no space left on the device"),
            Self::Exists => f.write_str("a file with this name exists"),
            Self::Content(_) => f.write_str("reading the content failed; nothing was stored"),
            Self::Io { doing, .. } | Self::Unavailable { doing, .. } => write!(f, "{doing} failed"),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Content(source)
            | Self::Io { source, .. }
            | Self::Unavailable { source, .. }
            | Self::NotFound { source: Some(source), .. } => Some(source),
            _ => None,
        }
    }
}
