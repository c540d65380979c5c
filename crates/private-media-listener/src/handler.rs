//! Who answers requests: a [`Handler`], or a tower service by way of [`TowerHandler`].

use std::convert::Infallible;
use std::future::{Future, poll_fn};

use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use tower_service::Service;

use crate::head::fields::WriteHeaders;
use crate::peer::PeerState;
use crate::piece::ResponseBody;
use crate::request_body::RequestBody;

/// Answers requests. [`serve`](crate::serve) takes any tower service instead; implement this trait to save the costs of one `Request`
/// and one `Response` per file.
///
/// Most requests are a GET or HEAD without content, with the same header fields as the request before. The loop passes the head of
/// these by reference to [`Handler::respond_to_head`], so that it need not be made again. All other requests go to
/// [`Handler::respond`].
pub trait Handler: Clone + Send + Sync + 'static {
    /// The body of a response.
    type Body: ResponseBody;
    /// The headers of a response to [`Handler::respond_to_head`].
    type Headers: WriteHeaders + Send;

    /// Responds to a GET or HEAD request without content. The head belongs to the connection, and only its extensions may be changed.
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

/// A response whose headers are written by a [`WriteHeaders`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct RawResponse<B, H = HeaderMap> {
    /// The status code.
    pub status: StatusCode,
    /// The headers, without those that frame the message: the listener writes `Content-Length`, `Transfer-Encoding`, `Connection` and
    /// `Date`.
    pub headers: H,
    /// The content.
    pub body: B,
}

impl<B, H> RawResponse<B, H> {
    /// Returns a response of these parts.
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

/// A tower service as a handler. The [`PeerState`] of the client is among the extensions of each request.
#[derive(Debug, Clone)]
pub(crate) struct TowerHandler<S>(pub(crate) S);

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
