//! Lets a bucket send files: the response redirects to a presigned URL.

use std::time::SystemTime;

use http::StatusCode;
use http::header::{
    CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue, LOCATION,
};

use super::headers::with_content_headers;
use super::{Delivery, Direct, MediaBody, MediaResponse, Plan};
use crate::permission::{Permit, Read};
use crate::request::MediaRequest;
use crate::storage::{MediaFile, SignedHeaders};

/// Lets a bucket send files: a 307 redirects to a [signed URL](crate::storage::ReadAt::signed_url).
///
/// Permission is checked for each request. The URL then grants access to anyone who has it until it expires, including a user whose access
/// ends meanwhile. The bucket sees the addresses of the clients, and sends the version of the file that it has then.
///
/// [`Direct`] makes responses without content, such as a 304 and those to HEAD, and sends files of a storage without signed URLs.
///
/// ```
/// use private_media::delivery::RedirectToStorage;
/// use private_media::{MemoryStorage, PrivateMedia};
///
/// let media = PrivateMedia::builder(MemoryStorage::new()).delivery(RedirectToStorage).build();
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct RedirectToStorage;

impl Delivery for RedirectToStorage {
    fn sends_content(&self) -> bool {
        false
    }

    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        let plan = Plan::new(request, file.metadata(), now);
        let has_content = matches!(plan, Plan::Whole | Plan::Part(_) | Plan::Parts(_));
        let location =
            if has_content && !request.is_head { signed_url(request, permit, &file, now) } else { None };
        let location = location.and_then(|location| HeaderValue::try_from(location).ok());
        let Some(location) = location else { return Direct.deliver(request, permit, file, now) };
        let mut response =
            MediaResponse::new(StatusCode::TEMPORARY_REDIRECT, HeaderMap::new(), MediaBody::empty());
        response.insert(LOCATION, location);
        response.insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        response
    }
}

/// Returns whether a response redirects to a signed URL.
pub(super) fn is_redirect(response: &MediaResponse) -> bool {
    response.status == StatusCode::TEMPORARY_REDIRECT
}

/// Returns the signed URL of a file, if its storage makes one. Its response has the media type and the name that the client would get here.
pub(super) fn signed_url(
    request: &MediaRequest,
    permit: &Permit<Read>,
    file: &MediaFile,
    now: SystemTime,
) -> Option<String> {
    let response = with_content_headers(permit, file, request.download, now);
    let text = |name: &HeaderName| response.header(name).and_then(|value| value.to_str().ok());
    // Without them, the client may run active content as the bucket describes it.
    let headers = SignedHeaders::new(text(&CONTENT_TYPE)?, text(&CONTENT_DISPOSITION)?);
    file.bytes().signed_url(&headers)
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::Arc;

    use bytes::Bytes;
    use futures_core::future::BoxFuture;
    use http::Request;
    use http::header::ETAG;

    use super::*;
    use crate::MediaPath;
    use crate::storage::{Metadata, ReadAt};

    /// A file whose URL contains the headers that are asked for.
    #[derive(Debug)]
    struct Signed;

    impl ReadAt for Signed {
        fn read_at(self: Arc<Self>, _: u64, _: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            Box::pin(async { Ok(Bytes::from_static(b"0123456789")) })
        }

        fn signed_url(&self, headers: &SignedHeaders<'_>) -> Option<String> {
            Some(format!("https://bucket/?{}&{}", headers.content_type, headers.content_disposition))
        }
    }

    #[test]
    fn responses_with_content_are_redirects() {
        let modified = SystemTime::UNIX_EPOCH;
        for (method, path, header, expected) in [
            ("GET", "a.jpg", None, Some("https://bucket/?image/jpeg&inline; filename=\"a.jpg\"")),
            (
                "GET",
                "a.jpg",
                Some(("range", "bytes=1-2")),
                Some("https://bucket/?image/jpeg&inline; filename=\"a.jpg\""),
            ),
            (
                "GET",
                "a.jpg?download=1",
                None,
                Some("https://bucket/?image/jpeg&attachment; filename=\"a.jpg\""),
            ),
            // Active content is neutralized by the bucket, too.
            ("GET", "a.html", None, Some("https://bucket/?text/html&attachment; filename=\"a.html\"")),
            ("HEAD", "a.jpg", None, None),
            ("GET", "a.jpg", Some(("if-none-match", "\"x\"")), None),
            ("GET", "a.jpg", Some(("if-match", "\"y\"")), None),
            ("GET", "a.jpg", Some(("range", "bytes=10-")), None),
        ] {
            let mut head = Request::builder().method(method).uri(format!("/{path}"));
            if let Some((name, value)) = header {
                head = head.header(name, value);
            }
            let request = MediaRequest::parse(&head.body(()).unwrap().into_parts().0).unwrap();
            let permit = Permit::trusted(MediaPath::new(path.split('?').next().unwrap()).unwrap());
            let file = MediaFile::streamed(Metadata::new(10, modified, "x"), Arc::new(Signed));
            let response = RedirectToStorage.deliver(&request, &permit, file, modified);
            let found = response.header(&LOCATION).map(|value| value.to_str().unwrap());
            assert_eq!(found, expected, "{method} {path} {header:?}");
            assert_eq!(is_redirect(&response), expected.is_some());
            if expected.is_some() {
                assert_eq!((response.body.remaining(), response.header(&ETAG)), (0, None));
            }
        }
    }
}
