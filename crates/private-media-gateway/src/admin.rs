//! The admin address: metrics and health, for monitoring. It is not for clients.

use std::convert::Infallible;
use std::future::{Ready, pending, ready};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::header::{ALLOW, CONTENT_TYPE, HeaderValue};
use http::{Method, Request, Response, StatusCode};
use private_media::MediaBody;
use private_media_listener::{Limits, RequestBody, Server, TowerHandler};
use tokio::sync::watch;
use tower_service::Service;

use crate::addresses::{Endpoint, ListenAddr};
use crate::body::{Body, text_response};
use crate::config::{Config, ConfigError};
use crate::listeners::{Bound, BoundFile, OWN_ADMIN, Socket, StdListener};
use crate::metrics::Metrics;
use crate::signals::Signals;
use crate::supervise;

/// The number of clients at a time: a few scrapers.
const MAX_CONNECTIONS: usize = 16;
/// How long the last connections may take to end after an upgrade.
const END_TIMEOUT: Duration = Duration::from_secs(2);
/// The media type of the text format.
const TEXT_FORMAT: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");

/// The name of the admin socket in socket units.
const ADMIN: &str = "admin";

/// Returns whether an inherited socket is for the admin address.
pub(crate) fn is_admin(socket: &Socket) -> bool {
    [ADMIN, OWN_ADMIN].contains(&&*socket.name)
}

/// The admin server, which runs in the background.
#[derive(Debug)]
pub(crate) struct AdminServer {
    /// The sockets for the program after an upgrade.
    pub(crate) sockets: Vec<Socket>,
    pub(crate) socket_file: Option<BoundFile>,
    pub(crate) stage: AdminStage,
}

/// Whether the admin server accepts connections.
#[derive(Debug, Clone)]
pub(crate) struct AdminStage(watch::Sender<Stage>);

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    /// The previous process serves the same socket, and knows better whether requests are served.
    Waiting,
    Serving,
    /// Open connections may end.
    Ending,
    Ended,
}

impl AdminStage {
    async fn reached(&self, stage: Stage) {
        // This cannot fail, because `self` is a sender.
        let _ = self.0.subscribe().wait_for(|current| *current >= stage).await;
    }

    /// Serves from now on.
    pub(crate) fn serve(&self) {
        self.0.send_modify(|stage| *stage = (*stage).max(Stage::Serving));
    }

    /// Lets requests that are on their way be responded to. Call this when another process serves.
    pub(crate) async fn end(&self) {
        self.0.send_modify(|stage| *stage = (*stage).max(Stage::Ending));
        let _ = tokio::time::timeout(END_TIMEOUT, self.reached(Stage::Ended)).await;
    }
}

/// Listens on the admin address, or uses inherited sockets, and serves it in the background. An address that is not available is an error;
/// later failures are logged, and the address is served again. With `waits`, it is served from [`AdminStage::serve`] on.
pub(crate) fn start(
    config: &Config,
    metrics: &'static Metrics,
    inherited: Vec<Socket>,
    waits: bool,
    signals: &Signals,
) -> Result<Option<AdminServer>, ConfigError> {
    let Some(address) = &config.admin_listen else { return Ok(None) };
    if is_shared(address, &config.listen) {
        return Err(config.admin_error("the address of listen, which is for clients", "use another port"));
    }
    let error = |error: std::io::Error| {
        let (problem, fix) = address.bind_problem(&error);
        config.admin_error(&problem, fix)
    };
    let Bound { mut sockets, endpoints, socket_file } = if inherited.is_empty() {
        let mut bound = Bound::bind(address, 1).map_err(error)?;
        bound.sockets.iter_mut().for_each(|socket| socket.name = OWN_ADMIN.into());
        bound
    } else {
        Bound::inherit(inherited).map_err(error)?
    };
    if let Some(Endpoint::Tcp(address)) = endpoints.first() {
        tracing::info!("metrics are at http://{address}/metrics");
        if !address.ip().is_loopback() {
            tracing::warn!(
                "admin.listen is reachable from other machines at {address}, without a password; only Prometheus should reach it"
            );
        }
    }
    let mut passed_on = Vec::new();
    for Socket { name, listener } in &sockets {
        passed_on.push(Socket { name: name.clone(), listener: listener.try_clone().map_err(error)? });
    }
    // One socket is enough for monitoring.
    sockets.truncate(1);
    let stage = AdminStage(watch::Sender::new(if waits { Stage::Waiting } else { Stage::Serving }));
    let (sockets, signals, shared) = (Arc::new(sockets), signals.clone(), stage.clone());
    let serve = move || serve(Arc::clone(&sockets), metrics, signals.clone(), shared.clone());
    supervise::spawn("admin", serve).detach();
    Ok(Some(AdminServer { sockets: passed_on, socket_file, stage }))
}

/// Serves the admin address until another process does.
async fn serve(sockets: Arc<Vec<Socket>>, metrics: &'static Metrics, signals: Signals, stage: AdminStage) {
    stage.reached(Stage::Serving).await;
    let listeners = sockets.iter().map(|socket| socket.listener.try_clone().and_then(StdListener::register));
    match listeners.collect::<Result<Vec<_>, _>>() {
        Ok(listeners) => {
            let limits = Limits::default().max_connections(MAX_CONNECTIONS);
            for listener in listeners {
                let (server, admin) = (Server::new(listener, limits), TowerHandler::new(Admin { metrics }));
                let end = stage.reached(Stage::Ending);
                server.serve_until_retired(admin, signals.retired(), end, pending()).await;
            }
            stage.0.send_replace(Stage::Ended);
            pending::<()>().await;
        }
        Err(error) => tracing::error!(%error, "the admin address cannot be served"),
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
