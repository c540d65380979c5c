//! Media types of files.

use http::HeaderValue;
use http::header::{HeaderMap, HeaderName};

/// The media type of a file, and whether a browser may display it.
///
/// It depends only on the file name, not on the type that the uploading client sent. Passive types (images, audio, video, plain text,
/// PDF) are inline. Active types (HTML, SVG, XML, JavaScript) and unknown ones are attachments in a sandbox.
///
/// ```
/// use private_media::delivery::ContentType;
///
/// assert_eq!(ContentType::of("photo.JPG").as_str(), "image/jpeg");
/// assert!(ContentType::of("photo.JPG").is_inline());
/// assert!(!ContentType::of("drawing.svg").is_inline());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ContentType(&'static str);

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
        let Some((_, extension)) = file_name.rsplit_once('.') else { return Self(UNKNOWN) };
        let extension = extension.to_ascii_lowercase();
        if let Some((_, known)) = TABLE.iter().find(|(own, _)| *own == extension) {
            return Self(known);
        }
        match mime_guess::from_ext(&extension).first_raw() {
            Some("text/plain") => Self(PLAIN),
            known => Self(known.unwrap_or(UNKNOWN)),
        }
    }

    /// Returns the value of `Content-Type` (RFC 9110 section 8.3).
    #[must_use]
    pub fn as_str(self) -> &'static str {
        self.0
    }

    /// Returns whether a browser may display the type. Otherwise it is downloaded.
    #[must_use]
    pub fn is_inline(self) -> bool {
        match self.0.split_once('/') {
            Some(("image", kind)) => !kind.ends_with("+xml"),
            Some(("audio" | "video", _)) => true,
            _ => matches!(self.0, PLAIN | "application/pdf"),
        }
    }

    /// Adds `Content-Type`, and a sandbox if the type is not inline.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        headers.insert(http::header::CONTENT_TYPE, HeaderValue::from_static(self.0));
        if !self.is_inline() {
            headers.insert(
                HeaderName::from_static("content-security-policy"),
                HeaderValue::from_static("sandbox; default-src 'none'"),
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

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
