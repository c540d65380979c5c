//! Compressed header blocks (RFC 7541).

use super::Expect::{self, Connection, Response, Stream};
use super::{COMPRESSION_ERROR, Case, PROTOCOL_ERROR, send, whole};
use crate::http2::frames::health;

pub(super) fn cases() -> Vec<Case> {
    const ERROR: Expect = Connection(&[COMPRESSION_ERROR]);
    let with = |coded: &[u8]| whole(1, &[&health()[..], coded].concat());
    let before = |coded: &[u8]| whole(1, &[coded, &health()].concat());
    vec![
        send("generic/5", "an indexed field", &[with(&[0x82 + 14])], Response(1)),
        send("generic/5", "a literal with indexing", &[with(b"\x40\x01x\x01y\xbe")], Response(1)),
        send(
            "generic/5",
            "a literal with indexing and an indexed name",
            &[with(b"\x53\x01y\xbe")],
            Response(1),
        ),
        send("generic/5", "a literal that is never indexed", &[with(b"\x10\x01x\x01y")], Response(1)),
        send("generic/5", "a string in Huffman code", &[with(b"\x00\x81\xf3\x81\xf5")], Response(1)),
        send("generic/5", "an update of the table size", &[before(&[0x3f, 0x61])], Response(1)),
        send("generic/5", "several updates of the table size", &[before(&[0x20, 0x3f, 0x61])], Response(1)),
        send("hpack/2.3.3", "an index that does not exist", &[with(&[0xbe])], ERROR),
        send("hpack/2.3.3", "a large index", &[with(&[0xff, 0xff, 0x7f])], ERROR),
        send("hpack/4.2", "an update of the table size after a field", &[with(&[0x20])], ERROR),
        send(
            "hpack/5.1",
            "an integer that overflows",
            &[with(&[0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f])],
            ERROR,
        ),
        send("hpack/5.2", "padding of more than 7 bits", &[with(b"\x00\x01x\x82\xf5\xff")], ERROR),
        send(
            "hpack/5.2",
            "padding of zeros",
            &[with(b"\x00\x01x\x81\xf4")],
            Stream(1, &[COMPRESSION_ERROR, PROTOCOL_ERROR]),
        ),
        send("hpack/5.2", "the end of the string", &[with(b"\x00\x01x\x84\xff\xff\xff\xff")], ERROR),
        send("hpack/5.2", "a string that is longer than the block", &[with(b"\x00\x01x\x7fy")], ERROR),
        send("hpack/6.1", "index 0", &[with(&[0x80])], ERROR),
        send("hpack/6.3", "a larger table than allowed", &[before(&[0x3f, 0xe2, 0x1f])], ERROR),
    ]
}
