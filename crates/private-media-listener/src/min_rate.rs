//! Disconnects clients that receive a response or send content too slowly.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, Sleep};

/// The time over which the rate is averaged. It is longer than a typical loss of connectivity, such as in a tunnel.
const WINDOW: Duration = Duration::from_secs(30);

/// Measures whether a client transfers a minimum number of bytes per second, averaged over [`WINDOW`]. A window counts only if the server
/// is waiting for the client when it ends.
#[derive(Debug)]
pub(crate) struct MinRate {
    bytes_per_second: u64,
    window: Duration,
    /// The end of the current window; `None` before the first wait.
    end: Option<Pin<Box<Sleep>>>,
    /// The number of bytes that were transferred in the window.
    count: u64,
    is_waiting: bool,
    is_too_slow: bool,
}

impl MinRate {
    pub(crate) fn new(bytes_per_second: u64) -> Self {
        Self { bytes_per_second, window: WINDOW, end: None, count: 0, is_waiting: false, is_too_slow: false }
    }

    /// Like [`MinRate::new`], for transfers that are counted in steps of this many bytes. A window is longer by the time that a step may
    /// take.
    #[cfg(feature = "http2")]
    pub(crate) fn in_steps(bytes_per_second: u64, step: u64) -> Self {
        let step = step.checked_div(bytes_per_second).map_or(Duration::ZERO, Duration::from_secs);
        Self { window: WINDOW + step, ..Self::new(bytes_per_second) }
    }

    /// Counts transferred bytes.
    pub(crate) fn count(&mut self, bytes: usize) {
        let was_waiting = std::mem::take(&mut self.is_waiting);
        if self.end.take_if(|end| end.deadline() <= Instant::now()).is_some() {
            // Bytes that arrive after the end of a window do not count for it.
            self.is_too_slow |= was_waiting && self.is_below();
        }
        self.count = self.count.saturating_add(bytes as u64);
    }

    fn is_below(&self) -> bool {
        self.count < self.bytes_per_second.saturating_mul(WINDOW.as_secs())
    }

    /// Starts a new window at the next wait.
    pub(crate) fn restart(&mut self) {
        self.end = None;
        self.is_waiting = false;
    }

    /// Registers a wait for the client. Ready when the client is too slow.
    pub(crate) fn poll_too_slow(&mut self, context: &mut Context<'_>) -> Poll<()> {
        if self.is_too_slow {
            return Poll::Ready(());
        }
        if !std::mem::replace(&mut self.is_waiting, true) {
            self.end.take_if(|end| end.deadline() <= Instant::now());
        }
        loop {
            let end = self.end.get_or_insert_with(|| {
                self.count = 0;
                Box::pin(tokio::time::sleep(self.window))
            });
            ready!(end.as_mut().poll(context));
            if self.is_below() {
                self.is_too_slow = true;
                return Poll::Ready(());
            }
            self.end = None;
        }
    }
}

/// A stream whose writes may wait for the peer or for the disk.
pub(crate) trait WaitsForPeer {
    /// Returns whether a pending write waits for the peer.
    fn waits_for_peer(&self) -> bool;
}

/// A stream whose writes fail if the peer receives below a minimum rate. Reads are limited elsewhere: heads by a deadline, content by
/// [`RequestBody`](crate::RequestBody).
#[derive(Debug)]
pub(crate) struct MinRateStream<T> {
    io: T,
    rate: MinRate,
    /// The number of bytes that were written.
    written: u64,
}

impl<T> MinRateStream<T> {
    pub(crate) fn new(io: T, min_rate: u64) -> Self {
        Self { io, rate: MinRate::new(min_rate), written: 0 }
    }

    /// Returns the number of bytes that the operating system has accepted since the connection began.
    pub(crate) fn written(&self) -> u64 {
        self.written
    }

    pub(crate) fn io_mut(&mut self) -> &mut T {
        &mut self.io
    }
}

impl<T: WaitsForPeer> MinRateStream<T> {
    /// Polls another kind of write than those of [`AsyncWrite`], such as sendfile(2).
    pub(crate) fn poll_with(
        &mut self,
        context: &mut Context<'_>,
        write: impl FnOnce(&mut T, &mut Context<'_>) -> Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        let written = write(&mut self.io, context);
        self.pace(context, written)
    }

    fn pace(
        &mut self,
        context: &mut Context<'_>,
        written: Poll<io::Result<usize>>,
    ) -> Poll<io::Result<usize>> {
        if let Poll::Ready(result) = written {
            let count = result.as_ref().map_or(0, |count| *count);
            self.rate.count(count);
            self.written = self.written.saturating_add(count as u64);
            return Poll::Ready(result);
        }
        if !self.io.waits_for_peer() {
            self.rate.restart();
            return Poll::Pending;
        }
        ready!(self.rate.poll_too_slow(context));
        Poll::Ready(Err(io::Error::new(io::ErrorKind::TimedOut, "the client receives too slowly")))
    }
}

impl<T: AsyncWrite + WaitsForPeer + Unpin> AsyncWrite for MinRateStream<T> {
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

impl<T: AsyncRead + Unpin> AsyncRead for MinRateStream<T> {
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

    impl WaitsForPeer for tokio::io::DuplexStream {
        fn waits_for_peer(&self) -> bool {
            true
        }
    }

    /// Writes one mebibyte to a client that reads `bytes` every `pause`. Returns the result and the elapsed time.
    async fn write_to_client(bytes: usize, pause: Duration) -> (io::Result<()>, Duration) {
        let (near, mut far) = tokio::io::duplex(1024);
        let mut near = MinRateStream::new(near, 100);
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
    async fn a_stalled_client_is_disconnected() {
        let (result, after) = write_to_client(0, Duration::ZERO).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(after <= Duration::from_secs(31), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_below_the_minimum_rate_is_disconnected() {
        let (result, after) = write_to_client(10, Duration::from_secs(1)).await;
        assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
        assert!(after <= Duration::from_secs(62), "{after:?}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_few_bytes_at_the_end_of_each_window_are_too_slow() {
        for pause in [WINDOW, WINDOW / 2, WINDOW / 30] {
            let (result, after) = write_to_client(10, pause).await;
            assert_eq!(result.unwrap_err().kind(), io::ErrorKind::TimedOut);
            assert!(after <= 2 * WINDOW, "{pause:?} {after:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn time_without_a_pending_write_does_not_count() {
        let (near, mut far) = tokio::io::duplex(10);
        let mut near = MinRateStream::new(near, 100);
        for _ in 0..10 {
            let (written, _) = tokio::join!(near.write_all(&[0; 20]), async {
                tokio::time::sleep(Duration::from_secs(1)).await;
                far.read_exact(&mut [0; 20]).await
            });
            written.unwrap();
            tokio::time::sleep(WINDOW).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_above_the_minimum_rate_is_served() {
        let (result, after) = write_to_client(512, Duration::from_secs(2)).await;
        result.unwrap();
        assert!(after > Duration::from_secs(60 * 60), "{after:?}");
    }
}
