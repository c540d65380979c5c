//! The logo of a site.

use std::error::Error;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

/// The logo of a site: an image that the pages contain, so it has no URL of its own.
///
/// The type is detected by the content. Browsers run no scripts in an SVG that a page shows as an image.
///
/// ```
/// use private_media::pages::Logo;
///
/// assert!(Logo::new(b"<svg xmlns=\"http://www.w3.org/2000/svg\"/>").is_ok());
/// assert!(Logo::new(b"<!doctype html>").is_err());
/// ```
#[derive(Clone)]
pub struct Logo {
    url: String,
}

/// The error of content that is no logo.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum LogoError {
    /// The content is larger than [`Logo::MAX_LEN`].
    TooLarge,
    /// The content is not an image of a known type.
    UnknownType,
}

impl Logo {
    /// The maximum size, in bytes.
    pub const MAX_LEN: usize = 64 << 10;

    /// Creates a logo from the content of a PNG, JPEG, WebP or SVG file.
    pub fn new(content: &[u8]) -> Result<Self, LogoError> {
        if content.len() > Self::MAX_LEN {
            return Err(LogoError::TooLarge);
        }
        let media_type = media_type(content).ok_or(LogoError::UnknownType)?;
        Ok(Self { url: format!("data:{media_type};base64,{}", STANDARD.encode(content)) })
    }

    /// Returns the image as a URL that needs no escaping in HTML.
    pub(super) fn url(&self) -> &str {
        &self.url
    }
}

/// Returns the media type of an image, by its first bytes.
fn media_type(content: &[u8]) -> Option<&'static str> {
    if content.starts_with(b"\x89PNG\r\n\x1a\n") {
        return Some("image/png");
    }
    if content.starts_with(b"\xff\xd8\xff") {
        return Some("image/jpeg");
    }
    if content.starts_with(b"RIFF") && content.get(8..12) == Some(b"WEBP") {
        return Some("image/webp");
    }
    let text = std::str::from_utf8(content).ok()?.trim_start_matches('\u{feff}').trim_start();
    let is_svg = text.starts_with("<svg")
        || (["<?xml", "<!--", "<!DOCTYPE svg"].iter().any(|start| text.starts_with(start))
            && text.contains("<svg"));
    is_svg.then_some("image/svg+xml")
}

impl fmt::Debug for Logo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let media_type = self.url.split(';').next().unwrap_or_default();
        f.debug_struct("Logo").field("type", &media_type).field("len", &self.url.len()).finish()
    }
}

impl fmt::Display for LogoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge => write!(f, "larger than {} KiB; use a smaller image", Logo::MAX_LEN >> 10),
            Self::UnknownType => {
                f.write_str("not an image that pages can show; use a PNG, JPEG, WebP or SVG file")
            }
        }
    }
}

impl Error for LogoError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_type_is_detected_by_the_content() {
        for (content, expected) in [
            (&b"\x89PNG\r\n\x1a\nrest"[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0rest", Some("image/jpeg")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"<svg/>", Some("image/svg+xml")),
            ("\u{feff} <?xml version=\"1.0\"?>\n<svg/>".as_bytes(), Some("image/svg+xml")),
            (b"<!-- a logo --><svg/>", Some("image/svg+xml")),
            (b"<?xml version=\"1.0\"?><html/>", None),
            (b"<html><svg/></html>", None),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"RIFF", None),
            (b"GIF89a", None),
            (b"<svg\xff", None),
            (b"", None),
        ] {
            assert_eq!(media_type(content), expected, "{content:?}");
        }
    }

    #[test]
    fn large_images_are_errors() {
        let mut content = vec![b' '; Logo::MAX_LEN];
        content[..5].copy_from_slice(b"<svg ");
        assert!(Logo::new(&content).is_ok());
        content.push(b' ');
        assert_eq!(Logo::new(&content).unwrap_err(), LogoError::TooLarge);
    }
}
