//! Compares the listener with hyper alone: both have to give the same responses to the same bytes.

use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::request::Parts;
use http::{HeaderMap, Method, Request, Response, Version};
use http_body::Body;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::connection::Connection;
use crate::drain::Drain;
use crate::handler::{Handler, RawResponse};
use crate::head::parse::{BUFFER, HeadParser, Parsed};
use crate::limits::Limits;
use crate::min_rate::WaitsForPeer;
use crate::page_cache::FileKey;
use crate::peer::{PeerAddr, PeerState};
use crate::piece::FileSlice;
use crate::request_body::RequestBody;
use crate::sendfile::Transport;
use crate::stats::Stats;

/// Sends the pieces on a connection of the listener and on one of hyper, and compares the responses, which echo the requests:
///
/// - Both give the same responses in the same order.
/// - The listener may end the connection earlier: after a head that it rejects and hyper accepts, and after chunked or invalid content.
///   Its last response announces that.
/// - While the parser of the listener waits for the rest of a head, hyper waits, too.
pub(crate) fn check(pieces: &[&[u8]]) -> Result<(), String> {
    check_waits(pieces)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    let both = async { (serve(pieces).await, serve_with_hyper(pieces).await) };
    let (ours, theirs) = runtime.block_on(both);
    let (ours, theirs) = (responses(&ours)?, responses(&theirs)?);
    for (at, response) in ours.iter().enumerate() {
        let expected = theirs.get(at);
        let is_same = expected.is_some_and(|expected| {
            (response.status, &response.body) == (expected.status, &expected.body)
                // After chunked or invalid content the listener closes, and hyper may not.
                && (response.closes == expected.closes || response.closes && expected.may_close)
        });
        let is_refused = response.status == 400
            && response.closes
            && at + 1 == ours.len()
            && expected.is_none_or(|expected| expected.may_be_refused || is_about_framing(pieces));
        // hyper's error responses have an empty body.
        let is_error = expected
            .is_some_and(|expected| expected.status == response.status && expected.body.is_empty())
            && matches!(response.status, 400 | 431)
            && response.closes;
        // hyper may wait for the end of a head that has too many fields already.
        let is_too_large = response.status == 431 && response.closes && expected.is_none();
        if !(is_same || is_refused || is_error || is_too_large) {
            return Err(format!("response {at} is {response:?}, where hyper gives {expected:?}"));
        }
    }
    if ours.len() < theirs.len() && !ours.last().is_some_and(|last| last.closes) {
        return Err(format!(
            "the listener gives {} responses, where hyper gives {}",
            ours.len(),
            theirs.len()
        ));
    }
    Ok(())
}

/// Whether the bytes contain something that the listener rejects and hyper removes before a service sees it.
fn is_about_framing(pieces: &[&[u8]]) -> bool {
    let bytes = pieces.concat().to_ascii_lowercase();
    let contains = |text: &str| memchr::memmem::find(&bytes, text.as_bytes()).is_some();
    contains("#") || contains("content-length") || contains("transfer-encoding")
}

/// Checks that the parser waits only for heads that are incomplete for httparse, too. Invalid heads are rejected as early as possible.
fn check_waits(pieces: &[&[u8]]) -> Result<(), String> {
    let (mut parser, mut pending) = (HeadParser::new(), Vec::new());
    for piece in pieces {
        pending.extend_from_slice(piece);
        loop {
            match parser.parse(&pending) {
                Parsed::Fast(len) => drop(pending.drain(..len)),
                Parsed::Fallback(_) | Parsed::Refused(_) => return Ok(()),
                Parsed::Partial => break,
            }
        }
        let mut fields = [httparse::EMPTY_HEADER; 100];
        if pending.len() >= BUFFER
            || httparse::Request::new(&mut fields).parse(&pending) != Ok(httparse::Status::Partial)
        {
            return Err(format!("waits for more than {:?}", pending.escape_ascii().to_string()));
        }
    }
    Ok(())
}

/// Responds with the request.
#[derive(Debug, Clone)]
struct Echo;

impl Echo {
    async fn echo<B: Body<Data = Bytes>>(head: &Parts, content: B) -> Response<Full<Bytes>> {
        let content = content.collect().await.map(http_body_util::Collected::to_bytes);
        let mut text = format!("{} {}\n", head.method, head.uri);
        for (name, value) in &head.headers {
            text += &[name.as_str(), ": ", &value.as_bytes().escape_ascii().to_string(), "\n"].concat();
        }
        let is_broken = content.is_err();
        text += &content.map_or("broken content".into(), |bytes| bytes.escape_ascii().to_string());
        let mut response = Response::new(Full::new(Bytes::from(text)));
        let mut note = |name: &'static str, is_set: bool| {
            if is_set {
                response.headers_mut().insert(name, http::HeaderValue::from_static("1"));
            }
        };
        let hosts = head.headers.get_all(HOST).iter().count();
        note("x-head", head.method == Method::HEAD);
        note("x-broken", is_broken);
        note("x-chunked", head.headers.contains_key(TRANSFER_ENCODING));
        note("x-refused", hosts > 1 || hosts == 0 && head.version == Version::HTTP_11);
        note("x-length", head.headers.contains_key(CONTENT_LENGTH));
        response
    }
}

impl Handler for Echo {
    type Body = Full<Bytes>;
    type Headers = HeaderMap;

    async fn respond_to_head(&self, head: &mut Parts, _: &PeerState) -> RawResponse<Full<Bytes>> {
        Self::echo(head, RequestBody::empty()).await.into()
    }

    async fn respond(&self, request: Request<RequestBody>, _: &PeerState) -> Response<Full<Bytes>> {
        let (head, content) = request.into_parts();
        Self::echo(&head, content).await
    }
}

async fn serve(pieces: &[&[u8]]) -> Vec<u8> {
    let (stream, written) = MemoryStream::new(pieces);
    let peer = PeerState::new(PeerAddr::Unix);
    let (_start, drain) = Drain::new();
    let connection =
        Connection::new(stream, peer, Echo, Limits::default(), drain, Arc::new(Stats::default()));
    let _ = connection.run().await;
    written.take()
}

async fn serve_with_hyper(pieces: &[&[u8]]) -> Vec<u8> {
    let (stream, written) = MemoryStream::new(pieces);
    let service = service_fn(|request: Request<Incoming>| async {
        let (head, content) = request.into_parts();
        Ok::<_, Infallible>(Echo::echo(&head, content).await)
    });
    let mut builder = http1::Builder::new();
    builder.header_read_timeout(None).max_buf_size(BUFFER).half_close(true);
    let _ = builder.serve_connection(TokioIo::new(stream), service).await;
    written.take()
}

#[derive(Debug, PartialEq)]
struct Received {
    status: u16,
    body: String,
    closes: bool,
    may_close: bool,
    may_be_refused: bool,
}

/// Splits the bytes that a client received into responses.
fn responses(bytes: &[u8]) -> Result<Vec<Received>, String> {
    let text = String::from_utf8_lossy(bytes);
    let (mut rest, mut responses) = (&*text, Vec::new());
    while !rest.is_empty() {
        let (head, after) = rest.split_once("\r\n\r\n").ok_or_else(|| format!("half a head: {rest:?}"))?;
        let head = head.to_ascii_lowercase();
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let status: u16 = status.ok_or_else(|| format!("no status: {head:?}"))?;
        let has = |line: &str| head.lines().any(|own| own == line);
        let len = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let len = if status < 200 || has("x-head: 1") { 0 } else { len.unwrap_or(0) };
        let body = after.get(..len).ok_or_else(|| format!("half a body: {after:?}"))?;
        rest = after.get(len..).unwrap_or_default();
        if status >= 200 {
            responses.push(Received {
                status,
                body: body.to_owned(),
                closes: has("connection: close"),
                may_close: has("x-chunked: 1") || has("x-broken: 1"),
                may_be_refused: has("x-refused: 1") || has("x-chunked: 1") || has("x-length: 1"),
            });
        }
    }
    Ok(responses)
}

/// A stream in memory that returns one piece per read, and then the end.
#[derive(Debug)]
struct MemoryStream {
    pieces: Vec<Vec<u8>>,
    is_between: bool,
    written: Written,
}

#[derive(Debug, Clone, Default)]
struct Written(Arc<Mutex<Vec<u8>>>);

impl Written {
    fn push(&self, bytes: &[u8]) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
    }

    fn take(&self) -> Vec<u8> {
        std::mem::take(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl MemoryStream {
    fn new(pieces: &[&[u8]]) -> (Self, Written) {
        let pieces = pieces.iter().rev().filter(|piece| !piece.is_empty()).map(|piece| piece.to_vec());
        let written = Written::default();
        (Self { pieces: pieces.collect(), is_between: false, written: written.clone() }, written)
    }

    fn poll_next(&mut self, context: &mut Context<'_>, room: usize) -> Poll<Vec<u8>> {
        self.is_between = !self.is_between;
        if self.is_between {
            context.waker().wake_by_ref();
            return Poll::Pending;
        }
        let Some(mut piece) = self.pieces.pop() else { return Poll::Ready(Vec::new()) };
        if piece.len() > room {
            self.pieces.push(piece.split_off(room));
        }
        Poll::Ready(piece)
    }
}

impl AsyncRead for MemoryStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        self.poll_next(context, room).map(|piece| {
            buffer.put_slice(&piece);
            Ok(())
        })
    }
}

impl AsyncWrite for MemoryStream {
    fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

impl WaitsForPeer for MemoryStream {
    fn waits_for_peer(&self) -> bool {
        true
    }
}

impl Transport for MemoryStream {
    fn poll_read_append(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        let room = buffer.capacity() - buffer.len();
        self.poll_next(context, room).map(|piece| {
            buffer.extend_from_slice(&piece);
            Ok(piece.len())
        })
    }

    fn poll_send(&mut self, _: &mut Context<'_>, bytes: &[u8], _: bool) -> Poll<io::Result<usize>> {
        self.written.push(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_send_file(
        &mut self,
        _: &mut Context<'_>,
        _: &mut FileSlice,
        _: FileKey,
    ) -> Poll<io::Result<usize>> {
        Poll::Ready(Err(io::ErrorKind::Unsupported.into()))
    }

    fn poll_closed(&mut self, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Pending
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINES: [&str; 7] = [
        "GET /a HTTP/1.1",
        "HEAD /private/b?c HTTP/1.1",
        "GET /%2e HTTP/1.1",
        "POST /a HTTP/1.1",
        "GET /a HTTP/1.0",
        "GET http://x/a HTTP/1.1",
        "GET /a#b HTTP/1.1",
    ];
    const FIELDS: [&str; 12] = [
        "Host: x",
        "Host: x",
        "Cookie: a=b",
        "cookie:\tc=d ",
        "Connection: close",
        "connection: keep-alive",
        "Content-Length: 0",
        "Content-Length: 5",
        "Transfer-Encoding: chunked",
        "Expect: 100-continue",
        "Upgrade: x",
        "X-Empty:",
    ];
    const CONTENTS: [&str; 5] = ["", "", "hello", "5\r\nhello\r\n0\r\n\r\n", "x"];

    /// The listener refuses such a head before its end, hyper with its end.
    #[test]
    fn a_head_with_too_many_fields_is_refused() {
        let fields = "X: y\r\n".repeat(101);
        for end in ["", "\r\n"] {
            check(&[b"GET /a HTTP/1.1\r\nHost: x\r\n", fields.as_bytes(), end.as_bytes()]).unwrap();
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]
        #[test]
        fn responses_equal_those_of_hyper_however_the_requests_are_split(
            requests in prop::collection::vec(
                (
                    prop::sample::select(&LINES[..]),
                    prop::collection::vec(prop::sample::select(&FIELDS[..]), 0..4),
                    prop::sample::select(&CONTENTS[..]),
                ),
                1..5,
            ),
            cuts in prop::collection::vec(1_usize..40, 0..12),
        ) {
            let request = |(line, fields, content): &(&str, Vec<&str>, &str)| {
                let fields = fields.iter().map(|field| format!("{field}\r\n")).collect::<String>();
                format!("{line}\r\nHost: x\r\n{fields}\r\n{content}")
            };
            let stream: String = requests.iter().map(request).collect();
            let mut rest = stream.as_bytes();
            let mut pieces = Vec::new();
            for cut in cuts {
                let (piece, after) = rest.split_at(cut.min(rest.len()));
                pieces.push(piece);
                rest = after;
            }
            pieces.push(rest);
            prop_assert_eq!(check(&pieces), Ok(()));
        }
    }

    #[tokio::test]
    async fn the_connection_returns_to_the_loop_after_the_fallback() {
        let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        for (request, fast) in [
            ("POST /a HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nhello", 2),
            ("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n", 2),
            ("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n", 2),
            ("GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", 2),
            ("GET /a HTTP/1.0\r\n\r\n", 1),
            ("POST /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", 1),
            ("POST /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 1),
        ] {
            let bytes = [get, request, get].concat();
            for cut in [bytes.len(), 1, 7] {
                let pieces: Vec<_> = bytes.as_bytes().chunks(cut).collect();
                let (stream, written) = MemoryStream::new(&pieces);
                let (stats, (_start, drain)) = (Arc::new(Stats::default()), Drain::new());
                let peer = PeerState::new(PeerAddr::Unix);
                let connection =
                    Connection::new(stream, peer, Echo, Limits::default(), drain, Arc::clone(&stats));
                connection.run().await.unwrap();
                assert_eq!((stats.fast_requests(), stats.fallback_requests()), (fast, 1), "{request}");
                assert_eq!(responses(&written.take()).unwrap().len() as u64, fast + 1, "{request}");
            }
        }
    }
}
