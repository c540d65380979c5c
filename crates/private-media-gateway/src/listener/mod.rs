//! Accepts connections and speaks HTTP/1.1 on them, within limits.

mod client;
mod content;
mod deadlines;
mod head_gate;
pub(crate) mod kernel;
mod open_files;
mod paced;
mod page_cache;
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

use http::header::{CONNECTION, HeaderValue, TRANSFER_ENCODING};
use http::request::Parts;
use http::{Request, Response};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use private_media::identity::accounts::ClientClosed;
use private_media::raw::SerializedHeaders;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

use crate::body::Body;
use crate::limits::Limits;
use crate::signals::Stop;
use client::SharedStream;
use deadlines::Deadlines;
use head_gate::HeadGate;
use kernel::Sending;
use paced::Paced;

pub(crate) use content::RequestBody;
pub use open_files::TooFewOpenFiles;
pub(crate) use open_files::{Fit, kept_handles};
pub(crate) use plain::Answer;
#[cfg(fuzzing)]
pub(crate) use plain::check_parity;
pub(crate) use sockets::listen_on;

/// What a connection may hold of a request's head, or of a response that its client has not taken, in bytes.
const BUFFER: usize = 16 << 10;

/// Answers a request that came from this address.
pub(crate) trait Handler: Clone + Send + Sync + 'static {
    fn handle(
        &self,
        request: Request<RequestBody>,
        peer: SocketAddr,
    ) -> impl Future<Output = Response<Body>> + Send;

    /// Whether a request of this head is for a file, and [`Handler::file`] answers it.
    fn is_file(&self, head: &Parts) -> bool;

    /// Answers a request for a file, without content. `closed` tells whether its client is still there.
    fn file(
        &self,
        head: &mut Parts,
        peer: SocketAddr,
        closed: &ClientClosed,
    ) -> impl Future<Output = Answer> + Send;

    /// What is in the head of each [`Answer`] beside its own headers.
    fn standing(&self) -> &SerializedHeaders;
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
    stop: &Stop,
) -> io::Result<bool> {
    let listener = TcpListener::from_std(listener)?;
    let (stopping, stopped) = watch::channel(false);
    let mut connections = JoinSet::new();
    // Whoever waits for clients holds no slot that another worker could use. Without a slot one is accepted here and waits; who comes
    // then waits in the kernel's queue.
    let mut accepted = None;
    let mut requested = pin!(stop.requested());
    loop {
        tokio::select! {
            () = &mut requested => break,
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
    let forced = tokio::select! {
        drained = tokio::time::timeout(limits.shutdown_timeout, drained) => match drained {
            Ok(()) => return Ok(false),
            Err(_) => false,
        },
        () = stop.forced() => true,
    };
    tracing::warn!(of = running, cut = connections.len(), "downloads were cut off");
    Ok(forced)
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
    match plain::serve(stream, peer, &handler, limits.header_timeout, stopped.clone()).await? {
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
            let request = RequestBody::limit(request, limits.min_rate);
            let (progress, headers) = (request.body().progress(), request.headers());
            let is_chunked = headers.contains_key(TRANSFER_ENCODING);
            let preparing = handler.handle(request, peer);
            let poll_closed =
                |context: &mut Context<'_>| client::poll_closed(stream.lock().io().stream(), context);
            let mut response = client::answer_or_reset(preparing, &closed, poll_closed).await?;
            // What has not been read cannot be told from the next request, and hyper alone knows where chunks end. The client is told that
            // the connection ends (RFC 9112 section 9.6), or it would send the next request into it.
            if is_chunked || !progress.is_read() {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            response.body_mut().send_by(files);
            Ok::<_, io::Error>(response)
        }
    });
    let connection = http1::Builder::new()
        .timer(Deadlines::new(limits.header_timeout))
        .header_read_timeout(limits.header_timeout)
        .max_buf_size(BUFFER)
        // A client that has closed its sending side still gets its response.
        .half_close(true)
        // Slices of content reach the connection as they are, and not copied together.
        .writev(true)
        .serve_connection(TokioIo::new(HeadGate::new(stream.clone())), service);
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
