//! Writes the headers of a response.

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

/// Headers that can be written to a response head.
pub trait WriteHeaders {
    /// Writes all headers.
    fn write(&self, to: &mut HeaderWriter<'_>);
}

impl WriteHeaders for HeaderMap {
    fn write(&self, to: &mut HeaderWriter<'_>) {
        for (name, value) in self {
            to.field(name, value);
        }
    }
}

/// Writes the headers of one response.
#[derive(Debug)]
pub struct HeaderWriter<'a> {
    pub(super) to: &'a mut Vec<u8>,
    pub(super) needs_content_length: bool,
    pub(super) content_length: Option<u64>,
    pub(super) closes: bool,
}

impl HeaderWriter<'_> {
    /// Writes a field. The listener writes those that frame the message itself: `Content-Length` counts only where the body does not
    /// know its length, as for HEAD; `Connection` can only close; `Date` and `Transfer-Encoding` are left out.
    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONTENT_LENGTH => self.content_length = value.to_str().ok().and_then(|text| text.parse().ok()),
            CONNECTION => self.closes |= value.as_bytes().eq_ignore_ascii_case(b"close"),
            DATE | TRANSFER_ENCODING => {}
            _ => write_line(self.to, &[name.as_str().as_bytes(), b": ", value.as_bytes()]),
        }
    }

    /// Returns whether the response needs a `Content-Length` from its headers, as a response to HEAD does. In all other responses the
    /// length of the body is written, so that looking one up would be for nothing.
    #[must_use]
    pub fn needs_content_length(&self) -> bool {
        self.needs_content_length
    }

    /// Writes fields that are serialized already: lines of `name: value` that each end in CRLF, whole or in parts. None of them may
    /// frame the message.
    pub fn lines(&mut self, lines: &[u8]) {
        self.to.extend_from_slice(lines);
    }
}

pub(super) fn write_line(to: &mut Vec<u8>, parts: &[&[u8]]) {
    for part in parts {
        to.extend_from_slice(part);
    }
    to.extend_from_slice(b"\r\n");
}
