//! Accepts connections and speaks HTTP/1.1 on them, within limits.

mod paced;

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::Body;
use crate::gateway::Limits;
use paced::Paced;

/// What a connection may hold of a request's head, or of a response that its client has not taken, in bytes.
const BUFFER: usize = 16 << 10;

/// Answers a request that came from this address.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Serves until there is a signal, then lets what runs come to its end, within the limit or until there is another signal: then
/// the answer is true.
pub(crate) async fn serve(
    listener: TcpListener,
    handler: impl Handler,
    limits: Limits,
    mut signals: watch::Receiver<u8>,
) -> bool {
    let slots = Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS)));
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    loop {
        // Without a slot nobody is accepted: who comes then waits in the kernel's queue.
        let accept = async {
            let slot = Arc::clone(&slots).acquire_owned().await;
            (slot, accept(&listener).await)
        };
        tokio::select! {
            _ = signals.wait_for(|count| *count > 0) => break,
            (slot, (stream, peer)) = accept => {
                let handler = handler.clone();
                let stopped = stopped.clone();
                connections.spawn(async move {
                    let _slot = slot;
                    if let Err(error) = connection(stream, peer, handler, limits, stopped).await {
                        tracing::debug!(%peer, %error, "a connection broke off");
                    }
                });
            }
            Some(_) = connections.join_next(), if !connections.is_empty() => {}
        }
    }
    drop(listener);
    let _ = stopping.send(true);
    let running = connections.len();
    let drained = async { while connections.join_next().await.is_some() {} };
    let was_hurried = tokio::select! {
        drained = tokio::time::timeout(limits.drain, drained) => match drained {
            Ok(()) => return false,
            Err(_) => false,
        },
        _ = signals.wait_for(|count| *count > 1) => true,
    };
    tracing::warn!(of = running, cut = connections.len(), "downloads were cut off");
    was_hurried
}

/// The next connection. Errors are those of one connection, or of the process running out of file descriptors, which passes.
async fn accept(listener: &TcpListener) -> (TcpStream, SocketAddr) {
    loop {
        match listener.accept().await {
            Ok(accepted) => return accepted,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset
                ) => {}
            Err(error) => {
                tracing::error!(%error, "no connection can be accepted; trying again in 100 ms");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    handler: impl Handler,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    // A small response is not held back for more; large ones come in pieces that fill packets anyway.
    let _ = stream.set_nodelay(true);
    let service = service_fn(|request| {
        let handler = handler.clone();
        async move { Ok::<_, Infallible>(handler.handle(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER)
        .serve_connection(TokioIo::new(Paced::new(stream, limits.min_rate)), service);
    tokio::pin!(connection);
    tokio::select! {
        result = &mut connection => return result,
        _ = stopped.wait_for(|stopped| *stopped) => connection.as_mut().graceful_shutdown(),
    }
    connection.await
}

/// Raises the limit of open files as far as the system lets this process, and says how many connections fit below it: each
/// download holds a connection and a file.
pub(crate) fn raise_open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    const OWN: u64 = 64;
    let limit = getrlimit(Resource::Nofile);
    let needed = 2 * wanted as u64 + OWN;
    let reachable = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < reachable
        && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum }).is_ok()
    {
        current = reachable;
    }
    let fit = usize::try_from(current.saturating_sub(OWN) / 2).unwrap_or(usize::MAX).max(1);
    if fit < wanted {
        tracing::warn!(
            limit = current,
            "limits.connections = {wanted} needs {needed} open files (ulimit -n): {fit} will be served"
        );
    }
    fit.min(wanted)
}
