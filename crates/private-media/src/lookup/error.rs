//! Errors of lookups.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

/// Why a lookup returns no attributes. Cheap to clone.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub enum LookupError {
    /// The application has no such file: the response is 404, also if the storage has one.
    NotFound,
    /// The lookup failed, for example because a database is down. Access is denied. The cause goes to the log, never to the client.
    Failed(Arc<dyn Error + Send + Sync>),
}

impl LookupError {
    /// Creates an error with this cause.
    pub fn failed(cause: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self::Failed(Arc::from(cause.into()))
    }
}

impl fmt::Display for LookupError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::NotFound => "the lookup has no such file",
            Self::Failed(_) => "the lookup failed",
        })
    }
}

impl Error for LookupError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NotFound => None,
            Self::Failed(cause) => Some(&**cause),
        }
    }
}
