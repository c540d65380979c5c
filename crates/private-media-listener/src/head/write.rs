//! Writes response heads (RFC 9112 sections 4 to 6).

use std::cell::Cell;
use std::time::SystemTime;

use http::{Method, StatusCode};

use super::fields::{HeaderWriter, WriteHeaders, write_line};
use crate::handler::RawResponse;
use crate::piece::ResponseBody;

/// How the content of a response is delimited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Framing {
    /// This many bytes are still to be sent.
    Length(u64),
    /// Chunks (RFC 9112 section 7.1).
    Chunked,
}

/// Writes the head of a response in HTTP/1.1, and returns how its content is delimited. Sets `is_last` if the response has
/// `Connection: close`.
pub(crate) fn write<B: ResponseBody, H: WriteHeaders>(
    to: &mut Vec<u8>,
    response: &RawResponse<B, H>,
    method: &Method,
    is_last: &mut bool,
) -> Framing {
    let status = response.status;
    write_status(to, status);
    let exact = response.body.size_hint().exact();
    let needs_content_length =
        exact.is_none() || *method == Method::HEAD || status == StatusCode::NOT_MODIFIED;
    let mut writer = HeaderWriter { to, needs_content_length, content_length: None, closes: false };
    response.headers.write(&mut writer);
    let HeaderWriter { to, content_length, closes, .. } = writer;
    *is_last |= closes;
    let framing = match (status, exact) {
        // A 204 has neither content nor a length (RFC 9110 section 8.6).
        (StatusCode::NO_CONTENT, _) => Framing::Length(0),
        // Responses to HEAD and 304 have the length of the omitted content, if it is known.
        (StatusCode::NOT_MODIFIED, _) => write_length(to, content_length, 0),
        (_, exact) if *method == Method::HEAD => {
            write_length(to, content_length.or(exact.filter(|len| *len > 0)), 0)
        }
        (_, exact) => {
            if let Some(len) = exact.or(content_length) {
                write_length(to, Some(len), len)
            } else {
                to.extend_from_slice(b"transfer-encoding: chunked\r\n");
                Framing::Chunked
            }
        }
    };
    if *is_last {
        to.extend_from_slice(b"connection: close\r\n");
    }
    to.extend_from_slice(&date_and_end());
    framing
}

fn write_status(to: &mut Vec<u8>, status: StatusCode) {
    if status == StatusCode::OK {
        // Most responses.
        return to.extend_from_slice(b"HTTP/1.1 200 OK\r\n");
    }
    let reason = status.canonical_reason().unwrap_or_default();
    write_line(to, [b"HTTP/1.1 ", status.as_str().as_bytes(), b" ", reason.as_bytes()]);
}

fn write_length(to: &mut Vec<u8>, announced: Option<u64>, sent: u64) -> Framing {
    if let Some(len) = announced {
        write_line(to, [b"content-length: ", itoa::Buffer::new().format(len).as_bytes()]);
    }
    Framing::Length(sent)
}

/// Writes a complete response of one line of text, with `Connection: close`: the response to an invalid head.
pub(crate) fn write_text(to: &mut Vec<u8>, status: StatusCode) {
    let reason = status.canonical_reason().unwrap_or_default();
    write_line_of_text(to, status, &reason.to_ascii_lowercase());
}

/// Writes a complete response of this line of text, with `Connection: close`.
pub(crate) fn write_line_of_text(to: &mut Vec<u8>, status: StatusCode, line: &str) {
    write_status(to, status);
    write_line(to, [b"content-type: text/plain; charset=utf-8"]);
    write_line(to, [b"content-length: ", itoa::Buffer::new().format(line.len() + 1).as_bytes()]);
    write_line(to, [b"connection: close"]);
    to.extend_from_slice(&date_and_end());
    to.extend_from_slice(line.as_bytes());
    to.push(b'\n');
}

/// Returns the last field, `Date`, and the empty line that ends a head. They are formatted once per second.
fn date_and_end() -> [u8; 39] {
    thread_local! {
        static LAST: Cell<(u64, [u8; 39])> = const { Cell::new((0, [b' '; 39])) };
    }
    let now = SystemTime::now();
    let second = now.duration_since(SystemTime::UNIX_EPOCH).map_or(0, |since| since.as_secs());
    let (last, mut lines) = LAST.get();
    if last != second {
        let made = format!("date: {}\r\n\r\n", httpdate::fmt_http_date(now));
        lines = made.as_bytes().try_into().unwrap_or(lines);
        LAST.set((second, lines));
    }
    lines
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use futures_util::stream;
    use http::Response;
    use http_body::Frame;
    use http_body_util::{BodyExt, Full, StreamBody};

    use super::*;

    /// Each row is a method, a status, headers, content (`None` for a stream of unknown length), and the head without its date.
    #[test]
    fn heads_announce_what_is_sent() {
        for (method, status, headers, content, expected) in [
            ("GET", 200, vec![("etag", "\"x\"")], Some("hello"), "200 OK|etag: \"x\"|content-length: 5"),
            ("HEAD", 200, vec![("content-length", "5")], Some(""), "200 OK|content-length: 5"),
            ("HEAD", 200, vec![], Some("hello"), "200 OK|content-length: 5"),
            ("HEAD", 200, vec![], Some(""), "200 OK"),
            ("HEAD", 200, vec![], None, "200 OK"),
            ("GET", 304, vec![("content-length", "5")], Some(""), "304 Not Modified|content-length: 5"),
            ("GET", 304, vec![], Some(""), "304 Not Modified"),
            ("GET", 204, vec![], Some(""), "204 No Content"),
            ("GET", 404, vec![], Some("no\n"), "404 Not Found|content-length: 3"),
            ("GET", 299, vec![], Some(""), "299 |content-length: 0"),
            (
                "GET",
                200,
                vec![("connection", "close")],
                Some(""),
                "200 OK|content-length: 0|connection: close",
            ),
            ("GET", 200, vec![], None, "200 OK|transfer-encoding: chunked"),
            ("GET", 200, vec![("content-length", "5")], None, "200 OK|content-length: 5"),
            ("GET", 200, vec![("content-length", "x")], None, "200 OK|transfer-encoding: chunked"),
            // Framing headers of the service are replaced.
            (
                "GET",
                200,
                vec![
                    ("content-length", "99"),
                    ("transfer-encoding", "gzip"),
                    ("date", "never"),
                    ("connection", "x"),
                ],
                Some("hello"),
                "200 OK|content-length: 5",
            ),
        ] {
            let mut response = Response::builder().status(status);
            for (name, value) in &headers {
                response = response.header(*name, *value);
            }
            let body = match content {
                Some(text) => Full::new(Bytes::from(text)).map_err(|never| match never {}).boxed_unsync(),
                None => StreamBody::new(stream::empty::<Result<Frame<Bytes>, crate::error::BoxError>>())
                    .boxed_unsync(),
            };
            let response = RawResponse::from(response.body(body).unwrap());
            let (mut written, mut is_last) = (Vec::new(), false);
            let framing = write(&mut written, &response, &method.parse().unwrap(), &mut is_last);
            let text = String::from_utf8(written).unwrap();
            let (lines, rest) = text.split_once("\r\n\r\n").unwrap();
            assert_eq!(rest, "");
            let (lines, date) = lines.split_once("\r\ndate: ").unwrap();
            assert!(httpdate::parse_http_date(date).is_ok());
            assert_eq!(lines.replace("\r\n", "|"), format!("HTTP/1.1 {expected}"), "{method} {headers:?}");
            assert_eq!(is_last, expected.contains("close"));
            let sent = match content {
                _ if method == "HEAD" || matches!(status, 204 | 304) => Framing::Length(0),
                Some(text) => Framing::Length(text.len() as u64),
                None if expected.contains("chunked") => Framing::Chunked,
                None => Framing::Length(5),
            };
            assert_eq!(framing, sent, "{method} {headers:?}");
        }
    }

    #[test]
    fn a_text_response_has_its_length_and_closes() {
        let mut written = Vec::new();
        write_text(&mut written, StatusCode::BAD_REQUEST);
        let text = String::from_utf8(written).unwrap();
        let (head, content) = text.split_once("\r\n\r\n").unwrap();
        assert_eq!(content, "bad request\n");
        assert!(
            head.starts_with("HTTP/1.1 400 Bad Request\r\n") && head.contains("\r\ncontent-length: 12\r\n")
        );
        assert!(head.contains("\r\nconnection: close\r\n"));
    }
}
