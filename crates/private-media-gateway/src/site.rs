//! What the gateway answers: private files, its own pages beside them, and a line in the log for each.

use std::sync::Arc;
use std::time::Instant;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderValue};
use http::request::Parts;
use http::{HeaderName, Method, Request, Response, StatusCode, Uri};
use private_media::delivery::MediaResponse;
use private_media::identity::accounts::{ClientAddr, ClientClosed};
use private_media::raw::{PreparedHeaders as _, RespondRaw as _, SerializedHeaders};
use private_media::{AccessRecord, Accounts, MediaBody, MediaService, PrivateMedia};
use private_media_listener::{Handler, HeaderWriter, PeerState, RawResponse, RequestBody, WriteHeaders};
use tower_service::Service;

use crate::body::{Body, line};
use crate::health::Health;
use crate::request_id::{RequestId, RequestIds};

static REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// Everything that one gateway serves.
#[derive(Clone)]
pub(crate) struct Site {
    media: MediaService,
    /// Whoever has pages below `-/` to sign in and out at.
    accounts: Option<Accounts>,
    url: Arc<str>,
    /// What is beside the private URL: the demo has pages there, a gateway has nothing.
    pages: Option<axum::Router>,
    ids: Arc<RequestIds>,
    common_headers: Arc<SerializedHeaders>,
    health: Health,
}

impl Site {
    pub(crate) fn new(media: &PrivateMedia, accounts: Option<Accounts>, url: &str) -> Self {
        let media = media.service().at(url);
        let common_headers = Arc::new(SerializedHeaders::new(media.common_headers()));
        Self {
            media,
            accounts,
            url: url.into(),
            pages: None,
            ids: Arc::default(),
            common_headers,
            health: Health::default(),
        }
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

    /// The answer, and what was decided if it is about a private file.
    async fn answer(&self, mut request: Request<RequestBody>) -> (Response<Body>, Option<AccessRecord>) {
        let not_found = || line(StatusCode::NOT_FOUND, "not found\n");
        let Some(rest) = request.uri().path().strip_prefix(&*self.url) else {
            let response = match self.pages.clone() {
                // What is large and rare does not make room in each request's own state.
                Some(mut pages) => match Box::pin(pages.call(request)).await {
                    Ok(response) => response.map(Body::other),
                },
                None => not_found(),
            };
            return (response, None);
        };
        if rest == "-/health" {
            return (health(request.method(), &self.health), None);
        }
        if rest.starts_with("-/") {
            if let Some(uri) = self.relative(request.uri()) {
                *request.uri_mut() = uri;
            }
            let page = match &self.accounts {
                Some(accounts) => Box::pin(accounts.page(request)).await,
                None => None,
            };
            return (page.map_or_else(not_found, |page| page.map(Body::other)), None);
        }
        let (head, _) = request.into_parts();
        let (response, record) = self.media.respond(&head).await;
        (response.map(Body::from), Some(record))
    }

    fn is_file(&self, uri: &Uri) -> bool {
        uri.path().strip_prefix(&*self.url).is_some_and(|rest| !rest.starts_with("-/"))
    }

    /// Whether somebody asks where the request comes from. The accounts do for a password, and not for a cookie; who else tells readers
    /// apart may do so each time.
    fn needs_peer_addr(&self, method: &Method, headers: &HeaderMap) -> bool {
        let has_cookie_alone = matches!(*method, Method::GET | Method::HEAD)
            && !headers.contains_key(http::header::AUTHORIZATION);
        !has_cookie_alone || self.accounts.is_none() || self.pages.is_some()
    }

    fn relative(&self, uri: &Uri) -> Option<Uri> {
        format!("/{}", uri.path_and_query()?.as_str().strip_prefix(&*self.url)?).parse().ok()
    }

    fn begin(&self, method: &Method, uri: &Uri) -> Begun {
        let id = self.ids.next();
        let line = tracing::enabled!(target: "access", tracing::Level::INFO).then(|| Line {
            id,
            begin: Instant::now(),
            method: method.clone(),
            path: uri.path().to_owned(),
        });
        Begun { id, line }
    }
}

impl Handler for Site {
    type Body = Body;
    type Headers = Headers;

    async fn respond_to_head(&self, head: &mut Parts, peer: &PeerState) -> RawResponse<Body, Headers> {
        if !self.is_file(&head.uri) {
            let mut request = Request::new(RequestBody::empty());
            *request.method_mut() = head.method.clone();
            *request.uri_mut() = head.uri.clone();
            *request.headers_mut() = head.headers.clone();
            let (head, body) = Box::pin(self.respond(request, peer)).await.into_parts();
            return RawResponse::new(head.status, Headers::Page(head.headers), body);
        }
        let begun = self.begin(&head.method, &head.uri);
        if self.needs_peer_addr(&head.method, &head.headers) {
            head.extensions.insert(ClientAddr(peer.addr().ip()));
            head.extensions.insert(ClientClosed::from(peer.closed_flag()));
        }
        let (mut response, record) = self.media.respond_raw(head).await;
        let mut body = Body::from(std::mem::replace(&mut response.body, MediaBody::empty()));
        if let Some(line) = begun.line {
            line.log_at_end(response.status, &mut body, Some(record));
        }
        let (status, common) = (response.status, Arc::clone(&self.common_headers));
        RawResponse::new(status, Headers::File { response, common, id: begun.id }, body)
    }

    async fn respond(&self, mut request: Request<RequestBody>, peer: &PeerState) -> Response<Body> {
        let begun = self.begin(request.method(), request.uri());
        request.extensions_mut().insert(ClientClosed::from(peer.closed_flag()));
        if self.needs_peer_addr(request.method(), request.headers()) {
            request.extensions_mut().insert(ClientAddr(peer.addr().ip()));
        }
        let content = request.body().progress();
        let (mut response, record) = self.answer(request).await;
        if content.is_too_slow() {
            response = line(StatusCode::REQUEST_TIMEOUT, "the content of the request came too slowly\n");
        }
        response.headers_mut().insert(&REQUEST_ID, begun.id.to_header());
        if let Some(line) = begun.line {
            let status = response.status();
            line.log_at_end(status, response.body_mut(), record);
        }
        response
    }
}

/// The headers of a response.
pub(crate) enum Headers {
    /// Those of a page.
    Page(HeaderMap),
    /// Those of a file, or of the refusal of one. The common headers replace others of their names.
    File { response: MediaResponse, common: Arc<SerializedHeaders>, id: RequestId },
}

impl WriteHeaders for Headers {
    fn write(&self, to: &mut HeaderWriter<'_>) {
        let (response, common, id) = match self {
            Self::Page(headers) => return headers.write(to),
            Self::File { response, common, id } => (response, common, id),
        };
        for (name, value) in &response.headers {
            if !common.fields().contains_key(name) {
                to.field(name, value);
            }
        }
        to.lines(response.prepared().map(SerializedHeaders::lines).unwrap_or_default());
        to.lines(common.lines());
        if to.needs_content_length()
            && let Some(len) = response.header(&CONTENT_LENGTH)
        {
            to.field(&CONTENT_LENGTH, len);
        }
        for part in [b"x-request-id: ", id.as_str().as_bytes(), b"\r\n"] {
            to.lines(part);
        }
    }
}

/// A request that has come.
struct Begun {
    id: RequestId,
    /// For the access log, if there is one.
    line: Option<Line>,
}

/// What the access log says of a request that has come.
struct Line {
    id: RequestId,
    begin: Instant,
    method: Method,
    path: String,
}

impl Line {
    /// Logs the response when it has been sent, or given up.
    fn log_at_end(self, status: StatusCode, body: &mut Body, record: Option<AccessRecord>) {
        body.count(move |bytes| log(&self, record.as_ref(), status.as_u16(), bytes));
    }
}

/// The access log. Never the query, a cookie or another credential; of a user, the id.
fn log(line: &Line, record: Option<&AccessRecord>, status: u16, bytes: u64) {
    let Line { id, begin, method, path } = line;
    let id = id.as_str();
    let milliseconds = begin.elapsed().as_secs_f64() * 1000.0;
    let escaped;
    let path = if let Some(path) = record.and_then(|record| record.path.as_ref()) {
        path.as_str()
    } else {
        escaped = path.escape_debug().to_string();
        &escaped
    };
    let method = method.as_str();
    let Some(record) = record else {
        tracing::info!(target: "access", id, method, path, status, bytes, milliseconds);
        return;
    };
    let user = record.identity.user().map_or("-", |user| user.id());
    let decision = if record.allowed_by.is_some() { "allowed" } else { "denied" };
    let grant = record.allowed_by.as_deref().unwrap_or("-");
    let refused = record.refused.as_deref();
    tracing::info!(target: "access", id, user, method, path, decision, grant, refused, status, bytes, milliseconds);
}

/// Answers `-/health`. The log says what is wrong; the client only learns that something is.
fn health(method: &Method, health: &Health) -> Response<Body> {
    match *method {
        Method::GET | Method::HEAD if health.is_ready() => line(StatusCode::OK, "ok\n"),
        Method::GET | Method::HEAD => line(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
        _ => {
            let mut response = line(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response.headers_mut().insert(http::header::ALLOW, HeaderValue::from_static("GET, HEAD"));
            response
        }
    }
}
