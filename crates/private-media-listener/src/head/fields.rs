//! Writes the headers of a response.

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{HeaderName, HeaderValue};

/// Headers that can be written to a response head.
///
/// ```
/// use http::HeaderValue;
/// use http::header::ETAG;
/// use private_media_listener::{HeaderWriter, WriteHeaders};
///
/// /// Headers of which most are serialized once, at the start.
/// struct FileHeaders {
///     etag: HeaderValue,
///     common: &'static [u8],
/// }
///
/// impl WriteHeaders for FileHeaders {
///     fn write(&self, to: &mut HeaderWriter<'_>) {
///         to.field(&ETAG, &self.etag);
///         to.lines(self.common);
///     }
/// }
///
/// # let _ = FileHeaders { etag: HeaderValue::from_static("\"x\""), common: b"cache-control: no-store\r\n" };
/// ```
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
    /// Writes a field, except for those that frame the message, which the listener writes itself. `Content-Length` is used only if the
    /// length of the body is unknown, as for HEAD. `Connection: close` closes the connection, and other values are ignored. `Date` and
    /// `Transfer-Encoding` are ignored.
    pub fn field(&mut self, name: &HeaderName, value: &HeaderValue) {
        match *name {
            CONTENT_LENGTH => self.content_length = value.to_str().ok().and_then(|text| text.parse().ok()),
            CONNECTION => self.closes |= value.as_bytes().eq_ignore_ascii_case(b"close"),
            DATE | TRANSFER_ENCODING => {}
            _ => write_line(self.to, [name.as_str().as_bytes(), b": ", value.as_bytes()]),
        }
    }

    /// Returns whether a `Content-Length` field would be used, as in a response to HEAD. Otherwise the length of the body is written.
    #[must_use]
    pub fn needs_content_length(&self) -> bool {
        self.needs_content_length
    }

    /// Writes serialized fields: lines of `name: value` that each end in CRLF. A line may be written in several calls. The fields must
    /// not include `Content-Length`, `Transfer-Encoding`, `Connection` or `Date`.
    pub fn lines(&mut self, lines: &[u8]) {
        self.to.extend_from_slice(lines);
    }
}

pub(super) fn write_line<const N: usize>(to: &mut Vec<u8>, parts: [&[u8]; N]) {
    for part in parts {
        to.extend_from_slice(part);
    }
    to.extend_from_slice(b"\r\n");
}
