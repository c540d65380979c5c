//! Checks each request head before hyper reads it.
//!
//! hyper forgets what some checks need: it drops a fragment, and a length beside `Transfer-Encoding`. So the heads are checked as they
//! come. hyper gets one whole head at a time, then its content, then the next head.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use httparse::Status;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::Sleep;

use super::BUFFER;

/// The most fields that hyper reads.
pub(super) const FIELDS: usize = 100;
/// How long a client that still sends content may go on after the response, so that it is not reset before it has read that.
const LINGER: Duration = Duration::from_secs(2);
/// The head that hyper reads instead of a refused one: it answers 400 and closes.
const MALFORMED: &[u8] = b"\0\r\n\r\n";

/// A stream of which hyper reads the requests.
#[derive(Debug)]
pub(super) struct HeadGate<T> {
    io: T,
    next: Next,
    /// What was read and not given on.
    held: Vec<u8>,
    /// How much of it may be given on.
    allowed: usize,
    /// Whether it is the beginning of a head, and no more.
    is_partial: bool,
    /// Since the response has ended.
    linger: Option<Pin<Box<Sleep>>>,
}

/// What comes next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Next {
    Head,
    /// So much content, in bytes.
    Content(u64),
    /// No other head: hyper closes the connection after the one it has.
    Rest,
}

impl<T> HeadGate<T> {
    pub(super) fn new(io: T) -> Self {
        Self { io, next: Next::Head, held: Vec::new(), allowed: 0, is_partial: false, linger: None }
    }

    /// Decides how much of these bytes, the next ones, is given on. `None` refuses the head that they begin with.
    fn allow(&mut self, bytes: &[u8]) -> Option<usize> {
        match self.next {
            Next::Head => {
                let (next, len) = read_head(bytes)?;
                self.next = next;
                Some(len)
            }
            Next::Content(left) => {
                let count = usize::try_from(left).map_or(bytes.len(), |left| left.min(bytes.len()));
                self.next = match left - count as u64 {
                    0 => Next::Head,
                    left => Next::Content(left),
                };
                Some(count)
            }
            Next::Rest => Some(bytes.len()),
        }
    }

    /// Gives on what is allowed of what is held. False if that is nothing.
    fn give(&mut self, buffer: &mut ReadBuf<'_>) -> bool {
        if self.allowed == 0 && !self.held.is_empty() && !self.is_partial {
            let held = std::mem::take(&mut self.held);
            self.held = match self.allow(&held) {
                Some(allowed) => {
                    (self.allowed, self.is_partial) = (allowed, allowed == 0);
                    held
                }
                None => self.refuse(),
            };
        }
        let count = self.allowed.min(buffer.remaining());
        buffer.put_slice(self.held.get(..count).unwrap_or_default());
        self.held.drain(..count);
        self.allowed -= count;
        if self.held.is_empty() {
            // An idle connection holds no buffer.
            self.held = Vec::new();
        }
        count > 0
    }

    fn refuse(&mut self) -> Vec<u8> {
        self.next = Next::Rest;
        self.allowed = MALFORMED.len();
        MALFORMED.to_vec()
    }
}

/// The length of the head that these bytes begin with, and what follows it. The length is zero if the head is not whole. `None` refuses it.
///
/// What hyper refuses anyway is given on.
fn read_head(bytes: &[u8]) -> Option<(Next, usize)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    match head.parse(bytes) {
        Ok(Status::Complete(len)) => Some((check(&head)?, len)),
        Ok(Status::Partial) if bytes.len() < BUFFER => Some((Next::Head, 0)),
        Ok(Status::Partial) | Err(_) => Some((Next::Rest, bytes.len())),
    }
}

/// What follows a head; `None` if it is to be refused.
fn check(head: &httparse::Request<'_, '_>) -> Option<Next> {
    let named = |name: &'static str| {
        head.headers
            .iter()
            .filter(move |field| field.name.eq_ignore_ascii_case(name))
            .map(|field| field.value)
    };
    // A target has no fragment (RFC 9112 section 3.2), and HTTP/1.1 has one host.
    let (hosts, is_current) = (named("host").count(), head.version == Some(1));
    if head.path?.contains('#') || hosts > 1 || is_current && hosts == 0 {
        return None;
    }
    let mut lengths = named("content-length");
    match (lengths.next(), lengths.next(), named("transfer-encoding").next()) {
        (None, None, None) => Some(Next::Head),
        // Where chunks end only hyper knows, so what is behind them is not read as a request.
        (None, None, Some(_)) => Some(Next::Rest),
        (Some(length), None, None) if length.iter().all(u8::is_ascii_digit) => {
            match std::str::from_utf8(length).ok()?.parse().ok()? {
                0 => Some(Next::Head),
                length => Some(Next::Content(length)),
            }
        }
        // Two lengths, or none (RFC 9112 section 6.3).
        _ => None,
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for HeadGate<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if buffer.remaining() == 0 || this.give(buffer) {
                return Poll::Ready(Ok(()));
            }
            // Nearly always all that comes is given on, from where it was read to.
            let begin = buffer.filled().len();
            ready!(Pin::new(&mut this.io).poll_read(context, buffer))?;
            let came = buffer.filled().get(begin..).unwrap_or_default();
            if came.is_empty() {
                if this.held.is_empty() {
                    return Poll::Ready(Ok(()));
                }
                // It ended in the middle of a head.
                (this.next, this.allowed) = (Next::Rest, this.held.len());
                continue;
            }
            if this.held.is_empty()
                && let Some(count @ 1..) = this.allow(came)
            {
                this.held.extend_from_slice(came.get(count..).unwrap_or_default());
                buffer.set_filled(begin + count);
                return Poll::Ready(Ok(()));
            }
            this.held.extend_from_slice(came);
            this.is_partial = false;
            buffer.set_filled(begin);
        }
    }
}

impl<T: AsyncRead + AsyncWrite + Unpin> AsyncWrite for HeadGate<T> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    /// Ends the responses. What the client still sends is read and dropped for a while: a connection that is closed with unread bytes is
    /// reset, and its client may lose the response.
    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.io).poll_shutdown(context))?;
            if this.next == Next::Head && this.held.is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
        let linger = this.linger.get_or_insert_with(|| Box::pin(tokio::time::sleep(LINGER)));
        if linger.as_mut().poll(context).is_ready() {
            return Poll::Ready(Ok(()));
        }
        let mut memory = [0; 4 << 10];
        loop {
            let mut dropped = ReadBuf::new(&mut memory);
            ready!(pin!(&mut this.io).poll_read(context, &mut dropped))?;
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    #[test]
    fn heads_and_what_follows_them() {
        let get = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let (head, rest) = (Some(Next::Head), Some(Next::Rest));
        for (bytes, expected) in [
            (get(""), head),
            (get("Content-Length: 0\r\n"), head),
            (get("Content-Length: 12\r\n"), Some(Next::Content(12))),
            (get("Transfer-Encoding: chunked\r\n"), rest),
            // hyper refuses these.
            (get("Transfer-Encoding: gzip\r\n"), rest),
            (get("Host : x\r\n"), rest),
            ("\x16\x03\x01".into(), rest),
            ("GET  /a HTTP/1.1\r\n".into(), rest),
            // And these are refused here.
            (get("Host: x\r\n"), None),
            (get("hOST: y\r\n"), None),
            (get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), None),
            (get("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), None),
            (get("Content-Length: 1\r\nContent-Length: 1\r\n"), None),
            (get("Content-Length: 1, 1\r\n"), None),
            (get("Content-Length: +1\r\n"), None),
            (get("Content-Length: \r\n"), None),
            (get("Content-Length: 99999999999999999999\r\n"), None),
            (get("").replace("/a", "/a#b"), None),
            (get("").replace("/a", "/#"), None),
            ("GET /a HTTP/1.1\r\n\r\n".into(), None),
            ("GET http://x/a HTTP/1.1\r\n\r\n".into(), None),
            ("POST /a HTTP/1.1\r\n\r\n".into(), None),
            ("GET /a HTTP/1.1\n\n".into(), None),
            // HTTP/1.0 needs no host.
            ("GET /a HTTP/1.0\r\n\r\n".into(), head),
            ("GET /a HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n".into(), None),
        ] {
            let next = read_head(bytes.as_bytes());
            assert_eq!(next.map(|(next, _)| next), expected, "{bytes:?}");
            assert!(next.is_none_or(|(_, len)| len == bytes.len()), "{bytes:?}");
        }
        // An incomplete head waits, up to a length.
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(BUFFER));
        assert_eq!(read_head(&long.as_bytes()[..BUFFER - 1]), Some((Next::Head, 0)));
        assert_eq!(read_head(&long.as_bytes()[..BUFFER]), Some((Next::Rest, BUFFER)));
    }

    /// What is read through a gate of bytes that come in these pieces, by reads of this many bytes: each read by itself.
    async fn reads(pieces: Vec<Vec<u8>>, len: usize) -> Vec<Vec<u8>> {
        let (mut near, far) = tokio::io::duplex(64 << 10);
        let mut gate = HeadGate::new(far);
        let mut reads = Vec::new();
        let mut memory = vec![0; len];
        let send = async {
            for piece in pieces {
                near.write_all(&piece).await.unwrap();
                tokio::task::yield_now().await;
            }
            drop(near);
        };
        let read = async {
            while let count @ 1.. = gate.read(&mut memory).await.unwrap() {
                reads.push(memory[..count].to_vec());
            }
        };
        tokio::join!(send, read);
        reads
    }

    #[tokio::test]
    async fn hyper_gets_one_head_at_a_time() {
        let (get, post) =
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n");
        let bytes = [get, get, post, "hello", get, "GET / HT"].concat();
        let expected: Vec<_> =
            [get, get, post, "hello", get, "GET / HT"].iter().map(|text| text.as_bytes().to_vec()).collect();
        assert_eq!(reads(vec![bytes.clone().into_bytes()], 1 << 10).await, expected);
        let single: Vec<_> = bytes.bytes().map(|byte| vec![byte]).collect();
        assert_eq!(reads(single, 1 << 10).await[..3], expected[..3], "a head is given on when it is whole");
        // What follows a head that is refused is never read.
        let bytes = [get, "GET /#a HTTP/1.1\r\nHost: x\r\n\r\n", get].concat();
        let read = reads(vec![bytes.into_bytes()], 1 << 10).await;
        assert_eq!(read, [get.as_bytes(), MALFORMED]);
    }

    const PIECES: [&[u8]; 12] = [
        b"GET / HTTP/1.1\r\nHost: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 7\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\n",
        b"Accept: y\r\n",
        b"\r\n",
        b"\n",
        b"hello, ",
        b"1\r\nx\r\n0\r\n\r\n",
        b"\0",
        b"GET",
        b" ",
    ];

    proptest! {
        /// Nothing is lost, added or put in another order, however it comes and is read.
        #[test]
        fn what_is_not_refused_is_given_on_as_it_is(
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
            cut in 1_usize..40,
            len in 1_usize..100,
        ) {
            let bytes = pieces.concat();
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let read = runtime.block_on(reads(bytes.chunks(cut).map(<[u8]>::to_vec).collect(), len)).concat();
            let is_refused = read.ends_with(MALFORMED) && !bytes.ends_with(MALFORMED);
            let given = read.strip_suffix(MALFORMED).filter(|_| is_refused).unwrap_or(&read);
            prop_assert!(bytes.starts_with(given));
            prop_assert!(is_refused || given.len() == bytes.len());
        }
    }

    /// A client that still sends gets the whole response, and is let go after a while.
    #[tokio::test(start_paused = true)]
    async fn what_is_still_sent_after_the_response_is_dropped_for_a_while() {
        for (request, lingers) in [
            ("GET / HTTP/1.1\r\nHost: x\r\n\r\n", false),
            ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 900000\r\n\r\nhello", true),
            ("POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", true),
        ] {
            let (mut near, far) = tokio::io::duplex(1 << 10);
            let mut gate = HeadGate::new(far);
            near.write_all(request.as_bytes()).await.unwrap();
            assert!(gate.read(&mut [0; 1 << 10]).await.unwrap() > 0);
            let sending = tokio::spawn(async move {
                while near.write_all(&[b'x'; 100]).await.is_ok() {
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            });
            let begin = tokio::time::Instant::now();
            gate.shutdown().await.unwrap();
            assert_eq!(begin.elapsed() >= LINGER, lingers, "{request}");
            drop(gate);
            sending.await.unwrap();
        }
    }
}
