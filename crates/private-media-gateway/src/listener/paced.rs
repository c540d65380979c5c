//! A connection that gives up on a client who takes its response too slowly.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// Over which time the rate is taken: long enough that a train's tunnel is no offence.
const WINDOW: Duration = Duration::from_secs(30);

/// While writes wait for the client, it has to take at least `min_rate` bytes a second, averaged over half a minute. Reads are
/// not its business: how long a request's head and content may take is limited where they are read.
#[derive(Debug)]
pub(crate) struct Paced<T> {
    io: T,
    min_rate: u64,
    /// When the present window ends, once a write has had to wait.
    end: Option<Pin<Box<Sleep>>>,
    /// How many bytes it has taken in the window.
    taken: u64,
}

impl<T> Paced<T> {
    pub(crate) fn new(io: T, min_rate: u64) -> Self {
        Self { io, min_rate, end: None, taken: 0 }
    }

    pub(crate) fn io(&self) -> &T {
        &self.io
    }

    pub(crate) fn io_mut(&mut self) -> &mut T {
        &mut self.io
    }

    fn pace(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            // A window that ended while nothing waited is over: the connection was idle.
            self.end.take_if(|end| end.is_elapsed() || end.deadline() < Instant::now());
            self.taken = self.taken.saturating_add(result.as_ref().map_or(0, |n| *n as u64));
            return Poll::Ready(result);
        }
        let now = Instant::now();
        // What was taken in a window that nobody waited through to its end says nothing about now.
        let current = self.end.take_if(|end| end.deadline() + WINDOW >= now);
        let end = self.end.insert(current.unwrap_or_else(|| {
            self.taken = 0;
            Box::pin(tokio::time::sleep(WINDOW))
        }));
        loop {
            ready!(end.as_mut().poll(context));
            if self.taken < self.min_rate.saturating_mul(WINDOW.as_secs()) {
                return Poll::Ready(Err(io::Error::new(
                    io::ErrorKind::TimedOut,
                    "the client takes too little",
                )));
            }
            self.taken = 0;
            end.as_mut().reset(Instant::now() + WINDOW);
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Paced<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(context, bytes);
        self.pace(context, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write_vectored(context, bytes);
        self.pace(context, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Paced<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(context, buffer)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    /// How long a writer of a MiB lasts whose reader takes `bytes` every `pause`.
    async fn lasts(bytes: usize, pause: Duration) -> (io::Result<()>, Duration) {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut near = Paced::new(near, 100);
        let begin = Instant::now();
        let reader = tokio::spawn(async move {
            let mut buffer = vec![0; bytes];
            while bytes > 0 && matches!(far.read(&mut buffer).await, Ok(n) if n > 0) {
                tokio::time::sleep(pause).await;
            }
            std::future::pending::<()>().await;
        });
        let result = near.write_all(&vec![0; 1 << 20]).await;
        reader.abort();
        (result, begin.elapsed())
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_takes_nothing_is_left() {
        let (result, after) = lasts(0, Duration::ZERO).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(after <= Duration::from_secs(31), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_who_dribbles_is_left() {
        let (result, after) = lasts(10, Duration::from_secs(1)).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(after <= Duration::from_secs(62), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_client_is_served() {
        let (result, after) = lasts(512, Duration::from_secs(2)).await;
        result.unwrap();
        assert!(after > Duration::from_secs(60 * 60), "{after:?}");
    }
}
