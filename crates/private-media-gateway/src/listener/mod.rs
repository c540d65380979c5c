//! Accepts connections and speaks HTTP/1.1 on them, within limits.

mod client;
mod deadlines;
pub(crate) mod kernel;
mod paced;
mod plain;
mod sockets;

use std::error::Error;
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use private_media::delivery::FieldLines;
use private_media::identity::accounts::ClientClosed;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::Body;
use crate::gateway::Limits;
use client::SharedStream;
use deadlines::Deadlines;
use kernel::Sending;
use paced::Paced;

pub(crate) use plain::Answer;
pub(crate) use sockets::listen_on;

/// What a connection may hold of a request's head, or of a response that its client has not taken, in bytes.
const BUFFER: usize = 16 << 10;

/// Answers a request that came from this address.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn handle(
        &self,
        request: Request<Incoming>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Whether a request of this head is for a file, and [`Handler::file`] answers it.
    fn is_file(&self, head: &Parts) -> bool;

    /// Answers a request for a file, without content.
    fn file(&self, head: &mut Parts, peer: SocketAddr) -> impl Future<Output = Answer> + Send;

    /// What is in the head of each [`Answer`] beside its own headers.
    fn standing(&self) -> &FieldLines;
}

/// The connections that there may be at a time, of all workers together.
#[derive(Clone)]
pub(crate) struct Slots(Arc<Semaphore>);

impl Slots {
    pub(crate) fn new(connections: usize) -> Self {
        Self(Arc::new(Semaphore::new(connections.min(Semaphore::MAX_PERMITS))))
    }
}

/// Serves until there is a signal, then lets what runs come to its end, within the limit or until there is another signal: then
/// the answer is true.
pub(crate) async fn serve(
    listener: std::net::TcpListener,
    slots: Slots,
    handler: impl Handler,
    limits: Limits,
    mut signals: watch::Receiver<u8>,
) -> io::Result<bool> {
    let listener = TcpListener::from_std(listener)?;
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    // Whoever waits for clients holds no slot that another worker could use. Without a slot one is accepted here and waits; who comes
    // then waits in the kernel's queue.
    let mut accepted = None;
    loop {
        tokio::select! {
            _ = signals.wait_for(|count| *count > 0) => break,
            next = accept(&listener), if accepted.is_none() => accepted = Some(next),
            slot = Arc::clone(&slots.0).acquire_owned(), if accepted.is_some() => {
                let Some((stream, peer)) = accepted.take() else { continue };
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
    drop((listener, accepted));
    let _ = stopping.send(true);
    let running = connections.len();
    let drained = async { while connections.join_next().await.is_some() {} };
    let was_hurried = tokio::select! {
        drained = tokio::time::timeout(limits.drain, drained) => match drained {
            Ok(()) => return Ok(false),
            Err(_) => false,
        },
        _ = signals.wait_for(|count| *count > 1) => true,
    };
    tracing::warn!(of = running, cut = connections.len(), "downloads were cut off");
    Ok(was_hurried)
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
    stopped: watch::Receiver<bool>,
) -> Result<(), Box<dyn Error + Send + Sync>> {
    // A small response is not held back for more; large ones come in pieces that fill packets anyway.
    let _ = stream.set_nodelay(true);
    let stream = Paced::new(Sending::new(stream), limits.min_rate);
    match plain::serve(stream, peer, &handler, limits.head, stopped.clone()).await? {
        // What is rare does not make room in each connection's state.
        Some(stream) => Ok(Box::pin(any(stream, peer, handler, limits, stopped)).await?),
        None => Ok(()),
    }
}

/// Answers any requests.
async fn any(
    stream: Paced<Sending>,
    peer: SocketAddr,
    handler: impl Handler,
    limits: Limits,
    mut stopped: watch::Receiver<bool>,
) -> hyper::Result<()> {
    let files = stream.io().files();
    let stream = SharedStream::new(stream);
    let closed = ClientClosed::default();
    let service = service_fn(|mut request| {
        let (handler, files) = (handler.clone(), files.clone());
        let (stream, closed) = (stream.clone(), closed.clone());
        async move {
            request.extensions_mut().insert(closed.clone());
            let answer = handler.handle(request, peer);
            let poll_closed =
                |context: &mut Context<'_>| client::poll_closed(stream.lock().io().stream(), context);
            let mut response = client::answer_or_reset(answer, &closed, poll_closed).await?;
            response.body_mut().send_by(files);
            Ok::<_, io::Error>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(Deadlines::new(limits.head))
        .header_read_timeout(limits.head)
        .max_buf_size(BUFFER)
        // A client that has closed its sending side still gets its response.
        .half_close(true)
        // Slices of content reach the connection as they are, and not copied together.
        .writev(true)
        .serve_connection(TokioIo::new(stream.clone()), service);
    let seen = stopped.clone();
    let mut connection = pin!(connection);
    let mut stopping = pin!(stopped.wait_for(|stopped| *stopped));
    let (mut is_waiting, mut is_stopping) = (false, false);
    poll_fn(|context| {
        loop {
            if let Poll::Ready(result) = connection.as_mut().poll(context) {
                return Poll::Ready(result);
            }
            // Once it is waited for, the signal wakes this task when it comes; before, there is nothing to ask it.
            let may_stop = !is_stopping && (!is_waiting || seen.has_changed().unwrap_or(true));
            is_waiting = true;
            if !may_stop || stopping.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            is_stopping = true;
            connection.as_mut().graceful_shutdown();
        }
    })
    .await
}

/// Raises the limit of open files as far as the system lets this process, and says how many connections fit below it: each
/// download holds a connection and a file.
pub(crate) fn raise_open_files(wanted: usize) -> usize {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

    let limit = getrlimit(Resource::Nofile);
    let own = OWN_FILES + kept_handles() as u64;
    let needed = 2 * wanted as u64 + own;
    let reachable = limit.maximum.map_or(needed, |maximum| maximum.min(needed));
    let mut current = limit.current.unwrap_or(u64::MAX);
    if current < reachable
        && setrlimit(Resource::Nofile, Rlimit { current: Some(reachable), maximum: limit.maximum }).is_ok()
    {
        current = reachable;
    }
    let fit = usize::try_from(current.saturating_sub(own) / 2).unwrap_or(usize::MAX).max(1);
    if fit < wanted {
        tracing::warn!(
            limit = current,
            "limits.connections = {wanted} needs {needed} open files (ulimit -n): {fit} will be served"
        );
    }
    fit.min(wanted)
}

/// What this process opens beside connections and the files that they are sent.
const OWN_FILES: u64 = 64;

/// How many files may be kept open that nobody is sent, of those that the system lets this process have.
pub(crate) fn kept_handles() -> usize {
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).maximum;
    limit.map_or(256, |limit| usize::try_from(limit / 32).map_or(256, |share| share.min(256)))
}
