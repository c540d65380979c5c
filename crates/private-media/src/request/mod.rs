//! What is asked for? A [`MediaRequest`]: a [`MediaPath`], [`Preconditions`] and a [`Range`].

mod name;
mod path;
mod preconditions;
mod range;

use http::Method;
use http::header::{HeaderMap, RANGE};
use http::request::Parts;

pub use name::{alternative_name, safe_name};
pub(crate) use name::{alternatives, random_characters};
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
        let path = || MediaPath::from_url(path).map_err(RequestError::Path);
        Self::from_parts(&head.method, path, head.uri.query().unwrap_or_default(), &head.headers)
    }

    /// The same for whoever knows the path already, such as a framework that has taken the URL apart itself. The query is
    /// what stands behind the `?`.
    ///
    /// ```
    /// use http::{HeaderMap, Method};
    /// use private_media::{MediaPath, MediaRequest};
    ///
    /// let path = MediaPath::new("cars/7/photo.jpg")?;
    /// let request = MediaRequest::new(&Method::GET, path, "download=1", &HeaderMap::new());
    /// assert!(request.is_ok_and(|request| request.download));
    /// # Ok::<(), private_media::PathError>(())
    /// ```
    pub fn new(
        method: &Method,
        path: MediaPath,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Self, RequestError> {
        Self::from_parts(method, || Ok(path), query, headers)
    }

    fn from_parts(
        method: &Method,
        path: impl FnOnce() -> Result<MediaPath, RequestError>,
        query: &str,
        headers: &HeaderMap,
    ) -> Result<Self, RequestError> {
        let is_head = match *method {
            Method::GET => false,
            Method::HEAD => true,
            _ => return Err(RequestError::Method),
        };
        let path = path()?;
        let mut ranges = headers.iter().filter(|(name, _)| *name == RANGE);
        let range = match (ranges.next(), ranges.next()) {
            (Some((_, range)), None) if !is_head => range.to_str().ok().and_then(Range::parse),
            _ => None,
        };
        let download =
            !query.is_empty() && query.split('&').any(|pair| pair.split('=').next() == Some("download"));
        Ok(Self { path, is_head, preconditions: Preconditions::from_headers(headers), range, download })
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
