//! The error of a rejected sign-in.

use std::fmt;
use std::time::Duration;

use super::hashing;
use crate::identity::whole_seconds;

/// The error of a name and a password that were not accepted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoginError {
    /// How long to wait before the next attempt. If it is set, the password was not checked.
    pub wait: Option<Duration>,
    /// Whether the reason for `wait` is that too many passwords were waiting to be checked. Otherwise it is too many wrong ones.
    pub overloaded: bool,
}

impl LoginError {
    pub(super) fn wrong() -> Self {
        Self { wait: None, overloaded: false }
    }

    pub(super) fn wait(wait: Duration) -> Self {
        Self { wait: Some(wait), overloaded: false }
    }

    pub(super) fn overloaded() -> Self {
        Self { wait: Some(hashing::RETRY_AFTER), overloaded: true }
    }
}

impl fmt::Display for LoginError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(wait) = self.wait else { return f.write_str("the name or the password is wrong") };
        f.write_str(if self.overloaded { "too many sign-ins at the moment" } else { "too many attempts" })?;
        match whole_seconds(wait) {
            seconds @ 0..120 => write!(f, "; try again in {seconds} s"),
            seconds => write!(f, "; try again in {} minutes", seconds.div_ceil(60)),
        }
    }
}

impl std::error::Error for LoginError {}
