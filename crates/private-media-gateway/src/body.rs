//! One type for the content of every response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt, Either};
use private_media::MediaBody;
use private_media_listener::{FileSlice, ResponseBody};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The content of a response. It counts what is taken of it.
pub(crate) struct Body {
    content: Either<MediaBody, UnsyncBoxBody<Bytes, BoxError>>,
    taken: u64,
    done: Option<Box<dyn FnOnce(u64) + Send>>,
}

impl From<MediaBody> for Body {
    fn from(body: MediaBody) -> Self {
        Self { content: Either::Left(body), taken: 0, done: None }
    }
}

impl Body {
    /// Any content.
    pub(crate) fn other<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        let content = Either::Right(body.map_err(Into::into).boxed_unsync());
        Self { content, taken: 0, done: None }
    }

    /// Says how much was taken of it when it is let go: at its end, or when its client has gone.
    pub(crate) fn count(&mut self, done: impl FnOnce(u64) + Send + 'static) {
        self.done = Some(Box::new(done));
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
    fn next_file(&mut self, max_len: u64) -> Option<FileSlice> {
        let slice = self.content.next_file(max_len)?;
        self.taken = self.taken.saturating_add(slice.len());
        Some(slice)
    }
}

impl Drop for Body {
    fn drop(&mut self) {
        if let Some(done) = self.done.take() {
            done(self.taken);
        }
    }
}

/// A response of one line of text.
pub(crate) fn line(status: StatusCode, text: &'static str) -> Response<Body> {
    let mut response = Response::new(Body::from(MediaBody::empty().push_bytes(text)));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    headers.insert(http::header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}
