//! What is asked for? A [`MediaRequest`]: a [`MediaPath`], [`Preconditions`] and a [`Range`].

mod path;
mod preconditions;
mod range;

use http::Method;
use http::header::RANGE;
use http::request::Parts;

pub(crate) use path::ENCODED;
pub use path::{MAX_PATH, MAX_SEGMENT, MediaPath, PathError};
pub use preconditions::{Outcome, Preconditions, Validators};
pub use range::{ByteRange, Range, Selected};

/// What a request asks for, as far as its head says.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MediaRequest {
    /// The file.
    pub path: MediaPath,
    /// Whether it is a HEAD: everything of a GET but the content (RFC 9110 section 9.3.2).
    pub is_head: bool,
    /// On which condition (RFC 9110 section 13).
    pub preconditions: Preconditions,
    /// Which part of it (RFC 9110 section 14). Of a HEAD, and of two `Range` fields, none: section 14.2 defines it for GET.
    pub range: Option<Range>,
    /// Whether the query is to have the file downloaded and not shown: `?download`.
    pub download: bool,
}

impl MediaRequest {
    /// Reads a request's head, whose path is relative to where private media is mounted.
    pub fn parse(head: &Parts) -> Result<Self, RequestError> {
        Self::parse_at(head, head.uri.path())
    }

    /// Reads a request's head, of whose path this is what is left behind the mount, from a slash on.
    pub(crate) fn parse_at(head: &Parts, path: &str) -> Result<Self, RequestError> {
        let is_head = match head.method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(RequestError::Method),
        };
        let path = MediaPath::from_url(path).map_err(RequestError::Path)?;
        let mut ranges = head.headers.get_all(RANGE).iter();
        let range = match (ranges.next(), ranges.next()) {
            (Some(range), None) if !is_head => range.to_str().ok().and_then(Range::parse),
            _ => None,
        };
        let mut query = head.uri.query().unwrap_or_default().split('&');
        let download = query.any(|pair| pair.split('=').next() == Some("download"));
        Ok(Self { path, is_head, preconditions: Preconditions::from_headers(&head.headers), range, download })
    }
}

/// A request that asks for no file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestError {
    /// A method other than GET and HEAD.
    Method,
    /// A path that names no file.
    Path(PathError),
}
