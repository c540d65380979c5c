//! One server per core.

use std::future::pending;
use std::io;
use std::net::TcpListener;

use tokio::runtime::Builder;
use tokio::sync::watch;
use tokio::task::JoinSet;

use crate::accept::{ConnectionLimit, Drained, Server};
use crate::handler::Handler;
use crate::limits::Limits;

/// Serves a handler with a thread for each of these sockets, until `shutdown` is ready. Then running responses have
/// [`Limits::shutdown_timeout`] to complete. [`bind`](crate::bind) returns such sockets.
///
/// Each thread has a current-thread runtime of its own, and a connection stays on its thread. So no request waits for another core, as it
/// may in one multi-threaded runtime. A handler that keeps its thread busy delays the other connections of that thread, and
/// [`tokio::task::spawn`] keeps a task there. `tokio::task::block_in_place` panics in such a runtime.
///
/// The futures of the handler may use what belongs to the runtime of the caller, such as a pool of database connections. All runtimes run
/// until the last server has ended.
///
/// If a server fails, the others are shut down, and its error is returned. Dropping the future shuts all servers down in the background.
///
/// ```
/// use axum::Router;
/// use private_media_listener::{Drained, Limits, TowerHandler, bind, serve_per_core};
///
/// # #[tokio::main]
/// # async fn main() -> std::io::Result<()> {
/// let cores = std::thread::available_parallelism()?.get();
/// let sockets = bind(&["127.0.0.1:0".parse().unwrap()], cores)?;
/// let shutdown = async { /* wait for a signal */ };
/// let drained = serve_per_core(sockets, TowerHandler::new(Router::new()), Limits::default(), shutdown).await?;
/// assert_eq!(drained, Drained::Completed);
/// # Ok(())
/// # }
/// ```
pub async fn serve_per_core<H: Handler>(
    listeners: Vec<TcpListener>,
    handler: H,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<Drained> {
    let connections = ConnectionLimit::new(limits.max_connections);
    // Each is signaled by dropping its senders: the one by this function, the other by all servers.
    let ((stop, stopped), (running, ended)) = (watch::channel(()), watch::channel(()));
    let mut servers = JoinSet::new();
    for listener in listeners {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let (handler, connections, running) = (handler.clone(), connections.clone(), running.clone());
        let (mut stopped, mut ended) = (stopped.clone(), ended.clone());
        servers.spawn_blocking(move || {
            let drained = runtime.block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener)?;
                let server = Server::new(listener, limits).connection_limit(connections);
                let stop = async {
                    let _ = stopped.changed().await;
                };
                let drained = server.serve_handler(handler, stop, pending()).await;
                drop(running);
                // Other servers may still use this runtime, such as by a pooled connection that was opened here.
                let _ = ended.changed().await;
                Ok(drained)
            });
            runtime.shutdown_background();
            drained
        });
    }
    drop(running);
    let early = tokio::select! {
        () = shutdown => None,
        // A server ends before the shutdown only if it failed.
        Some(server) = servers.join_next() => Some(server),
    };
    drop(stop);
    let mut ends: Vec<_> = early.into_iter().collect();
    while let Some(server) = servers.join_next().await {
        ends.push(server);
    }
    let ends = ends.into_iter().map(|server| server.map_err(io::Error::other).flatten());
    let ends = ends.collect::<io::Result<Vec<_>>>()?;
    Ok(ends.into_iter().find(|end| *end != Drained::Completed).unwrap_or(Drained::Completed))
}
