//! Support for [`private_media_listener`].

use std::sync::Arc;
use std::task::{Context, Poll};

use futures_core::future::BoxFuture;
use http::{Request, Response};
use http_body_util::Either;
use private_media_listener::{FileSlice, ResponseBody};
use tower_service::Service;

use crate::delivery::MediaBody;
use crate::raw::FileRanges as _;
use crate::service::MediaService;

impl ResponseBody for MediaBody {
    fn next_file(&mut self, max_len: u64) -> Option<FileSlice> {
        let (file, offset, len) = self.next_file_range()?;
        let (file, len) = (Arc::clone(file.as_file()?), len.min(max_len));
        self.advance(len);
        Some(FileSlice::new(file, offset, len))
    }
}

/// Serves private media below a prefix, and all other requests with another service. Returned by [`MediaService::or`].
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
    /// use private_media_listener::{Limits, serve};
    ///
    /// # async fn run() -> std::io::Result<()> {
    /// let app = Router::new().route("/", get(|| async { "all cars" }));
    /// let media = PrivateMedia::builder(MemoryStorage::new()).build();
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:3000").await?;
    /// serve(listener, media.service().at("/private/").or(app), Limits::default()).await;
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
