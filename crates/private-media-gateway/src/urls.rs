//! URL prefixes: of private files, and of nginx's internal locations.

use std::error::Error;
use std::fmt;

use private_media::MediaPath;

/// A text that is no URL prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidUrl;

impl InvalidUrl {
    pub(crate) const PROBLEM: &str = "invalid URL prefix";
    pub(crate) const FIX: &str = "expected a slash on both sides, e.g. /private/";
}

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", Self::PROBLEM, Self::FIX)
    }
}

impl Error for InvalidUrl {}

/// Checks a URL prefix: `/`, or a path with a slash on both sides that reads the same encoded and decoded.
pub(crate) fn prefix(value: &str) -> Result<&str, InvalidUrl> {
    let inner = match value {
        "/" => return Ok(value),
        _ => value.strip_prefix('/').and_then(|rest| rest.strip_suffix('/')),
    };
    let is_legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '.' | '_' | '~' | '/');
    match inner {
        Some(inner) if inner.chars().all(is_legal) && MediaPath::new(inner).is_ok() => Ok(value),
        _ => Err(InvalidUrl),
    }
}

/// Checks the URL prefix of an internal location. Unlike a media path, it may have a segment `-`.
pub(crate) fn internal(value: &str) -> Result<&str, InvalidUrl> {
    prefix(&value.replacen("/-/", "/", 1)).map(|_| value)
}

/// Two URL prefixes of which one shadows the other.
#[derive(Debug)]
pub(crate) struct Overlap {
    location: String,
    private: String,
}

impl Overlap {
    pub(crate) fn problem(&self) -> String {
        format!("the location {} and the private URL {} overlap", self.location, self.private)
    }

    pub(crate) fn fix(&self) -> String {
        format!("use another location, e.g. {}-/files/", self.private)
    }
}

impl fmt::Display for Overlap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.problem(), self.fix())
    }
}

/// Checks that nginx can tell the internal location and the private URL apart. No file is below `-/`, so the location may be there.
pub(crate) fn check_disjoint(location: &str, private: &str) -> Result<(), Overlap> {
    let overlaps = private.starts_with(location)
        || location.strip_prefix(private).is_some_and(|rest| !rest.starts_with("-/"));
    if overlaps { Err(Overlap { location: location.into(), private: private.into() }) } else { Ok(()) }
}
