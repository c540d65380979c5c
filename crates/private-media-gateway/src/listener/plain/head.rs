//! The head of a response.

use std::cell::Cell;
use std::time::SystemTime;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue, Method, StatusCode, response};
use http_body::Body as _;

use crate::body::Body;

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

/// Writes the head of a response (RFC 9112 section 4), and gives the length of the content behind it: what is announced is what is
/// sent, whatever the response's own headers say.
pub(super) fn write(
    to: &mut Vec<u8>,
    answer: &Answer,
    standing: &Standing,
    method: &Method,
    is_last: bool,
) -> u64 {
    let status = answer.head.status;
    let reason = status.canonical_reason().unwrap_or_default();
    write_line(to, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    // Of these a HEAD and a 304 have the length of what they do not bring (RFC 9110 section 8.6).
    let has_content = *method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
    for (name, value) in &answer.head.headers {
        let is_own = match *name {
            CONTENT_LENGTH => !has_content,
            CONNECTION | DATE | TRANSFER_ENCODING => false,
            _ => !standing.names.contains(name),
        };
        if is_own {
            write_line(to, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
    }
    let len = if has_content { answer.body.size_hint().lower() } else { 0 };
    if has_content {
        write_line(to, &[b"content-length: ", len.to_string().as_bytes()]);
    }
    to.extend_from_slice(&standing.lines);
    write_line(to, &[b"x-request-id: ", answer.id.as_bytes()]);
    if is_last {
        write_line(to, &[b"connection: close"]);
    }
    write_line(to, &[b"date: ", &date(), b"\r\n"]);
    len
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
    use http::Response;
    use private_media::MediaBody;

    use super::*;

    /// Each row is a method, a status, headers, content, and the lines in which it shows.
    #[test]
    fn heads() {
        let standing = Standing::from(
            &[(http::header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]
                .into_iter()
                .collect(),
        );
        for (method, status, headers, content, is_last, expected) in [
            (
                "GET",
                200,
                vec![("etag", "\"x\"")],
                "hello",
                false,
                "HTTP/1.1 200 OK|etag: \"x\"|content-length: 5",
            ),
            ("HEAD", 200, vec![("content-length", "5")], "", false, "HTTP/1.1 200 OK|content-length: 5"),
            (
                "GET",
                304,
                vec![("content-length", "5")],
                "",
                false,
                "HTTP/1.1 304 Not Modified|content-length: 5",
            ),
            ("GET", 304, vec![], "", false, "HTTP/1.1 304 Not Modified"),
            ("GET", 404, vec![], "no\n", true, "HTTP/1.1 404 Not Found|content-length: 3|connection: close"),
            // What is not so is not said.
            (
                "GET",
                200,
                vec![("content-length", "99"), ("transfer-encoding", "chunked")],
                "hello",
                false,
                "HTTP/1.1 200 OK|content-length: 5",
            ),
            (
                "GET",
                200,
                vec![("cache-control", "public"), ("date", "never"), ("connection", "x")],
                "",
                false,
                "HTTP/1.1 200 OK|content-length: 0",
            ),
        ] {
            let mut response = Response::builder().status(status);
            for (name, value) in headers {
                response = response.header(name, value);
            }
            let (head, body) = response.body(MediaBody::empty().then_bytes(content)).unwrap().into_parts();
            let answer = Answer { head, body: body.into(), id: HeaderValue::from_static("7") };
            let mut written = Vec::new();
            let len = write(&mut written, &answer, &standing, &method.parse().unwrap(), is_last);
            assert_eq!(len, content.len() as u64);
            let text = String::from_utf8(written).unwrap();
            let (lines, rest) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(rest, "");
            let (shared, own): (Vec<_>, Vec<_>) = lines
                .split("\r\n")
                .partition(|line| ["cache", "x-req", "date:"].iter().any(|name| line.starts_with(name)));
            assert_eq!(own.join("|"), expected);
            assert_eq!(shared[..2], ["cache-control: private, no-cache", "x-request-id: 7"]);
            assert!(
                shared.len() == 3
                    && httpdate::parse_http_date(shared[2].strip_prefix("date: ").unwrap()).is_ok()
            );
        }
    }
}
