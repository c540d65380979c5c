//! Lets nginx fetch a file from a bucket.

use std::time::SystemTime;

use http::header::{ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, HeaderName, HeaderValue};

use super::headers::{X_ACCEL_REDIRECT, with_content_headers};
use super::redirect::signed_url;
use super::{MediaResponse, Plan};
use crate::permission::{Permit, Read};
use crate::request::MediaRequest;
use crate::storage::MediaFile;

/// The `Range` of nginx's request; none for the whole file.
const RANGE: HeaderName = HeaderName::from_static("x-private-media-range");
/// The `If-Match` of nginx's request, so that a range is never one of another version.
const IF_MATCH: HeaderName = HeaderName::from_static("x-private-media-if-match");
/// The `Content-Disposition` of nginx's response. nginx would also add the original header to the page that it sends if the bucket fails, and
/// browsers would save that page as the file.
const DISPOSITION: HeaderName = HeaderName::from_static("x-private-media-disposition");

/// Returns the response from which nginx makes a request to a bucket. `None` if no single part of the file is sent, or if the file has no
/// signed URL.
pub(super) fn hand_off(
    prefix: &str,
    request: &MediaRequest,
    permit: &Permit<Read>,
    file: &MediaFile,
    now: SystemTime,
) -> Option<MediaResponse> {
    let part = match Plan::new(request, file.metadata(), now) {
        Plan::Whole if !request.is_head => None,
        Plan::Part(part) => Some(part),
        _ => return None,
    };
    let target = internal_target(prefix, &signed_url(request, permit, file, now)?)?;
    let mut response = with_content_headers(permit, file, request.download, now);
    let headers = response.headers_mut();
    // The bucket offers ranges itself.
    headers.remove(ACCEPT_RANGES);
    if let Some(disposition) = headers.remove(CONTENT_DISPOSITION) {
        headers.insert(DISPOSITION, disposition);
    }
    if let Some(part) = part {
        let range = format!("bytes={}-{}", part.start(), part.end().saturating_sub(1));
        headers.insert(RANGE, HeaderValue::try_from(range).ok()?);
        headers.insert(IF_MATCH, HeaderValue::try_from(format!("\"{}\"", file.metadata().etag)).ok()?);
    }
    headers.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
    headers.insert(X_ACCEL_REDIRECT, target);
    Some(response)
}

/// Returns the internal URL for a signed URL: its path and query, without the host, as the query of the location. nginx decodes the path of
/// the header, but not its query, so the bucket gets the bytes that were signed.
fn internal_target(prefix: &str, url: &str) -> Option<HeaderValue> {
    let (_, target) = url.split_once("://")?.1.split_once('/')?;
    HeaderValue::try_from(format!("{prefix}?{target}")).ok()
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_core::future::BoxFuture;
    use http::Request;

    use super::*;
    use crate::storage::{Metadata, ReadAt, SignedHeaders};

    #[derive(Debug)]
    struct Signed;

    impl ReadAt for Signed {
        fn read_at(self: Arc<Self>, _: u64, _: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            Box::pin(async { Ok(Bytes::from_static(b"0123456789")) })
        }

        fn signed_url(&self, headers: &SignedHeaders<'_>) -> Option<String> {
            Some(format!("https://host:9/bucket/a%20%2B.jpg?type={}", headers.content_type))
        }
    }

    fn handed_off(method: &str, path: &str, header: Option<(&str, &str)>) -> Option<MediaResponse> {
        let head = Request::builder().method(method).uri(path);
        let head = header.into_iter().fold(head, |head, (name, value)| head.header(name, value));
        let request = MediaRequest::parse(&head.body(()).unwrap().into_parts().0).unwrap();
        let permit = Permit::trusted(request.path.clone());
        let modified = SystemTime::UNIX_EPOCH;
        let file = MediaFile::streamed(Metadata::new(10, modified, "x"), Arc::new(Signed));
        hand_off("/internal/", &request, &permit, &file, modified)
    }

    #[test]
    fn one_part_of_a_file_is_handed_off() {
        for (method, header, expected) in [
            ("GET", None, Some(None)),
            ("GET", Some(("range", "bytes=1-2")), Some(Some("bytes=1-2"))),
            ("GET", Some(("range", "bytes=8-")), Some(Some("bytes=8-9"))),
            ("GET", Some(("range", "lines=1-2")), Some(None)),
            ("GET", Some(("if-none-match", "\"y\"")), Some(None)),
            ("GET", Some(("if-none-match", "\"x\"")), None),
            ("GET", Some(("if-match", "\"y\"")), None),
            ("GET", Some(("range", "bytes=10-")), None),
            ("GET", Some(("range", "bytes=0-0,5-5")), None),
            ("HEAD", None, None),
        ] {
            let response = handed_off(method, "/a.jpg", header);
            let text = |name: &HeaderName| response.as_ref()?.header(name)?.to_str().ok();
            assert_eq!(response.is_some().then(|| text(&RANGE)), expected, "{method} {header:?}");
            let target = "/internal/?bucket/a%20%2B.jpg?type=image/jpeg";
            assert_eq!(text(&X_ACCEL_REDIRECT), expected.map(|_| target), "{method} {header:?}");
            // The whole file may be another version, with its own entity tag.
            assert_eq!(text(&IF_MATCH), expected.flatten().map(|_| "\"x\""), "{method} {header:?}");
        }
    }

    #[test]
    fn the_name_of_a_file_has_a_header_of_its_own() {
        for (path, disposition) in [
            ("/a.jpg", "inline; filename=\"a.jpg\""),
            ("/a.jpg?download", "attachment; filename=\"a.jpg\""),
            ("/a.html", "attachment; filename=\"a.html\""),
        ] {
            let response = handed_off("GET", path, None).unwrap();
            assert_eq!(response.header(&DISPOSITION).unwrap(), disposition);
            assert_eq!(response.header(&CONTENT_DISPOSITION), None);
            assert_eq!(
                (response.header(&CONTENT_LENGTH).unwrap(), response.body.remaining()),
                (&HeaderValue::from_static("0"), 0)
            );
        }
    }

    #[test]
    fn a_target_has_no_host() {
        for (url, target) in [
            ("https://host/a?b", Some("/i/?a?b")),
            ("http://[::1]:80/a%3F?b=/c", Some("/i/?a%3F?b=/c")),
            ("https://host", None),
            ("host/a", None),
        ] {
            let found = internal_target("/i/", url);
            assert_eq!(found.as_ref().map(|value| value.to_str().unwrap()), target, "{url}");
        }
    }
}
