//! Ended sessions that outlive the process: what is stored, and where.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;

/// Sessions of an account that are void before they expire.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One session, by its id. Times are since 1970: the time of issue in microseconds, the expiry in seconds.
    Session {
        /// The account's name.
        account: Arc<str>,
        /// The session's id.
        id: [u8; 16],
        /// When the session was issued.
        issued: u64,
        /// When the session expires.
        expires: u64,
    },
    /// All sessions that were issued at this time or before, in microseconds since 1970.
    IssuedUntil {
        /// The account's name.
        account: Arc<str>,
        /// The last time of issue that is void.
        until: u64,
    },
}

/// Stores revocations so that they survive a restart, and reach other processes.
pub trait RevocationStore: Send + Sync + fmt::Debug {
    /// Stores all of these or none, durably before it returns. Storing a revocation twice is no error. A later
    /// [`IssuedUntil`](Revocation::IssuedUntil) of an account includes an earlier one, and the sessions issued until then.
    fn save<'a>(&'a self, revocations: &'a [Revocation]) -> BoxFuture<'a, Result<(), RevocationError>>;
}

/// A revocation that could not be stored. It is in force in this process all the same.
#[derive(Debug)]
pub struct RevocationError(Box<dyn Error + Send + Sync>);

impl RevocationError {
    /// Wraps the store's error.
    pub fn new(error: impl Into<Box<dyn Error + Send + Sync>>) -> Self {
        Self(error.into())
    }
}

impl fmt::Display for RevocationError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Error for RevocationError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.0.source()
    }
}
