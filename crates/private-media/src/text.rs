//! Plain-text responses.

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE};
use http::{HeaderValue, Response, StatusCode};

/// Returns a plain-text response.
pub(crate) fn text<B: From<Bytes>>(status: StatusCode, text: impl Into<Bytes>) -> Response<B> {
    let text = text.into();
    let len = text.len();
    let mut response = Response::new(B::from(text));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
    response.headers_mut().insert(CONTENT_LENGTH, len.into());
    response
}
