//! Closes a connection whose client is still sending.
//!
//! The kernel resets a connection that is closed with unread bytes, and one whose client sends more bytes afterwards. Then the client may
//! lose the end of a response that it has not read yet, and its next write fails. So bytes are read until the client closes, too.

use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::task::Poll;
use std::time::Duration;

use tokio::io::{AsyncRead, ReadBuf};

use crate::deadline::Deadline;

/// How long the client may take to close the connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Linger {
    /// After its last bytes.
    quiet: Duration,
    /// In total.
    total: Duration,
}

impl Linger {
    /// After a request whose content was not read, and is not worth more of the network.
    pub(crate) const UNREAD_CONTENT: Self =
        Self { quiet: Duration::from_secs(2), total: Duration::from_secs(2) };
    /// After responses that a client of HTTP/2 is still receiving, for which it opens its windows.
    #[cfg(feature = "http2")]
    pub(crate) const OPEN_WINDOWS: Self =
        Self { quiet: Duration::from_secs(5), total: Duration::from_secs(60) };
}

/// Reads and drops bytes until the client closes the connection, or takes too long.
pub(crate) async fn linger(stream: &mut (impl AsyncRead + Unpin), limits: Linger) -> io::Result<()> {
    let mut quiet = Deadline::new(limits.quiet);
    let read_all = poll_fn(|context| {
        loop {
            let mut memory = [0; 4 << 10];
            let mut dropped = ReadBuf::new(&mut memory);
            if Pin::new(&mut *stream).poll_read(context, &mut dropped)?.is_pending() {
                return quiet.poll(context).map(Ok);
            }
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
            quiet.restart();
        }
    });
    tokio::time::timeout(limits.total, read_all).await.unwrap_or(Ok(()))
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;
    use tokio::time::Instant;

    use super::*;

    const LIMITS: Linger = Linger { quiet: Duration::from_secs(5), total: Duration::from_secs(60) };

    /// Returns after which time a connection ends whose client sends a byte in each pause, this many times, and then closes or waits.
    async fn end_after(pause: Duration, times: u32, closes: bool) -> Duration {
        let (mut near, mut far) = tokio::io::duplex(1 << 10);
        let sending = tokio::spawn(async move {
            for _ in 0..times {
                near.write_all(b"x").await.unwrap();
                tokio::time::sleep(pause).await;
            }
            if !closes {
                std::future::pending::<()>().await;
            }
        });
        let begin = Instant::now();
        linger(&mut far, LIMITS).await.unwrap();
        sending.abort();
        begin.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_lingers_while_its_client_sends() {
        let ms = Duration::from_millis;
        for (pause, times, closes, expected) in [
            (ms(10), 10, true, ms(100)),
            (ms(4000), 5, true, ms(20_000)),
            (ms(4000), 5, false, ms(16_000) + LIMITS.quiet),
            (ms(6000), 5, true, LIMITS.quiet),
            (ms(10), 100_000, true, LIMITS.total),
            (ms(10), 0, false, LIMITS.quiet),
        ] {
            let after = end_after(pause, times, closes).await;
            assert!(after.abs_diff(expected) < ms(20), "{pause:?} {times} {closes}: {after:?}");
        }
    }
}
