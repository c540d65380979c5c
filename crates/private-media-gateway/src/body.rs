//! One type for the content of every response.

use std::pin::Pin;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderValue};
use http::{Response, StatusCode};
use http_body::{Frame, SizeHint};
use http_body_util::BodyExt;
use http_body_util::combinators::UnsyncBoxBody;
use private_media::MediaBody;
use private_media::raw::FileRanges as _;

use crate::listener::kernel::{self, Files};

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Of a shorter stretch of a file, reading and writing it is cheaper than to have the kernel send it, in bytes.
const SHORT: u64 = 16 << 10;

/// The content of a response. It counts what is taken of it.
pub(crate) struct Body {
    content: Content,
    /// Where it leaves by a connection that the kernel can send files to.
    files: Option<Files>,
    taken: u64,
    done: Option<Box<dyn FnOnce(u64) + Send>>,
}

enum Content {
    Media(MediaBody),
    Other(UnsyncBoxBody<Bytes, BoxError>),
}

impl From<MediaBody> for Body {
    fn from(body: MediaBody) -> Self {
        Self::new(Content::Media(body))
    }
}

impl Body {
    fn new(content: Content) -> Self {
        Self { content, files: None, taken: 0, done: None }
    }

    /// Any content.
    pub(crate) fn other<B>(body: B) -> Self
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        Self::new(Content::Other(body.map_err(Into::into).boxed_unsync()))
    }

    /// Says how much was taken of it when it is let go: at its end, or when its client has gone.
    pub(crate) fn count(&mut self, done: impl FnOnce(u64) + Send + 'static) {
        self.done = Some(Box::new(done));
    }

    /// Has the kernel send what it can, on the connection whose files these are and on no other.
    pub(crate) fn send_by(&mut self, files: Files) {
        self.files = Some(files);
    }

    /// What stands for the next stretch of a file, if the kernel is to send it.
    fn stand_in(&mut self) -> Option<Bytes> {
        let (Content::Media(media), Some(files)) = (&mut self.content, &self.files) else { return None };
        let (file, offset, len) = media.next_file_range().filter(|(_, _, len)| *len >= SHORT)?;
        let len = usize::try_from(len).map_or(kernel::LONGEST, |len| len.min(kernel::LONGEST));
        let stand_in = files.stand_in(file, offset, len);
        match stand_in {
            Some(_) => media.advance(len as u64),
            // It is not asked again for each piece.
            None => self.files = None,
        }
        stand_in
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let frame = match self.stand_in() {
            Some(stand_in) => Some(Ok(Frame::data(stand_in))),
            None => match &mut self.content {
                Content::Media(media) => {
                    ready!(Pin::new(media).poll_frame(context)).map(|frame| frame.map_err(Into::into))
                }
                Content::Other(other) => ready!(Pin::new(other).poll_frame(context)),
            },
        };
        if let Some(Ok(frame)) = &frame {
            self.taken = self.taken.saturating_add(frame.data_ref().map_or(0, |data| data.len() as u64));
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        match &self.content {
            Content::Media(media) => media.is_end_stream(),
            Content::Other(other) => other.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Content::Media(media) => media.size_hint(),
            Content::Other(other) => other.size_hint(),
        }
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
