//! The content of requests, limited as it comes.

use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::Request;
use http_body::{Frame, SizeHint};
use hyper::body::{Body, Incoming};

use super::paced::MinRate;

type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// The content of a request. It fails if the client sends less than `limits.min_rate` while it is waited for.
#[derive(Debug)]
pub(crate) struct RequestBody<B = Incoming> {
    content: B,
    rate: MinRate,
    progress: Progress,
}

/// How far the content of a request has been read. Clones are of the same content.
#[derive(Debug, Clone)]
pub(crate) struct Progress(Option<Arc<Flags>>);

#[derive(Debug, Default)]
struct Flags {
    is_read: AtomicBool,
    is_too_slow: AtomicBool,
}

impl Progress {
    /// Whether there is nothing left to read, as where there is no content.
    pub(crate) fn is_read(&self) -> bool {
        self.0.as_ref().is_none_or(|flags| flags.is_read.load(Ordering::Relaxed))
    }

    /// Whether the client was too slow.
    pub(crate) fn is_too_slow(&self) -> bool {
        self.0.as_ref().is_some_and(|flags| flags.is_too_slow.load(Ordering::Relaxed))
    }
}

impl<B: Body> RequestBody<B> {
    pub(super) fn limit(request: Request<B>, min_rate: u64) -> Request<Self> {
        request.map(|content| {
            let progress = Progress((!content.is_end_stream()).then(Arc::default));
            Self { content, rate: MinRate::new(min_rate), progress }
        })
    }

    pub(crate) fn progress(&self) -> Progress {
        self.progress.clone()
    }
}

impl<B: Body<Data = Bytes, Error: Into<BoxError>> + Unpin> Body for RequestBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let this = self.get_mut();
        let Poll::Ready(frame) = Pin::new(&mut this.content).poll_frame(context) else {
            ready!(this.rate.poll_too_slow(context));
            if let Some(flags) = &this.progress.0 {
                flags.is_too_slow.store(true, Ordering::Relaxed);
            }
            let error = io::Error::new(io::ErrorKind::TimedOut, "the client sends too slowly");
            return Poll::Ready(Some(Err(error.into())));
        };
        if let Some(Ok(frame)) = &frame {
            this.rate.count(frame.data_ref().map_or(0, Bytes::len));
        }
        if let Some(flags) = &this.progress.0
            && (frame.is_none() || this.content.is_end_stream())
        {
            flags.is_read.store(true, Ordering::Relaxed);
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
    use http_body_util::{BodyExt, Empty, StreamBody};
    use tokio::time::{Instant, sleep};

    use super::*;

    /// Content that comes in pieces of so many bytes, one each time so many seconds are over, and how its reading ends.
    async fn read(pieces: usize, len: usize, pause: u64) -> (Result<usize, BoxError>, Progress, u64) {
        let pieces = stream::unfold(0, move |n| async move {
            sleep(Duration::from_secs(pause)).await;
            (n < pieces).then(|| (Ok::<_, Infallible>(Frame::data(Bytes::from(vec![b'x'; len]))), n + 1))
        });
        let request = RequestBody::limit(Request::new(StreamBody::new(Box::pin(pieces))), 100);
        let (begin, progress) = (Instant::now(), request.body().progress());
        assert!(!progress.is_read() && !progress.is_too_slow());
        let content = request.into_body().collect().await.map(|content| content.to_bytes().len());
        (content, progress, begin.elapsed().as_secs())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_has_to_send_at_a_minimum_rate() {
        for (pieces, len, pause, expected, latest) in [
            (10, 1000, 1, Some(10_000), 11),
            // Slow, and as fast as it has to be.
            (1000, 1000, 9, Some(1_000_000), 9100),
            // It stalls, or drips.
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
    fn no_content_has_been_read() {
        let request = RequestBody::limit(Request::new(Empty::<Bytes>::new()), 100);
        assert!(request.body().progress().is_read());
    }
}
