//! Limits the control frames of a client.
//!
//! A frame such as PING costs the client a few bytes, and the server more. A client needs few of them, and many only with requests and
//! downloads. So a connection has a budget that grows with time, with requests and with what the server sends. A client that exceeds it is
//! disconnected, and pays for the next handshake (RFC 9113 section 10.5; CVE-2019-9511 and its relatives, CVE-2023-44487).

use std::io::{self, ErrorKind, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Instant;

/// The length of the connection preface (RFC 9113 section 3.4). It is not a frame.
const PREFACE: usize = 24;
const HEADER: usize = 9;
/// The largest budget, and that of a new connection.
const MAX_BUDGET: u64 = 1000;
/// What the budget grows by in a second.
const PER_SECOND: u64 = 100;
/// What the budget grows by with a request.
const PER_REQUEST: u64 = 2;
/// The number of bytes to the client that the budget grows by one with: a client may open its windows again for each received kibibyte.
const BYTES_PER_UNIT: u64 = 1024;

/// The frame types (RFC 9113 section 6) that cost more, or less, than one.
const DATA: u8 = 0;
const HEADERS: u8 = 1;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
/// A stream with this flag has ended.
const END_STREAM: u8 = 1;
/// A frame of content that is shorter costs as much as a control frame, unless it is the last.
const SHORT_DATA: usize = 64;

/// The budget of a connection.
#[derive(Debug)]
struct Budget {
    left: u64,
    /// The bytes to the client that did not count yet.
    sent: u64,
    /// Until when time has counted.
    since: Instant,
}

impl Budget {
    fn new() -> Self {
        Self { left: MAX_BUDGET, sent: 0, since: Instant::now() }
    }

    fn add(&mut self, units: u64) {
        self.left = self.left.saturating_add(units).min(MAX_BUDGET);
    }

    /// Takes the cost of a frame. Returns whether the budget was enough.
    fn take(&mut self, units: u64) -> bool {
        if units > self.left {
            self.add(self.sent / BYTES_PER_UNIT);
            self.sent %= BYTES_PER_UNIT;
            let earned = self.since.elapsed().as_millis().saturating_mul(PER_SECOND.into()) / 1000;
            if earned > 0 {
                self.since = Instant::now();
                self.add(u64::try_from(earned).unwrap_or(MAX_BUDGET));
            }
        }
        let is_enough = units <= self.left;
        self.left = self.left.saturating_sub(units);
        is_enough
    }
}

/// Finds the frames in the bytes of a client.
#[derive(Debug)]
struct Frames {
    /// The bytes to skip before the next header.
    skip: usize,
    header: [u8; HEADER],
    /// The number of bytes of the header that were received.
    received: usize,
}

impl Frames {
    fn new() -> Self {
        Self { skip: PREFACE, header: [0; HEADER], received: 0 }
    }

    /// Calls a function with type, flags and length of each frame that begins in these bytes.
    fn scan(&mut self, mut bytes: &[u8], mut on_frame: impl FnMut(u8, u8, usize)) {
        loop {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            bytes = bytes.get(skipped..).unwrap_or_default();
            if bytes.is_empty() {
                return;
            }
            let count = (HEADER - self.received).min(bytes.len());
            let (now, rest) = bytes.split_at(count);
            if let Some(room) = self.header.get_mut(self.received..self.received + count) {
                room.copy_from_slice(now);
            }
            (self.received, bytes) = (self.received + count, rest);
            if self.received < HEADER {
                return;
            }
            self.received = 0;
            let [a, b, c, kind, flags, ..] = self.header;
            let len = u32::from_be_bytes([0, a, b, c]) as usize;
            self.skip = len;
            on_frame(kind, flags, len);
        }
    }
}

/// A stream that fails if the control frames that are read from it exceed the budget.
#[derive(Debug)]
pub(super) struct FrameBudget<T> {
    io: T,
    frames: Frames,
    budget: Budget,
}

impl<T> FrameBudget<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, frames: Frames::new(), budget: Budget::new() }
    }

    /// Returns whether the budget was enough for the frames in these bytes.
    fn pay(&mut self, bytes: &[u8]) -> bool {
        let (budget, mut is_enough) = (&mut self.budget, true);
        self.frames.scan(bytes, |kind, flags, len| {
            let cost = match kind {
                HEADERS => {
                    budget.add(PER_REQUEST);
                    0
                }
                DATA if len >= SHORT_DATA || flags & END_STREAM != 0 => 0,
                // An answer, which costs the most.
                SETTINGS | RST_STREAM => 10,
                PING => 2,
                _ => 1,
            };
            is_enough &= budget.take(cost);
        });
        is_enough
    }

    fn count_sent(&mut self, sent: Poll<io::Result<usize>>) -> Poll<io::Result<usize>> {
        if let Poll::Ready(Ok(count)) = &sent {
            self.budget.sent = self.budget.sent.saturating_add(*count as u64);
        }
        sent
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for FrameBudget<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let begin = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(context, buffer))?;
        if self.pay(buffer.filled().get(begin..).unwrap_or_default()) {
            Poll::Ready(Ok(()))
        } else {
            Poll::Ready(Err(io::Error::new(ErrorKind::ConnectionAborted, "too many control frames")))
        }
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for FrameBudget<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.io).poll_write(context, bytes);
        self.count_sent(sent)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let sent = Pin::new(&mut self.io).poll_write_vectored(context, slices);
        self.count_sent(sent)
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn frame(kind: u8, flags: u8, payload: &[u8]) -> Vec<u8> {
        let len = u32::try_from(payload.len()).unwrap().to_be_bytes();
        [&len[1..], &[kind, flags, 0, 0, 0, 1], payload].concat()
    }

    #[test]
    fn frames_are_found_however_the_bytes_are_split() {
        let frames = [frame(4, 0, &[0; 6]), frame(0, 1, b""), frame(1, 5, &[7; 300]), frame(6, 0, &[1; 8])];
        let bytes = [b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), frames.concat()].concat();
        for step in [1, 2, 5, 8, 9, 10, 24, 33, 1000] {
            let (mut frames, mut found) = (Frames::new(), Vec::new());
            for part in bytes.chunks(step) {
                frames.scan(part, |kind, flags, len| found.push((kind, flags, len)));
            }
            assert_eq!(found, [(4, 0, 6), (0, 1, 0), (1, 5, 300), (6, 0, 8)], "{step}");
        }
    }

    /// Returns how many of these frames a new connection may send at once.
    fn allowed(frames: &[Vec<u8>]) -> usize {
        let mut stream = FrameBudget::new(());
        assert!(stream.pay(&[0; PREFACE]));
        let bytes = frames.concat();
        (0..10_000).take_while(|_| stream.pay(&bytes)).count()
    }

    #[tokio::test(start_paused = true)]
    async fn control_frames_are_limited_and_requests_are_not() {
        let (request, content) = (frame(1, 5, &[0; 30]), frame(0, 0, &[0; 1000]));
        let update = frame(8, 0, &[0, 0, 1, 0]);
        for (frames, expected) in [
            (vec![request.clone()], 10_000),
            (vec![content], 10_000),
            (vec![request.clone(), update.clone(), update.clone()], 10_000),
            (vec![frame(6, 0, &[0; 8])], 500),
            (vec![frame(4, 0, b"")], 100),
            (vec![frame(0, 0, b"")], 1000),
            (vec![frame(0, 0, b"x")], 1000),
            (vec![frame(9, 0, b"")], 1000),
            (vec![frame(200, 0, b"")], 1000),
            (vec![update], 1000),
            (vec![request, frame(3, 0, &[0; 4])], 125),
        ] {
            let count = allowed(&frames);
            assert!(count.abs_diff(expected) <= 1, "{frames:?}: {count}, expected {expected}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_budget_grows_with_time_and_with_what_is_sent() {
        let mut budget = Budget::new();
        assert!(budget.take(MAX_BUDGET) && !budget.take(1));
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(budget.take(PER_SECOND) && !budget.take(1));
        budget.sent = 10 * BYTES_PER_UNIT;
        assert!(budget.take(10) && !budget.take(1));
        tokio::time::advance(Duration::from_secs(3600)).await;
        assert!(budget.take(MAX_BUDGET) && !budget.take(1));
    }
}
