//! The state of a client while its response is prepared.
//!
//! A client may send a request, shut down its sending side and wait for the response. A client that has closed the connection looks the
//! same until the server sends something, unless its system resets the connection. So a reset aborts the request, and a closed sending
//! side is only recorded in [`PeerState`]: a service may then prefer other clients for expensive work.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll};

/// The address of a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum PeerAddr {
    /// The address of a TCP client.
    Tcp(SocketAddr),
    /// A client on this machine that connected to a Unix socket.
    Unix,
}

impl PeerAddr {
    /// Returns the IP address; `None` for a client of a Unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(addr) => Some(addr.ip()),
            Self::Unix => None,
        }
    }
}

impl From<SocketAddr> for PeerAddr {
    fn from(addr: SocketAddr) -> Self {
        Self::Tcp(addr)
    }
}

impl fmt::Display for PeerAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(addr) => addr.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}

/// The client of a connection. Clones share one state. It is in the extensions of each request to a tower service.
#[derive(Debug, Clone)]
pub struct PeerState {
    addr: PeerAddr,
    is_tls: bool,
    closed: Arc<AtomicBool>,
}

impl PeerState {
    pub(crate) fn new(addr: PeerAddr) -> Self {
        Self { addr, is_tls: false, closed: Arc::default() }
    }

    /// Returns the client of a connection with TLS.
    #[cfg(feature = "tls")]
    pub(crate) fn with_tls(addr: PeerAddr) -> Self {
        Self { is_tls: true, ..Self::new(addr) }
    }

    /// Returns the client's address.
    #[must_use]
    pub fn addr(&self) -> PeerAddr {
        self.addr
    }

    /// Returns whether the connection of the client to this server is encrypted by TLS.
    #[must_use]
    pub fn is_tls(&self) -> bool {
        self.is_tls
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

/// Waits for a response; an error if the client resets the connection first. `poll_closed` is that of the connection. It is called
/// only while the response is pending.
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

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream, UnixStream};

    use super::*;
    use crate::stream::Stream;

    async fn tcp() -> (Stream, Stream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (Stream::Tcp(client), Stream::Tcp(listener.accept().await.unwrap().0))
    }

    fn unix() -> (Stream, Stream) {
        let (client, stream) = UnixStream::pair().unwrap();
        (Stream::Unix(client), Stream::Unix(stream))
    }

    /// Each row is an action of the client, whether the response completes, and whether the client counts as closed.
    #[tokio::test]
    async fn a_reset_aborts_the_response_and_a_close_is_recorded() {
        type Action = fn(Stream) -> futures_util::future::BoxFuture<'static, Option<Stream>>;
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
                if let Stream::Tcp(client) = client {
                    client.set_zero_linger().unwrap();
                }
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
            for (client, mut stream) in [tcp().await, unix()] {
                let is_unix = matches!(stream, Stream::Unix(_));
                let peer = PeerState::new(PeerAddr::Unix);
                let response = async {
                    let client = action(client).await;
                    tokio::time::sleep(Duration::from_millis(200)).await;
                    client
                };
                let poll = |context: &mut Context<'_>| stream.poll_closed(context);
                let response = response_or_reset(response, &peer, poll).await;
                // A Unix socket has no reset.
                let expected =
                    if is_unix && name == "resets" { (true, true) } else { (has_response, is_closed) };
                assert_eq!((response.is_ok(), peer.has_closed()), expected, "{name} {is_unix}");
                // The bytes are still unread.
                if name == "sends more" {
                    let mut bytes = Vec::new();
                    stream.read_to_end(&mut bytes).await.unwrap();
                    assert_eq!(bytes, b"GET / HTTP/1.1");
                }
            }
        }
    }
}
