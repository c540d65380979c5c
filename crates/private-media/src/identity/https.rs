//! Requests over TLS.

/// Marks a request that arrived over TLS, in its extensions. A server that has HTTPS connections itself inserts it, so that cookies are
/// `Secure` for clients that send no `Origin` header, too.
///
/// ```
/// use private_media::identity::Https;
///
/// let mut request = http::Request::new(());
/// request.extensions_mut().insert(Https);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Https;
