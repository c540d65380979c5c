//! Responses with serialized headers.

use std::sync::Arc;

use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{Extensions, HeaderName, HeaderValue, Response, StatusCode};

use super::body::MediaBody;

/// The response of a [`Delivery`](super::Delivery). It converts from and into a [`Response`]. Some of its headers may be
/// [prepared](crate::raw), which means serialized.
///
/// ```
/// use http::Response;
/// use private_media::MediaBody;
/// use private_media::delivery::MediaResponse;
///
/// let body = MediaBody::empty().push_bytes("hello");
/// let response = MediaResponse::from(Response::builder().header("x-by", "me").body(body).unwrap());
/// assert_eq!(response.header(&"x-by".parse().unwrap()).unwrap(), "me");
/// assert_eq!(Response::from(response).headers()["x-by"], "me");
/// ```
#[derive(Debug)]
#[non_exhaustive]
pub struct MediaResponse {
    /// The status code.
    pub status: StatusCode,
    /// The extensions of the response.
    pub extensions: Extensions,
    /// The body.
    pub body: MediaBody,
    headers: ResponseHeaders,
}

/// The headers of a [`MediaResponse`]. Most responses have only prepared ones. The others are boxed, so that a response is small.
#[derive(Debug, Default)]
pub(crate) struct ResponseHeaders {
    pub(crate) prepared: Option<Arc<SerializedHeaders>>,
    /// These replace prepared headers with the same names.
    pub(crate) others: Option<Box<HeaderMap>>,
}

impl MediaResponse {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: MediaBody) -> Self {
        let headers = ResponseHeaders { prepared: None, others: Some(Box::new(headers)) };
        Self { status, extensions: Extensions::new(), body, headers }
    }

    /// Returns a response with plain text, such as an error.
    ///
    /// ```
    /// use http::StatusCode;
    /// use private_media::delivery::MediaResponse;
    ///
    /// let response = MediaResponse::text(StatusCode::NOT_FOUND, "not found\n");
    /// assert_eq!(response.header(&http::header::CONTENT_TYPE).unwrap(), "text/plain; charset=utf-8");
    /// assert_eq!(response.body.remaining(), 10);
    /// ```
    #[must_use]
    pub fn text(status: StatusCode, text: impl Into<Bytes>) -> Self {
        crate::text::text(status, text).into()
    }

    /// Returns a response with prepared headers. Only their [`CONTENT_LENGTH`] may be replaced.
    pub(super) fn prepared_by(prepared: Arc<SerializedHeaders>) -> Self {
        let headers = ResponseHeaders { prepared: Some(prepared), others: None };
        Self { status: StatusCode::OK, extensions: Extensions::new(), body: MediaBody::empty(), headers }
    }

    /// Adds a header. Of the prepared headers, it may replace only [`CONTENT_LENGTH`].
    pub(crate) fn insert(&mut self, name: HeaderName, value: HeaderValue) {
        self.headers.others.get_or_insert_default().insert(name, value);
    }

    #[cfg(feature = "listener")]
    pub(crate) fn take_headers(&mut self) -> ResponseHeaders {
        std::mem::take(&mut self.headers)
    }

    /// Merges the prepared headers into the others, and returns all of them.
    pub fn headers_mut(&mut self) -> &mut HeaderMap {
        let ResponseHeaders { prepared, others } = &mut self.headers;
        let others = others.get_or_insert_default();
        if let Some(prepared) = prepared.take() {
            let replacing = std::mem::replace(&mut **others, prepared.fields.clone());
            others.extend(replacing);
        }
        others
    }

    /// Returns the value of a header.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        let ResponseHeaders { prepared, others } = &self.headers;
        let other = others.as_ref().and_then(|others| others.get(name));
        other.or_else(|| prepared.as_ref()?.fields.get(name))
    }
}

/// The prepared headers of a [`MediaResponse`], for servers that write response heads themselves.
pub trait PreparedHeaders {
    /// Returns the headers that the responses for a file have in common.
    fn prepared(&self) -> Option<&SerializedHeaders>;

    /// Returns the headers that are not prepared.
    fn others(&self) -> Option<&HeaderMap>;
}

impl PreparedHeaders for MediaResponse {
    fn prepared(&self) -> Option<&SerializedHeaders> {
        self.headers.prepared.as_deref()
    }

    fn others(&self) -> Option<&HeaderMap> {
        self.headers.others.as_deref()
    }
}

impl From<Response<MediaBody>> for MediaResponse {
    fn from(response: Response<MediaBody>) -> Self {
        let (head, body) = response.into_parts();
        Self { extensions: head.extensions, ..Self::new(head.status, head.headers, body) }
    }
}

impl From<MediaResponse> for Response<MediaBody> {
    fn from(mut response: MediaResponse) -> Self {
        let headers = std::mem::take(response.headers_mut());
        let mut whole = Self::new(response.body);
        *whole.status_mut() = response.status;
        *whole.headers_mut() = headers;
        *whole.extensions_mut() = response.extensions;
        whole
    }
}

/// Headers and their serialized lines (RFC 9112 section 5), for headers that are sent often.
///
/// ```
/// use private_media::delivery::common_headers;
/// use private_media::raw::SerializedHeaders;
///
/// let common = SerializedHeaders::new(common_headers());
/// assert!(common.lines().starts_with(b"cache-control: private, no-cache\r\n"));
/// ```
#[derive(Debug, Clone)]
pub struct SerializedHeaders {
    fields: HeaderMap,
    lines: Vec<u8>,
}

impl SerializedHeaders {
    /// Serializes headers.
    #[must_use]
    pub fn new(fields: HeaderMap) -> Self {
        let mut lines = Vec::new();
        for (name, value) in fields.iter().filter(|(name, _)| !Self::is_framing(name)) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                lines.extend_from_slice(part);
            }
        }
        Self { fields, lines }
    }

    /// Returns whether the server writes a field itself, because it frames the message: date, length, encoding and connection (RFC 9112
    /// sections 6 and 9).
    #[must_use]
    pub fn is_framing(name: &HeaderName) -> bool {
        matches!(*name, CONNECTION | CONTENT_LENGTH | DATE | TRANSFER_ENCODING)
    }

    /// Returns the headers.
    #[must_use]
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// Returns the serialized lines of all fields except those of the [framing](Self::is_framing).
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}
