//! Listening sockets and connections: over TCP, or at a path of the file system.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use rustix::net::{RecvFlags, recv, sockopt};
use tokio::io::{AsyncRead, AsyncWrite, Interest, ReadBuf};
use tokio::net::{TcpListener, TcpStream, UnixListener, UnixStream};

use crate::peer::PeerAddr;

/// A listening socket. [`serve`](crate::serve) and [`Server::new`](crate::Server::new) take either kind.
#[derive(Debug)]
#[non_exhaustive]
pub enum Listener {
    /// A TCP socket.
    Tcp(TcpListener),
    /// A Unix socket.
    Unix(UnixListener),
}

impl From<TcpListener> for Listener {
    fn from(listener: TcpListener) -> Self {
        Self::Tcp(listener)
    }
}

impl From<UnixListener> for Listener {
    fn from(listener: UnixListener) -> Self {
        Self::Unix(listener)
    }
}

impl Listener {
    /// Sets `TCP_NODELAY`, which accepted sockets inherit: small responses leave immediately. Long ones fill packets anyway.
    pub(crate) fn set_nodelay(&self) {
        if let Self::Tcp(listener) = self {
            let _ = sockopt::set_tcp_nodelay(listener, true);
        }
    }

    /// Accepts the next connection.
    pub(crate) async fn accept(&self) -> io::Result<(Stream, PeerAddr)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, addr) = listener.accept().await?;
                Ok((Stream::Tcp(stream), addr.into()))
            }
            Self::Unix(listener) => Ok((Stream::Unix(listener.accept().await?.0), PeerAddr::Unix)),
        }
    }
}

/// A connection.
#[derive(Debug)]
pub(crate) enum Stream {
    Tcp(TcpStream),
    Unix(UnixStream),
}

/// Calls the same method of either kind of stream.
macro_rules! delegate {
    ($stream:expr, $inner:ident => $call:expr) => {
        match $stream {
            Stream::Tcp($inner) => $call,
            Stream::Unix($inner) => $call,
        }
    };
}

impl Stream {
    /// Tries to send immediately; on `WouldBlock`, waits until the socket is writable.
    pub(crate) fn poll_writable(
        &self,
        context: &mut Context<'_>,
        send: impl Fn() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut result = send();
        while let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            ready!(delegate!(self, stream => stream.poll_write_ready(context)))?;
            result = delegate!(self, stream => stream.try_io(Interest::WRITABLE, &send));
        }
        Poll::Ready(result)
    }

    /// Ready when the client has closed its sending side; an error if it has reset the connection. Reads nothing from the connection,
    /// so unread bytes hide a close after them.
    pub(crate) fn poll_closed(&self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let peek = || Ok(recv(self, &mut [0_u8; 1], RecvFlags::PEEK)?.1);
        loop {
            ready!(delegate!(self, stream => stream.poll_read_ready(context)))?;
            match delegate!(self, stream => stream.try_io(Interest::READABLE, peek)) {
                Ok(0) => return Poll::Ready(Ok(())),
                Ok(_) => return Poll::Pending,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }

    /// Returns the first byte that the client sends, and leaves it unread; `None` if the client closes the connection.
    #[cfg(feature = "tls")]
    pub(crate) fn poll_first_byte(&self, context: &mut Context<'_>) -> Poll<io::Result<Option<u8>>> {
        let mut byte = [0];
        loop {
            ready!(delegate!(self, stream => stream.poll_read_ready(context)))?;
            let peek = || Ok(recv(self, &mut byte, RecvFlags::PEEK)?.1);
            match delegate!(self, stream => stream.try_io(Interest::READABLE, peek)) {
                Ok(count) => return Poll::Ready(Ok(Some(byte[0]).filter(|_| count > 0))),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
    }
}

impl AsFd for Stream {
    fn as_fd(&self) -> BorrowedFd<'_> {
        delegate!(self, stream => stream.as_fd())
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_read(context, buffer))
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write(context, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_write_vectored(context, slices))
    }

    fn is_write_vectored(&self) -> bool {
        delegate!(self, stream => stream.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_flush(context))
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        delegate!(self.get_mut(), stream => Pin::new(stream).poll_shutdown(context))
    }
}
