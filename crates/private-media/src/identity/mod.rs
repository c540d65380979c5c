//! Authentication: [`Identify`] returns the [`Identity`] of the client.

mod chain;
mod client_addr;
mod cookie;
mod cross_site;
pub(crate) mod display;
mod extension;
mod https;
mod rejection;
mod secret_file;
mod user;

#[cfg(feature = "accounts")]
pub mod accounts;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use futures_core::future::BoxFuture;
use http::StatusCode;
use http::header::HeaderName;
use http::request::Parts;

#[cfg(feature = "accounts")]
pub use accounts::Accounts;
pub use chain::IdentityChain;
pub use client_addr::ClientAddr;
#[cfg(feature = "accounts")]
use cookie::{Cookie, cookie};
pub use cookie::{has_cookie, single_cookie};
pub use cross_site::is_cross_site;
pub use extension::FromExtensions;
pub use https::Https;
pub use rejection::Rejection;
pub use secret_file::read_secret_file;
pub use user::{Identity, User};

/// Identifies the client of a request.
///
/// A client without a credential is [`Identity::Anonymous`], and a client whose credential is malformed, expired or wrong is
/// [`Identity::Rejected`]. An error means that the client could not be identified, for example because a database is down: the request
/// is denied. [`IdentityChain`] combines several implementations.
///
/// A closure that takes the head of a request implements it:
///
/// ```
/// use private_media::{Identity, User};
///
/// let by_header = |request: &http::request::Parts| match request.headers.get("x-user") {
///     Some(id) if id == "7" => Identity::from(User::new("7")),
///     _ => Identity::Anonymous,
/// };
/// # fn check(_: impl private_media::Identify) {}
/// # check(by_header);
/// ```
pub trait Identify: Send + Sync + 'static {
    /// Returns the identity of the client of a request.
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>>;

    /// Returns the same as [`identify`](Self::identify) if that needs no waiting, and saves the allocation of a future. On `None`, the
    /// default, the service calls `identify`.
    fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
        let _ = request;
        None
    }

    /// Returns whether a request has a credential for this source, valid or not. An [`IdentityChain`] then tries no other sources. It is
    /// called for each request, so it must not wait for anything.
    fn recognizes(&self, request: &Parts) -> bool {
        let _ = request;
        true
    }

    /// Returns the request headers that the identity depends on, for `Vary` (RFC 9110 section 12.5.5). By default: `Cookie` and
    /// `Authorization`.
    fn vary(&self) -> Vec<HeaderName> {
        vec![http::header::COOKIE, http::header::AUTHORIZATION]
    }
}

impl<F> Identify for F
where
    F: Fn(&Parts) -> Identity + Send + Sync + 'static,
{
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(std::future::ready(Ok(self(request))))
    }

    fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
        Some(Ok(self(request)))
    }
}

macro_rules! delegate {
    () => {
        fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
            (**self).identify(request)
        }

        fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
            (**self).identify_now(request)
        }

        fn recognizes(&self, request: &Parts) -> bool {
            (**self).recognizes(request)
        }

        fn vary(&self) -> Vec<HeaderName> {
            (**self).vary()
        }
    };
}

impl<I: Identify + ?Sized> Identify for Arc<I> {
    delegate!();
}

impl Identify for Box<dyn Identify> {
    delegate!();
}

/// The error of a client that could not be identified. It is logged, and never sent to the client.
#[derive(Debug)]
pub struct IdentifyError {
    cause: Box<dyn std::error::Error + Send + Sync>,
    retry: Option<Retry>,
    is_logged: bool,
}

/// The status and `Retry-After` of the response to a client that may try again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Retry {
    pub(crate) status: StatusCode,
    pub(crate) after: Duration,
}

impl IdentifyError {
    /// Creates an error with this cause. The request is denied.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self { cause: cause.into(), retry: None, is_logged: false }
    }

    /// Creates an error for credentials that were not checked because of too many wrong ones before. The response is 429 with
    /// `Retry-After`, for every path.
    #[must_use]
    pub fn throttled(retry_after: Duration) -> Self {
        let retry = Retry { status: StatusCode::TOO_MANY_REQUESTS, after: retry_after };
        Self { cause: "too many wrong credentials".into(), retry: Some(retry), is_logged: true }
    }

    /// Creates an error for credentials that were not checked because too many others are waiting. The response is 503 with
    /// `Retry-After`, for every path.
    #[must_use]
    pub fn overloaded(retry_after: Duration) -> Self {
        let retry = Retry { status: StatusCode::SERVICE_UNAVAILABLE, after: retry_after };
        Self {
            cause: "too many credentials are waiting to be checked".into(),
            retry: Some(retry),
            is_logged: true,
        }
    }

    /// Creates an error for credentials that were not checked because a service that checks them does not respond. The request is
    /// denied; with `retry_after`, the response is 503 with `Retry-After`, for every path.
    ///
    /// The source logs the outage itself, so the library does not log each request during it as an error.
    #[must_use]
    pub fn unavailable(
        cause: impl Into<Box<dyn std::error::Error + Send + Sync>>,
        retry_after: Option<Duration>,
    ) -> Self {
        let retry = retry_after.map(|after| Retry { status: StatusCode::SERVICE_UNAVAILABLE, after });
        Self { cause: cause.into(), retry, is_logged: true }
    }

    /// Returns whether the source has logged the cause.
    pub(crate) fn is_logged(&self) -> bool {
        self.is_logged
    }

    pub(crate) fn retry(&self) -> Option<Retry> {
        self.retry
    }
}

/// Returns the seconds of a `Retry-After` header (RFC 9110 section 10.2.3), rounded up.
pub(crate) fn whole_seconds(duration: Duration) -> u64 {
    duration.as_millis().div_ceil(1000).try_into().unwrap_or(u64::MAX)
}

impl fmt::Display for IdentifyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("could not identify the client")
    }
}

impl std::error::Error for IdentifyError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&*self.cause)
    }
}
