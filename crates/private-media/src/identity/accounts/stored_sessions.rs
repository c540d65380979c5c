//! Ends sessions in memory and in a store.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use super::Accounts;
use super::revocation::{Revocation, RevocationError, RevocationStore};

/// How long signing out waits for the store.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

impl Accounts {
    /// Sets the store of ended sessions. Without one, they are only in memory, and valid again after a restart. Only the first call has an
    /// effect.
    pub fn set_revocation_store(&self, store: Arc<dyn RevocationStore>) {
        let _ = self.0.memory.ended.store.set(store);
    }

    /// Applies stored revocations, such as those of other processes.
    pub fn apply_revocations(&self, stored: impl IntoIterator<Item = Revocation>) {
        self.0.memory.ended.apply(stored, SystemTime::now());
    }

    /// Stores the revocations that could not be stored so far.
    pub async fn store_revocations(&self) -> Result<(), RevocationError> {
        self.0.memory.ended.flush().await
    }

    /// Marks all revocations as not stored, for a store that has lost some. Call [`store_revocations`](Self::store_revocations) next.
    pub async fn mark_revocations_unstored(&self) {
        self.0.memory.ended.mark_unstored().await;
    }

    /// Removes the ended sessions that expired more than a day ago.
    pub fn purge_revocations(&self) {
        self.0.memory.ended.purge(SystemTime::now());
    }

    /// Returns the digest of the current accounts file.
    #[must_use]
    pub fn digest(&self) -> Option<[u8; 32]> {
        self.current().digest
    }

    /// Ends the session of a token immediately, and waits until that is stored. If storing fails, the session has ended in this process
    /// nevertheless. An invalid token is ignored.
    pub(super) async fn end_session(
        &self,
        token: impl AsRef<[u8]>,
        now: SystemTime,
    ) -> Result<(), RevocationError> {
        let Ok((session, _)) = self.current().signed_in(token.as_ref()) else { return Ok(()) };
        if session.expires <= now {
            return Ok(());
        }
        self.0.memory.ended.end(&session, now);
        let stored = tokio::time::timeout(SAVE_TIMEOUT, self.0.memory.ended.store_session(&session)).await;
        stored.unwrap_or_else(|_| Err(RevocationError::new("the state store timed out")))
    }
}
