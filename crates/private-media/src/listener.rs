//! Support for [`private_media_listener`].

use std::convert::Infallible;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Instant;

use futures_core::future::BoxFuture;
use http::header::{CONTENT_LENGTH, HeaderMap};
use http::request::Parts;
use http::{Request, Response};
use http_body_util::Either;
use private_media_listener::{
    FileSlice, Handler, HeaderWriter, PeerState, Piece, RawResponse, RequestBody, ResponseBody, TowerHandler,
    WriteHeaders,
};
use tower_service::Service;

use crate::delivery::MediaBody;
use crate::delivery::response::ResponseHeaders;
use crate::raw::{FileRanges as _, RespondRaw as _, SerializedHeaders};
use crate::service::{AccessRecord, MediaService};

impl ResponseBody for MediaBody {
    fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
        if let Some(bytes) = self.take_bytes() {
            return Some(Piece::Bytes(bytes));
        }
        let (file, offset, len) = self.next_file_range()?;
        let (file, len) = (Arc::clone(file.as_file()?), len.min(max_len));
        self.advance(len);
        Some(Piece::File(FileSlice::new(file, offset, len)))
    }
}

/// The headers of a response to a request for a file, written as bytes where they are serialized already.
#[derive(Debug)]
pub struct MediaHeaders {
    common: Arc<SerializedHeaders>,
    own: ResponseHeaders,
}

impl WriteHeaders for MediaHeaders {
    fn write(&self, to: &mut HeaderWriter<'_>) {
        if let Some(prepared) = &self.own.prepared {
            to.lines(prepared.lines());
            if to.needs_content_length()
                && let Some(len) = prepared.fields().get(CONTENT_LENGTH)
            {
                to.field(&CONTENT_LENGTH, len);
            }
        }
        // Of the prepared headers, these can replace only the length. The common headers replace them.
        for (name, value) in self.own.others.iter().flat_map(|others| others.iter()) {
            if !self.common.fields().contains_key(name) {
                to.field(name, value);
            }
        }
        to.lines(self.common.lines());
    }
}

impl MediaService {
    /// Like [`MediaService::respond`], with headers for the listener: for a [`Handler`] that serves more than media. A service that
    /// [measures](Self::measured) saves a read of the clock if it gets the begin of the request.
    pub async fn respond_to_head(
        &self,
        head: &Parts,
        begin: Option<Instant>,
    ) -> (RawResponse<MediaBody, MediaHeaders>, AccessRecord) {
        let (mut response, record) = self.respond_since(head, begin).await;
        let common = Arc::clone(self.common_headers(&head.headers));
        let headers = MediaHeaders { common, own: response.take_headers() };
        (RawResponse::new(response.status, headers, response.body), record)
    }
}

/// Serves private media below a prefix, and all other requests with another service. Returned by [`MediaService::or`].
///
/// As a [`Handler`] it serves media without a `Request` and a `Response` for each file. As a [`Service`] it can have middleware.
#[derive(Debug, Clone)]
pub struct MediaOr<S> {
    media: MediaService,
    other: S,
}

impl MediaService {
    /// Serves requests outside the prefix of [`MediaService::at`] with another service, so that media and pages share one address.
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use private_media::{PrivateMedia, storage::MemoryStorage};
    /// use private_media_listener::{Limits, serve_handler};
    ///
    /// # async fn run() -> std::io::Result<()> {
    /// let app = Router::new().route("/", get(|| async { "all cars" }));
    /// let media = PrivateMedia::builder(MemoryStorage::new()).build();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// serve_handler(listener, media.service().at("/private/").or(app), Limits::default()).await;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn or<S>(self, other: S) -> MediaOr<S> {
        MediaOr { media: self, other }
    }
}

impl<B, S, R> Service<Request<B>> for MediaOr<S>
where
    S: Service<Request<B>, Response = Response<R>, Future: Send + 'static>,
{
    type Response = Response<Either<MediaBody, R>>;
    type Error = S::Error;
    type Future = BoxFuture<'static, Result<Self::Response, S::Error>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.other.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        if self.media.below(request.uri().path()).is_none() {
            let response = self.other.call(request);
            return Box::pin(async { Ok(response.await?.map(Either::Right)) });
        }
        let response = self.media.call(request);
        Box::pin(async {
            let Ok(response) = response.await;
            Ok(response.map(Either::Left))
        })
    }
}

impl<S, R> Handler for MediaOr<S>
where
    S: Service<Request<RequestBody>, Response = Response<R>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    R: ResponseBody,
{
    type Body = Either<MediaBody, R>;
    type Headers = MediaOrHeaders;

    async fn respond_to_head(
        &self,
        head: &mut Parts,
        peer: &PeerState,
    ) -> RawResponse<Self::Body, MediaOrHeaders> {
        if self.media.below(head.uri.path()).is_none() {
            let other = TowerHandler::new(self.other.clone());
            // Boxed, so that the future of a file is small.
            let RawResponse { status, headers, body, .. } = Box::pin(other.respond_to_head(head, peer)).await;
            return RawResponse::new(status, MediaOrHeaders(Either::Right(headers)), Either::Right(body));
        }
        head.extensions.insert(peer.clone());
        let (RawResponse { status, headers, body, .. }, _) = self.media.respond_to_head(head, None).await;
        RawResponse::new(status, MediaOrHeaders(Either::Left(headers)), Either::Left(body))
    }

    async fn respond(&self, mut request: Request<RequestBody>, peer: &PeerState) -> Response<Self::Body> {
        if self.media.below(request.uri().path()).is_none() {
            let response = TowerHandler::new(self.other.clone()).respond(request, peer).await;
            return response.map(Either::Right);
        }
        request.extensions_mut().insert(peer.clone());
        let (head, _) = request.into_parts();
        let (response, _) = self.media.respond(&head).await;
        response.map(Either::Left)
    }
}

/// The headers of a response of [`MediaOr`].
#[derive(Debug)]
pub struct MediaOrHeaders(Either<MediaHeaders, HeaderMap>);

impl WriteHeaders for MediaOrHeaders {
    fn write(&self, to: &mut HeaderWriter<'_>) {
        match &self.0 {
            Either::Left(headers) => headers.write(to),
            Either::Right(headers) => headers.write(to),
        }
    }
}
