//! The HTTP service of a gateway: private files, the sign-in pages, and `-/health`.

use std::sync::Arc;
use std::time::Instant;

use http::header::{
    CACHE_CONTROL, CONTENT_LENGTH, HeaderMap, HeaderValue, LOCATION, RETRY_AFTER, STRICT_TRANSPORT_SECURITY,
};
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use private_media::identity::accounts::{ClientClosed, SessionRecord};
use private_media::identity::{ClientAddr, Https};
use private_media::raw::RespondRaw as _;
use private_media::{AccessRecord, Accounts, MediaBody, MediaHeaders, MediaPath, MediaService, PrivateMedia};
use private_media_listener::{Handler, HeaderWriter, PeerState, RawResponse, RequestBody, WriteHeaders};
use tower_service::Service;

use crate::access_log::AccessLog;
use crate::audit::Audit;
use crate::body::{Body, text_response};
use crate::client::{DirectPeer, TrustedProxies};
use crate::exchange::{Exchange, Observer, Observers};
use crate::health::Health;
use crate::identity::forward::AllowedPath;
use crate::login::{LoginPages, is_navigation};
use crate::metrics::Metrics;
use crate::pages::{FRONT, Pages};
use crate::request_id::{RequestId, RequestIds};
use crate::request_limit::RequestLimit;
use crate::trace_context::TraceContext;
use crate::traces::Traces;

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The HTTP service of a gateway. Cheap to clone.
#[derive(Clone)]
pub(crate) struct Site {
    media: MediaService,
    /// The accounts, whose pages for signing in and out are below `-/`.
    accounts: Option<Accounts>,
    url: Arc<str>,
    /// The pages outside the private URL. Only the demo has some.
    pages: Option<axum::Router>,
    /// The front page, and the page of denied files.
    own_pages: Option<Arc<Pages>>,
    login_pages: Arc<LoginPages>,
    /// Whether the identity of any request may depend on the address of its client.
    identity_needs_peer: bool,
    /// Whether the identity source may find that the client may read the path.
    identity_allows_path: bool,
    proxies: Arc<TrustedProxies>,
    ids: Arc<RequestIds>,
    health: Health,
    /// The value of `Strict-Transport-Security`.
    hsts: Option<HeaderValue>,
    observers: Observers,
    traces: Option<Traces>,
    request_limit: Option<Arc<RequestLimit>>,
    audit: Option<Audit>,
}

impl Site {
    pub(crate) fn new(media: &PrivateMedia, url: &str) -> Self {
        let media = media.service().at(url);
        Self {
            media,
            accounts: None,
            url: url.into(),
            pages: None,
            own_pages: None,
            login_pages: Arc::default(),
            identity_needs_peer: true,
            identity_allows_path: false,
            proxies: Arc::default(),
            ids: Arc::default(),
            health: Health::default(),
            hsts: None,
            observers: AccessLog::observers(),
            traces: None,
            request_limit: None,
            audit: None,
        }
    }

    /// Sets the accounts, whose pages the site serves.
    pub(crate) fn accounts(mut self, accounts: Option<Accounts>) -> Self {
        self.accounts = accounts;
        self
    }

    /// Sets the pages that signed-out browsers are sent to.
    pub(crate) fn login_pages(mut self, pages: LoginPages) -> Self {
        self.login_pages = Arc::new(pages);
        self
    }

    /// Sets the front page, and the page of denied files. Without them, both are plain text.
    pub(crate) fn own_pages(mut self, pages: Pages) -> Self {
        self.own_pages = Some(Arc::new(pages));
        self
    }

    /// Sets whether the identity of any request may depend on the address of its client; by default it may.
    pub(crate) fn identity_needs_peer(mut self, needs_peer: bool) -> Self {
        self.identity_needs_peer = needs_peer;
        self
    }

    /// Sets whether an identity source also decides about paths, in [`AllowedPath`].
    pub(crate) fn identity_allows_path(mut self, allows_path: bool) -> Self {
        self.identity_allows_path = allows_path;
        self
    }

    /// Sets the proxies that may name the client and the id of a request.
    pub(crate) fn trusted_proxies(mut self, proxies: TrustedProxies) -> Self {
        self.proxies = Arc::new(proxies);
        self
    }

    pub(crate) fn pages(mut self, pages: axum::Router) -> Self {
        self.pages = Some(pages);
        self
    }

    /// Sets what `-/health` reports.
    pub(crate) fn health(mut self, health: Health) -> Self {
        self.health = health;
        self
    }

    /// Records requests for files. If they cannot be recorded, `audit.overflow` may refuse them.
    pub(crate) fn audit(mut self, audit: Option<Audit>) -> Self {
        if let Some(audit) = audit {
            self = self.observer(Arc::new(audit.clone()));
            self.audit = Some(audit);
        }
        self
    }

    /// Sets the limit of requests of each client.
    pub(crate) fn request_limit(mut self, limit: Option<RequestLimit>) -> Self {
        self.request_limit = limit.map(Arc::new);
        self
    }

    /// Returns the response to a client with too many requests. A proxy that names no client has no limit, or all its clients would
    /// share one.
    fn limited(&self, client: ClientAddr) -> Option<Response<Body>> {
        let limit = self.request_limit.as_ref()?;
        if self.proxies.contains(client) {
            return None;
        }
        let wait = limit.admit(client, Instant::now()).err()?;
        let mut response =
            text_response(StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later\n");
        let seconds = wait.as_millis().div_ceil(1000).max(1);
        response.headers_mut().insert(RETRY_AFTER, u64::try_from(seconds).unwrap_or(u64::MAX).into());
        Some(response)
    }

    /// Returns the response to a request for a file that cannot be recorded, and has to be.
    fn unrecorded(&self) -> Option<Response<Body>> {
        if self.audit.as_ref()?.admits() {
            return None;
        }
        let mut response = text_response(StatusCode::SERVICE_UNAVAILABLE, "the audit is not available\n");
        response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
        Some(response)
    }

    /// Sets the value of `Strict-Transport-Security` in every response over TLS.
    pub(crate) fn hsts(mut self, value: Option<HeaderValue>) -> Self {
        self.hsts = value;
        self
    }

    /// Counts requests, and measures their steps.
    pub(crate) fn metrics(mut self, metrics: Option<&'static Metrics>) -> Self {
        if metrics.is_some() {
            self.media = self.media.measured(true);
        }
        self.observers = self.observers.with_metrics(metrics);
        self
    }

    /// Exports traces of requests, and measures their steps.
    pub(crate) fn traces(mut self, traces: Option<Traces>, scheme: &'static str) -> Self {
        if let Some(traces) = traces {
            self.media = self.media.measured(true);
            let observer = traces.observer(&self.url, scheme);
            self = self.observer(observer);
            self.traces = Some(traces);
        }
        self
    }

    /// Adds an observer of all exchanges, besides the access log.
    fn observer(mut self, observer: Arc<dyn Observer>) -> Self {
        self.observers = self.observers.with(observer);
        self
    }

    /// Returns the part of the site that serves a path.
    fn route<'a>(&self, path: &'a str) -> Route<'a> {
        match path.strip_prefix(&*self.url) {
            None if self.url.strip_suffix('/') == Some(path) => Route::Folder(""),
            None => Route::Outside,
            // No file has an empty path, so this does not shadow one if the private URL is `/`.
            Some("") if path == "/" => Route::Outside,
            Some("-/health") => Route::Health,
            Some(FRONT) => Route::Front,
            Some(rest) if rest.starts_with("-/") => Route::Accounts(rest),
            Some(rest) if rest.is_empty() || rest.ends_with('/') => Route::Folder(rest),
            Some(_) => Route::File,
        }
    }

    /// Returns the response, and the record of a request for a file.
    async fn route_request(
        &self,
        mut request: Request<RequestBody>,
    ) -> (Response<Body>, Option<AccessRecord>) {
        let page = match self.route(request.uri().path()) {
            Route::File => {
                if let Some(unrecorded) = self.unrecorded() {
                    return (unrecorded, None);
                }
                let (head, _) = request.into_parts();
                let (response, record) = self.media.respond(&head).await;
                let response = self.in_place(&head, &record).unwrap_or_else(|| response.map(Body::from));
                return (response, Some(record));
            }
            Route::Folder(path) => {
                let path = MediaPath::from_url(path.trim_end_matches('/')).ok();
                let (head, _) = request.into_parts();
                let (response, record) = Box::pin(self.folder(&head, path)).await;
                return (response, Some(record));
            }
            Route::Health => Some(self.health.respond(request.method())),
            Route::Front => match &self.own_pages {
                Some(pages) => {
                    let (head, _) = request.into_parts();
                    Some(Box::pin(pages.front(&head, &self.login_pages)).await)
                }
                None => None,
            },
            Route::Accounts(path) => match &self.accounts {
                Some(accounts) => {
                    if let Some(uri) = absolute(path, request.uri().query()) {
                        *request.uri_mut() = uri;
                    }
                    // Boxed, so that large and rare futures take no space in the state of each request.
                    Box::pin(accounts.page(request)).await.map(|page| page.map(Body::other))
                }
                None => None,
            },
            Route::Outside => match (self.pages.clone(), &self.own_pages) {
                (Some(mut pages), _) => match Box::pin(pages.call(request)).await {
                    Ok(page) => Some(page.map(Body::other)),
                },
                (None, Some(pages)) if request.uri().path() == "/" => Some(pages.redirect_to_front()),
                (None, _) => {
                    let mut record = AccessRecord::default();
                    record.refused = Some(format!("the path is outside {}", self.url).into());
                    return (text_response(StatusCode::NOT_FOUND, "not found\n"), Some(record));
                }
            },
        };
        (page.unwrap_or_else(|| text_response(StatusCode::NOT_FOUND, "not found\n")), None)
    }

    /// Returns the response to a request for a folder, which has no page of its own. A browser gets the front page in place of the root,
    /// and the response of a missing file for all others.
    async fn folder(&self, head: &Parts, path: Option<MediaPath>) -> (Response<Body>, AccessRecord) {
        let (response, mut record) = self.media.respond(head).await;
        let not_found = response.map(Body::from);
        let Some(pages) = self.own_pages.as_ref().filter(|_| is_navigation(&head.method, &head.headers))
        else {
            return (not_found, record);
        };
        let Some(path) = path else { return (pages.redirect_to_front(), record) };
        if let Ok(identity) = pages.media.identify(head).await {
            record.not_found = true;
            record.needs_sign_in = identity.user().is_none();
            (record.identity, record.path) = (identity, Some(path));
        }
        (self.in_place(head, &record).unwrap_or(not_found), record)
    }

    /// Returns the response to a browser in place of a denial: a redirect to a sign-in page, or a page for signed-in users.
    fn in_place(&self, head: &Parts, record: &AccessRecord) -> Option<Response<Body>> {
        if !record.not_found {
            return None;
        }
        self.sign_in(head, record).or_else(|| {
            let common = self.media.common_headers(&head.headers);
            self.own_pages.as_ref()?.denied(head, record, common.fields(), &self.login_pages)
        })
    }

    /// Returns the redirect of a signed-out browser to a sign-in page.
    fn sign_in(&self, head: &Parts, record: &AccessRecord) -> Option<Response<Body>> {
        let location = self.login_pages.location(head, record, &self.url)?;
        let mut response = Response::new(Body::from(MediaBody::empty()));
        *response.status_mut() = StatusCode::SEE_OTHER;
        *response.headers_mut() = self.media.common_headers(&head.headers).fields().clone();
        response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response.headers_mut().insert(LOCATION, location);
        response.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from_static("0"));
        Some(response)
    }

    /// Returns the peer of a request, and its client.
    fn client(&self, headers: &HeaderMap, peer: &PeerState) -> (DirectPeer, ClientAddr) {
        let peer = peer.addr().ip().map_or(ClientAddr::Unix, ClientAddr::Ip);
        (DirectPeer(peer), self.proxies.client(peer, headers))
    }

    /// Returns the id that a trusted proxy has given to a request, or a new one.
    fn request_id(&self, headers: &HeaderMap, DirectPeer(peer): DirectPeer) -> RequestId {
        // Most gateways trust no proxy, and need not look for the header.
        let of_proxy = (!self.proxies.is_empty()).then(|| headers.get(&REQUEST_ID)).flatten();
        match self.proxies.request_id(peer, of_proxy) {
            Some(id) => RequestId::OfProxy(id.into()),
            None => self.ids.next(),
        }
    }

    /// Returns the place of a request in the trace of a trusted proxy, or in a new one if traces are exported.
    fn trace(&self, headers: &HeaderMap, DirectPeer(peer): DirectPeer) -> Option<Arc<TraceContext>> {
        let is_trusted = !self.proxies.is_empty() && self.proxies.contains(peer);
        let of_proxy = is_trusted.then(|| TraceContext::from_headers(headers)).flatten();
        let context = match &self.traces {
            Some(traces) => Some(traces.begin(of_proxy)),
            None => of_proxy,
        };
        context.map(Arc::new)
    }

    /// Adds the headers of every response.
    fn add_headers(&self, headers: &mut HeaderMap, id: &RequestId, peer: &PeerState) {
        headers.insert(&REQUEST_ID, id.to_header());
        headers.extend(self.hsts_of(peer).map(|hsts| (STRICT_TRANSPORT_SECURITY, hsts)));
    }

    /// Returns the value of `Strict-Transport-Security`, which is for TLS only (RFC 6797 section 7.2).
    fn hsts_of(&self, peer: &PeerState) -> Option<HeaderValue> {
        self.hsts.as_ref().filter(|_| peer.is_tls()).cloned()
    }

    /// Returns whether the identity of a request may depend on the address of its client. Accounts use the address to limit password
    /// attempts, not for cookies. The demo always uses it.
    fn needs_peer_addr(&self, method: &Method, headers: &HeaderMap) -> bool {
        // A scan of the few names is cheaper than hashing this one.
        let has_cookie_alone = matches!(*method, Method::GET | Method::HEAD)
            && !headers.keys().any(|name| *name == http::header::AUTHORIZATION);
        !has_cookie_alone || self.identity_needs_peer || self.pages.is_some()
    }
}

/// The parts of a site.
enum Route<'a> {
    File,
    Health,
    Front,
    /// A folder, with its path relative to the private URL.
    Folder(&'a str),
    /// A page of the accounts, with its path relative to the private URL.
    Accounts(&'a str),
    /// A page outside the private URL.
    Outside,
}

/// Returns the URI of a relative path.
fn absolute(path: &str, query: Option<&str>) -> Option<Uri> {
    match query {
        Some(query) => format!("/{path}?{query}").parse().ok(),
        None => format!("/{path}").parse().ok(),
    }
}

impl Handler for Site {
    type Body = Body;
    type Headers = Headers;

    async fn respond_to_head(&self, head: &mut Parts, peer: &PeerState) -> RawResponse<Body, Headers> {
        if !matches!(self.route(head.uri.path()), Route::File) {
            let request = Request::from_parts(head.clone(), RequestBody::empty());
            let (head, body) = Box::pin(self.respond(request, peer)).await.into_parts();
            return RawResponse::new(head.status, Headers::Page(head.headers), body);
        }
        let (direct, client) = self.client(&head.headers, peer);
        let trace = self.trace(&head.headers, direct);
        let exchange = Exchange::begin(&self.observers, self.request_id(&head.headers, direct), client)
            .trace(trace.clone());
        if let Some(mut page) = self.limited(client).or_else(|| self.unrecorded()) {
            self.add_headers(page.headers_mut(), &exchange.id, peer);
            let status = page.status();
            exchange.end_with(page.body_mut(), &head.method, head.uri.path(), status, None);
            let (page, body) = page.into_parts();
            return RawResponse::new(page.status, Headers::Page(page.headers), body);
        }
        if self.needs_peer_addr(&head.method, &head.headers) {
            if peer.is_tls() {
                head.extensions.insert(Https);
            }
            // For an application that is asked.
            head.extensions.insert(exchange.id.clone());
            head.extensions.insert(direct);
            head.extensions.insert(client);
            if let Some(trace) = trace {
                head.extensions.insert(trace);
            }
            head.extensions.insert(ClientClosed::from(peer.closed_flag()));
        }
        if self.identity_allows_path {
            head.extensions.insert(AllowedPath::default());
        }
        let (RawResponse { status, headers, body, .. }, record) =
            self.media.respond_to_head(head, exchange.begun()).await;
        if let Some(mut page) = self.in_place(head, &record) {
            self.add_headers(page.headers_mut(), &exchange.id, peer);
            let status = page.status();
            exchange.end_with(page.body_mut(), &head.method, head.uri.path(), status, Some(record));
            let (page, body) = page.into_parts();
            return RawResponse::new(page.status, Headers::Page(page.headers), body);
        }
        let (mut body, id) = (Body::from(body), exchange.id.clone());
        exchange.end_with(&mut body, &head.method, head.uri.path(), status, Some(record));
        RawResponse::new(status, Headers::File(headers, id, self.hsts_of(peer)), body)
    }

    async fn respond(&self, mut request: Request<RequestBody>, peer: &PeerState) -> Response<Body> {
        let (direct, client) = self.client(request.headers(), peer);
        let id = self.request_id(request.headers(), direct);
        let is_probe = matches!(self.route(request.uri().path()), Route::Health);
        let trace = self.trace(request.headers(), direct);
        let exchange = Exchange::begin(&self.observers, id, client).trace(trace.clone()).probe(is_probe);
        let asked = exchange.is_observed().then(|| (request.method().clone(), request.uri().clone()));
        request.extensions_mut().insert(ClientClosed::from(peer.closed_flag()));
        if peer.is_tls() {
            request.extensions_mut().insert(Https);
        }
        if self.needs_peer_addr(request.method(), request.headers()) {
            request.extensions_mut().insert(exchange.id.clone());
            request.extensions_mut().insert(direct);
            request.extensions_mut().insert(client);
            if let Some(trace) = trace {
                request.extensions_mut().insert(trace);
            }
        }
        if self.identity_allows_path {
            request.extensions_mut().insert(AllowedPath::default());
        }
        let body = request.body().progress();
        let limited = if is_probe { None } else { self.limited(client) };
        let (mut response, record) = match limited {
            Some(limited) => (limited, None),
            None => self.route_request(request).await,
        };
        if body.is_too_slow() {
            response = text_response(StatusCode::REQUEST_TIMEOUT, "the request body arrived too slowly\n");
        }
        self.add_headers(response.headers_mut(), &exchange.id, peer);
        let session = response.extensions_mut().remove::<SessionRecord>();
        if let (Some(audit), Some(record)) = (&self.audit, session) {
            audit.session(&record, client, &exchange.id, response.status());
        }
        if let Some((method, uri)) = asked {
            let status = response.status();
            exchange.end_with(response.body_mut(), &method, uri.path(), status, record);
        }
        response
    }
}

/// The headers of a response.
pub(crate) enum Headers {
    /// The headers of a page.
    Page(HeaderMap),
    /// The headers of a file, or of a denial.
    File(MediaHeaders, RequestId, Option<HeaderValue>),
}

impl WriteHeaders for Headers {
    fn write(&self, to: &mut HeaderWriter<'_>) {
        match self {
            Self::Page(headers) => headers.write(to),
            Self::File(headers, id, hsts) => {
                headers.write(to);
                if let Some(hsts) = hsts {
                    to.field(&STRICT_TRANSPORT_SECURITY, hsts);
                }
                for part in [b"x-request-id: ", id.as_bytes(), b"\r\n"] {
                    to.lines(part);
                }
            }
        }
    }
}
