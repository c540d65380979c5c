//! The identity from the application's own authentication.

use futures_core::future::BoxFuture;
use http::request::Parts;

use super::{Identify, IdentifyError, Identity};

/// Returns the [`Identity`] that the application's authentication middleware inserted into the request extensions. A request without one
/// is anonymous.
///
/// ```
/// use private_media::{FromExtensions, Identify, Identity, User};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let mut request = http::Request::new(());
/// // In axum: `request.extensions_mut().insert(…)` in a middleware in front of the service.
/// request.extensions_mut().insert(Identity::from(User::new("7")));
/// let (parts, ()) = request.into_parts();
/// let identity = FromExtensions.identify(&parts).await.unwrap();
/// assert_eq!(identity.user().map(User::id), Some("7"));
/// # }).unwrap();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct FromExtensions;

impl FromExtensions {
    fn identity(request: &Parts) -> Identity {
        request.extensions.get::<Identity>().cloned().unwrap_or_default()
    }
}

impl Identify for FromExtensions {
    fn identify<'a>(&'a self, request: &'a Parts) -> BoxFuture<'a, Result<Identity, IdentifyError>> {
        Box::pin(std::future::ready(Ok(Self::identity(request))))
    }

    fn identify_now(&self, request: &Parts) -> Option<Result<Identity, IdentifyError>> {
        Some(Ok(Self::identity(request)))
    }

    fn recognizes(&self, request: &Parts) -> bool {
        request.extensions.get::<Identity>().is_some()
    }
}
