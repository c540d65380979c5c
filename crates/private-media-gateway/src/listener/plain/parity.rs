//! Compares the request reader with hyper: both have to read the same requests from the same bytes.

use std::cell::RefCell;
use std::convert::Infallible;
use std::future::ready;
use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};

use bytes::Bytes;
use http::header::{CONNECTION, HeaderMap};
use http::request::Parts;
use http::{Method, Request, Response, Uri, Version};
use http_body::Body as _;
use http_body_util::Full;
use hyper::body::Incoming;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper::server::conn::http1;
use hyper::service::service_fn;

use super::super::BUFFER;
use super::asked::{Asked, Parsed};

/// Feeds the pieces to the request reader, as they would arrive on a connection, and compares after each piece:
///
/// - A request that the reader accepts is one that hyper accepts: same method, target, headers, and no content.
/// - The connection ends after a request where hyper would end it.
/// - While the reader waits for more bytes, hyper waits too. It has neither a request nor an error to answer.
pub(crate) fn check(pieces: &[&[u8]]) -> Result<(), String> {
    let (mut reader, mut pending, mut received) = (Asked::new(), Vec::new(), Vec::new());
    let mut accepted = Vec::new();
    for piece in pieces {
        pending.extend_from_slice(piece);
        received.extend_from_slice(piece);
        loop {
            match reader.parse(&pending) {
                Parsed::Plain(len) => {
                    pending.drain(..len);
                    accepted.push(Head {
                        method: reader.head.method.clone(),
                        target: reader.head.uri.clone(),
                        headers: reader.head.headers.clone(),
                        is_last: reader.is_last,
                        has_content: false,
                    });
                    if reader.is_last {
                        return compare(&Hyper::read(&received).heads, &accepted);
                    }
                }
                Parsed::More if pending.len() < BUFFER => break,
                // hyper reads the rest of the connection.
                Parsed::More | Parsed::Other => {
                    let heads = Hyper::read(&received).heads;
                    return compare(heads.get(..accepted.len()).unwrap_or(&heads), &accepted);
                }
            }
        }
        let hyper = Hyper::read(&received);
        compare(&hyper.heads, &accepted)?;
        if !hyper.is_waiting || hyper.responses > accepted.len() {
            return Err(format!(
                "waits for more than {:?}, where hyper does not",
                pending.escape_ascii().to_string()
            ));
        }
    }
    Ok(())
}

fn compare(hyper: &[Head], accepted: &[Head]) -> Result<(), String> {
    if hyper == accepted { Ok(()) } else { Err(format!("reads {accepted:#?}, where hyper reads {hyper:#?}")) }
}

/// A request, as far as the response depends on its head.
#[derive(Debug, Clone, PartialEq)]
struct Head {
    method: Method,
    target: Uri,
    headers: HeaderMap,
    is_last: bool,
    has_content: bool,
}

/// What hyper does with the bytes of a connection that stays open.
struct Hyper {
    heads: Vec<Head>,
    responses: usize,
    is_waiting: bool,
}

impl Hyper {
    fn read(bytes: &[u8]) -> Self {
        let heads = RefCell::new(Vec::new());
        let service = service_fn(|request: Request<Incoming>| {
            let (head, body) = request.into_parts();
            // An HTTP/1.0 request is never plain.
            let has_content = !body.is_end_stream() || head.version != Version::HTTP_11;
            let Parts { method, uri, headers, .. } = head;
            heads.borrow_mut().push(Head { method, target: uri, headers, is_last: false, has_content });
            ready(Ok::<_, Infallible>(Response::new(Full::new(Bytes::new()))))
        });
        let mut written = Vec::new();
        let stream = Stream { unread: bytes, written: &mut written };
        let mut is_waiting = true;
        {
            let mut builder = http1::Builder::new();
            builder.header_read_timeout(None).max_buf_size(BUFFER);
            let mut connection = pin!(builder.serve_connection(stream, service));
            let mut context = Context::from_waker(Waker::noop());
            // hyper yields after a few requests.
            for _ in 0..=bytes.len() / 256 + 1 {
                if connection.as_mut().poll(&mut context).is_ready() {
                    is_waiting = false;
                    break;
                }
            }
        }
        let mut heads = heads.into_inner();
        let responses = memchr::memmem::find_iter(&written, b"HTTP/1.1 ").count();
        let mut ends = responses_close(&written).into_iter();
        for head in &mut heads {
            head.is_last = ends.next().unwrap_or(false);
        }
        Self { heads, responses, is_waiting }
    }
}

/// Whether each response announces the end of the connection.
fn responses_close(written: &[u8]) -> Vec<bool> {
    let text = String::from_utf8_lossy(written);
    let heads = text.split("\r\n\r\n").filter(|head| !head.is_empty());
    heads.map(|head| head.to_ascii_lowercase().contains(&format!("{CONNECTION}: close"))).collect()
}

/// A connection on which these bytes have arrived and no others yet.
struct Stream<'a> {
    unread: &'a [u8],
    written: &'a mut Vec<u8>,
}

impl Read for Stream<'_> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
        mut to: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        if self.unread.is_empty() {
            return Poll::Pending;
        }
        let (now, later) = self.unread.split_at(to.remaining().min(self.unread.len()));
        to.put_slice(now);
        self.unread = later;
        Poll::Ready(Ok(()))
    }
}

impl Write for Stream<'_> {
    fn poll_write(mut self: Pin<&mut Self>, _: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.written.extend_from_slice(bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const LINES: [&str; 4] =
        ["GET /a HTTP/1.1", "HEAD /private/b?c HTTP/1.1", "GET /%2e HTTP/1.1", "POST /a HTTP/1.1"];
    const FIELDS: [&str; 8] = [
        "Host: x",
        "Cookie: a=b",
        "cookie:\tc=d ",
        "Range: bytes=0-1",
        "Connection: close",
        "connection: keep-alive",
        "Content-Length: 0",
        "X-Empty:",
    ];

    proptest! {
        #[test]
        fn requests_in_any_pieces_are_read_as_hyper_reads_them(
            requests in prop::collection::vec(
                (prop::sample::select(&LINES[..]), prop::collection::vec(prop::sample::select(&FIELDS[..]), 0..5)),
                1..4,
            ),
            cuts in prop::collection::vec(1_usize..40, 0..12),
        ) {
            let head = |(line, fields): &(&str, Vec<&str>)| format!("{line}\r\n{}\r\n", fields.iter().map(|field| format!("{field}\r\n")).collect::<String>());
            let stream: String = requests.iter().map(head).collect();
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
}
