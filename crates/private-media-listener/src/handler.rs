//! Produces responses: a [`Handler`], or a tower service in a [`TowerHandler`].

use std::convert::Infallible;
use std::future::{Future, poll_fn};

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use tower_service::Service;

use crate::head::fields::WriteHeaders;
use crate::peer::PeerState;
use crate::piece::ResponseBody;
use crate::request_body::RequestBody;

/// Responds to requests. A lower-level alternative to a tower service, which saves the costs of a `Request` and a `Response` per file.
/// [`Server::serve_handler`](crate::Server::serve_handler) serves it.
///
/// Most requests are a GET or HEAD without content, with the same header fields as the previous request of the connection. The loop
/// passes their head to [`Handler::respond_to_head`] by reference, so it is not built again. All other requests go to
/// [`Handler::respond`].
///
/// ```
/// use http::request::Parts;
/// use http::{HeaderMap, Request, Response, StatusCode};
/// use http_body_util::Full;
/// use private_media_listener::{Handler, PeerState, RawResponse, RequestBody};
///
/// #[derive(Clone)]
/// struct Hello;
///
/// impl Handler for Hello {
///     type Body = Full<bytes::Bytes>;
///     type Headers = HeaderMap;
///
///     async fn respond_to_head(&self, head: &mut Parts, _: &PeerState) -> RawResponse<Self::Body> {
///         let text = format!("hello from {}", head.uri.path());
///         RawResponse::new(StatusCode::OK, HeaderMap::new(), Full::from(text))
///     }
///
///     async fn respond(&self, _: Request<RequestBody>, _: &PeerState) -> Response<Self::Body> {
///         let mut response = Response::new(Full::default());
///         *response.status_mut() = StatusCode::METHOD_NOT_ALLOWED;
///         response
///     }
/// }
/// ```
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of a response.
    type Body: ResponseBody;
    /// The headers of a response to [`Handler::respond_to_head`].
    type Headers: WriteHeaders + Send;

    /// Called before each request of a connection, on the connection's own clone. A handler whose configuration may change takes the
    /// current one here, so that each request is served with exactly one. Does nothing by default.
    ///
    /// ```
    /// # use http::request::Parts;
    /// # use http::{HeaderMap, Request, Response, StatusCode};
    /// # use http_body_util::Full;
    /// # use private_media_listener::{Handler, PeerState, RawResponse, RequestBody};
    /// use std::sync::Arc;
    /// use std::sync::atomic::{AtomicU16, Ordering};
    ///
    /// /// Responds with the status that is configured when a request begins.
    /// #[derive(Clone)]
    /// struct Configured {
    ///     shared: Arc<AtomicU16>,
    ///     current: StatusCode,
    /// }
    ///
    /// impl Handler for Configured {
    ///     type Body = Full<bytes::Bytes>;
    ///     type Headers = HeaderMap;
    ///
    ///     fn refresh(&mut self) {
    ///         self.current = StatusCode::from_u16(self.shared.load(Ordering::Acquire)).unwrap_or_default();
    ///     }
    ///     // …
    /// #   async fn respond_to_head(&self, _: &mut Parts, _: &PeerState) -> RawResponse<Self::Body> {
    /// #       RawResponse::new(self.current, HeaderMap::new(), Full::default())
    /// #   }
    /// #   async fn respond(&self, _: Request<RequestBody>, _: &PeerState) -> Response<Self::Body> {
    /// #       Response::default()
    /// #   }
    /// }
    /// # let mut handler = Configured { shared: Arc::new(AtomicU16::new(503)), current: StatusCode::OK };
    /// # handler.refresh();
    /// # assert_eq!(handler.current, StatusCode::SERVICE_UNAVAILABLE);
    /// ```
    fn refresh(&mut self) {}

    /// Responds to a GET or HEAD request without content. The connection reuses the head: change nothing but its extensions.
    fn respond_to_head(
        &self,
        head: &mut Parts,
        peer: &PeerState,
    ) -> impl Future<Output = RawResponse<Self::Body, Self::Headers>> + Send;

    /// Responds to any request.
    fn respond(
        &self,
        request: Request<RequestBody>,
        peer: &PeerState,
    ) -> impl Future<Output = Response<Self::Body>> + Send;
}

/// A response whose headers are a [`WriteHeaders`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RawResponse<B, H = HeaderMap> {
    /// The status code.
    pub status: StatusCode,
    /// The headers. The listener itself writes `Content-Length`, `Transfer-Encoding`, `Connection` and `Date`; see
    /// [`HeaderWriter::field`](crate::HeaderWriter::field).
    pub headers: H,
    /// The content.
    pub body: B,
}

impl<B, H> RawResponse<B, H> {
    /// Returns a response with these parts.
    #[must_use]
    pub fn new(status: StatusCode, headers: H, body: B) -> Self {
        Self { status, headers, body }
    }
}

impl<B> From<Response<B>> for RawResponse<B> {
    fn from(response: Response<B>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, body }
    }
}

/// Returns the status of a final response. A service cannot send an informational (1xx) one, so that is a 500.
pub(crate) fn final_status(status: StatusCode) -> StatusCode {
    if status.is_informational() {
        tracing::error!(%status, "the service returned an informational response");
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    status
}

/// Adapts a tower service to [`Handler`]. Adds a [`PeerState`] to the extensions of each request.
///
/// [`serve`](crate::serve) uses it. A handler that responds to some requests itself passes the others to this one.
#[derive(Debug, Clone)]
pub struct TowerHandler<S>(S);

impl<S> TowerHandler<S> {
    /// Returns a handler that passes requests to this service.
    pub fn new(service: S) -> Self {
        Self(service)
    }
}

impl<S, B> TowerHandler<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
{
    async fn call(mut self, mut request: Request<RequestBody>, peer: PeerState) -> Response<B> {
        request.extensions_mut().insert(peer);
        let Ok(()) = poll_fn(|context| self.0.poll_ready(context)).await;
        let Ok(response) = self.0.call(request).await;
        response
    }
}

impl<S, B> Handler for TowerHandler<S>
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: ResponseBody,
{
    type Body = B;
    type Headers = HeaderMap;

    async fn respond_to_head(&self, head: &mut Parts, peer: &PeerState) -> RawResponse<B> {
        let request = Request::from_parts(head.clone(), RequestBody::empty());
        self.clone().call(request, peer.clone()).await.into()
    }

    async fn respond(&self, request: Request<RequestBody>, peer: &PeerState) -> Response<B> {
        self.clone().call(request, peer.clone()).await
    }
}
