//! The counters of sign-ins.

use std::sync::atomic::{AtomicU64, Ordering};

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
    pub(super) succeeded: AtomicU64,
    pub(super) wrong: AtomicU64,
    pub(super) throttled: AtomicU64,
    pub(super) overloaded: AtomicU64,
}

impl Counters {
    pub(super) fn counts(&self) -> SignInCounts {
        let Self { succeeded, wrong, throttled, overloaded } = self;
        let value = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        SignInCounts {
            succeeded: value(succeeded),
            wrong: value(wrong),
            throttled: value(throttled),
            overloaded: value(overloaded),
        }
    }
}
