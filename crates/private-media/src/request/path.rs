//! The path of a file. The path that is authorized is the path that is opened.

use std::fmt;
use std::str::FromStr;
use std::sync::Arc;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// The maximum length of a segment, in bytes: the limit of common file systems.
pub const MAX_SEGMENT: usize = 255;
/// The maximum length of a path, in bytes.
pub const MAX_PATH: usize = 1024;
/// The bytes that are percent-encoded in the path of a URL: all except the unreserved characters (RFC 3986 section 2.3) and `/`.
pub(crate) const ENCODED: &AsciiSet =
    &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// The path of a private file below the root. Every value is valid and canonical.
///
/// It is UTF-8 of at most [`MAX_PATH`] bytes, in segments that are separated by `/`. No segment
///
/// - is empty, `.` or `..`, or longer than [`MAX_SEGMENT`] bytes,
/// - begins with `.` (hidden files),
/// - contains `\`, NUL or another control character.
///
/// The first segment is not `-`, which is reserved for pages of the gateway.
///
/// ```
/// use private_media::MediaPath;
///
/// let path = MediaPath::from_url("/cars/7/my%20caf%C3%A9.jpg")?;
/// assert_eq!(path.as_str(), "cars/7/my café.jpg");
/// assert_eq!(path.to_url(), "cars/7/my%20caf%C3%A9.jpg");
/// assert!(MediaPath::from_url("/cars/%2e%2e/secret").is_err());
/// # Ok::<(), private_media::PathError>(())
/// ```
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MediaPath(Arc<str>);

impl MediaPath {
    /// Parses a path that is not percent-encoded, for example from a command line.
    pub fn new(name: &str) -> Result<Self, PathError> {
        if name.len() > MAX_PATH {
            return Err(PathError::TooLong);
        }
        let mut rest = name;
        while let Some((segment, after)) =
            memchr::memchr(b'/', rest.as_bytes()).and_then(|end| rest.split_at_checked(end))
        {
            check(segment)?;
            rest = after.get(1..).unwrap_or_default();
        }
        check(rest)?;
        if name == "-" || name.starts_with("-/") {
            return Err(PathError::Reserved);
        }
        Ok(Self(name.into()))
    }

    /// Parses the path of a URL, relative to the mount. One leading `/` is ignored.
    ///
    /// The raw path is first split at `/`, and then each segment is percent-decoded once and strictly (RFC 3986 section 2.1). So an
    /// encoded separator never becomes a separator.
    pub fn from_url(raw: &str) -> Result<Self, PathError> {
        let raw = raw.strip_prefix('/').unwrap_or(raw);
        // An encoded byte takes three, so nothing longer decodes to a valid path.
        if raw.len() > 3 * MAX_PATH {
            return Err(PathError::TooLong);
        }
        if is_plain(raw) {
            return Ok(Self(raw.into()));
        }
        let mut name = String::with_capacity(raw.len());
        for (index, segment) in raw.split('/').enumerate() {
            if index > 0 {
                name.push('/');
            }
            let segment = decode(segment)?;
            if segment.contains('/') {
                return Err(PathError::Separator);
            }
            name.push_str(&segment);
        }
        Self::new(&name)
    }

    /// Returns the path, without percent-encoding.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns the path of a URL, relative to the mount. All characters except the unreserved ones (RFC 3986 section 2.3) and `/` are
    /// percent-encoded. [`MediaPath::from_url`] is the inverse.
    #[must_use]
    pub fn to_url(&self) -> String {
        utf8_percent_encode(&self.0, ENCODED).to_string()
    }

    /// Returns the segments in order, at least one.
    #[must_use]
    pub fn segments(&self) -> impl DoubleEndedIterator<Item = &str> + Clone {
        self.0.split('/')
    }

    /// Returns the last segment.
    #[must_use]
    pub fn file_name(&self) -> &str {
        // Segments are short: a loop is cheaper than the set-up of a vectorized search.
        let slash = self.0.bytes().rposition(|byte| byte == b'/');
        slash.and_then(|at| self.0.get(at + 1..)).unwrap_or(&self.0)
    }

    /// Returns the path of the folder that contains the file; `None` if that is the root.
    #[must_use]
    pub fn parent(&self) -> Option<Self> {
        self.0.rsplit_once('/').map(|(folder, _)| Self(folder.into()))
    }

    /// Returns the path of another file in the same folder.
    pub fn with_file_name(&self, file_name: &str) -> Result<Self, PathError> {
        check(file_name)?;
        match self.0.rsplit_once('/') {
            Some((folder, _)) => Self::new(&format!("{folder}/{file_name}")),
            None => Self::new(file_name),
        }
    }
}

/// Returns whether a raw path is valid and decodes to itself, as nearly all do. This is faster than checking all rules. Paths that are
/// longer than a segment may be are left to those.
fn is_plain(raw: &str) -> bool {
    let mut previous = b'/';
    for byte in raw.bytes() {
        match byte {
            b'/' if previous != b'/' => {}
            // An empty, hidden or reserved segment, or an escape.
            b'/' | b'%' | b'?' | b'#' | b'\\' => return false,
            b'.' | b'-' if previous == b'/' => return false,
            b'!'..=b'~' => {}
            _ => return false,
        }
        previous = byte;
    }
    previous != b'/' && raw.len() <= MAX_SEGMENT
}

fn check(segment: &str) -> Result<(), PathError> {
    match segment {
        "" => return Err(PathError::Empty),
        "." | ".." => return Err(PathError::Dots),
        _ => {}
    }
    if segment.len() > MAX_SEGMENT {
        return Err(PathError::TooLong);
    }
    if segment.starts_with('.') {
        return Err(PathError::Hidden);
    }
    // Fast path for nearly all names.
    if segment.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\') {
        return Ok(());
    }
    if segment.contains('\\') {
        return Err(PathError::Separator);
    }
    if segment.chars().any(char::is_control) {
        return Err(PathError::Control);
    }
    Ok(())
}

fn decode(segment: &str) -> Result<String, PathError> {
    let mut bytes = Vec::with_capacity(segment.len());
    let mut rest = segment.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digit = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
                let (Some(high), Some(low)) = (digit(rest.next()), digit(rest.next())) else {
                    return Err(PathError::Encoding);
                };
                u8::try_from(high * 16 + low).map_err(|_| PathError::Encoding)?
            }
            b'?' | b'#' => return Err(PathError::Encoding),
            byte => byte,
        });
    }
    String::from_utf8(bytes).map_err(|_| PathError::Encoding)
}

impl FromStr for MediaPath {
    type Err = PathError;

    fn from_str(name: &str) -> Result<Self, PathError> {
        Self::new(name)
    }
}

impl fmt::Display for MediaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for MediaPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

/// The error of an invalid [`MediaPath`]. A client gets "not found" for each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PathError {
    /// A segment is empty, as in `a//b` or `a/`.
    Empty,
    /// A segment is `.` or `..`.
    Dots,
    /// A segment begins with `.`.
    Hidden,
    /// The first segment is `-`.
    Reserved,
    /// A segment contains `\` or an encoded `/`.
    Separator,
    /// A segment contains NUL or another control character.
    Control,
    /// The percent-encoding is malformed, or the bytes are not UTF-8.
    Encoding,
    /// A segment is longer than [`MAX_SEGMENT`] bytes, or the path longer than [`MAX_PATH`].
    TooLong,
}

impl fmt::Display for PathError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Empty => "a segment of the path is empty",
            Self::Dots => "a segment of the path is '.' or '..'",
            Self::Hidden => "a segment of the path begins with '.', and hidden files are not served",
            Self::Reserved => "the path begins with '-', which is reserved for the gateway",
            Self::Separator => "a segment of the path contains a separator",
            Self::Control => "a segment of the path contains a control character",
            Self::Encoding => "the path is not percent-encoded UTF-8",
            Self::TooLong => "the path is longer than 1024 bytes or a segment longer than 255",
        })
    }
}

impl std::error::Error for PathError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn invalid_paths_are_rejected() {
        for (raw, reason) in [
            ("", PathError::Empty),
            ("/", PathError::Empty),
            ("//etc/passwd", PathError::Empty),
            ("a//b", PathError::Empty),
            ("a/", PathError::Empty),
            ("..", PathError::Dots),
            ("a/./b", PathError::Dots),
            ("a/../b", PathError::Dots),
            ("a/..;/b", PathError::Hidden),
            ("%2e%2e/secret", PathError::Dots),
            (".%2E/secret", PathError::Dots),
            ("a/..%2fsecret", PathError::Separator),
            ("a%2Fb", PathError::Separator),
            ("a%5Cb", PathError::Separator),
            ("a\\b", PathError::Separator),
            ("%2e%2e%5csecret", PathError::Hidden),
            ("a%00.jpg", PathError::Control),
            ("a%0d%0aX-Header:%201", PathError::Control),
            ("a%7f", PathError::Control),
            ("a%c2%85b", PathError::Control),
            (".htaccess", PathError::Hidden),
            ("cars/.git/config", PathError::Hidden),
            ("-/sign-in", PathError::Reserved),
            ("%2d/sign-in", PathError::Reserved),
            ("a%", PathError::Encoding),
            ("a%4", PathError::Encoding),
            ("a%zz", PathError::Encoding),
            ("a%+1", PathError::Encoding),
            ("a%c0%afb", PathError::Encoding),
            ("a%c0%ae%c0%ae/b", PathError::Encoding),
            ("a%ff", PathError::Encoding),
            ("a%ed%a0%80", PathError::Encoding),
            ("a?b", PathError::Encoding),
            ("a#b", PathError::Encoding),
        ] {
            assert_eq!(MediaPath::from_url(raw), Err(reason), "{raw:?}");
        }
    }

    #[test]
    fn paths_are_decoded_once() {
        for (raw, name) in [
            ("/cars/7/photo.jpg", "cars/7/photo.jpg"),
            ("cars/7/%70hoto.jpg", "cars/7/photo.jpg"),
            ("a%2541b", "a%41b"),
            ("a%252e%252e%252fb", "a%2e%2e%2fb"),
            ("100%25", "100%"),
            ("a+b", "a+b"),
            ("a%3Fb%23c", "a?b#c"),
            ("na%C3%AFve%20%F0%9F%9A%97.jpg", "naïve 🚗.jpg"),
            ("naïve.jpg", "naïve.jpg"),
            ("a;b=c", "a;b=c"),
            ("\"'<>|*:", "\"'<>|*:"),
            ("a/-/b", "a/-/b"),
            ("a..b", "a..b"),
            ("a.", "a."),
            ("CON", "CON"),
        ] {
            assert_eq!(MediaPath::from_url(raw).unwrap().as_str(), name, "{raw:?}");
        }
    }

    #[test]
    fn lengths_are_limited() {
        let segment = "é".repeat(127) + "x";
        assert_eq!(segment.len(), MAX_SEGMENT);
        assert!(MediaPath::new(&segment).is_ok());
        assert_eq!(MediaPath::new(&(segment.clone() + "x")), Err(PathError::TooLong));
        let full = [&*segment; 4].join("/");
        assert_eq!(full.len(), MAX_PATH - 1);
        let path = MediaPath::new(&full).unwrap();
        assert_eq!(MediaPath::from_url(&path.to_url()), Ok(path));
        assert_eq!(MediaPath::new(&(full + "/x")), Err(PathError::TooLong));
        assert_eq!(MediaPath::from_url(&"%41".repeat(2000)), Err(PathError::TooLong));
    }

    proptest! {
        #[test]
        fn no_path_leads_out_of_the_root(raw in "(%2[eEfF]|%5[cC]|%00|%25|[./\\\\%a-c\u{0}é]){0,24}|\\PC{0,40}") {
            for path in [MediaPath::from_url(&raw), MediaPath::new(&raw)].into_iter().flatten() {
                // The standard library interprets the path as the operating system does.
                for part in std::path::Path::new(path.as_str()).components() {
                    prop_assert!(matches!(part, std::path::Component::Normal(_)), "{raw:?}: {part:?}");
                }
                prop_assert!(!path.as_str().contains(['\\', '\0']));
            }
        }

        #[test]
        fn plain_paths_are_valid_and_decode_to_themselves(raw in "[a-z./%\\\\#?\u{0}é-]{0,12}|[a-z./]{1,300}|(/?[a-z-]{240,260}){1,5}") {
            if is_plain(&raw) {
                prop_assert_eq!(MediaPath::new(&raw).map(|path| path.as_str().to_owned()), Ok(raw.clone()));
                prop_assert!(!raw.contains(['%', '?', '#']));
            }
        }

        #[test]
        fn formatting_and_parsing_are_inverse(name in "\\PC{1,40}(/\\PC{1,40}){0,3}") {
            if let Ok(path) = MediaPath::new(&name) {
                prop_assert_eq!(path.as_str(), &name);
                prop_assert!(path.to_url().is_ascii());
                prop_assert_eq!(Some(path.file_name()), path.segments().next_back());
                prop_assert_eq!(MediaPath::from_url(&path.to_url()), Ok(path));
            }
        }
    }
}
