//! Frames, by their types.

use super::Expect::{Connection, Data, Pong, Response, SettingsAck, Stream, StreamOrIgnored};
use super::{
    COMPRESSION_ERROR, Case, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR, PROTOCOL_ERROR, STREAM_CLOSED, Step,
    after_response, headers, increment, priority, send, whole,
};
use crate::http2::frames::{
    ACK, CONTINUATION, DATA, END_HEADERS, END_STREAM, GOAWAY, PADDED, PING, PRIORITY, RST_STREAM, SETTINGS,
    WHOLE, WINDOW_UPDATE, frame, get, health, post, settings,
};

/// Returns the cases of all types.
pub(super) fn cases() -> Vec<Case> {
    [up_to_rst_stream(), from_settings()].concat()
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn up_to_rst_stream() -> Vec<Case> {
    let unknown = |stream| frame(0x16, 0xff, stream, b"unknown");
    vec![
        send("4.1", "a frame of an unknown type", &[unknown(0), get(1)], Response(1)),
        send("4.1", "undefined flags", &[frame(PING, 0xfe, 0, b"h2specok")], Pong(b"h2specok")),
        send("4.1", "the reserved bit", &[frame(PING, 0, 1 << 31, b"h2specok")], Pong(b"h2specok")),
        send(
            "4.2",
            "DATA of 16,384 bytes",
            &[post(1, &[]), frame(DATA, END_STREAM, 1, &[b'x'; 1 << 14])],
            Response(1),
        ),
        send(
            "4.2",
            "too long DATA",
            &[post(1, &[]), frame(DATA, END_STREAM, 1, &[b'x'; (1 << 14) + 1])],
            Stream(1, &[FRAME_SIZE_ERROR]),
        ),
        send(
            "4.2",
            "too long HEADERS",
            &[headers(WHOLE, 1, b"", &health(), &[0; 1 << 14])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send("4.3", "an invalid header block", &[whole(1, &[0x40])], Connection(&[COMPRESSION_ERROR])),
        send(
            "4.3",
            "PRIORITY in a header block",
            &[headers(END_STREAM, 1, b"", &health(), b""), frame(PRIORITY, 0, 1, &priority(0, 1))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "4.3",
            "HEADERS of another stream in a header block",
            &[headers(END_STREAM, 1, b"", &health(), b""), get(3)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "5.4.1",
            "a PING that is too short",
            &[frame(PING, 0, 0, b"short")],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send("5.5", "an unknown frame on a stream", &[get(1), unknown(1)], Response(1)),
        send(
            "5.5",
            "an unknown frame in a header block",
            &[headers(END_STREAM, 1, b"", &health(), b""), unknown(1)],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.1",
            "DATA on the connection",
            &[frame(DATA, END_STREAM, 0, b"x")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        after_response(
            "6.1",
            "DATA for a closed stream",
            &[frame(DATA, END_STREAM, 1, b"x")],
            StreamOrIgnored(1, &[STREAM_CLOSED]),
        ),
        send(
            "6.1",
            "DATA with more padding than content",
            &[post(1, &[]), frame(DATA, END_STREAM | PADDED, 1, b"\x06x")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send("6.2", "HEADERS on the connection", &[whole(0, &health())], Connection(&[PROTOCOL_ERROR])),
        send(
            "6.2",
            "HEADERS with more padding than content",
            &[headers(WHOLE | PADDED, 1, &[0xff], b"x", b"")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.3",
            "PRIORITY on the connection",
            &[frame(PRIORITY, 0, 0, &priority(1, 1))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.3",
            "PRIORITY that is too short",
            &[post(1, &[]), frame(PRIORITY, 0, 1, &[0; 4])],
            Stream(1, &[FRAME_SIZE_ERROR]),
        ),
        send(
            "6.4",
            "RST_STREAM on the connection",
            &[frame(RST_STREAM, 0, 0, &increment(8))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.4",
            "RST_STREAM for an idle stream",
            &[frame(RST_STREAM, 0, 1, &increment(8))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.4",
            "RST_STREAM that is too short",
            &[post(1, &[]), frame(RST_STREAM, 0, 1, &[0; 3])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
    ]
}

#[expect(clippy::too_many_lines, reason = "a table")]
fn from_settings() -> Vec<Case> {
    let update = |stream: u32| frame(WINDOW_UPDATE, 0, stream, &increment(1));
    vec![
        send(
            "6.5",
            "an acknowledgement with settings",
            &[frame(SETTINGS, ACK, 0, &settings(&[(3, 1)]))],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send(
            "6.5",
            "SETTINGS for a stream",
            &[frame(SETTINGS, 0, 1, &settings(&[(3, 1)]))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.5",
            "SETTINGS of another length",
            &[frame(SETTINGS, 0, 0, &[0; 5])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send(
            "6.5.2",
            "an invalid ENABLE_PUSH",
            &[frame(SETTINGS, 0, 0, &settings(&[(2, 2)]))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.5.2",
            "a too large INITIAL_WINDOW_SIZE",
            &[frame(SETTINGS, 0, 0, &settings(&[(4, 1 << 31)]))],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        send(
            "6.5.2",
            "a too small MAX_FRAME_SIZE",
            &[frame(SETTINGS, 0, 0, &settings(&[(5, (1 << 14) - 1)]))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.5.2",
            "a too large MAX_FRAME_SIZE",
            &[frame(SETTINGS, 0, 0, &settings(&[(5, 1 << 24)]))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.5.2",
            "an unknown setting",
            &[frame(SETTINGS, 0, 0, &settings(&[(0xff, 1)])), frame(PING, 0, 0, b"h2specok")],
            Pong(b"h2specok"),
        ),
        send(
            "6.5.3",
            "several values of a setting: the last counts",
            &[frame(SETTINGS, 0, 0, &settings(&[(4, 100), (4, 1)])), get(1)],
            Data(1),
        ),
        send("6.5.3", "SETTINGS", &[frame(SETTINGS, 0, 0, b"")], SettingsAck),
        send("6.7", "PING", &[frame(PING, 0, 0, b"h2specok")], Pong(b"h2specok")),
        send(
            "6.7",
            "an acknowledgement that nobody asked for",
            &[frame(PING, ACK, 0, b"nobody!!"), frame(PING, 0, 0, b"h2specok")],
            Pong(b"h2specok"),
        ),
        send("6.7", "PING for a stream", &[frame(PING, 0, 1, b"h2specok")], Connection(&[PROTOCOL_ERROR])),
        send(
            "6.7",
            "PING of another length",
            &[frame(PING, 0, 0, b"h2spec")],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send("6.8", "GOAWAY for a stream", &[frame(GOAWAY, 0, 1, &[0; 8])], Connection(&[PROTOCOL_ERROR])),
        send(
            "6.9",
            "an increment of 0 for the connection",
            &[frame(WINDOW_UPDATE, 0, 0, &increment(0))],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.9",
            "an increment of 0 for a stream",
            &[post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &increment(0))],
            Stream(1, &[PROTOCOL_ERROR]),
        ),
        send(
            "6.9",
            "WINDOW_UPDATE of another length",
            &[frame(WINDOW_UPDATE, 0, 0, &[0; 3])],
            Connection(&[FRAME_SIZE_ERROR]),
        ),
        send("6.9.1", "a window of 1", &[frame(SETTINGS, 0, 0, &settings(&[(4, 1)])), get(1)], Data(1)),
        send(
            "6.9.1",
            "a connection window of more than 2^31 - 1",
            &[frame(WINDOW_UPDATE, 0, 0, &increment((1 << 31) - 1)), update(0)],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        send(
            "6.9.1",
            "a stream window of more than 2^31 - 1",
            &[post(1, &[]), frame(WINDOW_UPDATE, 0, 1, &increment((1 << 31) - 1)), update(1)],
            Stream(1, &[FLOW_CONTROL_ERROR]),
        ),
        send(
            "6.9.2",
            "INITIAL_WINDOW_SIZE after HEADERS",
            &[
                frame(SETTINGS, 0, 0, &settings(&[(4, 0)])),
                get(1),
                frame(SETTINGS, 0, 0, &settings(&[(4, 1)])),
            ],
            Data(1),
        ),
        (
            "6.9.2",
            "a negative window",
            vec![
                Step::Send([frame(SETTINGS, 0, 0, &settings(&[(4, 2)])), get(1)].concat()),
                Step::Send(
                    [frame(SETTINGS, 0, 0, &settings(&[(4, 0)])), frame(PING, 0, 0, b"h2specok")].concat(),
                ),
            ],
            Pong(b"h2specok"),
        ),
        send(
            "6.9.2",
            "a too large INITIAL_WINDOW_SIZE",
            &[frame(SETTINGS, 0, 0, &settings(&[(4, u32::MAX)]))],
            Connection(&[FLOW_CONTROL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION, and then DATA",
            &[
                headers(END_STREAM, 1, b"", &health(), b""),
                frame(CONTINUATION, 0, 1, b""),
                frame(DATA, 0, 1, b"x"),
            ],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION on the connection",
            &[headers(END_STREAM, 1, b"", &health(), b""), frame(CONTINUATION, END_HEADERS, 0, b"")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION of another stream",
            &[headers(END_STREAM, 1, b"", &health(), b""), frame(CONTINUATION, END_HEADERS, 3, b"")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION after END_HEADERS",
            &[get(1), frame(CONTINUATION, END_HEADERS, 1, b"")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION after the last CONTINUATION",
            &[
                headers(END_STREAM, 1, b"", &health(), b""),
                frame(CONTINUATION, END_HEADERS, 1, b""),
                frame(CONTINUATION, END_HEADERS, 1, b""),
            ],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "6.10",
            "CONTINUATION after DATA",
            &[post(1, &[]), frame(DATA, 0, 1, b"x"), frame(CONTINUATION, END_HEADERS, 1, b"")],
            Connection(&[PROTOCOL_ERROR]),
        ),
        send(
            "7",
            "GOAWAY with an unknown error",
            &[frame(GOAWAY, 0, 0, &[0, 0, 0, 0, 0, 0, 0, 0xff]), frame(PING, 0, 0, b"h2specok")],
            Pong(b"h2specok"),
        ),
        send(
            "7",
            "RST_STREAM with an unknown error",
            &[post(1, &[]), frame(RST_STREAM, 0, 1, &increment(0xff)), frame(PING, 0, 0, b"h2specok")],
            Pong(b"h2specok"),
        ),
    ]
}
