//! The body type of all responses.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CACHE_CONTROL, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use private_media::MediaBody;
use private_media::delivery::MediaResponse;
use private_media_listener::{Piece, ResponseBody};

use crate::metrics::Sample;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The body of a response. It counts the bytes that leave.
pub(crate) struct Body {
    content: Either<MediaBody, UnsyncBoxBody<Bytes, BoxError>>,
    taken: u64,
    on_end: Option<Box<dyn FnOnce(u64) + Send>>,
    sample: Option<Sample>,
}

impl From<MediaBody> for Body {
    fn from(body: MediaBody) -> Self {
        Self { content: Either::Left(body), taken: 0, on_end: None, sample: None }
    }
}

impl Body {
    /// Boxes a body of any other type.
    pub(crate) fn other<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let content = Either::Right(body.map_err(Into::into).boxed_unsync());
        Self { content, taken: 0, on_end: None, sample: None }
    }

    /// Ends the sample of a request with the body.
    pub(crate) fn count(&mut self, sample: Option<Sample>) {
        self.sample = sample;
    }

    /// Calls a function with the number of bytes taken, at the end of the body or when the client disconnects.
    pub(crate) fn on_end(&mut self, on_end: impl FnOnce(u64) + Send + 'static) {
        self.on_end = Some(Box::new(on_end));
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = ready!(Pin::new(&mut self.content).poll_frame(context));
        if let Some(Ok(frame)) = &frame {
            self.taken = self.taken.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

impl ResponseBody for Body {
    fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
        let piece = self.content.next_piece(max_len)?;
        self.taken = self.taken.saturating_add(piece.len());
        Some(piece)
    }

    fn return_unsent(&mut self, bytes: u64) {
        self.taken = self.taken.saturating_sub(bytes);
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(on_end) = self.on_end.take() {
            on_end(self.taken);
        }
        if let Some(sample) = self.sample.take() {
            sample.end(self.taken);
        }
    }
}

/// Returns a response with one line of text, which no cache stores.
pub(crate) fn text_response(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::from(MediaResponse::text(status, text)).map(Body::from);
    let headers = response.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
