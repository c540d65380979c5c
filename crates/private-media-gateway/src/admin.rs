//! The admin address: metrics and health, for monitoring. It is not for clients.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;
use std::task::{Context, Poll};

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use private_media::MediaBody;
use private_media_listener::{Limits, Listener, RequestBody, Server, SocketFile};
use tower_service::Service;

use crate::addresses::ListenAddr;
use crate::body::{Body, text_response};
use crate::config::{Config, ConfigError};
use crate::metrics::Metrics;
use crate::supervise;

/// The number of clients at a time: a few scrapers.
const MAX_CONNECTIONS: usize = 16;
/// The media type of the text format.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The listening socket of the admin address.
#[derive(Debug)]
enum Socket {
    Tcp(TcpListener),
    Unix(UnixListener, #[expect(dead_code, reason = "removes the file at the end")] SocketFile),
}

/// Listens on the admin address, and serves it in the background. An address that is not available is an error; later failures are logged,
/// and the address is served again.
pub(crate) fn start(config: &Config, metrics: &'static Metrics) -> Result<(), ConfigError> {
    let Some(address) = &config.admin_listen else { return Ok(()) };
    if is_shared(address, &config.listen) {
        return Err(config.admin_error("the address of listen, which is for clients", "use another port"));
    }
    let socket = bind(address).map_err(|error| {
        let (problem, fix) = address.bind_problem(&error);
        config.admin_error(&problem, fix)
    })?;
    if let Socket::Tcp(listener) = &socket
        && let Ok(address) = listener.local_addr()
    {
        tracing::info!("metrics are at http://{address}/metrics");
        if !address.ip().is_loopback() {
            tracing::warn!(
                "admin.listen is reachable from other machines at {address}, without a password; only Prometheus should reach it"
            );
        }
    }
    let socket = std::sync::Arc::new(socket);
    supervise::spawn("admin", move || {
        let listener = socket.listener();
        async move {
            match listener {
                Ok(listener) => {
                    let limits = Limits::default().max_connections(MAX_CONNECTIONS);
                    Server::new(listener, limits).serve(Admin { metrics }, pending()).await;
                }
                Err(error) => tracing::error!(%error, "the admin address cannot be served"),
            }
        }
    })
    .detach();
    Ok(())
}

fn bind(address: &ListenAddr) -> std::io::Result<Socket> {
    match address {
        ListenAddr::Tcp(addresses) => {
            let listener = private_media_listener::bind(addresses, 1)?.into_iter().next();
            Ok(Socket::Tcp(listener.ok_or(ErrorKind::NotFound)?))
        }
        ListenAddr::Unix(path) => {
            let (listeners, file) = private_media_listener::bind_unix(path, 1)?;
            Ok(Socket::Unix(listeners.into_iter().next().ok_or(ErrorKind::NotFound)?, file))
        }
    }
}

impl Socket {
    /// Returns another handle of the socket, in the current runtime.
    fn listener(&self) -> std::io::Result<Listener> {
        Ok(match self {
            Self::Tcp(listener) => tokio::net::TcpListener::from_std(listener.try_clone()?)?.into(),
            Self::Unix(listener, _) => tokio::net::UnixListener::from_std(listener.try_clone()?)?.into(),
        })
    }
}

/// Returns whether clients could reach an admin address.
fn is_shared(admin: &ListenAddr, public: &ListenAddr) -> bool {
    let overlaps = |one: &SocketAddr, other: &SocketAddr| {
        let is_any = |ip: IpAddr| ip.is_unspecified();
        one.port() != 0
            && one.port() == other.port()
            && (one.ip() == other.ip() || is_any(one.ip()) || is_any(other.ip()))
    };
    match (admin, public) {
        (ListenAddr::Tcp(admin), ListenAddr::Tcp(public)) => {
            admin.iter().any(|one| public.iter().any(|other| overlaps(one, other)))
        }
        (ListenAddr::Unix(admin), ListenAddr::Unix(public)) => admin == public,
        _ => false,
    }
}

/// Serves `/metrics` and `/health`.
#[derive(Debug, Clone)]
struct Admin {
    metrics: &'static Metrics,
}

impl Admin {
    fn respond(&self, method: &Method, path: &str) -> Response<Body> {
        if !matches!(*method, Method::GET | Method::HEAD) {
            let mut response = text_response(StatusCode::METHOD_NOT_ALLOWED, "method not allowed\n");
            response.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
            return response;
        }
        match path {
            "/metrics" => match self.metrics.render() {
                Ok(text) => {
                    let mut response = Response::new(Body::from(MediaBody::empty().push_bytes(text)));
                    response.headers_mut().insert(CONTENT_TYPE, TEXT_FORMAT);
                    response
                }
                Err(error) => {
                    tracing::error!(%error, "the metrics cannot be written");
                    text_response(StatusCode::INTERNAL_SERVER_ERROR, "the metrics cannot be written\n")
                }
            },
            "/health" if self.metrics.is_ready() => text_response(StatusCode::OK, "ok\n"),
            "/health" => text_response(StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => text_response(StatusCode::NOT_FOUND, "not found; see /metrics and /health\n"),
        }
    }
}

impl Service<Request<RequestBody>> for Admin {
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Ready<Result<Response<Body>, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        ready(Ok(self.respond(request.method(), request.uri().path())))
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    #[test]
    fn shared_addresses_are_found() {
        for (admin, public, expected) in [
            ("127.0.0.1:9000", "127.0.0.1:8000", false),
            ("127.0.0.1:8000", "127.0.0.1:8000", true),
            ("0.0.0.0:8000", "127.0.0.1:8000", true),
            ("127.0.0.1:8000", "0.0.0.0:8000", true),
            ("127.0.0.2:8000", "127.0.0.1:8000", false),
            ("127.0.0.1:0", "127.0.0.1:0", false),
            ("unix:a.sock", "127.0.0.1:8000", false),
            ("unix:a.sock", "unix:a.sock", true),
            ("unix:a.sock", "unix:b.sock", false),
        ] {
            let parse = |text: &str| ListenAddr::parse(text, Path::new("/run")).unwrap();
            assert_eq!(is_shared(&parse(admin), &parse(public)), expected, "{admin} {public}");
        }
    }
}
