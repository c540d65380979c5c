//! Credentials that were recognized and are invalid.

use std::borrow::Cow;
use std::fmt;

/// Why an identity source rejects the credential of a request. It is for logs and diagnosis, never for the client.
///
/// ```
/// use private_media::identity::{Identity, Rejection};
///
/// let identity = Identity::from(Rejection::new("sessions", "the session expired"));
/// assert!(identity.user().is_none());
/// assert_eq!(identity.rejection().unwrap().to_string(), "sessions: the session expired");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rejection {
    source: Cow<'static, str>,
    reason: Cow<'static, str>,
}

impl Rejection {
    /// Creates a rejection by this source, for this reason. The reason must not contain the credential.
    #[must_use]
    pub fn new(source: impl Into<Cow<'static, str>>, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { source: source.into(), reason: reason.into() }
    }

    /// Returns the name of the source that recognized the credential.
    #[must_use]
    pub fn source(&self) -> &str {
        &self.source
    }

    /// Returns why the credential is invalid.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.source, self.reason)
    }
}
