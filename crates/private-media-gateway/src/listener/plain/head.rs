//! The head of a response.

use std::cell::Cell;
use std::time::SystemTime;

use http::header::CONTENT_LENGTH;
use http::{Method, StatusCode};
use http_body::Body as _;
use private_media::delivery::MediaResponse;
use private_media::raw::{PreparedHeaders as _, SerializedHeaders};

use crate::body::Body;
use crate::request_id::RequestId;

/// A response.
pub(crate) struct Answer {
    /// Its content is the body's.
    pub(crate) response: MediaResponse,
    pub(crate) body: Body,
    pub(crate) id: RequestId,
}

/// Writes the head of a response (RFC 9112 section 4), and gives the length of the content behind it: what is announced is what is
/// sent, whatever the response's own headers say. The standing headers count in place of others of their names.
pub(super) fn write(
    to: &mut Vec<u8>,
    Answer { response, body, id }: &Answer,
    standing: &SerializedHeaders,
    method: &Method,
    is_last: bool,
) -> u64 {
    let status = response.status;
    let reason = status.canonical_reason().unwrap_or_default();
    write_line(to, &[b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
    for (name, value) in &response.headers {
        if !SerializedHeaders::is_framing(name) && !standing.fields().contains_key(name) {
            write_line(to, &[name.as_str().as_bytes(), b": ", value.as_bytes()]);
        }
    }
    to.extend_from_slice(response.prepared().map(SerializedHeaders::lines).unwrap_or_default());
    to.extend_from_slice(standing.lines());
    // Without content, a HEAD and a 304 have the length of what they do not bring (RFC 9110 section 8.6).
    let has_content = *method != Method::HEAD && status != StatusCode::NOT_MODIFIED;
    let len = if has_content { body.size_hint().lower() } else { 0 };
    if has_content {
        write_line(to, &[b"content-length: ", itoa::Buffer::new().format(len).as_bytes()]);
    } else if let Some(value) = response.header(&CONTENT_LENGTH) {
        write_line(to, &[b"content-length: ", value.as_bytes()]);
    }
    write_line(to, &[b"x-request-id: ", id.as_str().as_bytes()]);
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
    use http::{HeaderValue, Response};
    use private_media::MediaBody;

    use super::*;

    /// Each row is a method, a status, headers, content, and the lines in which it shows.
    #[test]
    fn heads() {
        let standing = [(http::header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache"))]
            .into_iter()
            .collect();
        let standing = SerializedHeaders::new(standing);
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
            let response = response.body(MediaBody::empty()).unwrap().into();
            let body = MediaBody::empty().push_bytes(content).into();
            let answer = Answer { response, body, id: 7.into() };
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
            assert_eq!(shared[..2], ["cache-control: private, no-cache", "x-request-id: 0000000000000007"]);
            assert!(
                shared.len() == 3
                    && httpdate::parse_http_date(shared[2].strip_prefix("date: ").unwrap()).is_ok()
            );
        }
    }
}
