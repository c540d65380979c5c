//! The question to the application: what is sent, and the key of its answer.

use std::borrow::Cow;
use std::sync::Arc;

use bytes::Bytes;
use http::header::{ACCEPT, COOKIE, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::request::Parts;
use http::{HeaderMap, Method, Request};
use http_body_util::Full;
use private_media::MediaPath;
use private_media::decision_cache::CacheKey;
use private_media::identity::{ClientAddr, Https};

use super::options::{self, ForwardOptions};
use crate::request_id::RequestId;
use crate::trace_context::TraceContext;

/// A question about the client of a request.
#[derive(Debug)]
pub(super) struct Question<'a> {
    /// The scheme of the client's connection.
    scheme: &'static str,
    /// The id of the request. The key does not contain it, because later requests get the cached answer too.
    id: Option<HeaderValue>,
    /// The trace of the request. It is not in the key either.
    trace: Option<Arc<TraceContext>>,
    /// The header fields that differ between requests.
    fields: Vec<(&'a HeaderName, Cow<'a, [u8]>)>,
    /// The path that is asked about, if the application decides about paths.
    pub(super) path: Option<MediaPath>,
}

impl<'a> Question<'a> {
    /// Returns the question about a request; `None` if the request has no credential that goes along.
    pub(super) fn new(options: &'a ForwardOptions, request: &'a Parts) -> Option<Self> {
        let mut fields = Vec::with_capacity(8);
        for name in &options.pass.credentials {
            if *name == COOKIE {
                fields.extend(cookies(&request.headers, &options.cookies).map(|value| (name, value)));
            } else {
                fields.extend(lines(&request.headers, name));
            }
        }
        if fields.is_empty() {
            return None;
        }
        for name in &options.pass.context {
            fields.extend(lines(&request.headers, name));
        }
        let mut add = |name: &'a HeaderName, value: Cow<'a, [u8]>| {
            if !options.pass.context.contains(name) {
                fields.push((name, value));
            }
        };
        if let Some(host) = request.headers.get(HOST) {
            add(&options::X_FORWARDED_HOST, Cow::Borrowed(host.as_bytes()));
        }
        if let Some(ip) = request.extensions.get().and_then(ClientAddr::ip) {
            add(&options::X_FORWARDED_FOR, Cow::Owned(ip.to_canonical().to_string().into_bytes()));
        }
        let path = if options.permission { path_of(request, &options.private_url) } else { None };
        if let Some(path) = &path {
            let method = if request.method == Method::HEAD { "HEAD" } else { "GET" };
            add(&options::X_ORIGINAL_METHOD, Cow::Borrowed(method.as_bytes()));
            let uri = format!("{}{}", options.private_url, path.to_url());
            add(&options::X_ORIGINAL_URI, Cow::Owned(uri.into_bytes()));
        }
        let scheme = if request.extensions.get::<Https>().is_some() { "https" } else { "http" };
        let id = request.extensions.get().map(RequestId::to_header);
        let trace = request.extensions.get().map(Arc::clone);
        Some(Self { scheme, id, trace, fields, path })
    }

    /// Returns the key of the answer. It covers everything that is sent and differs between requests, so no other request gets the
    /// answer. Names and values alternate, so the same bytes in other headers have another key.
    pub(super) fn key(&self) -> CacheKey {
        CacheKey::of(self.fields.iter().flat_map(|(name, value)| [name.as_str().as_bytes(), value]))
    }

    /// Returns the request to the application.
    pub(super) fn to_request(&self, options: &ForwardOptions) -> Result<Request<Full<Bytes>>, http::Error> {
        let mut request = Request::get(options.url.clone()).body(Full::default())?;
        let headers = request.headers_mut();
        for (name, value) in &self.fields {
            headers.append(*name, HeaderValue::from_bytes(value)?);
        }
        let own = |headers: &mut HeaderMap, name: &HeaderName, value: HeaderValue| {
            if !options.pass.contains(name) && !headers.contains_key(name) {
                headers.insert(name, value);
            }
        };
        own(
            headers,
            &USER_AGENT,
            HeaderValue::from_static(concat!("private-media/", env!("CARGO_PKG_VERSION"))),
        );
        // Frameworks respond 401 to this, and not by a redirect to their sign-in page.
        own(headers, &ACCEPT, HeaderValue::from_static("application/json"));
        own(headers, &options::X_FORWARDED_PROTO, HeaderValue::from_static(self.scheme));
        if let Some(id) = &self.id {
            own(headers, &options::X_REQUEST_ID, id.clone());
        }
        if let Some(trace) = &self.trace {
            trace.set_headers(headers);
        }
        // An answer that is used for all paths is asked for without one.
        own(headers, &options::X_ORIGINAL_METHOD, HeaderValue::from_static("GET"));
        own(headers, &options::X_ORIGINAL_URI, HeaderValue::try_from(&options.private_url)?);
        for (original, forwarded) in [
            (&options::X_ORIGINAL_METHOD, &options::X_FORWARDED_METHOD),
            (&options::X_ORIGINAL_URI, &options::X_FORWARDED_URI),
        ] {
            if let Some(value) = headers.get(original).cloned() {
                headers.insert(forwarded, value);
            }
        }
        Ok(request)
    }
}

/// Returns whether a request has a credential that goes along.
pub(super) fn has_credential(options: &ForwardOptions, headers: &HeaderMap) -> bool {
    options.pass.credentials.iter().any(|name| {
        if *name == COOKIE {
            cookies(headers, &options.cookies).is_some()
        } else {
            lines(headers, name).next().is_some()
        }
    })
}

/// Returns the lines of a header. An empty one is none: a front server may send it for a client that is not signed in.
fn lines<'a>(
    headers: &'a HeaderMap,
    name: &'a HeaderName,
) -> impl Iterator<Item = (&'a HeaderName, Cow<'a, [u8]>)> {
    let values = headers.get_all(name).iter().map(HeaderValue::as_bytes).filter(|value| !value.is_empty());
    values.map(move |value| (name, Cow::Borrowed(value)))
}

/// Returns the cookies with these names, or all of them if there are no names, in one line; `None` if there are none.
fn cookies<'a>(headers: &'a HeaderMap, names: &[String]) -> Option<Cow<'a, [u8]>> {
    let lines = headers.get_all(COOKIE).iter().map(|line| line.as_bytes().trim_ascii());
    let mut lines = lines.filter(|line| !line.is_empty());
    if names.is_empty() {
        let first = lines.next()?;
        // HTTP/1.1 has one line (RFC 6265 section 5.4); some servers read only the first.
        let rest = lines.fold(Vec::new(), |rest, line| [&*rest, b"; ", line].concat());
        return Some(if rest.is_empty() {
            Cow::Borrowed(first)
        } else {
            Cow::Owned([first, &rest].concat())
        });
    }
    let is_named = |pair: &&[u8]| {
        let name = pair.split(|byte| *byte == b'=').next().unwrap_or_default().trim_ascii();
        names.iter().any(|own| own.as_bytes() == name)
    };
    let pairs = lines.flat_map(|line| line.split(|byte| *byte == b';')).map(<[u8]>::trim_ascii);
    let pairs: Vec<_> = pairs.filter(is_named).collect();
    (!pairs.is_empty()).then(|| Cow::Owned(pairs.join(&b"; "[..])))
}

/// Returns the path of the file that a request is for.
fn path_of(request: &Parts, private_url: &str) -> Option<MediaPath> {
    let path = request.uri.path().strip_prefix(private_url.trim_end_matches('/'))?;
    MediaPath::from_url(path).ok()
}
