//! The body of a response on a stream.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

use super::streams::{PIECE, Progress};
use crate::piece::ResponseBody;

/// A response body that reports its progress, so that the stream can measure the client.
pub(super) struct StreamBody<B: ResponseBody> {
    /// `None` if the response has no content.
    content: Option<B>,
    /// Bytes of the content that do not fit into one piece.
    rest: Bytes,
    progress: Arc<Progress>,
}

impl<B: ResponseBody> StreamBody<B> {
    pub(super) fn new(content: B, has_content: bool, progress: Arc<Progress>) -> Self {
        Self { content: Some(content).filter(|_| has_content), rest: Bytes::new(), progress }
    }
}

impl<B: ResponseBody> Drop for StreamBody<B> {
    fn drop(&mut self) {
        if let Some(content) = &mut self.content
            && !self.rest.is_empty()
        {
            content.return_unsent(self.rest.len() as u64);
        }
    }
}

impl<B: ResponseBody> Body for StreamBody<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        if self.rest.is_empty() {
            self.progress.waits_for_server();
            let Some(body) = &mut self.content else { return Poll::Ready(None) };
            match ready!(Pin::new(body).poll_frame(context)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(bytes))) => self.rest = bytes,
                Some(Ok(Err(trailers))) => return Poll::Ready(Some(Ok(trailers))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        let len = self.rest.len().min(PIECE);
        let piece = self.rest.split_to(len);
        // Until the next call, the stream waits for the client.
        self.progress.waits_for_client(len);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.content.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        match &self.content {
            Some(content) if self.rest.is_empty() => content.size_hint(),
            Some(_) => SizeHint::default(),
            None => SizeHint::with_exact(0),
        }
    }
}
