//! Ends sessions in memory and in a store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Accounts;
use super::revocation::{Revocation, RevocationError, RevocationStore};

/// How long signing out waits for the store.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

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
        let Ok((session, _)) = self.current().signed_in(token.as_ref()) else { return Ok(()) };
        if session.expires <= now {
            return Ok(());
        }
        self.0.ended.end(&session, now);
        let stored = tokio::time::timeout(SAVE_TIMEOUT, self.0.ended.store_session(&session)).await;
        stored.unwrap_or_else(|_| Err(RevocationError::new("the state store did not answer in time")))
    }
}
