//! Parses request heads, and decides whether the loop or the fallback serves the request.
//!
//! Both use the parser of hyper, httparse, so they cannot interpret a head differently. If the field lines equal those of the previous
//! request of the connection, byte for byte, only the request line is parsed.

use http::header::{CONNECTION, EXPECT, HeaderMap, UPGRADE};
use http::request::Parts;
use http::{HeaderName, HeaderValue, Method, Request, StatusCode, Uri};
use httparse::Status;
use memchr::memchr;

/// The longest request head, in bytes.
pub(crate) const BUFFER: usize = 16 << 10;

/// The maximum number of fields of a head, as in hyper.
pub(crate) const MAX_FIELDS: usize = 100;
/// The maximum length of the field lines that a connection remembers, in bytes.
const MAX_REMEMBERED: usize = 4 << 10;

/// The result of parsing the beginning of a buffer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Parsed {
    /// A request that the loop serves, and the length of its head.
    Fast(usize),
    /// A request for the fallback.
    Fallback(Message),
    /// An incomplete head.
    Partial,
    /// An invalid head, and the status of the response.
    Refused(StatusCode),
}

/// The lengths of one request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) head_len: usize,
    pub(crate) content: Content,
}

/// The content that follows a head (RFC 9112 section 6.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Content {
    /// This many bytes.
    Length(u64),
    /// Chunks. Only hyper knows where they end, so the connection is closed afterwards.
    Chunked,
}

/// The parser of one connection. It remembers the fields of the previous request.
#[derive(Debug)]
pub(crate) struct HeadParser {
    /// The head of the last request that was [`Parsed::Fast`].
    pub(crate) head: Parts,
    /// Whether that request asks to close the connection.
    pub(crate) is_last: bool,
    /// The field lines of that head, including the empty line; empty if they are not remembered.
    field_lines: Vec<u8>,
}

impl HeadParser {
    pub(crate) fn new() -> Self {
        let (head, ()) = Request::new(()).into_parts();
        Self { head, is_last: false, field_lines: Vec::new() }
    }

    /// Parses the head at the beginning of these bytes.
    pub(crate) fn parse(&mut self, bytes: &[u8]) -> Parsed {
        if let Some(len) = self.parse_repeated(bytes) {
            return Parsed::Fast(len);
        }
        let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
        let mut head = httparse::Request::new(&mut fields);
        match head.parse(bytes) {
            Ok(Status::Complete(len)) => {
                let Some(content) = check(&head) else { return Parsed::Refused(StatusCode::BAD_REQUEST) };
                match content {
                    Content::Length(0) if self.take(&head) => {
                        self.remember(bytes.get(..len).unwrap_or_default());
                        Parsed::Fast(len)
                    }
                    content => Parsed::Fallback(Message { head_len: len, content }),
                }
            }
            Ok(Status::Partial) if bytes.len() < BUFFER => Parsed::Partial,
            Ok(Status::Partial) | Err(httparse::Error::TooManyHeaders) => {
                Parsed::Refused(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE)
            }
            Err(_) => Parsed::Refused(StatusCode::BAD_REQUEST),
        }
    }

    /// Parses a head with the same field lines as the previous one, and returns its length.
    fn parse_repeated(&mut self, bytes: &[u8]) -> Option<usize> {
        if self.field_lines.is_empty() {
            return None;
        }
        let (line, rest) = bytes.split_at(memchr(b'\n', bytes)? + 1);
        if !rest.starts_with(&self.field_lines) {
            return None;
        }
        let (method, target) = match line.strip_prefix(b"GET ") {
            Some(rest) => (Method::GET, rest),
            None => (Method::HEAD, line.strip_prefix(b"HEAD ")?),
        };
        let target = target.strip_suffix(b" HTTP/1.1\r\n")?;
        let uri = is_plain_path(target).then(|| Uri::try_from(target).ok())??;
        self.set_line(method, uri);
        Some(line.len() + self.field_lines.len())
    }

    /// Stores a head if the loop serves its request: a GET or HEAD of a path in HTTP/1.1, without expectation or upgrade. The caller has
    /// checked that no content follows.
    fn take(&mut self, head: &httparse::Request<'_, '_>) -> bool {
        let method = match head.method {
            Some("GET") => Method::GET,
            Some("HEAD") => Method::HEAD,
            _ => return false,
        };
        let uri = head.path.filter(|_| head.version == Some(1)).and_then(|target| path(target.as_bytes()));
        let (Some(uri), Some((headers, is_last))) = (uri, fields(head.headers)) else { return false };
        (self.head.headers, self.is_last) = (headers, is_last);
        self.set_line(method, uri);
        true
    }

    fn set_line(&mut self, method: Method, uri: Uri) {
        self.head.method = method;
        self.head.uri = uri;
        self.head.extensions.clear();
    }

    /// Remembers the field lines of a head that was stored.
    fn remember(&mut self, head: &[u8]) {
        self.field_lines.clear();
        // httparse skips empty lines before a head.
        let begin = head.iter().position(|byte| !matches!(byte, b'\r' | b'\n')).unwrap_or(0);
        let head = head.get(begin..).unwrap_or_default();
        let lines = memchr(b'\n', head).and_then(|end| head.get(end + 1..)).unwrap_or_default();
        if lines.len() <= MAX_REMEMBERED {
            self.field_lines.extend_from_slice(lines);
        }
    }
}

/// Returns the target of a request if it is a path. A target has no fragment (RFC 9112 section 3.2).
fn path(target: &[u8]) -> Option<Uri> {
    (target.starts_with(b"/") && memchr(b'#', target).is_none()).then(|| Uri::try_from(target).ok())?
}

/// Returns whether a target is a path that httparse accepts, as nearly all are. Without an early exit, this is a loop over vectors.
fn is_plain_path(target: &[u8]) -> bool {
    target.starts_with(b"/")
        && target.iter().fold(0, |other, byte| other | u8::from(!byte.is_ascii_graphic() || *byte == b'#'))
            == 0
}

/// Returns the headers of a request without expectation or upgrade, and whether it asks to close the connection.
fn fields(fields: &[httparse::Header<'_>]) -> Option<(HeaderMap, bool)> {
    let mut headers = HeaderMap::with_capacity(fields.len());
    let mut is_last = None;
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).ok()?;
        match name {
            EXPECT | UPGRADE => return None,
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

/// Returns the content that follows a head; `None` if the head is invalid. Checks the rules that hyper does not check, for the loop and for
/// the fallback.
fn check(head: &httparse::Request<'_, '_>) -> Option<Content> {
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
        (None, None, None) => Some(Content::Length(0)),
        (None, None, Some(_)) => Some(Content::Chunked),
        (Some(length), None, None) if length.iter().all(u8::is_ascii_digit) => {
            std::str::from_utf8(length).ok()?.parse().ok().map(Content::Length)
        }
        // Two lengths, or not a number (RFC 9112 section 6.3).
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(bytes: &[u8]) -> Parsed {
        HeadParser::new().parse(bytes)
    }

    /// Each row is the bytes and the result: `fast`, `partial`, a status, or the content that the fallback reads.
    #[test]
    fn heads_are_classified() {
        let get = |fields: &str| format!("GET /a HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
        let many = |count: usize| get(&(1..count).map(|n| format!("X-{n}: {n}\r\n")).collect::<String>());
        for (bytes, expected) in [
            (get(""), "fast"),
            ("HEAD /a?b=c HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n".into(), "fast"),
            (get("Connection: keep-alive\r\n"), "fast"),
            (get("Connection: CLOSE\r\n"), "fast"),
            (get("Content-Length: 0\r\n"), "fast"),
            (get("X-Empty:\r\nX-Tab:\ta\tb \r\n"), "fast"),
            (many(MAX_FIELDS), "fast"),
            (format!("\r\n{}", get("")), "fast"),
            (get("").replace("\r\n", "\n"), "fast"),
            (get("").replacen("\r\n", "\n", 1), "fast"),
            (String::new(), "partial"),
            ("G".into(), "partial"),
            ("GET /a HTTP/1.1\r".into(), "partial"),
            ("GET /a HTTP/1.1\r\nHost: x\r\n".into(), "partial"),
            ("GET /a HTTP/1.1\r\nHost: x\n".into(), "partial"),
            (get("").replace("GET", "POST"), "0"),
            (get("").replace("GET", "get"), "0"),
            (get("").replace("HTTP/1.1", "HTTP/1.0"), "0"),
            ("GET /a HTTP/1.0\r\n\r\n".into(), "0"),
            (get("").replace("/a", "a"), "0"),
            (get("").replace("/a", "*"), "0"),
            (get("").replace("/a", "http://x/a"), "0"),
            (get("Expect: 100-continue\r\n"), "0"),
            (get("Upgrade: h2c\r\n"), "0"),
            (get("Connection: close, x\r\n"), "0"),
            (get("Connection: close\r\nConnection: close\r\n"), "0"),
            (get("Content-Length: 12\r\n"), "12"),
            (get("Transfer-Encoding: chunked\r\n"), "chunked"),
            // hyper rejects this one.
            (get("Transfer-Encoding: gzip\r\n"), "chunked"),
            (get("Host: x\r\n"), "400"),
            (get("hOST: y\r\n"), "400"),
            ("GET /a HTTP/1.1\r\n\r\n".into(), "400"),
            ("GET /a HTTP/1.1\n\n".into(), "400"),
            ("GET http://x/a HTTP/1.1\r\n\r\n".into(), "400"),
            ("POST /a HTTP/1.1\r\n\r\n".into(), "400"),
            ("GET /a HTTP/1.0\r\nHost: x\r\nHost: x\r\n\r\n".into(), "400"),
            (get("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"), "400"),
            (get("Transfer-Encoding: chunked\r\nContent-Length: 1\r\n"), "400"),
            (get("Content-Length: 1\r\nContent-Length: 1\r\n"), "400"),
            (get("Content-Length: 1, 1\r\n"), "400"),
            (get("Content-Length: +1\r\n"), "400"),
            (get("Content-Length: \r\n"), "400"),
            (get("Content-Length: 99999999999999999999\r\n"), "400"),
            (get("").replace("/a", "/a#b"), "400"),
            (get("").replace("/a", "/#"), "400"),
            (get("Host : x\r\n"), "400"),
            (get(" folded\r\n"), "400"),
            ("GET /a HTTP/1.1\r\nHo st".into(), "400"),
            ("GET\0".into(), "400"),
            ("GET /a HTTP/3".into(), "400"),
            ("GET  /a HTTP/1.1\r\n".into(), "400"),
            (get("").replace("/a", "/a b"), "400"),
            ("\x16\x03\x01\x02".into(), "400"),
            (many(MAX_FIELDS + 1), "431"),
            (format!("GET /{} HTTP/1.1\r\n", "a".repeat(BUFFER)), "431"),
        ] {
            let parsed = match parse(bytes.as_bytes()) {
                Parsed::Fast(len) | Parsed::Fallback(Message { head_len: len, .. }) if len != bytes.len() => {
                    panic!("{bytes:?}: {len}")
                }
                Parsed::Fast(_) => "fast".to_owned(),
                Parsed::Fallback(Message { content: Content::Length(len), .. }) => len.to_string(),
                Parsed::Fallback(Message { content: Content::Chunked, .. }) => "chunked".to_owned(),
                Parsed::Partial => "partial".to_owned(),
                Parsed::Refused(status) => status.as_str().to_owned(),
            };
            assert_eq!(parsed, expected, "{bytes:?}");
        }
        // An incomplete head is limited.
        let long = format!("GET /{} HTTP/1.1\r\n", "a".repeat(BUFFER));
        assert_eq!(parse(&long.as_bytes()[..BUFFER - 1]), Parsed::Partial);
    }

    #[test]
    fn pipelined_heads_are_parsed_one_by_one() {
        let get = "GET /a HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut parser = HeadParser::new();
        let bytes = format!("{get}GET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /");
        assert_eq!(parser.parse(bytes.as_bytes()), Parsed::Fast(get.len()));
        assert_eq!(parser.head.uri, "/a");
        assert_eq!(parser.parse(&bytes.as_bytes()[get.len()..]), Parsed::Fast(get.len()));
        assert_eq!(parser.head.uri, "/b");
        assert_eq!(parser.parse(b"GET /"), Parsed::Partial);
    }

    const PIECES: [&[u8]; 25] = [
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
        b"Content-Length: 0",
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
        /// Also after another request with the same fields.
        #[test]
        fn a_fast_request_equals_that_of_httparse(
            before in prop::option::of(prop::collection::vec(prop::sample::select(&PIECES[..]), 0..8)),
            pieces in prop::collection::vec(prop::sample::select(&PIECES[..]), 0..12),
        ) {
            let mut parser = HeadParser::new();
            if let Some(before) = before {
                parser.parse(&[b"GET /a HTTP/1.1\r\nHost: y\r\n", &*before.concat(), b"\r\n\r\n"].concat());
            }
            for bytes in [pieces.concat(), [b"GET /a HTTP/1.1\r\nHost: y\r\n", &*pieces.concat(), b"\r\n\r\n"].concat()] {
                let mut fields = [httparse::EMPTY_HEADER; MAX_FIELDS];
                let mut request = httparse::Request::new(&mut fields);
                let len = match parser.parse(&bytes) {
                    Parsed::Fast(len) => len,
                    Parsed::Partial => {
                        prop_assert_eq!(request.parse(&bytes), Ok(Status::Partial));
                        continue;
                    }
                    Parsed::Fallback(_) | Parsed::Refused(_) => continue,
                };
                prop_assert_eq!(request.parse(&bytes), Ok(Status::Complete(len)));
                prop_assert_eq!(request.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("host")).count(), 1);
                prop_assert!(!request.path.unwrap().contains('#'));
                prop_assert_eq!(request.method, Some(parser.head.method.as_str()));
                prop_assert_eq!(request.path, Some(&*parser.head.uri.to_string()));
                prop_assert_eq!(request.version, Some(1));
                prop_assert_eq!(request.headers.len(), parser.head.headers.len());
                for field in request.headers {
                    let values: Vec<_> = parser.head.headers.get_all(field.name).iter().map(HeaderValue::as_bytes).collect();
                    prop_assert!(values.contains(&field.value));
                    prop_assert!(field.value == b"0" || !field.name.eq_ignore_ascii_case("content-length"));
                    prop_assert!(!field.name.eq_ignore_ascii_case("transfer-encoding"));
                }
            }
        }
    }
}
