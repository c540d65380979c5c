//! The decision of permissions.

use std::fmt;
use std::sync::Arc;

/// Allowed or denied, with the reason for logs. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    reason: Arc<str>,
}

impl Decision {
    /// Returns a decision that allows, for this reason.
    #[must_use]
    pub fn allow(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: true, reason: reason.into() }
    }

    /// Returns a decision that denies, for this reason.
    #[must_use]
    pub fn deny(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: false, reason: reason.into() }
    }

    /// Returns whether the decision allows.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// Returns the reason.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn shared_reason(&self) -> &Arc<str> {
        &self.reason
    }
}

impl fmt::Display for Decision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", if self.allowed { "allowed" } else { "denied" }, self.reason)
    }
}
