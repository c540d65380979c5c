//! Malformed messages.

use super::Expect::{self, Connection, Response, Stream};
use super::{COMPRESSION_ERROR, Case, PROTOCOL_ERROR, increment, send, whole};
use crate::http2::frames::{
    DATA, END_HEADERS, END_STREAM, HEADERS, PUSH_PROMISE, block, frame, health, post, request,
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    const MALFORMED: Expect = Stream(1, &[PROTOCOL_ERROR]);
    let fields = |fields: &[(&str, &str)]| whole(1, &block(fields));
    let method = (":method", "GET");
    let scheme = (":scheme", "https");
    let path = (":path", "/private/-/health");
    let authority = (":authority", "localhost");
    let with = |more: &[(&str, &str)]| whole(1, &request("GET", "/private/-/health", more));
    vec![
        send(
            "8.1",
            "a second HEADERS without END_STREAM",
            &[post(1, &[]), frame(HEADERS, END_HEADERS, 1, &block(&[("x", "y")]))],
            MALFORMED,
        ),
        send("8.1.2", "an uppercase name", &[with(&[("X-Test", "y")])], MALFORMED),
        send(
            "8.1.2",
            "an empty name",
            &[with(&[("", "y")])],
            Stream(1, &[PROTOCOL_ERROR, COMPRESSION_ERROR]),
        ),
        send("8.1.2", "a name with a space", &[with(&[("x y", "z")])], MALFORMED),
        send("8.1.2", "a line break in a value", &[with(&[("x", "y\r\nz: a")])], MALFORMED),
        send("8.1.2", "a space before a value", &[with(&[("x", " y")])], MALFORMED),
        send("8.1.2.1", "an unknown pseudo-header", &[with(&[(":test", "y")])], MALFORMED),
        send("8.1.2.1", "the pseudo-header of responses", &[with(&[(":status", "200")])], MALFORMED),
        send(
            "8.1.2.1",
            "a pseudo-header in trailers",
            &[post(1, &[]), frame(DATA, 0, 1, b"x"), whole(1, &block(&[method]))],
            MALFORMED,
        ),
        send(
            "8.1.2.1",
            "a pseudo-header after a field",
            &[fields(&[method, scheme, path, ("x", "y"), authority])],
            MALFORMED,
        ),
        send("8.1.2.2", "Connection", &[with(&[("connection", "keep-alive")])], MALFORMED),
        send("8.1.2.2", "Keep-Alive", &[with(&[("keep-alive", "timeout=5")])], MALFORMED),
        send("8.1.2.2", "Proxy-Connection", &[with(&[("proxy-connection", "close")])], MALFORMED),
        send("8.1.2.2", "Transfer-Encoding", &[with(&[("transfer-encoding", "chunked")])], MALFORMED),
        send("8.1.2.2", "Upgrade", &[with(&[("upgrade", "h2c")])], MALFORMED),
        send("8.1.2.2", "TE other than trailers", &[with(&[("te", "trailers, deflate")])], MALFORMED),
        send("8.1.2.2", "TE: trailers", &[with(&[("te", "trailers")])], Response(1)),
        send("8.1.2.3", "an empty path", &[fields(&[method, scheme, (":path", ""), authority])], MALFORMED),
        send(
            "8.1.2.3",
            "a path without a slash",
            &[fields(&[method, scheme, (":path", "private"), authority])],
            MALFORMED,
        ),
        send("8.1.2.3", "no method", &[fields(&[scheme, path, authority])], MALFORMED),
        send("8.1.2.3", "no scheme", &[fields(&[method, path, authority])], MALFORMED),
        send("8.1.2.3", "no path", &[fields(&[method, scheme, authority])], MALFORMED),
        send("8.1.2.3", "no authority and no Host", &[fields(&[method, scheme, path])], MALFORMED),
        send(
            "8.1.2.3",
            "Host instead of an authority",
            &[fields(&[method, scheme, path, ("host", "localhost")])],
            Response(1),
        ),
        send(
            "8.1.2.3",
            "Host that differs from the authority",
            &[with(&[("host", "other.example")])],
            MALFORMED,
        ),
        send(
            "8.1.2.3",
            "a user in the authority",
            &[fields(&[method, scheme, path, (":authority", "user@localhost")])],
            MALFORMED,
        ),
        send("8.1.2.3", "two methods", &[fields(&[method, method, scheme, path, authority])], MALFORMED),
        send("8.1.2.3", "two schemes", &[fields(&[method, scheme, scheme, path, authority])], MALFORMED),
        send("8.1.2.3", "two paths", &[fields(&[method, scheme, path, path, authority])], MALFORMED),
        send(
            "8.1.2.3",
            "two authorities",
            &[fields(&[method, scheme, path, authority, authority])],
            MALFORMED,
        ),
        send(
            "8.1.2.6",
            "less content than announced",
            &[post(1, &[("content-length", "2")]), frame(DATA, END_STREAM, 1, b"x")],
            MALFORMED,
        ),
        send(
            "8.1.2.6",
            "more content than announced",
            &[post(1, &[("content-length", "1")]), frame(DATA, 0, 1, b"x"), frame(DATA, END_STREAM, 1, b"x")],
            MALFORMED,
        ),
        send(
            "8.1.2.6",
            "an announced length without content",
            &[with(&[("content-length", "1")])],
            MALFORMED,
        ),
        send(
            "8.1.2.6",
            "two lengths",
            &[post(1, &[("content-length", "1"), ("content-length", "2")]), frame(DATA, END_STREAM, 1, b"x")],
            MALFORMED,
        ),
        send(
            "8.2",
            "PUSH_PROMISE of a client",
            &[frame(PUSH_PROMISE, END_HEADERS, 1, &[&increment(2)[..], &health()].concat())],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "8.3",
            "CONNECT opens no tunnel",
            &[whole(1, &block(&[(":method", "CONNECT"), (":authority", "localhost:80")]))],
            Response(1),
        ),
        send(
            "8.3",
            "CONNECT with a path",
            &[whole(1, &block(&[(":method", "CONNECT"), scheme, path, authority]))],
            MALFORMED,
        ),
    ]
}
