//! Request bodies with a minimum transfer rate.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use hyper::body::Incoming;

use crate::error::BoxError;
use crate::min_rate::MinRate;

/// The content of a request. Reading it fails if the client sends below [`Limits::min_rate`](crate::Limits::min_rate).
///
/// ```
/// use private_media_listener::RequestBody;
///
/// let body = RequestBody::empty();
/// let progress = body.progress();
/// drop(body);
/// assert!(progress.is_read() && !progress.is_too_slow());
/// ```
#[derive(Debug)]
pub struct RequestBody(Option<MinRateBody<Incoming>>);

impl RequestBody {
    /// Returns a body without content.
    #[must_use]
    pub fn empty() -> Self {
        Self(None)
    }

    pub(crate) fn new(content: Incoming, min_rate: u64) -> Self {
        Self((!content.is_end_stream()).then(|| MinRateBody::new(content, min_rate)))
    }

    /// Returns a handle to the state of reading, for use after the body was consumed.
    #[must_use]
    pub fn progress(&self) -> Progress {
        Progress(self.0.as_ref().map(|body| Arc::clone(&body.flags)))
    }
}

/// The state of reading a [`RequestBody`].
#[derive(Debug, Clone)]
pub struct Progress(Option<Arc<Flags>>);

#[derive(Debug, Default)]
struct Flags {
    is_read: AtomicBool,
    is_too_slow: AtomicBool,
}

impl Progress {
    /// Returns whether all content has been read. It is true from the start for a request without content.
    #[must_use]
    pub fn is_read(&self) -> bool {
        self.0.as_ref().is_none_or(|flags| flags.is_read.load(Ordering::Relaxed))
    }

    /// Returns whether reading failed because the client was too slow. The suitable response status is 408.
    #[must_use]
    pub fn is_too_slow(&self) -> bool {
        self.0.as_ref().is_some_and(|flags| flags.is_too_slow.load(Ordering::Relaxed))
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        match &mut self.get_mut().0 {
            Some(body) => Pin::new(body).poll_frame(context),
            None => Poll::Ready(None),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(Body::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), Body::size_hint)
    }
}

/// A body that fails if its content arrives below a minimum rate.
#[derive(Debug)]
struct MinRateBody<B> {
    content: B,
    rate: MinRate,
    flags: Arc<Flags>,
}

impl<B> MinRateBody<B> {
    fn new(content: B, min_rate: u64) -> Self {
        Self { content, rate: MinRate::new(min_rate), flags: Arc::default() }
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for MinRateBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.content).poll_frame(context) else {
            ready!(this.rate.poll_too_slow(context));
            this.flags.is_too_slow.store(true, Ordering::Relaxed);
            let error = io::Error::new(io::ErrorKind::TimedOut, "the client sends too slowly");
            return Poll::Ready(Some(Err(error.into())));
        };
        if let Some(Ok(frame)) = &frame {
            this.rate.count(frame.data_ref().map_or(0, Bytes::len));
        }
        if frame.is_none() || this.content.is_end_stream() {
            this.flags.is_read.store(true, Ordering::Relaxed);
        }
        Poll::Ready(frame.map(|frame| frame.map_err(Into::into)))
    }

    fn is_end_stream(&self) -> bool {
        self.content.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.content.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;
    use std::time::Duration;

    use futures_util::stream;
    use http_body_util::{BodyExt, StreamBody};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Reads content that arrives in pieces of `len` bytes every `pause` seconds. Returns the length, the progress, and the elapsed seconds.
    async fn read(pieces: usize, len: usize, pause: u64) -> (Result<usize, BoxError>, Progress, u64) {
        let pieces = stream::unfold(0, move |n| async move {
            sleep(Duration::from_secs(pause)).await;
            (n < pieces).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; len]))), n + 1))
        });
        let body = MinRateBody::new(StreamBody::new(Box::pin(pieces)), 100);
        let (begin, progress) = (Instant::now(), Progress(Some(Arc::clone(&body.flags))));
        assert!(!progress.is_read() && !progress.is_too_slow());
        let content = body.collect().await.map(|content| content.to_bytes().len());
        (content, progress, begin.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn content_below_the_minimum_rate_is_an_error() {
        for (pieces, len, pause, expected, latest) in [
            (10, 1000, 1, Some(10_000), 11),
            // Slow, but above the minimum.
            (1000, 1000, 9, Some(1_000_000), 9100),
            // Stalled, and too slow.
            (10, 1000, 3600, None, 31),
            (1000, 10, 1, None, 31),
        ] {
            let (content, progress, after) = read(pieces, len, pause).await;
            assert_eq!(content.as_ref().ok(), expected.as_ref(), "{pieces} {len} {pause}");
            assert_eq!(
                (progress.is_read(), progress.is_too_slow()),
                (expected.is_some(), expected.is_none())
            );
            assert!(after <= latest, "{pieces} {len} {pause}: {after}");
        }
    }

    #[test]
    fn an_empty_body_is_read_from_the_start() {
        assert!(RequestBody::empty().progress().is_read() && RequestBody::empty().is_end_stream());
    }
}
