//! The error of a rejected sign-in.

use std::fmt;
use std::time::Duration;

use super::hashing;
use crate::identity::whole_seconds;

/// The error of a name and a password that were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LoginError {
    /// The name or the password is wrong.
    Wrong,
    /// The password was not checked, because there were too many wrong ones.
    #[non_exhaustive]
    Throttled {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
    /// The password was not checked, because too many passwords are waiting to be checked.
    #[non_exhaustive]
    Overloaded {
        /// How long to wait before the next attempt.
        retry_after: Duration,
    },
}

impl LoginError {
    pub(super) fn throttled(retry_after: Duration) -> Self {
        Self::Throttled { retry_after }
    }

    pub(super) fn overloaded() -> Self {
        Self::Overloaded { retry_after: hashing::RETRY_AFTER }
    }

    /// Returns how long to wait before the next attempt; `None` if the password was checked.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Wrong => None,
            Self::Throttled { retry_after } | Self::Overloaded { retry_after } => Some(*retry_after),
        }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Wrong => "the name or the password is wrong",
            Self::Throttled { .. } => "too many attempts",
            Self::Overloaded { .. } => "too many sign-ins at the moment",
        })?;
        match self.retry_after().map(whole_seconds) {
            None => Ok(()),
            Some(seconds @ 0..120) => write!(f, "; try again in {seconds} s"),
            Some(seconds) => write!(f, "; try again in {} minutes", seconds.div_ceil(60)),
        }
    }
}

impl std::error::Error for LoginError {}
