//! Media types of files.

use std::borrow::Cow;
use std::fmt;

use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};

/// The media type of a file, and whether a browser may display it.
///
/// It depends on the file name, or on a [`Lookup`](crate::lookup::Lookup), not on what the uploading client claimed. Passive types
/// (images, audio, video, plain text, PDF) are inline. Active types (HTML, SVG, XML, JavaScript) and unknown ones are sent as an
/// attachment in a sandbox.
///
/// ```
/// use private_media::delivery::ContentType;
///
/// assert_eq!(ContentType::of("photo.JPG").as_str(), "image/jpeg");
/// assert!(ContentType::of("photo.JPG").is_inline());
/// assert!(!ContentType::of("drawing.svg").is_inline());
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentType(Cow<'static, str>);

/// The longest media type that is accepted, in bytes.
const MAX_LEN: usize = 255;
const UNKNOWN: &str = "application/octet-stream";
/// UTF-8 is the most likely encoding.
const PLAIN: &str = "text/plain; charset=utf-8";

/// Types that `mime_guess` lacks, or names differently than browsers.
const TABLE: [(&str, &str); 11] = [
    ("apng", "image/apng"),
    ("avif", "image/avif"),
    ("flac", "audio/flac"),
    ("heic", "image/heic"),
    ("heif", "image/heif"),
    ("jxl", "image/jxl"),
    ("m4a", "audio/mp4"),
    ("m4v", "video/mp4"),
    ("mjs", "text/javascript"),
    ("mkv", "video/x-matroska"),
    ("opus", "audio/ogg"),
];

impl ContentType {
    /// Returns the type of a file with this name.
    #[must_use]
    pub fn of(file_name: &str) -> Self {
        Self(Cow::Borrowed(of_name(file_name)))
    }

    /// Parses a media type, such as `image/png` or `text/plain; charset=utf-8` (RFC 9110 section 8.3.1). Values of parameters have to be
    /// tokens, without quotes.
    ///
    /// ```
    /// use private_media::delivery::ContentType;
    ///
    /// assert_eq!(ContentType::parse("Image/PNG")?.as_str(), "image/png");
    /// assert!(!ContentType::parse("text/html")?.is_inline());
    /// assert!(ContentType::parse("png").is_err());
    /// # Ok::<(), private_media::delivery::ContentTypeError>(())
    /// ```
    pub fn parse(text: &str) -> Result<Self, ContentTypeError> {
        let mut parts = text.split(';').map(str::trim);
        let essence = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_valid = text.len() <= MAX_LEN
            && essence.split_once('/').is_some_and(|(kind, subtype)| is_token(kind) && is_token(subtype))
            // That is a media range.
            && !essence.contains('*');
        let mut value = essence;
        for parameter in parts {
            match parameter.split_once('=') {
                Some((name, own)) if is_valid && is_token(name) && is_token(own) => {
                    value.extend(["; ", name, "=", own]);
                }
                _ => return Err(ContentTypeError(text.to_owned())),
            }
        }
        match value.as_str() {
            _ if !is_valid => Err(ContentTypeError(text.to_owned())),
            "text/plain" => Ok(Self(Cow::Borrowed(PLAIN))),
            _ => Ok(Self(Cow::Owned(value))),
        }
    }

    /// Returns the value of `Content-Type` (RFC 9110 section 8.3).
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Returns whether a browser may display the type. Otherwise it is downloaded.
    #[must_use]
    pub fn is_inline(&self) -> bool {
        let essence = self.0.split(';').next().unwrap_or_default();
        match essence.split_once('/') {
            Some(("image", kind)) => !kind.ends_with("+xml"),
            Some(("audio" | "video", _)) => true,
            _ => matches!(essence, "text/plain" | "application/pdf"),
        }
    }

    /// Adds `Content-Type`, and a sandbox if the type is not inline.
    pub(super) fn apply(&self, headers: &mut HeaderMap) {
        // Every type is made of characters that are legal in a field.
        let value = HeaderValue::from_str(&self.0).unwrap_or(HeaderValue::from_static(UNKNOWN));
        headers.insert(http::header::CONTENT_TYPE, value);
        if !self.is_inline() {
            headers.insert(
                HeaderName::from_static("content-security-policy"),
                HeaderValue::from_static("sandbox; default-src 'none'"),
            );
        }
    }
}

fn of_name(file_name: &str) -> &'static str {
    let Some((_, extension)) = file_name.rsplit_once('.') else { return UNKNOWN };
    let extension = extension.to_ascii_lowercase();
    if let Some((_, known)) = TABLE.iter().find(|(own, _)| *own == extension) {
        return known;
    }
    match mime_guess::from_ext(&extension).first_raw() {
        Some("text/plain") => PLAIN,
        known => known.unwrap_or(UNKNOWN),
    }
}

/// RFC 9110 section 5.6.2.
fn is_token(text: &str) -> bool {
    let is_legal = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    !text.is_empty() && text.bytes().all(is_legal)
}

/// The error of a text that is not a [`ContentType`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContentTypeError(String);

impl fmt::Display for ContentTypeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown: String = self.0.chars().take(MAX_LEN).collect();
        write!(f, "invalid media type {shown:?}; expected e.g. image/png")
    }
}

impl std::error::Error for ContentTypeError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn parsed_types() {
        for (text, expected) in [
            ("image/png", Some(("image/png", true))),
            (" IMAGE/PNG ", Some(("image/png", true))),
            ("text/plain", Some((PLAIN, true))),
            ("text/plain;charset=latin1", Some(("text/plain; charset=latin1", true))),
            (
                "text/plain ; charset=utf-8; format=flowed",
                Some(("text/plain; charset=utf-8; format=flowed", true)),
            ),
            ("application/pdf", Some(("application/pdf", true))),
            ("application/pdf; x=y", Some(("application/pdf; x=y", true))),
            ("video/mp4; codecs=avc1", Some(("video/mp4; codecs=avc1", true))),
            ("text/html", Some(("text/html", false))),
            ("TEXT/HTML; charset=utf-8", Some(("text/html; charset=utf-8", false))),
            ("image/svg+xml", Some(("image/svg+xml", false))),
            ("Image/SVG+XML; charset=utf-8", Some(("image/svg+xml; charset=utf-8", false))),
            ("application/xhtml+xml", Some(("application/xhtml+xml", false))),
            ("application/octet-stream", Some((UNKNOWN, false))),
            ("multipart/x-mixed-replace; boundary=x", Some(("multipart/x-mixed-replace; boundary=x", false))),
            ("", None),
            ("png", None),
            ("/", None),
            ("image/", None),
            ("/png", None),
            ("image/*", None),
            ("*/*", None),
            ("image/png, text/html", None),
            ("image/png text/html", None),
            ("image/png;", None),
            ("image/png; q", None),
            ("image/png; q=\"1\"", None),
            ("image/png; =1", None),
            ("image/png\r\nx-injected: 1", None),
            ("image/png\0", None),
            ("image/pñg", None),
        ] {
            let parsed = ContentType::parse(text).ok();
            assert_eq!(
                parsed.as_ref().map(|found| (found.as_str(), found.is_inline())),
                expected,
                "{text:?}"
            );
        }
        assert!(ContentType::parse(&format!("image/{}", "x".repeat(250))).is_err());
    }

    proptest! {
        /// Whatever a table contains, what is parsed is one header field, and is parsed to itself.
        #[test]
        fn parsed_types_are_header_values(
            text in "\\PC{0,30}|[a-zA-Z]{1,9}/[a-zA-Z+.-]{1,9}(; ?[a-z]{1,5}=[a-z0-9-]{1,5}){0,2}|[ -~\r\n\0]{0,30}",
        ) {
            if let Ok(parsed) = ContentType::parse(&text) {
                let value = HeaderValue::from_str(parsed.as_str()).unwrap();
                prop_assert!(value.to_str().is_ok());
                prop_assert_eq!(ContentType::parse(parsed.as_str()).unwrap(), parsed);
            }
        }
    }

    #[test]
    fn file_names_determine_types() {
        for (name, content_type, inline) in [
            ("a.jpg", "image/jpeg", true),
            ("a.JPEG", "image/jpeg", true),
            ("a.png", "image/png", true),
            ("a.gif", "image/gif", true),
            ("a.webp", "image/webp", true),
            ("a.avif", "image/avif", true),
            ("a.heic", "image/heic", true),
            ("a.ico", "image/x-icon", true),
            ("a.mp4", "video/mp4", true),
            ("a.webm", "video/webm", true),
            ("a.mov", "video/quicktime", true),
            ("a.mp3", "audio/mpeg", true),
            ("a.ogg", "audio/ogg", true),
            ("a.wav", "audio/wav", true),
            ("a.txt", PLAIN, true),
            ("a.log", PLAIN, true),
            ("a.pdf", "application/pdf", true),
            ("a.html", "text/html", false),
            ("a.htm", "text/html", false),
            ("a.xhtml", "application/xhtml+xml", false),
            ("a.svg", "image/svg+xml", false),
            ("a.svgz", "image/svg+xml", false),
            ("a.jpg.svg", "image/svg+xml", false),
            ("a.xml", "text/xml", false),
            ("a.js", "text/javascript", false),
            ("a.mjs", "text/javascript", false),
            ("a.css", "text/css", false),
            ("a.csv", "text/csv", false),
            ("a.md", "text/markdown", false),
            ("a.json", "application/json", false),
            ("a.swf", "application/x-shockwave-flash", false),
            ("a.zip", "application/zip", false),
            ("a.txt.gz", "application/gzip", false),
            ("a.mht", "message/rfc822", false),
            ("a.unheard-of", UNKNOWN, false),
            ("a.jpg ", UNKNOWN, false),
            ("a", UNKNOWN, false),
            ("a.", UNKNOWN, false),
            ("jpg", UNKNOWN, false),
        ] {
            let found = ContentType::of(name);
            assert_eq!((found.as_str(), found.is_inline()), (content_type, inline), "{name}");
        }
    }

    #[test]
    fn active_types_are_never_inline() {
        for (extension, _) in
            TABLE.iter().chain(&[("html", ""), ("svg", ""), ("xml", ""), ("js", ""), ("xsl", "")])
        {
            let found = ContentType::of(&format!("a.{extension}"));
            let active = ["html", "xml", "script", "css", "flash"];
            assert!(
                !found.is_inline() || !active.iter().any(|word| found.as_str().contains(word)),
                "{found:?}"
            );
        }
    }
}
