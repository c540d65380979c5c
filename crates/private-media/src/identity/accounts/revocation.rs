//! Stored revocations, and the trait of their store.

use std::error::Error;
use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;

/// Sessions of an account that have ended before their expiry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Revocation {
    /// One session, by its id. Times are since 1970: the time of issue in microseconds, the expiry in seconds.
    Session {
        /// The name of the account.
        account: Arc<str>,
        /// The id of the session.
        id: [u8; 16],
        /// When the session was issued.
        issued: u64,
        /// When the session expires.
        expires: u64,
    },
    /// All sessions that were issued at this time or before, in microseconds since 1970.
    IssuedUntil {
        /// The name of the account.
        account: Arc<str>,
        /// The last void time of issue.
        until: u64,
    },
}

/// Stores revocations so that they survive a restart, and reach other processes.
pub trait RevocationStore: Send + Sync + fmt::Debug {
    /// Stores all revocations or none, durably. Storing a revocation twice is not an error. An [`IssuedUntil`](Revocation::IssuedUntil) of an
    /// account includes earlier ones, and the sessions issued until then.
    fn save<'a>(&'a self, revocations: &'a [Revocation]) -> BoxFuture<'a, Result<(), RevocationError>>;
}

/// The error of a revocation that could not be stored. It is effective in this process nevertheless.
#[derive(Debug)]
pub struct RevocationError(Box<dyn Error + Send + Sync>);

impl RevocationError {
    /// Wraps the error of a store.
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
