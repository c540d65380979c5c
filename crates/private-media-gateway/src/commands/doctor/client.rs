//! An HTTP client that sends each path unchanged, follows no redirect, and limits time and size.

use std::fmt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;

use super::target::Target;
use crate::causes;
use crate::tls;

/// The timeout of one request.
const TIMEOUT: Duration = Duration::from_secs(10);
/// How often a request is sent if the server is overloaded, and the pause between.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How much of a body is read, in bytes.
const MAX_BODY: usize = 1 << 20;

/// The headers that tell a front server which file to send.
const HAND_OFFS: [HeaderName; 2] =
    [HeaderName::from_static("x-accel-redirect"), HeaderName::from_static("x-sendfile")];

/// Sends requests to one server.
pub(super) struct Client {
    pub(super) target: Target,
    tls: Option<TlsConnector>,
    hand_offs: Mutex<Vec<String>>,
}

/// The parts of a request other than its path.
#[derive(Debug, Clone, Default)]
pub(super) struct RequestOptions<'a> {
    pub(super) method: Method,
    /// The `Host` header, if it is not the server's own.
    pub(super) host: Option<&'a str>,
    /// The session cookie; `None` is a client that is not signed in.
    pub(super) cookie: Option<&'a HeaderValue>,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
}

/// A complete response.
#[derive(Debug, Clone)]
pub(super) struct Response {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// The reason for a missing response.
#[derive(Debug)]
pub(super) struct RequestError(String);

impl Client {
    /// Fails if the target needs TLS and this machine has no trusted certificates, or cannot read the one that is expected.
    pub(super) fn new(target: Target) -> Result<Self, RequestError> {
        let tls = if target.is_https { Some(tls(target.pinned.as_deref())?) } else { None };
        Ok(Self { target, tls, hand_offs: Mutex::default() })
    }

    /// Sends a GET request, with a session cookie if there is one.
    pub(super) async fn get(
        &self,
        path: &str,
        cookie: Option<&HeaderValue>,
    ) -> Result<Response, RequestError> {
        self.send(path, &RequestOptions { cookie, ..RequestOptions::default() }).await
    }

    /// Sends a request for exactly this path, without normalizing it.
    pub(super) async fn send(
        &self,
        path: &str,
        options: &RequestOptions<'_>,
    ) -> Result<Response, RequestError> {
        let mut response = self.exchange_in_time(path, options).await?;
        for _ in 1..TRIES {
            // The front server may limit the rate of requests, which is not a problem of the deployment.
            if !matches!(response.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            response = self.exchange_in_time(path, options).await?;
        }
        // A header that the client itself sent reveals nothing.
        let is_echo = |name: &HeaderName| options.fields.iter().any(|(own, _)| own == name);
        for name in HAND_OFFS.iter().filter(|name| response.headers.contains_key(*name) && !is_echo(name)) {
            let mut seen = self.hand_offs.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(format!("{name}: {} in the response to {path}", response.text(name)));
        }
        Ok(response)
    }

    /// Returns all hand-off headers that responses contained so far.
    pub(super) fn hand_offs(&self) -> Vec<String> {
        self.hand_offs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange_in_time(
        &self,
        path: &str,
        options: &RequestOptions<'_>,
    ) -> Result<Response, RequestError> {
        let url = self.target.url(path);
        match tokio::time::timeout(TIMEOUT, self.exchange(path, options)).await {
            Ok(response) => response
                .map_err(|RequestError(error)| RequestError(format!("{url} does not respond: {error}"))),
            Err(_) => Err(RequestError(format!("{url} did not respond within {} s", TIMEOUT.as_secs()))),
        }
    }

    async fn exchange(&self, path: &str, options: &RequestOptions<'_>) -> Result<Response, RequestError> {
        let Target { host, port, socket, .. } = &self.target;
        if let Some(socket) = socket {
            let stream = UnixStream::connect(socket).await.map_err(root_cause)?;
            return self.speak(stream, path, options).await;
        }
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(root_cause)?;
        match &self.tls {
            None => self.speak(stream, path, options).await,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(root_cause)?;
                let stream = tls.connect(name, stream).await.map_err(root_cause)?;
                self.speak(stream, path, options).await
            }
        }
    }

    async fn speak<S>(
        &self,
        stream: S,
        path: &str,
        options: &RequestOptions<'_>,
    ) -> Result<Response, RequestError>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(root_cause)?;
        // It ends with the sender, which reports its errors.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(options.method.clone())
            .uri(path)
            .header(HOST, options.host.unwrap_or(&self.target.authority))
            .header(USER_AGENT, concat!("private-media-doctor/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        if let Some(cookie) = options.cookie {
            request = request.header(http::header::COOKIE, cookie);
        }
        for (name, value) in &options.fields {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(root_cause)?;
        let (head, body) = sender.send_request(request).await.map_err(root_cause)?.into_parts();
        Ok(Response { status: head.status, headers: head.headers, body: read_body(body).await? })
    }
}

impl Response {
    /// Returns a header's value, empty if it is missing. Several values are joined (RFC 9110 section 5.3).
    pub(super) fn text(&self, name: &HeaderName) -> String {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
    }

    /// Returns whether the body contains a text.
    pub(super) fn contains(&self, text: &str) -> bool {
        self.body.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }
}

/// Reads a body up to the limit.
async fn read_body(mut body: Incoming) -> Result<Bytes, RequestError> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.map_err(root_cause)?.data_ref() {
            bytes.extend_from_slice(data);
        }
        if bytes.len() > MAX_BODY {
            bytes.truncate(MAX_BODY);
            break;
        }
    }
    Ok(bytes.freeze())
}

fn tls(pinned: Option<&Path>) -> Result<TlsConnector, RequestError> {
    if let Some(path) = pinned {
        let chain = std::fs::read(path)
            .map_err(|error| RequestError(format!("{} cannot be read: {error}", path.display())))?;
        return Ok(TlsConnector::from(Arc::new(tls::client_config_for(&chain).map_err(root_cause)?)));
    }
    let roots = tls::trusted_roots();
    if roots.is_empty() {
        return Err(RequestError(tls::NO_ROOTS.into()));
    }
    Ok(TlsConnector::from(Arc::new(tls::client_config(roots).map_err(root_cause)?)))
}

/// Returns the last source of an error.
fn root_cause(error: impl std::error::Error + 'static) -> RequestError {
    RequestError(causes::root_cause(&error))
}

impl fmt::Display for RequestError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
