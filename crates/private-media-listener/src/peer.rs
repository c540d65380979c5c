//! The state of a client while its response is prepared.
//!
//! A client may send a request, shut down its sending side and wait for the response. A client that has closed the connection looks the
//! same until the server sends something, unless its system resets the connection. So a reset aborts the request, and a closed sending
//! side is only recorded in [`PeerState`]: a service may then prefer other clients for expensive work.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

use tokio::io::ReadBuf;
use tokio::net::TcpStream;

/// The client of a connection. Clones share one state. It is in the extensions of each request to a tower service.
#[derive(Debug, Clone)]
pub struct PeerState {
    addr: SocketAddr,
    closed: Arc<AtomicBool>,
}

impl PeerState {
    pub(crate) fn new(addr: SocketAddr) -> Self {
        Self { addr, closed: Arc::default() }
    }

    /// Returns the client's address.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Returns whether the client has closed its sending side. It may still wait for the response.
    #[must_use]
    pub fn has_closed(&self) -> bool {
        self.closed.load(Ordering::Relaxed)
    }

    /// Returns the flag behind [`PeerState::has_closed`], which is updated while a response is prepared.
    #[must_use]
    pub fn closed_flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.closed)
    }
}

/// Waits for a response; an error if the client resets the connection first. `poll_closed` is [`poll_closed`] of the connection. It is
/// called only while the response is pending.
pub(crate) async fn response_or_reset<T>(
    response: impl Future<Output = T>,
    peer: &PeerState,
    mut poll_closed: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
) -> io::Result<T> {
    let mut response = pin!(response);
    std::future::poll_fn(|context| {
        if let Poll::Ready(response) = response.as_mut().poll(context) {
            return Poll::Ready(Ok(response));
        }
        match poll_closed(context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => peer.closed.store(true, Ordering::Relaxed),
            Poll::Pending => {}
        }
        Poll::Pending
    })
    .await
}

/// Ready when the client has closed its sending side; an error if it has reset the connection. Consumes no bytes, so unread bytes hide a
/// later close.
pub(crate) fn poll_closed(stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut byte = [0];
    match stream.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
        Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
        Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// Each row is an action of the client, whether the response completes, and whether the client counts as closed.
    #[tokio::test]
    async fn a_reset_aborts_the_response_and_a_close_is_recorded() {
        type Action = fn(TcpStream) -> futures_util::future::BoxFuture<'static, Option<TcpStream>>;
        let waits: Action = |client| Box::pin(async { Some(client) });
        let shuts_down: Action = |mut client| {
            Box::pin(async {
                client.shutdown().await.unwrap();
                Some(client)
            })
        };
        let closes: Action = |_| Box::pin(async { None });
        let resets: Action = |client| {
            Box::pin(async move {
                client.set_zero_linger().unwrap();
                None
            })
        };
        let sends_more: Action = |mut client| {
            Box::pin(async {
                client.write_all(b"GET / HTTP/1.1").await.unwrap();
                client.shutdown().await.unwrap();
                Some(client)
            })
        };
        for (name, action, has_response, is_closed) in [
            ("waits", waits, true, false),
            ("shuts down", shuts_down, true, true),
            ("closes", closes, true, true),
            ("resets", resets, false, false),
            ("sends more", sends_more, true, false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut stream, address) = listener.accept().await.unwrap();
            let peer = PeerState::new(address);
            let response = async {
                let client = action(client).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                client
            };
            let poll = |context: &mut Context<'_>| poll_closed(&stream, context);
            let response = response_or_reset(response, &peer, poll).await;
            assert_eq!((response.is_ok(), peer.has_closed()), (has_response, is_closed), "{name}");
            // The bytes are still unread.
            if name == "sends more" {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.unwrap();
                assert_eq!(bytes, b"GET / HTTP/1.1");
            }
        }
    }
}
