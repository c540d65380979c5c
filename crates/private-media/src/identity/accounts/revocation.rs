//! Ended sessions that outlive the process: what is stored, and where.

use std::error::Error;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;

use super::Accounts;

/// How long signing out waits for the store.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

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

impl Accounts {
    /// Sets where ended sessions are stored. Without a store they are kept in memory, and a restart forgets them. It can be set once;
    /// later calls are ignored.
    pub fn set_revocation_store(&self, store: Arc<dyn RevocationStore>) {
        let _ = self.0.ended.store.set(store);
    }

    /// Puts revocations in force that are stored already, such as those of other processes.
    pub fn apply_revocations(&self, stored: impl IntoIterator<Item = Revocation>) {
        self.0.ended.apply(stored, SystemTime::now());
    }

    /// Stores the revocations that could not be stored before.
    pub async fn store_revocations(&self) -> Result<(), RevocationError> {
        self.0.ended.flush().await
    }

    /// Stores all revocations in force again, for a store that has lost some: call
    /// [`store_revocations`](Self::store_revocations) next.
    pub async fn mark_revocations_unstored(&self) {
        self.0.ended.mark_unstored().await;
    }

    /// Forgets the ended sessions that expired more than a day ago.
    pub fn purge_revocations(&self) {
        self.0.ended.purge(SystemTime::now());
    }

    /// Returns the digest of the accounts file that is in force.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.current().digest
    }

    /// Ends the session of a token at once, and waits until that is stored. The session has ended in this process even if it cannot be
    /// stored. A token that does not count is ignored.
    pub(super) async fn end_session(
        &self,
        token: impl AsRef<[u8]>,
        now: SystemTime,
    ) -> Result<(), RevocationError> {
        let Some((session, _)) =
            self.current().signed_in(token.as_ref()).filter(|(session, _)| session.expires > now)
        else {
            return Ok(());
        };
        self.0.ended.end(&session, now);
        let stored = tokio::time::timeout(SAVE_TIMEOUT, self.0.ended.store_session(&session)).await;
        stored.unwrap_or_else(|_| Err(RevocationError::new("the state store did not answer in time")))
    }
}
