//! Decides what a response contains, before the file is read.

use std::time::SystemTime;

use http::StatusCode;

use crate::request::{ByteRange, MediaRequest, Outcome, Selected, Validators};
use crate::storage::Metadata;

/// The plan of a response to a permitted request for an existing file. It is a pure function of request, metadata and time.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Plan {
    /// 200: the whole file.
    Whole,
    /// 206: one range (RFC 9110 section 15.3.7.1).
    Part(ByteRange),
    /// 206: several ranges, as `multipart/byteranges` (RFC 9110 section 15.3.7.2).
    Parts(Vec<ByteRange>),
    /// 304: the client has the current version (RFC 9110 section 15.4.5).
    NotModified,
    /// 412: the file is not the version that the client requires (RFC 9110 section 15.5.13).
    PreconditionFailed,
    /// 416: all ranges are after the end of the file (RFC 9110 section 15.5.17).
    RangeNotSatisfiable,
}

impl Plan {
    /// Returns the plan of the response to a request, in the order of RFC 9110 section 13.2.2.
    #[must_use]
    pub fn new(request: &MediaRequest, file: &Metadata, now: SystemTime) -> Self {
        let validators = Validators { etag: &file.etag, modified: file.modified };
        let range = match request.preconditions.evaluate(&validators, now) {
            Outcome::NotModified => return Self::NotModified,
            Outcome::Failed => return Self::PreconditionFailed,
            Outcome::Proceed { range } => request.range.as_ref().filter(|_| range),
        };
        match range.map_or(Selected::Whole, |range| range.select(file.len)) {
            Selected::Whole => Self::Whole,
            Selected::One(part) => Self::Part(part),
            Selected::Several(parts) => Self::Parts(parts),
            Selected::Unsatisfiable => Self::RangeNotSatisfiable,
        }
    }

    /// Returns the status code.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Whole => StatusCode::OK,
            Self::Part(_) | Self::Parts(_) => StatusCode::PARTIAL_CONTENT,
            Self::NotModified => StatusCode::NOT_MODIFIED,
            Self::PreconditionFailed => StatusCode::PRECONDITION_FAILED,
            Self::RangeNotSatisfiable => StatusCode::RANGE_NOT_SATISFIABLE,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use http::Request;

    use super::*;

    /// Each row is a request and the plan for a file of 1,000 bytes.
    #[test]
    fn plans_follow_the_conditions_and_ranges() {
        let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let date = "Sun, 06 Nov 1994 08:49:37 GMT";
        let file = Metadata { len: 1000, modified, created: None, accessed: None, etag: "x".into() };
        for (method, headers, plan) in [
            ("GET", vec![], "200 1000"),
            ("HEAD", vec![], "200 1000"),
            ("GET", vec![("range", "bytes=0-99")], "206 0+100"),
            ("GET", vec![("range", "bytes=-100")], "206 900+100"),
            ("GET", vec![("range", "bytes=0-0,10-19")], "206 0+1 10+10"),
            ("GET", vec![("range", "bytes=0-10,5-19")], "206 0+20"),
            ("GET", vec![("range", "bytes=1000-")], "416"),
            ("GET", vec![("range", "lines=0-1")], "200 1000"),
            // Section 14.2: only GET.
            ("HEAD", vec![("range", "bytes=0-99")], "200 1000"),
            ("GET", vec![("range", "bytes=0-1"), ("range", "bytes=2-3")], "200 1000"),
            ("GET", vec![("if-none-match", "\"x\"")], "304"),
            ("HEAD", vec![("if-none-match", "\"x\"")], "304"),
            ("GET", vec![("if-none-match", "\"x\""), ("range", "bytes=0-1")], "304"),
            ("GET", vec![("if-none-match", "\"y\""), ("range", "bytes=0-1")], "206 0+2"),
            ("GET", vec![("if-modified-since", date)], "304"),
            ("GET", vec![("if-match", "\"y\"")], "412"),
            ("GET", vec![("if-match", "\"y\""), ("if-none-match", "\"x\"")], "412"),
            ("GET", vec![("if-match", "\"x\""), ("range", "bytes=2000-")], "416"),
            ("GET", vec![("if-range", "\"x\""), ("range", "bytes=0-1")], "206 0+2"),
            ("GET", vec![("if-range", "\"y\""), ("range", "bytes=0-1")], "200 1000"),
            // Section 13.1.5: if the condition does not match, the range is ignored, even an unsatisfiable one.
            ("GET", vec![("if-range", "\"y\""), ("range", "bytes=2000-")], "200 1000"),
            ("GET", vec![("if-range", date), ("range", "bytes=0-1")], "206 0+2"),
        ] {
            let mut request = Request::builder().method(method).uri("/a.jpg");
            for (name, value) in &headers {
                request = request.header(*name, *value);
            }
            let (head, ()) = request.body(()).unwrap().into_parts();
            let request = MediaRequest::parse(&head).unwrap();
            let planned = Plan::new(&request, &file, modified + Duration::from_secs(60));
            let parts = match &planned {
                Plan::Whole => " 1000".into(),
                Plan::Part(part) => format!(" {}+{}", part.start(), part.len()),
                Plan::Parts(parts) => parts
                    .iter()
                    .fold(String::new(), |all, part| format!("{all} {}+{}", part.start(), part.len())),
                _ => String::new(),
            };
            assert_eq!(format!("{}{parts}", planned.status().as_str()), plan, "{method} {headers:?}");
        }
    }
}
