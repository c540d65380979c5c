//! What is asked for, read as it comes.

use std::cell::Cell;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use http::header::{CONNECTION, CONTENT_LENGTH, EXPECT, HOST, HeaderMap, TRANSFER_ENCODING, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, Uri};
use memchr::{memchr, memmem};

use super::super::head_gate::FIELDS as HYPER_FIELDS;
use super::super::kernel::Sending;
use super::super::{BUFFER, Handler};
use super::{Idle, Stream};

/// The most fields that a plain request has.
const FIELDS: usize = 64;
/// Fields up to this length in all are remembered on their connection, in bytes.
const REMEMBERED: usize = 4 << 10;

thread_local! {
    /// Memory to read into, for whoever does so next.
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// What comes next on a connection.
pub(super) enum Next {
    /// A plain request.
    Plain,
    /// Something else, to be read from its first byte.
    Other,
    /// Nothing: it has ended, or it is time.
    End,
}

/// The request that is being read, or answered.
pub(super) struct Asked {
    pub(super) head: Parts,
    /// Whether the client wants no other answer on this connection.
    pub(super) is_last: bool,
    /// The fields of the head, as they came: from one request to the next of a connection they are nearly always the same.
    fields: Vec<u8>,
    /// What has come and was not taken yet.
    pub(super) bytes: Vec<u8>,
    /// Whether this has been looked at, and is the beginning of a head.
    is_begun: bool,
}

impl Asked {
    pub(super) fn new() -> Self {
        let (head, ()) = Request::new(()).into_parts();
        Self { head, is_last: false, fields: Vec::new(), bytes: Vec::new(), is_begun: false }
    }

    pub(super) fn poll<S: Future>(
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
            match self.poll_read(context, stream.io_mut(), handler) {
                Poll::Ready(Ok(None)) => {}
                Poll::Ready(Ok(Some(next))) => return Poll::Ready(Ok(next)),
                Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
                Poll::Pending => return idle.poll(context, self.bytes.is_empty()).map(|()| Ok(Next::End)),
            }
        }
    }

    /// Reads, and takes what has come if it is a whole head.
    fn poll_read(
        &mut self,
        context: &mut Context<'_>,
        stream: &mut Sending,
        handler: &impl Handler,
    ) -> Poll<io::Result<Option<Next>>> {
        let mut scratch = SCRATCH.take();
        scratch.clear();
        scratch.reserve(BUFFER);
        scratch.extend_from_slice(&self.bytes);
        let next = match stream.poll_read_behind(context, &mut scratch) {
            Poll::Ready(Ok(0)) => Poll::Ready(Ok(Some(Next::End))),
            Poll::Ready(Ok(_)) => Poll::Ready(Ok(self.take(&scratch, handler))),
            Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
            Poll::Pending => Poll::Pending,
        };
        SCRATCH.set(scratch);
        next
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

    pub(super) fn parse(&mut self, bytes: &[u8]) -> Parsed {
        let Some(end) = memchr(b'\n', bytes) else { return incomplete(bytes) };
        let (line, rest) = bytes.split_at(end + 1);
        let Some((method, uri)) = request_line(line) else { return Parsed::Other };
        let len = if !self.fields.is_empty() && rest.starts_with(&self.fields) {
            self.fields.len()
        } else {
            let Some(end) = memmem::find(bytes, b"\r\n\r\n") else { return incomplete(bytes) };
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
pub(super) enum Parsed {
    /// The head of a plain request, of this length.
    Plain(usize),
    /// The beginning of a head.
    More,
    /// Not clearly one of these.
    Other,
}

/// What bytes are that have no plain end: only what hyper would wait for the rest of is the beginning of a head. It answers at once what is
/// malformed or ends in another way.
fn incomplete(bytes: &[u8]) -> Parsed {
    let mut fields = [httparse::EMPTY_HEADER; HYPER_FIELDS];
    match httparse::Request::new(&mut fields).parse(bytes) {
        Ok(httparse::Status::Partial) => Parsed::More,
        _ => Parsed::Other,
    }
}

/// A GET or HEAD of a path, in HTTP/1.1 (RFC 9112 section 3).
fn request_line(line: &[u8]) -> Option<(Method, Uri)> {
    let (method, rest) = match line.strip_prefix(b"GET ") {
        Some(rest) => (Method::GET, rest),
        None => (Method::HEAD, line.strip_prefix(b"HEAD ")?),
    };
    let target = rest.strip_suffix(b" HTTP/1.1\r\n")?;
    let is_plain =
        target.starts_with(b"/") && target.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'#');
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
    let (mut is_last, mut hosts) = (None, 0);
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
            HOST => hosts += 1,
            _ => {}
        }
        headers.append(name, HeaderValue::from_bytes(field.value).ok()?);
    }
    (hosts == 1).then(|| (headers, is_last.unwrap_or(false)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn plain_and_other() {
        for (bytes, expected) in [
            ("GET /a HTTP/1.1\r\nHost: x\r\n\r\n", "plain"),
            ("HEAD /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n", "plain"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nConnection: keep-alive\r\n\r\nGET /", "plain"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nConnection: CLOSE\r\n\r\n", "plain"),
            ("", "more"),
            ("GET /a HTTP/1.1\r", "more"),
            ("GET /a HTTP/1.1\r\nHost: x\r\n", "more"),
            ("G", "more"),
            ("GET /a HTTP/1.1\r\nHost: x\n", "more"),
            ("GET /a HTTP/1.1\r\nHost: x\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\n\n", "other"),
            ("GET\0", "other"),
            ("\x16\x03\x01\x02", "other"),
            ("GET /a HTTP/3", "other"),
            ("GET /a HTTP/1.1\r\nHo st", "other"),
            ("GET /a#b HTTP/1.1\r\nHost: x\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nhost: x\r\n\r\n", "other"),
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
            ("GET /a HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nUpgrade: h2c\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close, x\r\n\r\n", "other"),
            ("GET /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\nConnection: close\r\n\r\n", "other"),
        ] {
            let parsed = match Asked::new().parse(bytes.as_bytes()) {
                Parsed::Plain(_) => "plain",
                Parsed::More => "more",
                Parsed::Other => "other",
            };
            assert_eq!(parsed, expected, "{bytes:?}");
        }
    }

    const PIECES: [&[u8]; 24] = [
        b"GET ",
        b"HEAD ",
        b"/a",
        b"/private/b?c",
        b"#d",
        b"host:y",
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
                asked.parse(&[b"GET /a HTTP/1.1\r\nHost: y\r\n", &*before.concat(), b"\r\n\r\n"].concat());
            }
            for bytes in [pieces.concat(), [b"GET /a HTTP/1.1\r\nHost: y\r\n", &*pieces.concat(), b"\r\n\r\n"].concat()] {
                let mut fields = [httparse::EMPTY_HEADER; HYPER_FIELDS];
                let mut request = httparse::Request::new(&mut fields);
                let len = match asked.parse(&bytes) {
                    Parsed::Plain(len) => len,
                    // Nothing is waited for that hyper would not wait for.
                    Parsed::More => {
                        prop_assert_eq!(request.parse(&bytes), Ok(httparse::Status::Partial));
                        continue;
                    }
                    Parsed::Other => continue,
                };
                prop_assert_eq!(request.parse(&bytes), Ok(httparse::Status::Complete(len)));
                prop_assert_eq!(request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host")).count(), 1);
                prop_assert!(!request.path.unwrap().contains('#'));
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
