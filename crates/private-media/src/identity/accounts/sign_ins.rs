//! Logs and counts sign-ins.

use std::sync::atomic::Ordering;

use http::request::Parts;

use super::counters::SignInCounts;
use super::refusals::shown;
use super::{Accounts, LoginError};
use crate::cache_counts::CacheCounts;
use crate::identity::ClientAddr;

impl Accounts {
    /// Returns how many sign-ins succeeded and failed since the accounts were created. Accounts that continue with the memory of others continue to count.
    ///
    /// ```
    /// use private_media::identity::accounts::{Accounts, AccountsFile, AccountsOptions};
    ///
    /// # tokio::runtime::Runtime::new().unwrap().block_on(async {
    /// let accounts = Accounts::new(AccountsFile::default(), AccountsOptions::default()).unwrap();
    /// assert_eq!(accounts.sign_in_counts().wrong, 0);
    /// # });
    /// ```
    #[must_use]
    pub fn sign_in_counts(&self) -> SignInCounts {
        self.0.memory.counters.counts()
    }

    /// Returns how many sessions were found among those that were verified recently, since the accounts were created. Accounts that
    /// continue with the memory of others continue to count.
    #[must_use]
    pub fn session_cache_counts(&self) -> CacheCounts {
        self.0.memory.session_lookups.counts()
    }

    /// Logs and counts a sign-in at the page.
    pub(super) fn signed_in(&self, name: &str, head: &Parts) {
        self.0.memory.counters.succeeded.fetch_add(1, Ordering::Relaxed);
        tracing::info!(account = shown(name), from = client(head).map(tracing::field::display), "signed in");
    }

    /// Logs a sign-out.
    pub(super) fn signed_out(name: &str, head: &Parts) {
        tracing::info!(account = shown(name), from = client(head).map(tracing::field::display), "signed out");
    }

    /// Logs and counts a refused password. The number of lines is limited, because anyone can cause refusals. Nothing is logged while the
    /// server is overloaded: these clients did nothing wrong.
    pub(super) fn sign_in_refused(&self, name: &str, head: &Parts, refused: &LoginError) {
        let counters = &self.0.memory.counters;
        let counter = match refused {
            LoginError::Wrong => &counters.wrong,
            LoginError::Throttled { .. } => &counters.throttled,
            LoginError::Overloaded { .. } => &counters.overloaded,
        };
        counter.fetch_add(1, Ordering::Relaxed);
        if !matches!(refused, LoginError::Overloaded { .. }) {
            let is_account = self.current().accounts.contains_key(name);
            self.0.memory.refusals.log(name, is_account, client(head), refused);
        }
    }
}

fn client(head: &Parts) -> Option<ClientAddr> {
    head.extensions.get().copied()
}
