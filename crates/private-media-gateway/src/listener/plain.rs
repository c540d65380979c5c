//! Plain requests for files, answered with no more of HTTP than they use.
//!
//! Nearly all requests are a GET or a HEAD of one file, without content, and most connections have no others. Those are read here,
//! answered, and sent. What is not clearly one of them is not judged here: the connection goes on with hyper, which reads that
//! request from its first byte.

use std::cell::Cell;
use std::future::poll_fn;
use std::io::{self, ErrorKind, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};
use std::time::{Duration, SystemTime};

use bytes::{Buf, Bytes};
use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri, response};
use http_body::Body as _;
use memchr::{memchr, memmem};
use tokio::io::AsyncWrite;
use tokio::sync::watch;
use tokio::time::{Instant, Sleep};

use super::kernel::Sending;
use super::paced::Paced;
use super::{BUFFER, Handler};
use crate::body::Body;

type Stream = Paced<Sending>;

/// The most fields that a plain request has.
const FIELDS: usize = 64;
/// Fields up to this length in all are remembered on their connection, in bytes.
const REMEMBERED: usize = 4 << 10;

thread_local! {
    /// Memory to read into, for whoever does so next.
    static TO_READ: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// Memory to write heads into; who has to wait with one keeps it, so it is no larger than a head.
    static TO_WRITE: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// Answers plain requests until the connection has ended, or until there is a request that is not plain: then the connection is given
/// back, to be gone on with.
pub(super) async fn serve(
    mut stream: Stream,
    peer: SocketAddr,
    handler: &impl Handler,
    limit: Duration,
    mut stopped: watch::Receiver<bool>,
) -> io::Result<Option<Stream>> {
    let seen = stopped.clone();
    let stop = pin!(stopped.wait_for(|stopped| *stopped));
    let mut idle = Idle { deadline: Deadline::new(limit), stop, is_waiting_for_stop: false, seen };
    let mut asked = Asked::new();
    loop {
        idle.deadline.begin();
        match poll_fn(|context| asked.poll(context, &mut stream, handler, &mut idle)).await? {
            Next::Plain => {}
            Next::Other => {
                stream.io_mut().unread(std::mem::take(&mut asked.bytes));
                return Ok(Some(stream));
            }
            Next::End => return Ok(None),
        }
        let mut answer = handler.file(&mut asked.head, peer).await;
        answer.body.send_by(stream.io().files());
        let is_last = asked.is_last || idle.is_stopping();
        let mut head = TO_WRITE.take();
        head.clear();
        let len = write_head(&mut head, &answer, handler.standing(), &asked.head.method, is_last);
        let sent = send(&mut stream, &head, answer.body, len).await;
        TO_WRITE.set(head);
        sent?;
        if is_last {
            return Ok(None);
        }
    }
}

/// What comes next on a connection.
enum Next {
    /// A plain request.
    Plain,
    /// Something else, to be read from its first byte.
    Other,
    /// Nothing: it has ended, or it is time.
    End,
}

/// The request that is being read, or answered.
struct Asked {
    head: Parts,
    /// Whether the client wants no other answer on this connection.
    is_last: bool,
    /// The fields of the head, as they came: from one request to the next of a connection they are nearly always the same.
    fields: Vec<u8>,
    /// What has come and was not taken yet.
    bytes: Vec<u8>,
    /// Whether this has been looked at, and is the beginning of a head.
    is_begun: bool,
}

impl Asked {
    fn new() -> Self {
        let (head, ()) = Request::new(()).into_parts();
        Self { head, is_last: false, fields: Vec::new(), bytes: Vec::new(), is_begun: false }
    }

    fn poll<S: Future>(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Stream,
        handler: &impl Handler,
        idle: &mut Idle<Pin<&mut S>>,
    ) -> Poll<io::Result<Next>> {
        loop {
            // More than one request may have come at once.
            if !self.bytes.is_empty() && !self.is_begun {
                let bytes = std::mem::take(&mut self.bytes);
                if let Some(next) = self.take(&bytes, handler) {
                    return Poll::Ready(Ok(next));
                }
            }
            if let Poll::Ready(readable) = stream.io().poll_readable(context) {
                readable?;
                match self.read(stream.io_mut(), handler) {
                    Ok(Some(next)) => return Poll::Ready(Ok(next)),
                    Ok(None) => continue,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => continue,
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
            return idle.poll(context, self.bytes.is_empty()).map(|()| Ok(Next::End));
        }
    }

    /// Takes what has come, if it is a whole head.
    fn read(&mut self, stream: &mut Sending, handler: &impl Handler) -> io::Result<Option<Next>> {
        let mut scratch = TO_READ.take();
        scratch.clear();
        scratch.reserve(BUFFER);
        scratch.extend_from_slice(&self.bytes);
        let read = stream.try_read(&mut scratch);
        let next = match &read {
            Ok(0) => Some(Next::End),
            Ok(_) => self.take(&scratch, handler),
            Err(_) => None,
        };
        TO_READ.set(scratch);
        read.map(|_| next)
    }

    /// Takes a head from the beginning of these bytes, if there is a whole one, and keeps the others.
    fn take(&mut self, bytes: &[u8], handler: &impl Handler) -> Option<Next> {
        let (next, taken) = match self.parse(bytes) {
            Parsed::Plain(len) if handler.is_file(&self.head) => (Some(Next::Plain), len),
            Parsed::More if bytes.len() < BUFFER => (None, 0),
            _ => (Some(Next::Other), 0),
        };
        self.is_begun = next.is_none();
        self.bytes.clear();
        self.bytes.extend_from_slice(bytes.get(taken..).unwrap_or_default());
        next
    }

    fn parse(&mut self, bytes: &[u8]) -> Parsed {
        let Some(end) = memchr(b'\n', bytes) else { return Parsed::More };
        let (line, rest) = bytes.split_at(end + 1);
        let Some((method, uri)) = request_line(line) else { return Parsed::Other };
        let len = if !self.fields.is_empty() && rest.starts_with(&self.fields) {
            self.fields.len()
        } else {
            // A head may end in other ways, which are not plain.
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else {
                let is_odd = memmem::find(bytes, b"\n\n").is_some();
                return if is_odd { Parsed::Other } else { Parsed::More };
            };
            let fields = bytes.get(line.len()..end + 4).unwrap_or_default();
            self.fields.clear();
            let Some((headers, is_last)) = plain_fields(fields) else { return Parsed::Other };
            (self.head.headers, self.is_last) = (headers, is_last);
            if fields.len() <= REMEMBERED {
                self.fields.extend_from_slice(fields);
            }
            fields.len()
        };
        self.head.method = method;
        self.head.uri = uri;
        self.head.extensions.clear();
        Parsed::Plain(line.len() + len)
    }
}

/// What bytes are.
enum Parsed {
    /// The head of a plain request, of this length.
    Plain(usize),
    /// The beginning of a head.
    More,
    /// Not clearly one of these.
    Other,
}

/// A GET or HEAD of a path, in HTTP/1.1 (RFC 9112 section 3).
fn request_line(line: &[u8]) -> Option<(Method, Uri)> {
    let (method, rest) = match line.strip_prefix(b"GET ") {
        Some(rest) => (Method::GET, rest),
        None => (Method::HEAD, line.strip_prefix(b"HEAD ")?),
    };
    let target = rest.strip_suffix(b" HTTP/1.1\r\n")?;
    let is_plain = target.starts_with(b"/") && target.iter().all(u8::is_ascii_graphic);
    is_plain.then(|| Uri::try_from(target).ok())?.map(|uri| (method, uri))
}

/// The fields of a request without content, of which nothing but an answer is wanted, and whether that is the last one.
fn plain_fields(bytes: &[u8]) -> Option<(HeaderMap, bool)> {
    let mut fields = [httparse::EMPTY_HEADER; FIELDS];
    let httparse::Status::Complete((len, fields)) = httparse::parse_headers(bytes, &mut fields).ok()? else {
        return None;
    };
    if len != bytes.len() {
        return None;
    }
    let mut headers = HeaderMap::with_capacity(fields.len());
    let mut is_last = None;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        match name {
            CONTENT_LENGTH | EXPECT | TRANSFER_ENCODING | UPGRADE => return None,
            CONNECTION => {
                let is_close = field.value.eq_ignore_ascii_case(b"close");
                if !is_close && !field.value.eq_ignore_ascii_case(b"keep-alive") || is_last.is_some() {
                    return None;
                }
                is_last = Some(is_close);
            }
            _ => {}
        }
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    Some((headers, is_last.unwrap_or(false)))
}

/// What a connection waits for that has nothing to do.
struct Idle<S> {
    deadline: Deadline,
    stop: S,
    is_waiting_for_stop: bool,
    seen: watch::Receiver<bool>,
}

impl<S: Future> Idle<Pin<&mut S>> {
    fn is_stopping(&self) -> bool {
        self.seen.has_changed().unwrap_or(true)
    }

    /// Ready when the connection has had its time, or when all are to stop and nothing has begun.
    fn poll(&mut self, context: &mut Context<'_>, may_stop: bool) -> Poll<()> {
        // Once it is waited for, the signal wakes this task when it comes; before, there is nothing to ask it.
        if !self.is_waiting_for_stop || may_stop && self.is_stopping() {
            self.is_waiting_for_stop = true;
            if self.stop.as_mut().poll(context).is_ready() && may_stop {
                return Poll::Ready(());
            }
        }
        self.deadline.poll(context)
    }
}

/// The time that a head may take. Its timer is set anew only when it has rung, and not at each request.
struct Deadline {
    limit: Duration,
    at: Instant,
    timer: Pin<Box<Sleep>>,
}

impl Deadline {
    fn new(limit: Duration) -> Self {
        let timer = Box::pin(tokio::time::sleep(limit));
        Self { limit, at: timer.deadline(), timer }
    }

    fn begin(&mut self) {
        self.at = Instant::now() + self.limit;
    }

    fn poll(&mut self, context: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.timer.as_mut().poll(context));
            if self.timer.deadline() >= self.at {
                return Poll::Ready(());
            }
            self.timer.as_mut().reset(self.at);
        }
    }
}

/// A response.
pub(crate) struct Answer {
    pub(crate) head: response::Parts,
    pub(crate) body: Body,
    /// What `X-Request-Id` says.
    pub(crate) id: HeaderValue,
}

/// Headers that all responses have, as they are written. They count in place of others of their names.
#[derive(Debug)]
pub(crate) struct Standing {
    names: Vec<HeaderName>,
    lines: Vec<u8>,
}

impl From<&HeaderMap> for Standing {
    fn from(headers: &HeaderMap) -> Self {
        let mut lines = Vec::new();
        for (name, value) in headers {
            write_line(&mut lines, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
        Self { names: headers.keys().cloned().collect(), lines }
    }
}

/// Sends a head and `len` bytes of content.
async fn send(stream: &mut Stream, mut head: &[u8], body: Body, len: u64) -> io::Result<()> {
    let mut body = pin!(body);
    let mut left = len;
    loop {
        let mut data = Bytes::new();
        if left > 0 {
            let frame = poll_fn(|context| body.as_mut().poll_frame(context)).await;
            let frame = frame.ok_or(ErrorKind::UnexpectedEof)?.map_err(io::Error::other)?;
            data = frame.into_data().unwrap_or_default();
            left = left.checked_sub(data.len() as u64).ok_or(ErrorKind::InvalidData)?;
        }
        poll_fn(|context| {
            while !(head.is_empty() && data.is_empty()) {
                let slices = [IoSlice::new(head), IoSlice::new(&data)];
                let written = ready!(Pin::new(&mut *stream).poll_write_vectored(context, &slices))?;
                if written == 0 {
                    return Poll::Ready(Err(io::Error::from(ErrorKind::WriteZero)));
                }
                let of_head = written.min(head.len());
                head.advance(of_head);
                data.advance(written - of_head);
            }
            Poll::Ready(Ok(()))
        })
        .await?;
        if left == 0 {
            return Ok(());
        }
    }
}

/// Writes the head of a response (RFC 9112 section 4), and gives the length of the content behind it.
fn write_head(to: &mut Vec<u8>, answer: &Answer, standing: &Standing, method: &Method, is_last: bool) -> u64 {
    let status = answer.head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    write_line(to, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    let mut has_length = false;
    for (name, value) in &answer.head.headers {
        if !standing.names.contains(name) {
            has_length |= *name == CONTENT_LENGTH;
            write_line(to, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
    }
    let len = answer.body.size_hint().lower();
    // RFC 9110 section 8.6.
    let has_content = *method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
    if has_content && !has_length {
        write_line(to, &[b"content-length: ", len.to_string().as_bytes()]);
    }
    to.extend_from_slice(&standing.lines);
    write_line(to, &[b"x-request-id: ", answer.id.as_bytes()]);
    if is_last {
        write_line(to, &[b"connection: close"]);
    }
    write_line(to, &[b"date: ", &date(), b"\r\n"]);
    if has_content { len } else { 0 }
}

fn write_line(to: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        to.extend_from_slice(part);
    }
    to.extend_from_slice(b"\r\n");
}

/// The time as HTTP writes it, made once a second.
fn date() -> [u8; 29] {
    thread_local! {
        static MADE: Cell<(u64, [u8; 29])> = const { Cell::new((0, [b' '; 29])) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (made, mut date) = MADE.get();
    if made != second {
        date = httpdate::fmt_http_date(now).as_bytes().try_into().unwrap_or(date);
        MADE.set((second, date));
    }
    date
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_other() {
        for (bytes, expected) in [
            ("GET /a HTTP/1.1\r\n\r\n", "plain"),
            ("HEAD /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n", "plain"),
            ("GET /a HTTP/1.1\r\nConnection: keep-alive\r\n\r\nGET /", "plain"),
            ("GET /a HTTP/1.1\r\nConnection: CLOSE\r\n\r\n", "plain"),
            ("", "more"),
            ("GET /a HTTP/1.1\r", "more"),
            ("GET /a HTTP/1.1\r\nHost: x\r\n", "more"),
            ("POST /a HTTP/1.1\r\n\r\n", "other"),
            ("get /a HTTP/1.1\r\n\r\n", "other"),
            ("GET /a HTTP/1.0\r\n\r\n", "other"),
            ("GET a HTTP/1.1\r\n\r\n", "other"),
            ("GET * HTTP/1.1\r\n\r\n", "other"),
            ("GET http://x/a HTTP/1.1\r\n\r\n", "other"),
            ("GET /a b HTTP/1.1\r\n\r\n", "other"),
            ("GET /\u{e9} HTTP/1.1\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\n\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\n\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\n\nGET /b HTTP/1.1\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost : x\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\n folded\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nContent-Length: 0\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nExpect: 100-continue\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nUpgrade: h2c\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nConnection: close, x\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nConnection: close\r\nConnection: close\r\n\r\n", "other"),
        ] {
            let parsed = match Asked::new().parse(bytes.as_bytes()) {
                Parsed::Plain(_) => "plain",
                Parsed::More => "more",
                Parsed::Other => "other",
            };
            assert_eq!(parsed, expected, "{bytes:?}");
        }
    }

    const PIECES: [&[u8]; 22] = [
        b"GET ",
        b"HEAD ",
        b"/a",
        b"/private/b?c",
        b" HTTP/1.1",
        b"\r\n",
        b"\r\n",
        b"\r\n\r\n",
        b"\n",
        b"\r",
        b"Host: x",
        b"Cookie: a=b",
        b"Content-Length: 3",
        b"Connection: close",
        b"connection: keep-alive",
        b":",
        b" ",
        b"\t",
        b"\0",
        b"x",
        b"\xe9",
        b"GET /a HTTP/1.1\r\nHost: x\r\n",
    ];

    proptest! {
        /// Where a request is called plain, hyper's parser reads the very same one, also after another with the same fields.
        #[test]
        fn nobody_reads_a_plain_request_in_another_way(
            before in prop::option::of(prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8)),
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        ) {
            let mut asked = Asked::new();
            if let Some(before) = before {
                asked.parse(&[b"GET /a HTTP/1.1\r\n", &*before.concat(), b"\r\n\r\n"].concat());
            }
            for bytes in [pieces.concat(), [b"GET /a HTTP/1.1\r\n", &*pieces.concat(), b"\r\n\r\n"].concat()] {
                let Parsed::Plain(len) = asked.parse(&bytes) else { continue };
                let mut fields = [httparse::EMPTY_HEADER; 100];
                let mut request = httparse::Request::new(&mut fields);
                prop_assert_eq!(request.parse(&bytes), Ok(httparse::Status::Complete(len)));
                prop_assert_eq!(request.method, Some(asked.head.method.as_str()));
                prop_assert_eq!(request.path, Some(&*asked.head.uri.to_string()));
                prop_assert_eq!(request.version, Some(1));
                prop_assert_eq!(request.headers.len(), asked.head.headers.len());
                for field in request.headers {
                    let values: Vec<_> = asked.head.headers.get_all(field.name).iter().map(HeaderValue::as_bytes).collect();
                    prop_assert!(values.contains(&field.value));
                    prop_assert!(!["content-length", "transfer-encoding"].contains(&&*field.name.to_lowercase()));
                }
            }
        }
    }
}
