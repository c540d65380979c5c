//! The cases of the conformance suite h2spec, by its names of the sections (of RFC 7540 and RFC 7541). No package of it could be
//! installed, so its cases are stated here: what is sent, and what a server has to do.

mod compression;
mod frame_types;
mod generic;
mod messages;
mod stream_states;

use super::frames::{
    ACK, DATA, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WHOLE, frame, get,
};
use super::{Client, start};
use crate::support::Place;
use Expect::{Connection, Data, Open, Pong, Response, SettingsAck, Stream, StreamOrIgnored};

/// The payload of the ping that shows that nothing else happens.
const MARK: &[u8; 8] = b"the mark";
const NO_ERROR: u32 = 0;
const PROTOCOL_ERROR: u32 = 1;
const FLOW_CONTROL_ERROR: u32 = 3;
const STREAM_CLOSED: u32 = 5;
const FRAME_SIZE_ERROR: u32 = 6;
const REFUSED_STREAM: u32 = 7;
const COMPRESSION_ERROR: u32 = 9;

/// What the server has to do.
#[derive(Debug, Clone, Copy)]
enum Expect {
    /// A response on this stream.
    Response(u32),
    /// A connection error: GOAWAY with one of these codes, or the end of the connection.
    Connection(&'static [u32]),
    /// A stream error: `RST_STREAM` for this stream with one of these codes, or a connection error.
    Stream(u32, &'static [u32]),
    /// The acknowledgement of settings.
    SettingsAck,
    /// The acknowledgement of a ping with this payload.
    Pong(&'static [u8; 8]),
    /// Content of this length in the next DATA frame.
    Data(usize),
    /// The connection stays open.
    Open,
    /// A stream error, or nothing at all: the frame may be ignored.
    StreamOrIgnored(u32, &'static [u32]),
}

/// What the client does.
#[derive(Clone)]
enum Step {
    Send(Vec<u8>),
    /// Receives frames up to the end of this stream.
    Await(u32),
}

type Case = (&'static str, &'static str, Vec<Step>, Expect);

fn send(section: &'static str, name: &'static str, frames: &[Vec<u8>], expect: Expect) -> Case {
    (section, name, vec![Step::Send(frames.concat())], expect)
}

/// Like [`send`], after a request on stream 1 is complete.
fn after_response(section: &'static str, name: &'static str, frames: &[Vec<u8>], expect: Expect) -> Case {
    (section, name, vec![Step::Send(get(1)), Step::Await(1), Step::Send(frames.concat())], expect)
}

/// Returns a GET request in a frame of these flags, with these bytes around its block.
fn headers(flags: u8, stream: u32, before: &[u8], block: &[u8], after: &[u8]) -> Vec<u8> {
    frame(HEADERS, flags, stream, &[before, block, after].concat())
}

/// Returns the payload of a priority (RFC 7540 section 6.3).
fn priority(depends_on: u32, weight: u8) -> Vec<u8> {
    [&depends_on.to_be_bytes()[..], &[weight]].concat()
}

fn whole(stream: u32, block: &[u8]) -> Vec<u8> {
    headers(WHOLE, stream, b"", block, b"")
}

fn increment(by: u32) -> [u8; 4] {
    by.to_be_bytes()
}

/// Returns what the server did instead of what is expected.
fn problem(client: &mut Client, steps: Vec<Step>, expect: Expect) -> Option<String> {
    let mut seen = Vec::new();
    for step in steps {
        match step {
            Step::Send(bytes) => client.send(&bytes),
            Step::Await(stream) => loop {
                match client.receive() {
                    Ok(frame) if frame.stream == stream && frame.ends_stream() => break,
                    Ok(_) => {}
                    Err(error) => return Some(format!("{error} before the response")),
                }
            },
        }
    }
    if let Open | StreamOrIgnored(..) = expect {
        client.send(&frame(PING, 0, 0, MARK));
    }
    loop {
        let received = match client.receive() {
            Ok(frame) => frame,
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {
                return Some(format!("{error} after {seen:?}"));
            }
            // A connection error may end the connection without GOAWAY.
            Err(_) if matches!(expect, Connection(_) | Stream(..) | StreamOrIgnored(..)) => return None,
            Err(error) => return Some(format!("{error} after {seen:?}")),
        };
        let is_error = |codes: &[u32]| received.error().is_some_and(|error| codes.contains(&error));
        let is_done = match expect {
            Response(stream) => received.stream == stream && received.kind == HEADERS,
            SettingsAck => received.kind == SETTINGS && received.flags == ACK,
            Pong(payload) => received == Frame::new(PING, ACK, 0, payload),
            Data(len) => received.kind == DATA && received.payload.len() == len,
            Open => received == Frame::new(PING, ACK, 0, MARK),
            Connection(codes) => received.kind == GOAWAY && is_error(codes),
            Stream(stream, codes) | StreamOrIgnored(stream, codes) => {
                let is_reset = received.kind == RST_STREAM && received.stream == stream;
                let is_ignored =
                    matches!(expect, StreamOrIgnored(..)) && received == Frame::new(PING, ACK, 0, MARK);
                (is_reset || received.kind == GOAWAY) && is_error(codes) || is_ignored
            }
        };
        if is_done {
            return None;
        }
        let is_of_other = received.kind == RST_STREAM
            && matches!(expect, Response(stream) | Stream(stream, _) if stream != received.stream);
        let is_error = received.error().is_some_and(|error| error != NO_ERROR);
        // As in h2spec, the end of the connection is enough, whatever the code: h2 says PROTOCOL_ERROR for many.
        let ends =
            received.kind == GOAWAY && matches!(expect, Connection(_) | Stream(..) | StreamOrIgnored(..));
        let is_final = is_error && !is_of_other && !ends;
        seen.push(received);
        if is_final {
            return Some(format!("{seen:?}"));
        }
    }
}

#[test]
fn the_cases_of_h2spec() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &[]);
    let cases = [
        generic::cases(),
        frame_types::cases(),
        stream_states::cases(),
        messages::cases(),
        compression::cases(),
    ];
    let cases: Vec<Case> = cases.into_iter().flatten().collect();
    let count = cases.len();
    let mut problems = Vec::new();
    for (section, name, steps, expect) in cases {
        let mut client = Client::connect(&gateway, &pair);
        if let Some(problem) = problem(&mut client, steps, expect) {
            problems.push(format!("{section}: {name}: expected {expect:?}, got {problem}"));
        }
    }
    // The server goes on.
    let mut client = Client::connect(&gateway, &pair);
    assert!(problem(&mut client, vec![Step::Send(get(1))], Response(1)).is_none());
    assert!(problems.is_empty(), "{} of {count} failed:\n{}", problems.len(), problems.join("\n"));
    assert!(count >= 140, "{count}");
}

#[test]
fn an_invalid_preface_ends_the_connection() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &[]);
    for (name, bytes) in [
        ("3.5: another preface", b"INVALID CONNECTION PREFACE\r\n\r\n".to_vec()),
        ("3.5: HTTP/1.1 on a connection of HTTP/2", b"GET / HTTP/1.1\r\nhost: localhost\r\n\r\n".to_vec()),
        ("3.5: no SETTINGS after the preface", [PREFACE.to_vec(), get(1)].concat()),
    ] {
        let mut client = Client::without_preface(&gateway, &pair);
        client.send(&bytes);
        assert!(problem(&mut client, vec![], Connection(&[PROTOCOL_ERROR])).is_none(), "{name}");
    }
}
