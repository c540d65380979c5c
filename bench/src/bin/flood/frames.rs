//! Frames of HTTP/2 (RFC 9113 section 6) that cost a client little, and header blocks without compression (RFC 7541).

const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
const PRIORITY: u8 = 2;
const RST_STREAM: u8 = 3;
const SETTINGS: u8 = 4;
const PING: u8 = 6;
const WINDOW_UPDATE: u8 = 8;
const CONTINUATION: u8 = 9;

pub(crate) const END_STREAM: u8 = 1;
const ACK: u8 = 1;
const END_HEADERS: u8 = 4;
const PADDED: u8 = 8;
/// The flags of a request without content.
const WHOLE: u8 = END_STREAM | END_HEADERS;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// How many frames a client would send on one connection.
const FRAMES: u32 = 100_000;

/// What a client sends on each connection.
pub(crate) struct Flood {
    pub(crate) name: &'static str,
    /// The bytes that begin the connection.
    pub(crate) first: Vec<u8>,
    pub(crate) frames: Vec<u8>,
    /// Requests whose responses the client reads: each batch follows the responses to the last one.
    pub(crate) batches: Vec<Batch>,
}

/// Requests that are sent at once.
pub(crate) struct Batch {
    pub(crate) bytes: Vec<u8>,
    pub(crate) count: usize,
}

impl Flood {
    fn new(name: &'static str, more: &[u8], frame: impl Fn(u32) -> Vec<u8>) -> Self {
        Self::limited(name, more, FRAMES, frame)
    }

    fn limited(name: &'static str, more: &[u8], count: u32, frame: impl Fn(u32) -> Vec<u8>) -> Self {
        let first =
            [PREFACE, &frame_of(SETTINGS, 0, 0, b""), &frame_of(SETTINGS, ACK, 0, b""), more].concat();
        let frames = (0..count).flat_map(|number| frame(2 * number + 1)).collect();
        Self { name, first, frames, batches: vec![] }
    }
}

/// Returns what is measured: ordinary clients for comparison, and the floods.
pub(crate) fn floods() -> Vec<Flood> {
    let block = request("GET");
    let get = |stream: u32| frame_of(HEADERS, WHOLE, stream, &block);
    let begun = frame_of(HEADERS, END_STREAM, 1, &block);
    let post = frame_of(HEADERS, END_HEADERS, 1, &request("POST"));
    let update = |stream: u32, increment: u32| frame_of(WINDOW_UPDATE, 0, stream, &increment.to_be_bytes());
    let batch =
        |batch: u32| Batch { bytes: (0..50).flat_map(|n| get(100 * batch + 2 * n + 1)).collect(), count: 50 };
    let closed = frame_of(SETTINGS, 0, 0, &[0, 4, 0, 0, 0, 0]);
    vec![
        Flood::limited("handshakes alone, for comparison", b"", 0, |_| vec![]),
        Flood {
            batches: (0..200).map(batch).collect(),
            ..Flood::limited("requests whose responses are read, for comparison", b"", 0, |_| vec![])
        },
        Flood::new("requests whose responses are not read", b"", get),
        Flood::new("rapid reset", b"", |n| {
            [get(n), frame_of(RST_STREAM, 0, n, &8_u32.to_be_bytes())].concat()
        }),
        Flood::new("reset by errors", b"", |n| {
            [frame_of(HEADERS, END_HEADERS, n, &block), update(n, 0)].concat()
        }),
        Flood::new("malformed requests", b"", |n| frame_of(HEADERS, WHOLE, n, &request("G ET"))),
        Flood::new("more streams than allowed", &closed, get),
        Flood::new("field sections that are too long", b"", |n| {
            frame_of(HEADERS, WHOLE, n, &bomb(&block, n == 1))
        }),
        Flood::new("PING", b"", |_| frame_of(PING, 0, 0, b"01234567")),
        Flood::new("SETTINGS", b"", |_| frame_of(SETTINGS, 0, 0, &[0, 4, 0, 0, 255, 255])),
        Flood::new("PRIORITY", b"", |n| frame_of(PRIORITY, 0, n, &[0, 0, 0, 0, 1])),
        Flood::new("WINDOW_UPDATE", b"", |_| update(0, 1)),
        Flood::new("empty DATA", &post, |_| frame_of(DATA, 0, 1, b"")),
        Flood::new("DATA of one byte", &post, |_| frame_of(DATA, 0, 1, b"x")),
        Flood::new("DATA with padding alone", &post, |_| {
            frame_of(DATA, PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])
        }),
        Flood::new("CONTINUATION", &begun, |_| frame_of(CONTINUATION, 0, 1, &field("x", "y"))),
        Flood::new("empty CONTINUATION", &begun, |_| frame_of(CONTINUATION, 0, 1, b"")),
        Flood::limited("long CONTINUATION", &begun, 2000, |_| {
            frame_of(CONTINUATION, 0, 1, &field("x", &"y".repeat(10_000)))
        }),
        Flood::new("unknown frames", b"", |_| frame_of(0x99, 0, 0, b"")),
    ]
}

fn frame_of(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let [_, len @ ..] = u32::try_from(payload.len()).unwrap_or(u32::MAX).to_be_bytes();
    [&len[..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Returns the block of a request with this method.
fn request(method: &str) -> Vec<u8> {
    [
        field(":method", method),
        field(":scheme", "https"),
        field(":path", "/private/-/health"),
        field(":authority", "127.0.0.1"),
    ]
    .concat()
}

/// Returns the block of a request that repeats a long field of the dynamic table, each time with one byte.
fn bomb(block: &[u8], is_first: bool) -> Vec<u8> {
    let mut bomb = block.to_vec();
    if is_first {
        // A literal field with indexing.
        bomb.push(0x40);
        bomb.extend([string("x"), string(&"y".repeat(3000))].concat());
    }
    // Its index is the first one after the static table.
    bomb.extend([0x80 | 0x3e; 8000]);
    bomb
}

/// Returns a literal field without indexing and with a new name.
fn field(name: &str, value: &str) -> Vec<u8> {
    [&[0][..], &string(name), &string(value)].concat()
}

/// Returns a string without Huffman coding (RFC 7541 section 5.2).
fn string(text: &str) -> Vec<u8> {
    let mut coded = Vec::new();
    let mut rest = text.len();
    let byte = |len: usize| u8::try_from(len).unwrap_or(u8::MAX);
    if rest < 127 {
        coded.push(byte(rest));
    } else {
        coded.push(127);
        rest -= 127;
        while rest >= 128 {
            coded.push(byte(rest % 128) | 128);
            rest /= 128;
        }
        coded.push(byte(rest));
    }
    coded.extend_from_slice(text.as_bytes());
    coded
}
