//! Accepts connections up to a limit, until the server shuts down.

use std::convert::Infallible;
use std::future::{Future, pending};
use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response, StatusCode};
use rustix::net::{SendFlags, send};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tower_service::Service;

use crate::client_limit::ClientLimit;
use crate::connection::{Connection, DRAIN_GRACE};
use crate::drain::Drain;
use crate::handler::{Handler, TowerHandler};
use crate::head::write;
use crate::limits::Limits;
use crate::peer::{PeerAddr, PeerState};
use crate::piece::ResponseBody;
use crate::request_body::RequestBody;
use crate::sendfile::SendfileStream;
use crate::stats::Stats;
use crate::stream::{Listener, Stream};
#[cfg(feature = "tls")]
use crate::tls::Tls;

/// How long no connection was accepted if none waits in the kernel's queue.
const QUEUE_IS_EMPTY: Duration = Duration::from_millis(2);

/// Serves a tower service on a listener, until the future is dropped. [`Server::serve`] can shut down gracefully.
///
/// Each request has a [`PeerState`] in its extensions. The [crate documentation](crate) has an example.
pub async fn serve<S, B>(listener: impl Into<Listener>, service: S, limits: Limits)
where
    S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
    S: Clone + Send + Sync + 'static,
    S::Future: Send,
    B: ResponseBody,
{
    serve_handler(listener, TowerHandler::new(service), limits).await;
}

/// Like [`serve`], for a [`Handler`].
pub async fn serve_handler<H: Handler>(listener: impl Into<Listener>, handler: H, limits: Limits) {
    Server::new(listener, limits).serve_handler(handler, pending(), pending()).await;
}

/// The maximum number of concurrent connections. Clones share one limit, for several servers of a process.
///
/// ```
/// use private_media_listener::{ConnectionLimit, Limits, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let limit = ConnectionLimit::new(1000);
/// for socket in private_media_listener::bind(&["127.0.0.1:0".parse().unwrap()], 2)? {
///     let listener = tokio::net::TcpListener::from_std(socket)?;
///     let server = Server::new(listener, Limits::default()).connection_limit(limit.clone());
///     // Each worker thread runs one of the servers.
/// #   drop(server);
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct ConnectionLimit(Arc<Semaphore>);

impl ConnectionLimit {
    /// Returns a limit of this number of connections.
    #[must_use]
    pub fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))))
    }
}

/// How a shutdown ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Drained {
    /// All responses were completed.
    Completed,
    /// [`Limits::shutdown_timeout`] passed, and the remaining responses were aborted.
    TimedOut,
    /// The shutdown was forced, and the remaining responses were aborted.
    Forced,
}

/// A server on one listening socket.
///
/// ```
/// use axum::Router;
/// use private_media_listener::{Drained, Limits, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let (shutdown, requested) = tokio::sync::oneshot::channel::<()>();
/// let server = Server::new(listener, Limits::default()).serve(Router::new(), async {
///     let _ = requested.await;
/// });
/// shutdown.send(()).unwrap();
/// assert_eq!(server.await, Drained::Completed);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Server {
    listener: Listener,
    limits: Limits,
    connection_limit: ConnectionLimit,
    client_limit: Option<ClientLimit>,
    stats: Arc<Stats>,
    #[cfg(feature = "tls")]
    tls: Option<Tls>,
}

impl Server {
    /// Returns a server with a connection limit of its own.
    #[must_use]
    pub fn new(listener: impl Into<Listener>, limits: Limits) -> Self {
        let connection_limit = ConnectionLimit::new(limits.max_connections);
        Self {
            listener: listener.into(),
            limits,
            connection_limit,
            client_limit: None,
            stats: Arc::default(),
            #[cfg(feature = "tls")]
            tls: None,
        }
    }

    /// Serves HTTPS instead of HTTP. With the feature `http2`, clients may choose HTTP/2.
    #[cfg(feature = "tls")]
    #[must_use]
    pub fn tls(mut self, tls: Tls) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Shares a connection limit with other servers, instead of [`Limits::max_connections`].
    #[must_use]
    pub fn connection_limit(mut self, limit: ConnectionLimit) -> Self {
        self.connection_limit = limit;
        self
    }

    /// Limits the connections of each client.
    #[must_use]
    pub fn client_limit(mut self, limit: ClientLimit) -> Self {
        self.client_limit = Some(limit);
        self
    }

    /// Returns the counters of this server.
    #[must_use]
    pub fn stats(&self) -> Arc<Stats> {
        Arc::clone(&self.stats)
    }

    /// Serves a tower service until `shutdown` is ready. Then running responses have [`Limits::shutdown_timeout`] to complete.
    pub async fn serve<S, B>(self, service: S, shutdown: impl Future<Output = ()>) -> Drained
    where
        S: Service<Request<RequestBody>, Response = Response<B>, Error = Infallible>,
        S: Clone + Send + Sync + 'static,
        S::Future: Send,
        B: ResponseBody,
    {
        self.serve_handler(TowerHandler::new(service), shutdown, pending()).await
    }

    /// Serves a [`Handler`] until `shutdown` is ready. Then running responses have [`Limits::shutdown_timeout`] to complete, or less if
    /// `forced` is ready earlier.
    pub async fn serve_handler<H: Handler>(
        self,
        handler: H,
        shutdown: impl Future<Output = ()>,
        forced: impl Future<Output = ()>,
    ) -> Drained {
        self.serve_until_retired(handler, pending(), shutdown, forced).await
    }

    /// Like [`serve_handler`](Self::serve_handler), until another process serves the same socket and `retired` is ready. Then no connection
    /// is accepted here, and no client notices: running responses complete without a time limit, a response says that its connection closes,
    /// and an idle connection stays open for [`Limits::header_timeout`], as a request may be on its way. `shutdown` still limits that.
    ///
    /// ```
    /// use std::future::pending;
    ///
    /// use axum::Router;
    /// use private_media_listener::{Drained, Limits, Server, TowerHandler};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    /// let other_serves = async { /* wait for the other process */ };
    /// let server = Server::new(listener, Limits::default());
    /// let handler = TowerHandler::new(Router::new());
    /// assert_eq!(server.serve_until_retired(handler, other_serves, pending(), pending()).await, Drained::Completed);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn serve_until_retired<H: Handler>(
        self,
        handler: H,
        retired: impl Future<Output = ()>,
        shutdown: impl Future<Output = ()>,
        forced: impl Future<Output = ()>,
    ) -> Drained {
        #[cfg(feature = "tls")]
        let tls = self.tls.clone();
        let Self { listener, limits, connection_limit, client_limit, stats, .. } = self;
        listener.set_nodelay();
        let (start_drain, drain) = Drain::new();
        let mut connections = JoinSet::new();
        let connect = |(stream, addr): (Stream, PeerAddr)| {
            let (handler, drain, stats) = (handler.clone(), drain.clone(), Arc::clone(&stats));
            #[cfg(feature = "tls")]
            let tls = tls.clone();
            async move {
                let _open = stats.open_connection();
                #[cfg(feature = "tls")]
                if let Some(tls) = tls {
                    let served = crate::https::serve(tls, stream, addr, handler, limits, drain, stats);
                    log_abort(addr, served.await);
                    return;
                }
                let stream = SendfileStream::new(stream, Arc::clone(&stats));
                let connection = Connection::new(stream, PeerState::new(addr), handler, limits, drain, stats);
                log_abort(addr, connection.run().await);
            }
        };
        let admit = |stream: &Stream, addr: PeerAddr| {
            let Some(limit) = &client_limit else { return Some(None) };
            let slot = limit.acquire(addr.ip());
            if slot.is_none() {
                stats.count_refused_connection();
                #[cfg(feature = "tls")]
                let is_plain = tls.is_none();
                #[cfg(not(feature = "tls"))]
                let is_plain = true;
                if is_plain {
                    refuse(stream);
                }
            }
            slot.map(Some)
        };
        // A permit is acquired after a connection was accepted, so an idle server holds none. Without a permit, one accepted connection
        // waits here, and the next ones wait in the kernel's queue.
        let mut accepted = None;
        let (mut retired, mut shutdown) = (pin!(retired), pin!(shutdown));
        let is_retired = loop {
            tokio::select! {
                () = &mut shutdown => break false,
                () = &mut retired => break true,
                next = accept(&listener), if accepted.is_none() => accepted = Some(next),
                permit = Arc::clone(&connection_limit.0).acquire_owned(), if accepted.is_some() => {
                    let Some((stream, addr)) = accepted.take() else { continue };
                    let Some(slot) = admit(&stream, addr) else { continue };
                    let held = (permit, slot);
                    let connection = connect((stream, addr));
                    connections.spawn(async move {
                        let _held = held;
                        connection.await;
                    });
                }
                Some(_) = connections.join_next(), if !connections.is_empty() => {}
            }
        };
        // Nobody else can serve these.
        let mut waiting: Vec<_> = accepted.into_iter().collect();
        if !is_retired {
            waiting.extend(accept_waiting(&listener).await);
        }
        drop(listener);
        for (stream, addr) in waiting {
            let Some(slot) = admit(&stream, addr) else { continue };
            let (connection, permit) =
                (connect((stream, addr)), Arc::clone(&connection_limit.0).acquire_owned());
            connections.spawn(async move {
                let _held = (permit.await, slot);
                connection.await;
            });
        }
        if is_retired {
            start_drain.retire();
            tokio::select! {
                () = shutdown => {}
                () = all_ended(&mut connections) => return Drained::Completed,
            }
        }
        drop(start_drain);
        let running = connections.len();
        let end = tokio::select! {
            drained = tokio::time::timeout(limits.shutdown_timeout, all_ended(&mut connections)) => match drained {
                Ok(()) => Drained::Completed,
                Err(_) => Drained::TimedOut,
            },
            () = forced => Drained::Forced,
        };
        if end != Drained::Completed {
            tracing::warn!(running, aborted = connections.len(), "the shutdown aborted responses");
        }
        end
    }
}

/// Waits until all connections have ended.
async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// Tells a client that it has too many connections, without waiting for it. The few bytes fit into the buffer of a new socket.
fn refuse(stream: &Stream) {
    let mut response = Vec::new();
    write::write_line_of_text(&mut response, StatusCode::SERVICE_UNAVAILABLE, "too many connections");
    // A client that is gone needs no response.
    let _ = send(stream, &response, SendFlags::DONTWAIT | SendFlags::NOSIGNAL);
}

fn log_abort(peer: PeerAddr, served: io::Result<()>) {
    if let Err(error) = served {
        tracing::debug!(%peer, %error, "connection aborted");
    }
}

/// Accepts the connections that wait in the kernel's queue, which resets them when the socket is closed.
async fn accept_waiting(listener: &Listener) -> Vec<(Stream, PeerAddr)> {
    let begin = Instant::now();
    let mut accepted = Vec::new();
    while begin.elapsed() < DRAIN_GRACE {
        match tokio::time::timeout(QUEUE_IS_EMPTY, accept(listener)).await {
            Ok(next) => accepted.push(next),
            Err(_) => break,
        }
    }
    accepted
}

/// Accepts the next connection. An error concerns one connection, or is a temporary shortage of file descriptors.
async fn accept(listener: &Listener) -> (Stream, PeerAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept connections; trying again in 100 ms");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}
