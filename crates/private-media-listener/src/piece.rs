//! The pieces of a response body: bytes in memory and slices of files.

use std::fs::File;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::Body;
use http_body_util::{Either, Empty, Full};

use crate::error::BoxError;

/// A part of a response body.
#[derive(Debug, Clone)]
pub enum Piece {
    /// Bytes in memory.
    Bytes(Bytes),
    /// A slice of an open file.
    File(FileSlice),
}

impl Piece {
    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        match self {
            Self::Bytes(bytes) => bytes.len() as u64,
            Self::File(slice) => slice.len,
        }
    }

    /// Returns whether the piece has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A slice of an open file. It is read at explicit offsets: the position of the file is neither used nor changed.
#[derive(Debug, Clone)]
pub struct FileSlice {
    pub(crate) file: Arc<File>,
    pub(crate) offset: u64,
    pub(crate) len: u64,
}

impl FileSlice {
    /// Returns the slice of `len` bytes from `offset` on.
    #[must_use]
    pub fn new(file: Arc<File>, offset: u64, len: u64) -> Self {
        Self { file, offset, len }
    }

    /// Returns the file.
    #[must_use]
    pub fn file(&self) -> &Arc<File> {
        &self.file
    }

    /// Returns the position of the first byte in the file.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the number of bytes.
    #[must_use]
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Returns whether the slice has no bytes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(crate) fn advance(&mut self, count: usize) {
        self.offset = self.offset.saturating_add(count as u64);
        self.len = self.len.saturating_sub(count as u64);
    }
}

/// A response body that may contain slices of files. The [crate documentation](crate#sending-a-file) has an example.
///
/// `Full`, `Empty`, `Either` and the boxed bodies of [`http_body_util`] implement it. Box the body of another crate, for example that of a
/// tower-http layer, with [`BodyExt::boxed_unsync`](http_body_util::BodyExt::boxed_unsync).
///
/// A body of bytes needs no method:
///
/// ```
/// use std::convert::Infallible;
/// use std::pin::Pin;
/// use std::task::{Context, Poll};
///
/// use bytes::Bytes;
/// use http_body::{Body, Frame};
/// use private_media_listener::ResponseBody;
///
/// struct Ticks(u8);
///
/// impl Body for Ticks {
///     type Data = Bytes;
///     type Error = Infallible;
///
///     fn poll_frame(
///         mut self: Pin<&mut Self>,
///         _: &mut Context<'_>,
///     ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
///         self.0 = self.0.saturating_sub(1);
///         Poll::Ready((self.0 > 0).then(|| Ok(Frame::data(Bytes::from_static(b"tick\n")))))
///     }
/// }
///
/// impl ResponseBody for Ticks {}
/// ```
pub trait ResponseBody: Body<Data = Bytes, Error: Into<BoxError>> + Unpin + Send + 'static {
    /// Removes the next piece from the body if that needs no waiting: bytes, or at most `max_len` bytes of a file. The listener sends the
    /// piece and calls this again. On `None`, it calls [`Body::poll_frame`].
    ///
    /// Where the listener needs bytes, such as for HTTP/1.0, it calls only [`Body::poll_frame`]. So each byte has to be available from
    /// both methods.
    fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
        let _ = max_len;
        None
    }

    /// Called at the end of a response whose client has disconnected: this many bytes that were removed from the body were not sent. A body
    /// that counts what leaves subtracts them. For responses over the fallback, this is not known and not called. Does nothing by default.
    fn return_unsent(&mut self, bytes: u64) {
        let _ = bytes;
    }
}

impl<E: Into<BoxError> + 'static> ResponseBody for http_body_util::combinators::UnsyncBoxBody<Bytes, E> {}

impl<E: Into<BoxError> + 'static> ResponseBody for http_body_util::combinators::BoxBody<Bytes, E> {}

impl ResponseBody for Full<Bytes> {}

impl ResponseBody for Empty<Bytes> {}

#[cfg(feature = "axum")]
impl ResponseBody for axum_core::body::Body {}

impl<L: ResponseBody, R: ResponseBody> ResponseBody for Either<L, R> {
    fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
        match self {
            Self::Left(body) => body.next_piece(max_len),
            Self::Right(body) => body.next_piece(max_len),
        }
    }

    fn return_unsent(&mut self, bytes: u64) {
        match self {
            Self::Left(body) => body.return_unsent(bytes),
            Self::Right(body) => body.return_unsent(bytes),
        }
    }
}

/// Polls the next piece of a body, with at most `max_len` bytes of a file. Trailers are dropped: a client has to request them.
pub(crate) fn poll_piece(
    body: &mut impl ResponseBody,
    context: &mut Context<'_>,
    max_len: u64,
) -> Poll<Option<Result<Piece, BoxError>>> {
    if let Some(piece) = body.next_piece(max_len) {
        return Poll::Ready(Some(Ok(piece)));
    }
    loop {
        let Some(frame) = ready!(Pin::new(&mut *body).poll_frame(context)) else { return Poll::Ready(None) };
        match frame.map(http_body::Frame::into_data) {
            Ok(Ok(bytes)) => return Poll::Ready(Some(Ok(Piece::Bytes(bytes)))),
            Ok(Err(_)) => {}
            Err(error) => return Poll::Ready(Some(Err(error.into()))),
        }
    }
}
