//! A response, before it is one of HTTP's.

use std::sync::Arc;

use http::header::{CONNECTION, CONTENT_LENGTH, DATE, HeaderMap, TRANSFER_ENCODING};
use http::{Extensions, HeaderName, HeaderValue, Response, StatusCode};

use super::body::MediaBody;

/// What a [`Delivery`](super::Delivery) gives: a response, some headers of which may be there as they are written.
///
/// It is made of a [`Response`] and becomes one, by `from` and `into`. Whoever writes heads by itself writes the prepared ones as they
/// are.
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
    /// Headers of this response alone. Of a name that is among the prepared ones too, these count.
    pub headers: HeaderMap,
    /// What others who see the response may want to know.
    pub extensions: Extensions,
    /// The content.
    pub body: MediaBody,
    prepared: Option<Arc<SerializedHeaders>>,
}

impl MediaResponse {
    pub(crate) fn new(status: StatusCode, headers: HeaderMap, body: MediaBody) -> Self {
        Self { status, headers, extensions: Extensions::new(), body, prepared: None }
    }

    /// A response with these headers, which has no others of their names but [`CONTENT_LENGTH`].
    pub(super) fn prepared_by(prepared: Arc<SerializedHeaders>) -> Self {
        let mut response = Self::new(StatusCode::OK, HeaderMap::new(), MediaBody::empty());
        response.prepared = Some(prepared);
        response
    }

    /// Takes the prepared headers among the others, which can then be changed.
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        if let Some(prepared) = self.prepared.take() {
            let own = std::mem::replace(&mut self.headers, prepared.fields.clone());
            self.headers.extend(own);
        }
        &mut self.headers
    }

    /// The value of a header.
    #[must_use]
    pub fn header(&self, name: &HeaderName) -> Option<&HeaderValue> {
        self.headers.get(name).or_else(|| self.prepared.as_ref()?.fields.get(name))
    }
}

/// The headers of a [`MediaResponse`] that are serialized already, for servers that write response heads themselves.
pub trait PreparedHeaders {
    /// Returns the headers that many responses for the same file have in common. Those of [`MediaResponse::headers`] are to be written,
    /// too.
    fn prepared(&self) -> Option<&SerializedHeaders>;
}

impl PreparedHeaders for MediaResponse {
    fn prepared(&self) -> Option<&SerializedHeaders> {
        self.prepared.as_deref()
    }
}

impl From<Response<MediaBody>> for MediaResponse {
    fn from(response: Response<MediaBody>) -> Self {
        let (head, body) = response.into_parts();
        Self { status: head.status, headers: head.headers, extensions: head.extensions, body, prepared: None }
    }
}

impl From<MediaResponse> for Response<MediaBody> {
    fn from(mut response: MediaResponse) -> Self {
        response.headers_mut();
        let mut whole = Self::new(response.body);
        *whole.status_mut() = response.status;
        *whole.headers_mut() = response.headers;
        *whole.extensions_mut() = response.extensions;
        whole
    }
}

/// Header fields, and the same as they are written (RFC 9112 section 5): made once, of what is sent often.
///
/// ```
/// use private_media::delivery::common_headers;
/// use private_media::raw::SerializedHeaders;
///
/// let standing = SerializedHeaders::new(common_headers());
/// assert!(standing.lines().starts_with(b"cache-control: private, no-cache\r\n"));
/// ```
#[derive(Debug, Clone)]
pub struct SerializedHeaders {
    fields: HeaderMap,
    lines: Vec<u8>,
}

impl SerializedHeaders {
    /// Those of these fields.
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

    /// Whether a field says when a message was sent, where it ends, or whether another follows (RFC 9112 sections 6 and 9). Whoever
    /// sends it says so, and the lines do not.
    #[must_use]
    pub fn is_framing(name: &HeaderName) -> bool {
        matches!(*name, CONNECTION | CONTENT_LENGTH | DATE | TRANSFER_ENCODING)
    }

    /// The fields.
    #[must_use]
    pub fn fields(&self) -> &HeaderMap {
        &self.fields
    }

    /// A line for each field, but for those of the [message](Self::is_framing) itself.
    #[must_use]
    pub fn lines(&self) -> &[u8] {
        &self.lines
    }
}
