//! The log and the counters of sign-ins.

use std::sync::atomic::{AtomicU64, Ordering};

use http::request::Parts;

use super::refusals::shown;
use super::{Accounts, LoginError};
use crate::cache_counts::CacheCounts;
use crate::identity::ClientAddr;

/// How many sign-ins succeeded and failed. A password in HTTP Basic counts if it is refused; a right one is sent with each request.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SignInCounts {
    /// Sign-ins at the sign-in page.
    pub succeeded: u64,
    /// Attempts with a wrong name or password.
    pub wrong: u64,
    /// Attempts that were not checked, because there were too many wrong ones.
    pub throttled: u64,
    /// Attempts that were not checked, because too many passwords were waiting.
    pub overloaded: u64,
}

#[derive(Debug, Default)]
pub(super) struct Counters {
    succeeded: AtomicU64,
    wrong: AtomicU64,
    throttled: AtomicU64,
    overloaded: AtomicU64,
}

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
        let Counters { succeeded, wrong, throttled, overloaded } = &self.0.memory.counters;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SignInCounts {
            succeeded: value(succeeded),
            wrong: value(wrong),
            throttled: value(throttled),
            overloaded: value(overloaded),
        }
    }

    /// Returns how many sessions were found among those that were verified recently, since the accounts were last replaced.
    #[must_use]
    pub fn session_cache_counts(&self) -> CacheCounts {
        self.current().sessions.counts()
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
