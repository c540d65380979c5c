//! HTTP/2, by hyper.
//!
//! hyper and h2 implement the protocol. This module adds the limits of the other connections: requests look like those of HTTP/1.1
//! ([`request`]), each stream has a minimum transfer rate ([`streams`]), an idle connection ends, and a client cannot keep the server busy
//! with control frames ([`frames`]).

mod body;
mod frames;
mod request;
mod streams;

use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::Poll;
use std::time::Duration;

use http::header::{CONTENT_LENGTH, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http2;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncWriteExt as _;

use crate::deadline::Deadline;
use crate::drain::Drain;
use crate::handler::{Handler, final_status};
use crate::head::parse::BUFFER;
use crate::limits::Limits;
use crate::linger::{Linger, linger};
use crate::peer::PeerState;
use crate::piece::ResponseBody;
use crate::request_body::RequestBody;
use crate::stats::Stats;
use crate::tls::TlsStream;
use body::StreamBody;
use frames::FrameBudget;
use request::Malformed;
use streams::Streams;

/// The maximum number of concurrent requests of a connection: what RFC 9113 section 6.5.2 recommends at least.
const MAX_STREAMS: u32 = 100;
/// How many streams may be reset by the client before they are accepted, and by the server for errors of the client, until the connection
/// ends.
const MAX_RESETS: usize = 20;
const MAX_ERRORS: usize = 100;
/// The window of request content, per stream and connection. Forms are small.
const STREAM_WINDOW: u32 = 64 << 10;
const CONNECTION_WINDOW: u32 = 1 << 20;
/// The maximum number of bytes of a response that wait in a stream for the client.
const SEND_BUFFER: usize = 64 << 10;
/// The pause between pings that find out whether the client still exists, and how long it may take to respond.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(20);
/// How long a client may take to close an idle connection after it was told to (GOAWAY).
const GOAWAY_TIMEOUT: Duration = Duration::from_secs(2);

/// Serves a connection whose client has chosen HTTP/2.
pub(crate) async fn serve<H: Handler>(
    stream: TlsStream,
    peer: PeerState,
    handler: H,
    limits: Limits,
    mut drain: Drain,
    stats: Arc<Stats>,
) -> io::Result<()> {
    let streams = Streams::new(limits.min_rate);
    let service = service_fn(|request: Request<Incoming>| {
        stats.count_http2_request();
        let progress = streams.expect_stream();
        let (mut handler, peer) = (handler.clone(), peer.clone());
        handler.refresh();
        async move {
            let (mut head, content) = request.into_parts();
            request::normalize(&mut head)?;
            // Otherwise a service may respond with 101 or to CONNECT, and wait for an upgrade that never comes.
            head.extensions.remove::<OnUpgrade>();
            let method = head.method.clone();
            let request = Request::from_parts(head, RequestBody::new(content, limits.min_rate));
            let mut response = handler.respond(request, &peer).await;
            *response.status_mut() = match final_status(response.status()) {
                success if method == Method::CONNECT && success.is_success() => StatusCode::NOT_IMPLEMENTED,
                other => other,
            };
            Ok::<_, Malformed>(with_body(response, &method, progress))
        }
    });
    let mut builder = http2::Builder::new(streams.clone());
    builder
        .timer(TokioTimer::new())
        .max_concurrent_streams(MAX_STREAMS)
        .max_header_list_size(u32::try_from(BUFFER).unwrap_or(u32::MAX))
        .max_pending_accept_reset_streams(MAX_RESETS)
        .max_local_error_reset_streams(MAX_ERRORS)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .max_send_buf_size(SEND_BUFFER)
        .keep_alive_interval(PING_INTERVAL)
        .keep_alive_timeout(PING_TIMEOUT);
    let mut stream = FrameBudget::new(stream);
    let mut connection = Box::pin(builder.serve_connection(TokioIo::new(&mut stream), service));
    let mut idle = Deadline::new(limits.header_timeout);
    let mut goaway: Option<Deadline> = None;
    let (mut is_draining, mut is_busy) = (false, false);
    poll_fn(|context| {
        drain.register(context);
        if drain.is_last_response() && !std::mem::replace(&mut is_draining, true) {
            connection.as_mut().graceful_shutdown();
        }
        if let Poll::Ready(served) = connection.as_mut().poll(context) {
            return Poll::Ready(served.map_err(io::Error::other));
        }
        let was_busy = std::mem::replace(&mut is_busy, streams.poll_open(context) > 0);
        if was_busy || is_busy {
            idle.restart();
        }
        if is_busy {
            goaway = None;
        } else if let Some(goaway) = &mut goaway {
            return goaway.poll(context).map(Ok);
        } else if is_draining || idle.poll(context).is_ready() {
            connection.as_mut().graceful_shutdown();
            let mut deadline = Deadline::new(GOAWAY_TIMEOUT);
            let _ = deadline.poll(context);
            goaway = Some(deadline);
            context.waker().wake_by_ref();
        }
        Poll::Pending
    })
    .await?;
    drop(connection);
    // The client may still be receiving, and open windows for that.
    stream.shutdown().await?;
    linger(&mut stream, Linger::OPEN_WINDOWS).await
}

/// Returns the response with a body that reports its progress. As over HTTP/1.1, responses to HEAD and those that have no content (RFC
/// 9110 section 6.4.1) have the length of the omitted content, if it is known.
fn with_body<B: ResponseBody>(
    response: Response<B>,
    method: &Method,
    progress: Arc<streams::Progress>,
) -> Response<StreamBody<B>> {
    let (mut head, body) = response.into_parts();
    let has_content =
        *method != Method::HEAD && !matches!(head.status, StatusCode::NO_CONTENT | StatusCode::NOT_MODIFIED);
    let len = body.size_hint().exact();
    match len {
        Some(len) if has_content || (*method == Method::HEAD && len > 0) => {
            head.headers.insert(CONTENT_LENGTH, HeaderValue::from(len));
        }
        None if has_content => {
            head.headers.remove(CONTENT_LENGTH);
        }
        _ => {}
    }
    Response::from_parts(head, StreamBody::new(body, has_content, progress))
}
