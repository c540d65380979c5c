//! The loop that serves a connection.
//!
//! [`Connection::run`] reads a head, responds, and reads the next head. `fallback.rs` serves each request that the loop does not serve
//! itself. Afterwards the loop continues.

use std::cell::Cell;
use std::future::poll_fn;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::StatusCode;
use tokio::io::AsyncWriteExt;

use crate::deadline::Deadline;
use crate::drain::Drain;
use crate::fallback;
use crate::handler::{Handler, final_status};
use crate::head::parse::{BUFFER, HeadParser, Message, Parsed};
use crate::head::write;
use crate::limits::Limits;
use crate::linger::{Linger, linger};
use crate::min_rate::MinRateStream;
use crate::peer::{self, PeerState};
use crate::send::{flush, send};
use crate::sendfile::Transport;
use crate::stats::Stats;

/// How long a connection without a request stays open while the server is draining: a request may be on its way.
pub(crate) const DRAIN_GRACE: Duration = Duration::from_millis(250);

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
            linger(&mut self.stream, Linger::UNREAD_CONTENT).await?;
        }
        Ok(())
    }
}
