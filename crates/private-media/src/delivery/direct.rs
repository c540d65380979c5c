//! The bytes leave by this process.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use http::Response;
use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderMap, HeaderValue};

use super::headers::{content_headers, validators};
use super::{Delivery, MediaBody, Plan};
use crate::permission::Permit;
use crate::request::{ByteRange, MediaRequest};
use crate::storage::MediaFile;

/// Sends the file itself, whole or in parts, in bounded memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Delivery for Direct {
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit,
        file: MediaFile,
        now: SystemTime,
    ) -> Response<MediaBody> {
        let plan = Plan::new(request, file.metadata(), now);
        let (mut headers, body) = match &plan {
            Plan::Whole | Plan::Part(_) | Plan::Parts(_) => {
                let mut headers = content_headers(permit.path(), &file, request.download, now);
                let body = content(&plan, &file, &mut headers);
                (headers, body)
            }
            Plan::NotModified => (validators(permit.path(), &file, now), MediaBody::empty()),
            Plan::PreconditionFailed => line("precondition failed\n"),
            Plan::RangeNotSatisfiable => {
                let (mut headers, body) = line("range not satisfiable\n");
                insert(&mut headers, CONTENT_RANGE, ByteRange::unsatisfied(file.metadata().len));
                (headers, body)
            }
        };
        if !matches!(plan, Plan::Whole | Plan::NotModified) {
            headers.insert(CONTENT_LENGTH, body.remaining().into());
        }
        let mut response = Response::new(if request.is_head { MediaBody::empty() } else { body });
        *response.status_mut() = plan.status();
        *response.headers_mut() = headers;
        response
    }
}

fn content(plan: &Plan, file: &MediaFile, headers: &mut HeaderMap) -> MediaBody {
    let (bytes, len) = (file.bytes(), file.metadata().len);
    match plan {
        Plan::Part(part) => {
            insert(headers, CONTENT_RANGE, part.content_range(len));
            MediaBody::empty().then_file(bytes, part.start(), part.len())
        }
        // RFC 9110 section 14.6; each part repeats the type, and the range stands in the part alone.
        Plan::Parts(parts) => {
            let boundary = boundary();
            let inner = headers.insert(CONTENT_TYPE, multipart(&boundary));
            let inner = inner.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            let body = parts.iter().fold(MediaBody::empty(), |body, part| {
                let range = part.content_range(len);
                body.then_bytes(format!(
                    "\r\n--{boundary}\r\nContent-Type: {inner}\r\nContent-Range: {range}\r\n\r\n"
                ))
                .then_file(bytes, part.start(), part.len())
            });
            body.then_bytes(format!("\r\n--{boundary}--\r\n"))
        }
        _ => MediaBody::empty().then_file(bytes, 0, len),
    }
}

fn line(text: &'static str) -> (HeaderMap, MediaBody) {
    let mut headers = HeaderMap::new();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    (headers, MediaBody::empty().then_bytes(text))
}

fn insert(headers: &mut HeaderMap, name: http::HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        headers.insert(name, value);
    }
}

/// Random, so that nobody can store a file that holds it.
fn boundary() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

fn multipart(boundary: &str) -> HeaderValue {
    HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))
        .unwrap_or(HeaderValue::from_static("multipart/byteranges"))
}
