//! What every client does.

use super::Expect::{Open, Pong, Response, SettingsAck};
use super::{Case, after_response, headers, increment, priority, send, whole};
use crate::http2::frames::{
    CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, PADDED, PING, PRIORITIZED, PRIORITY, RST_STREAM,
    SETTINGS, WHOLE, WINDOW_UPDATE, block, frame, get, health, post, request, settings,
};

#[expect(clippy::too_many_lines, reason = "a table")]
pub(super) fn cases() -> Vec<Case> {
    let half = health().len() / 2;
    let (first, rest) = (health()[..half].to_vec(), health()[half..].to_vec());
    let content = frame(DATA, END_STREAM, 1, b"name=x");
    vec![
        send("generic/1", "a preface and a request", &[get(1)], Response(1)),
        send(
            "generic/2",
            "PRIORITY for an idle stream",
            &[frame(PRIORITY, 0, 1, &priority(0, 1)), get(1)],
            Response(1),
        ),
        send(
            "generic/2",
            "WINDOW_UPDATE for a half-closed stream",
            &[get(1), frame(WINDOW_UPDATE, 0, 1, &increment(1))],
            Response(1),
        ),
        send(
            "generic/2",
            "PRIORITY for a half-closed stream",
            &[get(1), frame(PRIORITY, 0, 1, &priority(0, 1))],
            Response(1),
        ),
        send(
            "generic/2",
            "RST_STREAM for a half-closed stream",
            &[get(1), frame(RST_STREAM, 0, 1, &increment(8))],
            Open,
        ),
        after_response(
            "generic/2",
            "PRIORITY for a closed stream",
            &[frame(PRIORITY, 0, 1, &priority(0, 1)), get(3)],
            Response(3),
        ),
        send("generic/3.1", "DATA", &[post(1, &[]), content.clone()], Response(1)),
        send(
            "generic/3.1",
            "several DATA",
            &[post(1, &[]), frame(DATA, 0, 1, b"na"), frame(DATA, 0, 1, b"me="), content],
            Response(1),
        ),
        send(
            "generic/3.1",
            "DATA with padding",
            &[post(1, &[]), frame(DATA, END_STREAM | PADDED, 1, b"\x05name=\0\0\0\0\0")],
            Response(1),
        ),
        send(
            "generic/3.2",
            "HEADERS with padding",
            &[headers(WHOLE | PADDED, 1, &[5], &health(), &[0; 5])],
            Response(1),
        ),
        send(
            "generic/3.2",
            "HEADERS with a priority",
            &[headers(WHOLE | PRIORITIZED, 1, &priority(0, 255), &health(), b"")],
            Response(1),
        ),
        send(
            "generic/3.3",
            "PRIORITY with the lowest weight",
            &[frame(PRIORITY, 0, 1, &priority(0, 0)), get(1)],
            Response(1),
        ),
        send(
            "generic/3.3",
            "PRIORITY with the highest weight",
            &[frame(PRIORITY, 0, 1, &priority(0, 255)), get(1)],
            Response(1),
        ),
        send(
            "generic/3.3",
            "PRIORITY with a dependency",
            &[frame(PRIORITY, 0, 3, &priority(1, 7)), get(1)],
            Response(1),
        ),
        send(
            "generic/3.3",
            "PRIORITY with an exclusive dependency",
            &[frame(PRIORITY, 0, 3, &priority(1 | 1 << 31, 7)), get(1)],
            Response(1),
        ),
        send(
            "generic/3.3",
            "PRIORITY for a later stream",
            &[frame(PRIORITY, 0, 9, &priority(0, 7)), get(7)],
            Response(7),
        ),
        send(
            "generic/3.4",
            "RST_STREAM",
            &[post(1, &[]), frame(RST_STREAM, 0, 1, &increment(8)), get(3)],
            Response(3),
        ),
        send("generic/3.5", "SETTINGS", &[frame(SETTINGS, 0, 0, &settings(&[(3, 100)]))], SettingsAck),
        send("generic/3.7", "PING", &[frame(PING, 0, 0, b"h2specok")], Pong(b"h2specok")),
        send("generic/3.8", "GOAWAY after a request", &[get(1), frame(GOAWAY, 0, 0, &[0; 8])], Response(1)),
        send(
            "generic/3.9",
            "WINDOW_UPDATE for the connection",
            &[frame(WINDOW_UPDATE, 0, 0, &increment(1)), get(1)],
            Response(1),
        ),
        send(
            "generic/3.9",
            "WINDOW_UPDATE for a stream",
            &[get(1), frame(WINDOW_UPDATE, 0, 1, &increment(1))],
            Response(1),
        ),
        send(
            "generic/3.10",
            "a CONTINUATION",
            &[headers(END_STREAM, 1, b"", &first, b""), frame(CONTINUATION, END_HEADERS, 1, &rest)],
            Response(1),
        ),
        send(
            "generic/3.10",
            "several CONTINUATION",
            &[
                headers(END_STREAM, 1, b"", &first, b""),
                frame(CONTINUATION, 0, 1, &rest[..3]),
                frame(CONTINUATION, END_HEADERS, 1, &rest[3..]),
            ],
            Response(1),
        ),
        send("generic/4", "HEAD", &[whole(1, &request("HEAD", "/private/-/health", &[]))], Response(1)),
        send(
            "generic/4",
            "POST with trailers",
            &[post(1, &[]), frame(DATA, 0, 1, b"name=x"), whole(1, &block(&[("x-trailer", "y")]))],
            Response(1),
        ),
        send("generic/4", "OPTIONS *", &[whole(1, &request("OPTIONS", "*", &[]))], Response(1)),
    ]
}
