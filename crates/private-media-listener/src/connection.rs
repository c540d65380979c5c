//! The loop that serves a connection.
//!
//! [`Connection::run`] reads a head, responds, and reads the next head. `fallback.rs` serves each request that the loop does not serve
//! itself. Afterwards the loop continues.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::StatusCode;
use tokio::io::{AsyncRead, AsyncWriteExt, ReadBuf};

use crate::deadline::Deadline;
use crate::drain::Drain;
use crate::fallback;
use crate::handler::{Handler, final_status};
use crate::head::parse::{BUFFER, HeadParser, Message, Parsed};
use crate::head::write::{self, Framing};
use crate::limits::Limits;
use crate::min_rate::MinRateStream;
use crate::page_cache::{self, FileKey};
use crate::peer::{self, PeerState};
use crate::piece::{FileSlice, Piece, ResponseBody, poll_piece};
use crate::sendfile::{self, MAX_SLICE, Transport};
use crate::stats::Stats;

/// The longest response that is sent from one buffer, in bytes. One send(2) is cheaper than several, even with the copy. For the same
/// reason, shorter slices of files are read instead of sent with sendfile(2).
const JOINED: usize = 16 << 10;
/// The length of one read of a slice that sendfile(2) cannot send, in bytes.
const CHUNK: u64 = 64 << 10;
/// How long bytes that the client still sends are read after the last response. The kernel resets a connection that is closed with unread
/// bytes, and the client may lose the response.
const LINGER: Duration = Duration::from_secs(2);
/// How long a connection without a request stays open while the server is draining: a request may be on its way.
const DRAIN_GRACE: Duration = Duration::from_millis(250);

thread_local! {
    /// The buffers of requests and responses. Connections of a thread share them, so an idle connection holds no buffer.
    static READ_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    static WRITE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// The next event on a connection.
enum Next {
    /// A request that the loop serves. The parser has its head.
    Request,
    /// A request for the fallback.
    Fallback(Message),
    /// An invalid head, and the status of the response.
    Refused(StatusCode),
    /// The end: the client has closed, the head timed out, or the server is draining.
    Closed,
}

/// A connection, and everything that is needed to serve it.
pub(crate) struct Connection<H, T> {
    stream: MinRateStream<T>,
    peer: PeerState,
    handler: H,
    limits: Limits,
    drain: Drain,
    /// Bytes that were received and not parsed yet.
    unread: Vec<u8>,
    stats: Arc<Stats>,
    parser: HeadParser,
    /// Whether `unread` is an incomplete head that was parsed already.
    is_partial: bool,
    deadline: Deadline,
}

impl<H: Handler, T: Transport> Connection<H, T> {
    pub(crate) fn new(
        stream: T,
        peer: PeerState,
        handler: H,
        limits: Limits,
        drain: Drain,
        stats: Arc<Stats>,
    ) -> Self {
        Self {
            stream: MinRateStream::new(stream, limits.min_rate),
            peer,
            handler,
            limits,
            drain,
            unread: Vec::new(),
            stats,
            parser: HeadParser::new(),
            is_partial: false,
            deadline: Deadline::new(limits.header_timeout),
        }
    }

    /// Serves requests until the connection ends.
    pub(crate) async fn run(mut self) -> io::Result<()> {
        loop {
            self.deadline.restart();
            let continues = match poll_fn(|context| self.poll_next(context)).await? {
                Next::Request => {
                    self.stats.count_fast_request();
                    self.handler.refresh();
                    self.respond().await?
                }
                Next::Fallback(message) => {
                    self.stats.count_fallback_request();
                    self.handler.refresh();
                    // Boxed, so that the large and rare future takes no space in the state of each connection.
                    Box::pin(self.serve_by_fallback(message)).await?
                }
                Next::Refused(status) => {
                    self.refuse(status).await?;
                    false
                }
                Next::Closed => false,
            };
            if !continues {
                self.stream.io_mut().end();
                return Ok(());
            }
        }
    }

    /// Serves a request with hyper. Returns whether the connection stays open.
    async fn serve_by_fallback(&mut self, message: Message) -> io::Result<bool> {
        let unread = std::mem::take(&mut self.unread);
        let context = fallback::ConnectionContext {
            handler: &self.handler,
            peer: &self.peer,
            drain: &self.drain,
            min_rate: self.limits.min_rate,
        };
        let served = fallback::serve(&mut self.stream, unread, message, context).await;
        if served.is_complete {
            self.unread = served.unread;
        } else {
            self.close(served.may_be_sending).await?;
        }
        served.result.map(|()| served.is_complete)
    }

    /// Waits for the next request, until its head times out.
    fn poll_next(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Next>> {
        loop {
            // Clients may pipeline requests.
            if !self.unread.is_empty() && !self.is_partial {
                let bytes = std::mem::take(&mut self.unread);
                if let Some(next) = self.parse(&bytes) {
                    return Poll::Ready(Ok(next));
                }
            }
            let mut buffer = READ_BUFFER.take();
            buffer.clear();
            buffer.reserve(BUFFER);
            buffer.extend_from_slice(&self.unread);
            let next = match self.stream.io_mut().poll_read_append(context, &mut buffer) {
                Poll::Ready(Ok(0)) => Some(Ok(Next::Closed)),
                Poll::Ready(Ok(_)) => self.parse(&buffer).map(Ok),
                Poll::Ready(Err(error)) => Some(Err(error)),
                Poll::Pending => {
                    READ_BUFFER.set(buffer);
                    return self.poll_idle(context).map(|()| Ok(Next::Closed));
                }
            };
            READ_BUFFER.set(buffer);
            if let Some(next) = next {
                return Poll::Ready(next);
            }
        }
    }

    /// Parses the head at the beginning of these bytes, and stores the rest in `unread`. Returns `None` if the head is incomplete.
    fn parse(&mut self, bytes: &[u8]) -> Option<Next> {
        let (next, taken) = match self.parser.parse(bytes) {
            Parsed::Fast(len) => (Some(Next::Request), len),
            Parsed::Fallback(message) => (Some(Next::Fallback(message)), 0),
            Parsed::Refused(status) => (Some(Next::Refused(status)), 0),
            Parsed::Partial => (None, 0),
        };
        self.is_partial = next.is_none();
        self.unread.clear();
        self.unread.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        next
    }

    /// Ready when the head has timed out. While the server is draining and no request has begun, that is soon.
    fn poll_idle(&mut self, context: &mut Context<'_>) -> Poll<()> {
        self.drain.register(context);
        if self.unread.is_empty() && self.drain.has_started() {
            self.deadline.shorten(DRAIN_GRACE);
        }
        self.deadline.poll(context)
    }

    /// Responds to the request whose head the parser has. Returns whether the connection stays open.
    async fn respond(&mut self) -> io::Result<bool> {
        let mut response = {
            let mut response = pin!(self.handler.respond_to_head(&mut self.parser.head, &self.peer));
            // Most responses are ready immediately. The client is watched only while a response is pending.
            match poll_fn(|context| Poll::Ready(response.as_mut().poll(context))).await {
                Poll::Ready(response) => response,
                Poll::Pending => {
                    let poll_closed = |context: &mut Context<'_>| self.stream.io_mut().poll_closed(context);
                    peer::response_or_reset(response, &self.peer, poll_closed).await?
                }
            }
        };
        response.status = final_status(response.status);
        let mut is_last = self.parser.is_last || self.drain.is_last_response();
        let mut buffer = WRITE_BUFFER.take();
        buffer.clear();
        let framing = write::write(&mut buffer, &response, &self.parser.head.method, &mut is_last);
        let sent = send(&mut self.stream, &mut buffer, response.body, framing).await;
        WRITE_BUFFER.set(buffer);
        sent.map(|()| !is_last)
    }

    /// Responds to an invalid head, and closes the connection.
    async fn refuse(&mut self, status: StatusCode) -> io::Result<()> {
        let mut response = Vec::new();
        write::write_text(&mut response, status);
        flush(&mut self.stream, &mut response, false).await?;
        self.close(true).await
    }

    /// Closes the connection. With `lingers`, bytes that the client still sends are read and dropped for a while.
    async fn close(&mut self, lingers: bool) -> io::Result<()> {
        self.stream.shutdown().await?;
        if lingers {
            linger(&mut self.stream).await?;
        }
        Ok(())
    }
}

/// Reads and drops bytes until the client closes the connection or [`LINGER`] has passed.
pub(crate) async fn linger(stream: &mut (impl AsyncRead + Unpin)) -> io::Result<()> {
    let read_all = poll_fn(|context| {
        loop {
            let mut memory = [0; 4 << 10];
            let mut dropped = ReadBuf::new(&mut memory);
            ready!(Pin::new(&mut *stream).poll_read(context, &mut dropped))?;
            if dropped.filled().is_empty() {
                return Poll::Ready(Ok(()));
            }
        }
    });
    tokio::time::timeout(LINGER, read_all).await.unwrap_or(Ok(()))
}

/// A body that is being sent. However that ends, the body is told what was removed from it and not sent.
struct Outgoing<'a, T: Transport, B: ResponseBody> {
    stream: &'a mut MinRateStream<T>,
    body: B,
    /// The bytes of the stream before the content, with the head of the response.
    before: u64,
    /// The bytes around the chunks.
    overhead: u64,
    /// The bytes that were removed from the body.
    taken: u64,
}

impl<'a, T: Transport, B: ResponseBody> Outgoing<'a, T, B> {
    fn new(stream: &'a mut MinRateStream<T>, body: B, head: &[u8]) -> Self {
        let before = stream.written().saturating_add(head.len() as u64);
        Self { stream, body, before, overhead: 0, taken: 0 }
    }

    /// Appends bytes that are no content.
    fn frame(&mut self, buffer: &mut Vec<u8>, bytes: &[u8]) {
        buffer.extend_from_slice(bytes);
        self.overhead = self.overhead.saturating_add(bytes.len() as u64);
    }
}

impl<T: Transport, B: ResponseBody> Drop for Outgoing<'_, T, B> {
    fn drop(&mut self) {
        let written = self.stream.written().saturating_sub(self.stream.io_mut().unsent());
        let sent = written.saturating_sub(self.before).saturating_sub(self.overhead);
        if sent < self.taken {
            self.body.return_unsent(self.taken - sent);
        }
    }
}

/// Sends the buffer, which contains the head, and the content of a response. Empties the buffer.
async fn send(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    body: impl ResponseBody,
    mut framing: Framing,
) -> io::Result<()> {
    let mut out = Outgoing::new(stream, body, buffer);
    while framing != Framing::Length(0) {
        let piece = match poll_fn(|context| Poll::Ready(poll_piece(&mut out.body, context, MAX_SLICE))).await
        {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                // The next piece may take a while.
                flush(out.stream, buffer, false).await?;
                poll_fn(|context| poll_piece(&mut out.body, context, MAX_SLICE)).await
            }
        };
        let Some(piece) = piece.transpose().map_err(io::Error::other)? else {
            match framing {
                // The content is shorter than announced. Padding would falsify it, so the connection ends.
                Framing::Length(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Framing::Chunked => out.frame(buffer, b"0\r\n\r\n"),
            }
            break;
        };
        let len = piece.len();
        out.taken = out.taken.saturating_add(len);
        match &mut framing {
            Framing::Length(left) => *left = left.checked_sub(len).ok_or(ErrorKind::InvalidData)?,
            // An empty chunk would end the response.
            Framing::Chunked if len == 0 => continue,
            Framing::Chunked => out.frame(buffer, format!("{len:x}\r\n").as_bytes()),
        }
        match piece {
            Piece::Bytes(bytes) => send_bytes(out.stream, buffer, &bytes).await?,
            Piece::File(slice) => send_file(out.stream, buffer, slice).await?,
        }
        if framing == Framing::Chunked {
            out.frame(buffer, b"\r\n");
        }
    }
    flush(out.stream, buffer, false).await
}

/// Appends bytes to the buffer if they fit, or else sends the buffer and the bytes.
async fn send_bytes(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    bytes: &[u8],
) -> io::Result<()> {
    if buffer.len() + bytes.len() <= JOINED {
        buffer.extend_from_slice(bytes);
        return Ok(());
    }
    flush(stream, buffer, true).await?;
    send_all(stream, bytes, false).await
}

/// Sends a slice of a file: a short one from the buffer, a long one with sendfile(2).
async fn send_file(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    mut slice: FileSlice,
) -> io::Result<()> {
    let key = FileKey::of(&slice.file)?;
    if slice.len < JOINED as u64 || !page_cache::can_tell(&slice.file, key, slice.offset) {
        while !slice.is_empty() {
            let bytes = read(&slice).await?;
            slice.advance(bytes.len());
            send_bytes(stream, buffer, &bytes).await?;
        }
        return Ok(());
    }
    flush(stream, buffer, true).await?;
    poll_fn(|context| {
        while !slice.is_empty() {
            let sent =
                stream.poll_with(context, |stream, context| stream.poll_send_file(context, &mut slice, key));
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Reads the beginning of a slice: from the page cache, or on the blocking pool.
async fn read(slice: &FileSlice) -> io::Result<Bytes> {
    let len = usize::try_from(slice.len.min(CHUNK)).unwrap_or(0);
    if let Some(bytes) = page_cache::read_cached(&slice.file, slice.offset, len) {
        return Ok(bytes);
    }
    let FileSlice { file, offset, .. } = slice.clone();
    let read = move || page_cache::read(&file, offset, len);
    let bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    if bytes.is_empty() { Err(sendfile::file_shrank()) } else { Ok(bytes) }
}

/// Sends the buffer, and empties it. `more` says that more bytes of the response follow. Otherwise all bytes so far have left the
/// stream when this returns.
async fn flush(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    more: bool,
) -> io::Result<()> {
    let sent = if buffer.is_empty() { Ok(()) } else { send_all(stream, buffer, more).await };
    buffer.clear();
    sent?;
    if more { Ok(()) } else { poll_fn(|context| stream.io_mut().poll_sent(context)).await }
}

async fn send_all(
    stream: &mut MinRateStream<impl Transport>,
    mut bytes: &[u8],
    more: bool,
) -> io::Result<()> {
    poll_fn(|context| {
        while !bytes.is_empty() {
            let sent = stream.poll_with(context, |stream, context| stream.poll_send(context, bytes, more));
            let sent = ready!(sent)?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    })
    .await
}

#[cfg(test)]
mod tests {
    use tokio::time::Instant;

    use super::*;

    /// So that a client that still sends can read the whole response.
    #[tokio::test(start_paused = true)]
    async fn a_closing_connection_reads_what_the_client_still_sends() {
        let (mut near, mut far) = tokio::io::duplex(1 << 10);
        let sending = tokio::spawn(async move {
            while near.write_all(&[b'x'; 100]).await.is_ok() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
        });
        let begin = Instant::now();
        linger(&mut far).await.unwrap();
        assert!(begin.elapsed() >= LINGER && begin.elapsed() < 2 * LINGER);
        drop(far);
        sending.await.unwrap();
        let (near, mut far) = tokio::io::duplex(1 << 10);
        drop(near);
        let begin = Instant::now();
        linger(&mut far).await.unwrap();
        assert!(begin.elapsed() < LINGER);
    }
}
