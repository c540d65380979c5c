//! The states of streams.

use super::Expect::{Connection, Response, Stream, StreamOrIgnored};
use super::{
    Case, PROTOCOL_ERROR, REFUSED_STREAM, STREAM_CLOSED, after_response, headers, increment, priority, send,
    whole,
};
use crate::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, PRIORITIZED, PRIORITY, RST_STREAM, WHOLE, WINDOW_UPDATE,
    frame, get, health, post,
};

pub(super) fn cases() -> Vec<Case> {
    let reset = || frame(RST_STREAM, 0, 1, &increment(8));
    let block = health();
    let continuation = || frame(CONTINUATION, END_HEADERS, 1, &health());
    let many: Vec<_> = (0..110).map(|n| post(2 * n + 1, &[])).collect();
    vec![
        send("5.1", "idle: DATA", &[frame(DATA, END_STREAM, 1, b"x")], Connection(&[PROTOCOL_ERROR])),
        send("5.1", "idle: RST_STREAM", &[reset()], Connection(&[PROTOCOL_ERROR])),
        send(
            "5.1",
            "idle: WINDOW_UPDATE",
            &[frame(WINDOW_UPDATE, 0, 1, &increment(100))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send("5.1", "idle: CONTINUATION", &[continuation()], Connection(&[PROTOCOL_ERROR])),
        send(
            "5.1",
            "half-closed (remote): DATA",
            &[get(1), frame(DATA, END_STREAM, 1, b"x")],
            Stream(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        send(
            "5.1",
            "half-closed (remote): HEADERS",
            &[get(1), whole(1, &block)],
            Stream(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        send(
            "5.1",
            "half-closed (remote): CONTINUATION",
            &[get(1), continuation()],
            Stream(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        send(
            "5.1",
            "closed by a reset: DATA",
            &[post(1, &[]), reset(), frame(DATA, END_STREAM, 1, b"x")],
            StreamOrIgnored(1, &[STREAM_CLOSED]),
        ),
        send(
            "5.1",
            "closed by a reset: HEADERS",
            &[post(1, &[]), reset(), whole(1, &block)],
            StreamOrIgnored(1, &[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        send(
            "5.1",
            "closed by a reset: CONTINUATION",
            &[post(1, &[]), reset(), continuation()],
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        after_response(
            "5.1",
            "closed: DATA",
            &[frame(DATA, END_STREAM, 1, b"x")],
            StreamOrIgnored(1, &[STREAM_CLOSED]),
        ),
        after_response(
            "5.1",
            "closed: HEADERS",
            &[whole(1, &block)],
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        after_response(
            "5.1",
            "closed: CONTINUATION",
            &[continuation()],
            Connection(&[STREAM_CLOSED, PROTOCOL_ERROR]),
        ),
        after_response(
            "5.1",
            "closed: WINDOW_UPDATE",
            &[frame(WINDOW_UPDATE, 0, 1, &increment(1)), get(3)],
            Response(3),
        ),
        send("5.1.1", "an even number", &[get(2)], Connection(&[PROTOCOL_ERROR])),
        send("5.1.1", "a smaller number", &[post(5, &[]), get(3)], Connection(&[PROTOCOL_ERROR])),
        send("5.1.2", "more streams than allowed", &many, Stream(201, &[REFUSED_STREAM, PROTOCOL_ERROR])),
        send(
            "5.3.1",
            "HEADERS that depend on themselves",
            &[headers(WHOLE | PRIORITIZED, 1, &priority(1, 1), &block, b"")],
            Stream(1, &[PROTOCOL_ERROR]),
        ),
        send(
            "5.3.1",
            "PRIORITY that depends on itself",
            &[post(1, &[]), frame(PRIORITY, 0, 1, &priority(1, 1))],
            Stream(1, &[PROTOCOL_ERROR]),
        ),
    ]
}
