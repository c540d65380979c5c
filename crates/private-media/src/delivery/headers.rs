//! Response headers.

use std::fmt::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use http::StatusCode;
use http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, ETAG, HeaderMap, HeaderName, HeaderValue,
    LAST_MODIFIED,
};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::body::MediaBody;
use super::content_type::ContentType;
use super::response::{MediaResponse, SerializedHeaders};
use crate::lookup::Attributes;
use crate::permission::{Permit, Read};
use crate::request::MediaPath;
use crate::storage::{MediaFile, Metadata};

/// Names what nginx sends instead of a response.
pub(super) const X_ACCEL_REDIRECT: HeaderName = HeaderName::from_static("x-accel-redirect");

/// The headers that the responses for a file have in common. They are cached with the file.
#[derive(Debug)]
pub(crate) struct CachedHeaders {
    file_name: String,
    /// The media type of the attributes; `None` for that of the name.
    content_type: Option<ContentType>,
    at: SystemTime,
    validators: OnceLock<Arc<SerializedHeaders>>,
    content: OnceLock<Arc<SerializedHeaders>>,
}

impl CachedHeaders {
    fn new(permit: &Permit<Read>, at: SystemTime) -> Self {
        let (file_name, content_type) = (file_name(permit).to_owned(), content_type(permit).cloned());
        Self { file_name, content_type, at, validators: OnceLock::new(), content: OnceLock::new() }
    }

    /// Returns the cached headers of a file, if they are valid for the name, the type and the time of a request. They are not if the
    /// modification time is in the future, because then `Last-Modified` depends on the time of the request.
    fn of<'a>(permit: &Permit<Read>, file: &'a MediaFile, now: SystemTime) -> Option<&'a Self> {
        let prepared = file.memo(|| Self::new(permit, now))?;
        let is_past = file.metadata().modified <= prepared.at && prepared.at <= now;
        let is_same =
            prepared.file_name == file_name(permit) && prepared.content_type.as_ref() == content_type(permit);
        (is_past && is_same).then_some(prepared)
    }
}

/// Returns the name under which a browser saves a file.
fn file_name(permit: &Permit<Read>) -> &str {
    permit.attributes().and_then(Attributes::file_name).unwrap_or_else(|| permit.path().file_name())
}

/// Returns the media type that a lookup found.
fn content_type(permit: &Permit<Read>) -> Option<&ContentType> {
    permit.attributes().and_then(Attributes::media_type)
}

/// Returns a response with the validators of a file, for a 304 (RFC 9110 section 15.4.5).
pub(super) fn with_validators(permit: &Permit<Read>, file: &MediaFile, now: SystemTime) -> MediaResponse {
    let make = || make_validators(file.metadata(), now);
    begin(CachedHeaders::of(permit, file, now).map(|prepared| &prepared.validators), make)
}

/// Returns a response with the headers of a file. The length is that of the whole file.
pub(super) fn with_content_headers(
    permit: &Permit<Read>,
    file: &MediaFile,
    download: bool,
    now: SystemTime,
) -> MediaResponse {
    let prepared = CachedHeaders::of(permit, file, now).filter(|_| !download);
    let make = || make_content_headers(permit, file.metadata(), download, now);
    begin(prepared.map(|prepared| &prepared.content), make)
}

fn begin(
    prepared: Option<&OnceLock<Arc<SerializedHeaders>>>,
    make: impl FnOnce() -> HeaderMap,
) -> MediaResponse {
    match prepared {
        Some(lines) => {
            let lines = lines.get_or_init(|| Arc::new(SerializedHeaders::new(make())));
            MediaResponse::prepared_by(Arc::clone(lines))
        }
        None => MediaResponse::new(StatusCode::OK, make(), MediaBody::empty()),
    }
}

/// Returns a map with the capacity for all headers of a response.
fn room() -> HeaderMap {
    HeaderMap::with_capacity(20)
}

fn make_validators(file: &Metadata, now: SystemTime) -> HeaderMap {
    let mut headers = room();
    if let Ok(etag) = HeaderValue::try_from(format!("\"{}\"", file.etag)) {
        headers.insert(ETAG, etag);
    }
    // Section 8.8.2.1: not later than the response itself.
    if let Some(modified) = http_date(file.modified.min(now)) {
        headers.insert(LAST_MODIFIED, modified);
    }
    headers
}

fn make_content_headers(
    permit: &Permit<Read>,
    file: &Metadata,
    download: bool,
    now: SystemTime,
) -> HeaderMap {
    let name = file_name(permit);
    let content_type = content_type(permit).cloned().unwrap_or_else(|| ContentType::of(name));
    let mut headers = make_validators(file, now);
    headers.insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    headers.extend(presentation_headers(name, &content_type, download));
    headers.insert(CONTENT_LENGTH, file.len.into());
    headers
}

/// Returns the headers that make a browser display or download a file: `Content-Type`, `Content-Disposition`, and a sandbox for active
/// content.
#[must_use]
pub fn file_headers(path: &MediaPath, download: bool) -> HeaderMap {
    presentation_headers(path.file_name(), &ContentType::of(path.file_name()), download)
}

fn presentation_headers(file_name: &str, content_type: &ContentType, download: bool) -> HeaderMap {
    let mut headers = HeaderMap::with_capacity(8);
    content_type.apply(&mut headers);
    let attachment = download || !content_type.is_inline();
    headers.insert(CONTENT_DISPOSITION, content_disposition(file_name, attachment));
    headers
}

/// The headers that all responses have in common. They forbid shared caches, content sniffing, and embedding by other sites.
static COMMON: [(HeaderName, HeaderValue); 4] = [
    // A browser caches the file and revalidates it each time, so each use is authorized, with a cheap 304.
    (http::header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    (http::header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (http::header::REFERRER_POLICY, HeaderValue::from_static("no-referrer")),
];

/// Returns the headers that [`MediaService`](crate::MediaService) adds to every response except `Vary`, for applications that respond
/// themselves. They forbid shared caches, content sniffing, and embedding by other sites.
///
/// ```
/// let headers = private_media::delivery::common_headers();
/// assert_eq!(headers["cache-control"], "private, no-cache");
/// assert_eq!(headers["x-content-type-options"], "nosniff");
/// ```
#[must_use]
pub fn common_headers() -> HeaderMap {
    COMMON.iter().cloned().collect()
}

/// Returns the value of `Content-Disposition` (RFC 6266). For a name that is not plain ASCII, `filename*` (RFC 8187) contains it and
/// `filename` an ASCII fallback.
///
/// ```
/// use private_media::delivery::content_disposition;
///
/// assert_eq!(content_disposition("photo.jpg", false), "inline; filename=\"photo.jpg\"");
/// assert_eq!(
///     content_disposition("café.jpg", true),
///     "attachment; filename=\"caf_.jpg\"; filename*=UTF-8''caf%C3%A9.jpg"
/// );
/// ```
#[must_use]
pub fn content_disposition(file_name: &str, attachment: bool) -> HeaderValue {
    // RFC 8187 section 3.2.1, attr-char.
    const ENCODED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'!')
        .remove(b'#')
        .remove(b'$')
        .remove(b'&')
        .remove(b'+')
        .remove(b'-')
        .remove(b'.')
        .remove(b'^')
        .remove(b'_')
        .remove(b'`')
        .remove(b'|')
        .remove(b'~');
    // Some browsers decode `%` in `filename`, and browsers disagree on how to escape `"` and `\` (RFC 6266 appendix D).
    let is_plain = |c: char| (c == ' ' || c.is_ascii_graphic()) && !matches!(c, '"' | '\\' | '%');
    let ascii_fallback: String = file_name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    let mut value =
        format!("{}; filename=\"{ascii_fallback}\"", if attachment { "attachment" } else { "inline" });
    if ascii_fallback != file_name {
        // Writing to a String cannot fail.
        let _ = write!(value, "; filename*=UTF-8''{}", utf8_percent_encode(file_name, ENCODED));
    }
    HeaderValue::try_from(value).unwrap_or(HeaderValue::from_static("attachment"))
}

/// Formats a time for HTTP; `None` outside the years that it can express (RFC 9110 section 5.6.7: four digits).
fn http_date(time: SystemTime) -> Option<HeaderValue> {
    const YEAR_10000: Duration = Duration::from_secs(253_402_300_800);
    let since = time.duration_since(SystemTime::UNIX_EPOCH).ok()?;
    (since < YEAR_10000).then(|| HeaderValue::try_from(httpdate::fmt_http_date(time)).ok())?
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn dispositions_contain_the_name() {
        for (name, value) in [
            ("photo.jpg", r#"inline; filename="photo.jpg""#),
            ("my photo (1).jpg", r#"inline; filename="my photo (1).jpg""#),
            ("a;b=c,d.jpg", r#"inline; filename="a;b=c,d.jpg""#),
            ("50%41.jpg", r#"inline; filename="50_41.jpg"; filename*=UTF-8''50%2541.jpg"#),
            (r#"a"b.jpg"#, r#"inline; filename="a_b.jpg"; filename*=UTF-8''a%22b.jpg"#),
            ("it's.jpg", r#"inline; filename="it's.jpg""#),
            ("é'*.jpg", r#"inline; filename="_'*.jpg"; filename*=UTF-8''%C3%A9%27%2A.jpg"#),
            ("🚗.jpg", r#"inline; filename="_.jpg"; filename*=UTF-8''%F0%9F%9A%97.jpg"#),
        ] {
            assert_eq!(content_disposition(name, false), value, "{name}");
        }
    }

    /// Otherwise a server that writes prepared and common headers would write a field twice.
    #[test]
    fn file_headers_and_common_headers_are_disjoint() {
        for name in ["a.jpg", "a.svg", "a.html", "a.pdf", "a"] {
            let path = MediaPath::new(name).unwrap();
            for download in [false, true] {
                let headers = file_headers(&path, download);
                assert!(COMMON.iter().all(|(name, _)| !headers.contains_key(name)), "{name}: {headers:?}");
                assert!(!headers.contains_key(http::header::VARY));
            }
        }
    }

    #[test]
    fn dates_that_http_cannot_express_are_omitted() {
        let epoch = SystemTime::UNIX_EPOCH;
        assert_eq!(http_date(epoch - Duration::from_secs(1)), None);
        assert_eq!(http_date(epoch + Duration::from_secs(253_402_300_800)), None);
        assert_eq!(http_date(epoch).unwrap(), "Thu, 01 Jan 1970 00:00:00 GMT");
    }

    proptest! {
        /// And every name can be parsed from the header.
        #[test]
        fn names_cannot_inject_headers(name in "\\PC{0,60}|[\u{0}-\u{ff}]{0,20}", attachment: bool) {
            let value = content_disposition(&name, attachment);
            let text = value.to_str().unwrap();
            prop_assert!(!text.contains(['\r', '\n', '\0']));
            let found = match text.split_once("filename*=UTF-8''") {
                Some((_, encoded)) => percent_encoding::percent_decode_str(encoded).decode_utf8().unwrap().into_owned(),
                None => text.split('"').nth(1).unwrap().to_owned(),
            };
            prop_assert_eq!(found, name);
        }
    }
}
