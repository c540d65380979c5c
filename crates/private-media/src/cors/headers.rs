//! The common headers of responses, with those of CORS, serialized once.

use std::sync::Arc;

use http::header::{
    ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
    ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
    ACCESS_CONTROL_REQUEST_METHOD, HeaderMap, HeaderName, HeaderValue, ORIGIN, REFERER, VARY,
};
use http::request::Parts;
use http::{Method, StatusCode};

use super::{Access, CorsOptions};
use crate::delivery::response::SerializedHeaders;
use crate::delivery::{MediaBody, MediaResponse, common_headers};

static CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");
/// The headers of a response that scripts may read in addition to the default ones: for ranges, downloads and revalidation.
static EXPOSED: HeaderValue =
    HeaderValue::from_static("content-range, content-disposition, etag, accept-ranges, content-length");
/// The headers that scripts may send in addition to the default ones.
static ACCEPTED: HeaderValue = HeaderValue::from_static(
    "authorization, if-match, if-modified-since, if-none-match, if-range, if-unmodified-since, range",
);

/// The headers that all responses have in common: those of [`common_headers`], `Vary`, and those of CORS.
pub(crate) struct CommonHeaders {
    same_origin: Arc<SerializedHeaders>,
    cors: Option<CorsHeaders>,
}

struct CorsHeaders {
    options: CorsOptions,
    embed: Arc<SerializedHeaders>,
    /// By the number of the origin.
    read: Vec<Arc<SerializedHeaders>>,
}

impl CommonHeaders {
    /// Serializes the headers. `vary` names the request headers that identify the client; without any, `Vary` is `*`.
    pub(crate) fn new(mut vary: Vec<HeaderName>, cors: Option<CorsOptions>) -> Self {
        let is_by_headers = !vary.is_empty();
        if cors.is_some() {
            vary.extend([ORIGIN, REFERER]);
        }
        let names = vary.iter().map(HeaderName::as_str).collect::<Vec<_>>().join(", ");
        let mut headers = common_headers();
        // If identification does not depend on headers, a cache cannot distinguish clients. `*` disables caching.
        let vary = HeaderValue::try_from(names).ok().filter(|_| is_by_headers);
        headers.insert(VARY, vary.unwrap_or(HeaderValue::from_static("*")));
        let cors = cors.map(|options| CorsHeaders::new(options, headers.clone()));
        Self { same_origin: Arc::new(SerializedHeaders::new(headers)), cors }
    }

    /// Returns the headers of all responses to a request with these headers.
    pub(crate) fn of(&self, request: &HeaderMap) -> &Arc<SerializedHeaders> {
        self.cors.as_ref().and_then(|cors| cors.of(request)).unwrap_or(&self.same_origin)
    }

    /// Returns the response to a preflight request of an allowed origin. It is the same for every path.
    pub(crate) fn preflight(&self, request: &Parts) -> Option<MediaResponse> {
        let options = self.cors.as_ref().map(|cors| &cors.options)?;
        let is_preflight = request.method == Method::OPTIONS
            && request.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD)
            && matches!(options.access(&request.headers), Access::Read(_));
        is_preflight.then(|| {
            let mut headers = HeaderMap::new();
            headers.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static("GET, HEAD"));
            headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, ACCEPTED.clone());
            headers.insert(ACCESS_CONTROL_MAX_AGE, options.max_age.as_secs().into());
            MediaResponse::new(StatusCode::NO_CONTENT, headers, MediaBody::empty())
        })
    }
}

impl CorsHeaders {
    fn new(options: CorsOptions, mut headers: HeaderMap) -> Self {
        headers.insert(&CROSS_ORIGIN_RESOURCE_POLICY, HeaderValue::from_static("cross-origin"));
        let embed = Arc::new(SerializedHeaders::new(headers.clone()));
        headers.insert(ACCESS_CONTROL_EXPOSE_HEADERS, EXPOSED.clone());
        if options.credentials {
            headers.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        }
        let read = options.origins.iter().map(|origin| {
            headers.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.value().clone());
            Arc::new(SerializedHeaders::new(headers.clone()))
        });
        let read = read.collect();
        Self { options, embed, read }
    }

    /// Returns the headers for a page of another, allowed origin.
    fn of(&self, request: &HeaderMap) -> Option<&Arc<SerializedHeaders>> {
        match self.options.access(request) {
            Access::SameOrigin => None,
            Access::Embed => Some(&self.embed),
            Access::Read(number) => self.read.get(number),
        }
    }
}
