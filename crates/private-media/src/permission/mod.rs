//! May they? [`Permissions`] decide, and a [`Permit`] is the proof.

mod grant;
mod permit;
mod template;

use std::sync::Arc;

use futures_core::future::BoxFuture;
use http::request::Parts;

pub use grant::{Grant, GrantError, Grantee, Grants};
pub use permit::{Denied, Permit};
pub use template::{Template, TemplateError};

use crate::identity::Identity;
use crate::request::MediaPath;

/// Decides who may read what. Whatever goes wrong while deciding is a denial.
///
/// [`Grants`] says it for most projects. A closure says the rest:
/// ```
/// use private_media::{Identity, MediaPath};
///
/// let mine = |identity: &Identity, path: &MediaPath| {
///     identity.user().is_some_and(|user| path.segments().next() == Some(user.id()))
/// };
/// # fn check(_: impl private_media::Permissions) {}
/// # check(mine);
/// ```
pub trait Permissions: Send + Sync + 'static {
    /// May this identity read the file of this path?
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision>;

    /// May they, with this request? What a request is answered by; for whoever looks at more of it than who asks and for what,
    /// such as an application that is asked. Most do not, and have nothing to say here.
    fn may_read_request<'a>(
        &'a self,
        identity: &'a Identity,
        path: &'a MediaPath,
        _request: &'a Parts,
    ) -> BoxFuture<'a, Decision> {
        self.may_read(identity, path)
    }
}

impl<F> Permissions for F
where
    F: Fn(&Identity, &MediaPath) -> bool + Send + Sync + 'static,
{
    fn may_read<'a>(&'a self, identity: &'a Identity, path: &'a MediaPath) -> BoxFuture<'a, Decision> {
        let decision = if self(identity, path) {
            Decision::allow("the application allows it")
        } else {
            Decision::deny("the application denies it")
        };
        Box::pin(std::future::ready(decision))
    }
}

/// Allowed or denied, and what decided it, for logs and `private-media check`. Cheap to clone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Decision {
    allowed: bool,
    reason: Arc<str>,
}

impl Decision {
    /// Yes, and why.
    #[must_use]
    pub fn allow(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: true, reason: reason.into() }
    }

    /// No, and why.
    #[must_use]
    pub fn deny(reason: impl Into<Arc<str>>) -> Self {
        Self { allowed: false, reason: reason.into() }
    }

    /// Whether it is yes.
    #[must_use]
    pub fn is_allowed(&self) -> bool {
        self.allowed
    }

    /// What decided it.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) fn shared_reason(&self) -> &Arc<str> {
        &self.reason
    }
}

impl std::fmt::Display for Decision {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", if self.allowed { "allowed" } else { "denied" }, self.reason)
    }
}
