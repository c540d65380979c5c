//! An HTTP client for requests of the gateway itself: to an application, or to a key server.
//!
//! It reuses connections, limits time and size, follows no redirect, and uses no proxy of the environment.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::time::Duration;

use bytes::Bytes;
use http::{Method, Request, Response, Uri};
use http_body_util::{BodyExt, Full, LengthLimitError, Limited};
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::{self, Client};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio_rustls::rustls;

use crate::causes::{root_cause, sources};
use crate::tls;

/// How long a connection may be idle. Application servers close idle connections after two seconds or later.
const MAX_IDLE: Duration = Duration::from_secs(1);
/// The most idle connections to a server.
const MAX_IDLE_CONNECTIONS: usize = 32;
/// The longest head of a response, in bytes.
const MAX_HEAD: usize = 32 << 10;

/// The limits of a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct HttpOptions {
    /// The time to connect.
    pub(crate) connect_timeout: Duration,
    /// The time of a request in total, from looking up the host to the end of the response.
    pub(crate) timeout: Duration,
    /// The longest body of a response, in bytes.
    pub(crate) max_body: usize,
}

/// An HTTP client. Cheap to clone; clones share their connections.
#[derive(Debug, Clone)]
pub(crate) struct HttpClient {
    client: Client<HttpsConnector<HttpConnector>, Full<Bytes>>,
    options: HttpOptions,
    /// Whether this machine trusts any certificate. Without one, https is an error that says so.
    has_roots: bool,
}

/// The reason for a missing response. Its text has the URL without credentials and without the query.
#[derive(Debug, Clone)]
pub(crate) struct HttpError {
    url: String,
    problem: String,
}

impl HttpClient {
    pub(crate) fn new(options: HttpOptions) -> Result<Self, rustls::Error> {
        let mut http = HttpConnector::new();
        http.enforce_http(false);
        http.set_connect_timeout(Some(options.connect_timeout));
        http.set_nodelay(true);
        let roots = tls::trusted_roots();
        let has_roots = !roots.is_empty();
        let connector = HttpsConnectorBuilder::new()
            .with_tls_config(tls::client_config(roots)?)
            .https_or_http()
            .enable_http1()
            .wrap_connector(http);
        let client = Client::builder(TokioExecutor::new())
            .http1_max_buf_size(MAX_HEAD)
            .pool_idle_timeout(MAX_IDLE)
            .pool_max_idle_per_host(MAX_IDLE_CONNECTIONS)
            .pool_timer(TokioTimer::new())
            .build(connector);
        Ok(Self { client, options, has_roots })
    }

    /// Sends a request and returns the complete response, whatever its status.
    ///
    /// A GET or HEAD is sent a second time if the server closed the connection without a response: it may have been idle for too long.
    pub(crate) async fn send(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, HttpError> {
        let uri = request.uri().clone();
        let problem = match tokio::time::timeout(self.options.timeout, self.exchange(request)).await {
            Ok(Ok(response)) => return Ok(response),
            Ok(Err(problem)) => problem,
            Err(_) => format!("no response within {}", humantime::format_duration(self.options.timeout)),
        };
        Err(HttpError { url: shown(&uri), problem })
    }

    async fn exchange(&self, request: Request<Full<Bytes>>) -> Result<Response<Bytes>, String> {
        if !self.has_roots && request.uri().scheme_str() == Some("https") {
            return Err(tls::NO_ROOTS.into());
        }
        let is_safe = matches!(*request.method(), Method::GET | Method::HEAD);
        let again = is_safe.then(|| request.clone());
        let response = match (self.client.request(request).await, again) {
            (Err(error), Some(again)) if closed_without_response(&error) => self.client.request(again).await,
            (response, _) => response,
        };
        let response = response.map_err(|error| {
            let cause = root_cause(&error);
            if error.is_connect() { format!("cannot connect: {cause}") } else { cause }
        })?;
        let (head, body) = response.into_parts();
        let body = Limited::new(body, self.options.max_body).collect().await.map_err(|error| {
            if error.is::<LengthLimitError>() {
                format!("the body of the response exceeds {} bytes", self.options.max_body)
            } else {
                root_cause(&*error)
            }
        })?;
        Ok(Response::from_parts(head, body.to_bytes()))
    }
}

impl fmt::Display for HttpError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.url, self.problem)
    }
}

impl Error for HttpError {}

/// Returns a URL for logs and errors: without user, password and query.
pub(crate) fn shown(uri: &Uri) -> String {
    let authority = uri.authority().map_or("", |authority| authority.as_str());
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    format!("{}://{host}{}", uri.scheme_str().unwrap_or("http"), uri.path())
}

/// Returns whether a connection ended before a response began.
fn closed_without_response(error: &legacy::Error) -> bool {
    if error.is_connect() {
        return false;
    }
    sources(error).any(|source| match source.downcast_ref::<hyper::Error>() {
        Some(error) => error.is_incomplete_message() || error.is_canceled(),
        None => source
            .downcast_ref::<io::Error>()
            .is_some_and(|error| matches!(error.kind(), ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)),
    })
}

#[cfg(test)]
mod tests;
