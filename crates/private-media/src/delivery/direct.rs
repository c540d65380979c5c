//! Sends files from this process.

use std::hash::{BuildHasher, RandomState};
use std::time::SystemTime;

use http::header::{CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderName, HeaderValue};

use super::headers::{with_content_headers, with_validators};
use super::{Delivery, MediaBody, MediaResponse, Plan};
use crate::permission::{Permit, Read};
use crate::request::{ByteRange, MediaRequest};
use crate::storage::MediaFile;

/// Sends files from this process, whole or in ranges, in bounded memory.
#[derive(Debug, Clone, Copy, Default)]
pub struct Direct;

impl Delivery for Direct {
    fn deliver(
        &self,
        request: &MediaRequest,
        permit: &Permit<Read>,
        file: MediaFile,
        now: SystemTime,
    ) -> MediaResponse {
        let plan = Plan::new(request, file.metadata(), now);
        let mut response = match &plan {
            Plan::Whole | Plan::Part(_) | Plan::Parts(_) => {
                let mut response = with_content_headers(permit, &file, request.download, now);
                add_content(&plan, &file, &mut response);
                response
            }
            Plan::NotModified => with_validators(permit, &file, now),
            Plan::PreconditionFailed => MediaResponse::text(plan.status(), "precondition failed\n"),
            Plan::RangeNotSatisfiable => {
                let mut response = MediaResponse::text(plan.status(), "range not satisfiable\n");
                insert(&mut response, CONTENT_RANGE, ByteRange::unsatisfied(file.metadata().len));
                response
            }
        };
        if !matches!(plan, Plan::Whole | Plan::NotModified) {
            response.insert(CONTENT_LENGTH, response.body.remaining().into());
        }
        if request.is_head {
            response.body = MediaBody::empty();
        }
        response.status = plan.status();
        response
    }
}

fn add_content(plan: &Plan, file: &MediaFile, response: &mut MediaResponse) {
    let (bytes, len) = (file.bytes(), file.metadata().len);
    response.body = match plan {
        Plan::Part(part) => {
            insert(response, CONTENT_RANGE, part.content_range(len));
            MediaBody::empty().push_file(bytes, part.start(), part.len())
        }
        // RFC 9110 section 14.6: each part has its type and range.
        Plan::Parts(parts) => {
            let boundary = boundary();
            let inner = response.headers_mut().insert(CONTENT_TYPE, multipart(&boundary));
            let inner = inner.as_ref().and_then(|value| value.to_str().ok()).unwrap_or_default();
            let body = parts.iter().fold(MediaBody::empty(), |body, part| {
                let range = part.content_range(len);
                body.push_bytes(format!(
                    "\r\n--{boundary}\r\nContent-Type: {inner}\r\nContent-Range: {range}\r\n\r\n"
                ))
                .push_file(bytes, part.start(), part.len())
            });
            body.push_bytes(format!("\r\n--{boundary}--\r\n"))
        }
        _ => MediaBody::empty().push_file(bytes, 0, len),
    };
}

fn insert(response: &mut MediaResponse, name: HeaderName, value: String) {
    if let Ok(value) = HeaderValue::try_from(value) {
        response.insert(name, value);
    }
}

/// Returns a random boundary, which no uploaded file can contain.
fn boundary() -> String {
    let random = RandomState::new();
    format!("{:016x}{:016x}", random.hash_one(0), random.hash_one(1))
}

fn multipart(boundary: &str) -> HeaderValue {
    HeaderValue::try_from(format!("multipart/byteranges; boundary={boundary}"))
        .unwrap_or(HeaderValue::from_static("multipart/byteranges"))
}
