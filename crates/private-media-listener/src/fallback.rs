//! Serves one request with hyper: requests with content, HTTP/1.0, methods other than GET and HEAD, and unusual heads.
//!
//! The loop knows the lengths of the request's head and content. A [`RequestStream`] lets hyper read exactly these bytes, and then the
//! end of the stream. If hyper reads on to that end, the response is complete and the connection returns to the loop. If hyper stops
//! earlier, the connection is closed.

use std::io;
use std::pin::Pin;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use http::Request;
use http::header::{CONNECTION, HeaderValue};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::drain::Drain;
use crate::handler::{Handler, final_status};
use crate::head::parse::{BUFFER, Content, Message};
use crate::min_rate::MinRateStream;
use crate::peer::{self, PeerState};
use crate::request_body::RequestBody;
use crate::sendfile::Transport;

/// The parts of a connection that the fallback needs.
pub(crate) struct ConnectionContext<'a, H> {
    pub(crate) handler: &'a H,
    pub(crate) peer: &'a PeerState,
    pub(crate) drain: &'a Drain,
    pub(crate) min_rate: u64,
}

/// The outcome of a request.
pub(crate) struct Served {
    /// The bytes that follow the request.
    pub(crate) unread: Vec<u8>,
    /// Whether the response is complete and the connection can serve another request.
    pub(crate) is_complete: bool,
    /// Whether the client may still be sending this request.
    pub(crate) may_be_sending: bool,
    pub(crate) result: io::Result<()>,
}

/// Serves the request at the beginning of the unread bytes.
pub(crate) async fn serve<H: Handler, T: Transport>(
    stream: &mut MinRateStream<T>,
    unread: Vec<u8>,
    message: Message,
    context: ConnectionContext<'_, H>,
) -> Served {
    let stream = Mutex::new(RequestStream::new(stream, unread, message));
    let shared = SharedStream(&stream);
    let ConnectionContext { handler, peer, drain, min_rate } = context;
    let service = service_fn(|mut request: Request<Incoming>| async move {
        // Otherwise a service may respond with 101, and wait for an upgrade that never comes.
        request.extensions_mut().remove::<OnUpgrade>();
        let request = request.map(|content| RequestBody::new(content, min_rate));
        let progress = request.body().progress();
        let poll_closed = |context: &mut Context<'_>| shared.lock().stream.io_mut().poll_closed(context);
        let response = handler.respond(request, peer);
        let mut response = peer::response_or_reset(response, peer, poll_closed).await?;
        *response.status_mut() = final_status(response.status());
        // Unread content would be parsed as the next request, so the connection ends. The response announces that (RFC 9112 section
        // 9.6), or the client might send its next request on this connection.
        if message.content == Content::Chunked || !progress.is_read() || drain.is_last_response() {
            response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
        }
        Ok::<_, io::Error>(response)
    });
    let served = http1::Builder::new()
        // The loop has received the whole head.
        .header_read_timeout(None)
        .max_buf_size(BUFFER)
        // A client that has shut down its sending side still receives its response.
        .half_close(true)
        .serve_connection(TokioIo::new(shared), service)
        .await;
    let RequestStream { unread, left, is_complete, .. } =
        stream.into_inner().unwrap_or_else(PoisonError::into_inner);
    // If hyper has sent an error response, the client can read it only if the connection lingers.
    let may_be_sending = left != Some(0) || !unread.is_empty();
    Served { unread, is_complete, may_be_sending, result: served.map_err(io::Error::other) }
}

/// A stream that ends after one request of the connection.
#[derive(Debug)]
struct RequestStream<'a, T> {
    stream: &'a mut MinRateStream<T>,
    /// Bytes that the loop has read from the stream.
    unread: Vec<u8>,
    /// The number of bytes of the request that hyper has not read. `None` for chunked content, after which the connection ends.
    left: Option<u64>,
    /// Whether hyper has read to the end of the request, and on.
    is_complete: bool,
}

impl<'a, T> RequestStream<'a, T> {
    fn new(stream: &'a mut MinRateStream<T>, unread: Vec<u8>, message: Message) -> Self {
        let left = match message.content {
            Content::Length(len) => Some(len.saturating_add(message.head_len as u64)),
            Content::Chunked => None,
        };
        Self { stream, unread, left, is_complete: false }
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for RequestStream<'_, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let room = buffer.remaining();
        let len = this.left.map_or(room, |left| usize::try_from(left).map_or(room, |left| left.min(room)));
        if len == 0 {
            this.is_complete |= this.left == Some(0);
            return Poll::Ready(Ok(()));
        }
        let count = if this.unread.is_empty() {
            let mut part = ReadBuf::new(buffer.initialize_unfilled_to(len));
            ready!(Pin::new(&mut *this.stream).poll_read(context, &mut part))?;
            let count = part.filled().len();
            buffer.advance(count);
            count
        } else {
            let count = len.min(this.unread.len());
            buffer.put_slice(this.unread.get(..count).unwrap_or_default());
            this.unread.drain(..count);
            count
        };
        this.left = this.left.map(|left| left.saturating_sub(count as u64));
        Poll::Ready(Ok(()))
    }
}

/// The stream of hyper and of the check for closed clients. One task polls both, so the lock is never contended.
struct SharedStream<'a, 'b, T>(&'a Mutex<RequestStream<'b, T>>);

impl<T> Clone for SharedStream<'_, '_, T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedStream<'_, '_, T> {}

impl<'a, 'b, T> SharedStream<'a, 'b, T> {
    fn lock(self) -> MutexGuard<'a, RequestStream<'b, T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: Transport> AsyncRead for SharedStream<'_, '_, T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(context, buffer)
    }
}

impl<T: Transport> AsyncWrite for SharedStream<'_, '_, T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock().stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock().stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().stream.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock().stream).poll_flush(context)
    }

    /// Does nothing: [`Connection`](crate::connection::Connection) closes the stream.
    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
