//! Parses requests: a [`MediaRequest`] is a [`MediaPath`] with [`Preconditions`] and a [`Range`].

mod name;
mod path;
mod preconditions;
mod range;

use http::Method;
use http::header::{HeaderMap, RANGE};
use http::request::Parts;

#[cfg(feature = "local")]
pub(crate) use name::random_characters;
pub use name::{alternative_name, alternative_paths, safe_name};
pub(crate) use path::ENCODED;
pub use path::{MAX_PATH, MAX_SEGMENT, MediaPath, PathError};
pub use preconditions::{Outcome, Preconditions, Validators};
pub use range::{ByteRange, Range, Selected};

/// A request for a file, parsed from its head.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct MediaRequest {
    /// The path of the file.
    pub path: MediaPath,
    /// Whether the method is HEAD: a GET without the content (RFC 9110 section 9.3.2).
    pub is_head: bool,
    /// The conditions (RFC 9110 section 13).
    pub preconditions: Preconditions,
    /// The ranges (RFC 9110 section 14). `None` for HEAD, because section 14.2 defines ranges for GET only, and for two `Range` fields.
    pub range: Option<Range>,
    /// Whether the file is downloaded instead of displayed, as the query `?download` requests.
    pub download: bool,
}

impl MediaRequest {
    /// Parses the head of a request, whose path is relative to the mount.
    pub fn parse(head: &Parts) -> Result<Self, RequestError> {
        Self::parse_at(head, head.uri.path())
    }

    /// Parses the head of a request. `path` is its path relative to the mount, with a leading slash.
    pub(crate) fn parse_at(head: &Parts, path: &str) -> Result<Self, RequestError> {
        let path = || MediaPath::from_url(path).map_err(RequestError::Path);
        Self::from_parts(&head.method, path, head.uri.query().unwrap_or_default(), &head.headers)
    }

    /// Returns a request for a path that was parsed already, for example by the router of a framework. The query is the part of the URL
    /// after `?`.
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

    /// Returns whether the response is the whole file, if it exists and may be read.
    pub(crate) fn is_for_whole_file(&self) -> bool {
        !self.is_head && self.range.is_none() && self.preconditions.is_empty()
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

/// The error of a request that does not name a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum RequestError {
    /// The method is neither GET nor HEAD.
    Method,
    /// The path is not a [`MediaPath`].
    Path(PathError),
}

impl std::fmt::Display for RequestError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Method => f.write_str("the method is neither GET nor HEAD"),
            Self::Path(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for RequestError {}
