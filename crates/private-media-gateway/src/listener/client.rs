//! Watches the client while its answer is prepared.
//!
//! A client may send a request, shut down its sending side and wait for the answer. One that has closed its connection looks the
//! same until something is sent to it, unless its system resets the connection. So a reset ends the work, and a closed sending side
//! is only noted in [`ClientClosed`]: what is expensive may be done for others first.

use std::io;
use std::pin::{Pin, pin};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

use private_media::identity::accounts::ClientClosed;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Waits for an answer, and is an error if the client resets the connection before. `poll_closed` is [`poll_closed`] of the
/// connection; it is called only when the answer is not there at once.
pub(super) async fn answer_or_reset<T>(
    answer: impl Future<Output = T>,
    closed: &ClientClosed,
    mut poll_closed: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
) -> io::Result<T> {
    let mut answer = pin!(answer);
    std::future::poll_fn(|context| {
        if let Poll::Ready(answer) = answer.as_mut().poll(context) {
            return Poll::Ready(Ok(answer));
        }
        match poll_closed(context) {
            Poll::Ready(Err(error)) => return Poll::Ready(Err(error)),
            Poll::Ready(Ok(())) => closed.set(),
            Poll::Pending => {}
        }
        Poll::Pending
    })
    .await
}

/// Ready when the client has closed its sending side; an error if it has reset the connection. Takes nothing from the connection:
/// bytes that wait to be read hide what follows them.
pub(super) fn poll_closed(stream: &TcpStream, context: &mut Context<'_>) -> Poll<io::Result<()>> {
    let mut byte = [0];
    match stream.poll_peek(context, &mut ReadBuf::new(&mut byte)) {
        Poll::Ready(Ok(0)) => Poll::Ready(Ok(())),
        Poll::Ready(Ok(_)) | Poll::Pending => Poll::Pending,
        Poll::Ready(Err(error)) => Poll::Ready(Err(error)),
    }
}

/// A stream that hyper reads and writes, and that its service looks at. Both are polled by one task, so nobody waits for the lock.
#[derive(Debug)]
pub(super) struct SharedStream<T>(Arc<Mutex<T>>);

impl<T> Clone for SharedStream<T> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<T> SharedStream<T> {
    pub(super) fn new(stream: T) -> Self {
        Self(Arc::new(Mutex::new(stream)))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for SharedStream<T> {
    fn poll_read(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_read(context, buffer)
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for SharedStream<T> {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut *self.lock()).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.lock().is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_flush(context)
    }

    fn poll_shutdown(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut *self.lock()).poll_shutdown(context)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    /// What a client does while its answer takes a second, whether it gets one, and whether it counts as closed.
    #[tokio::test]
    async fn closed_reset_and_still_there() {
        type Act = fn(TcpStream) -> futures_util::future::BoxFuture<'static, Option<TcpStream>>;
        let waits: Act = |client| Box::pin(async { Some(client) });
        let shuts_down: Act = |mut client| {
            Box::pin(async {
                client.shutdown().await.unwrap();
                Some(client)
            })
        };
        let hangs_up: Act = |_| Box::pin(async { None });
        let resets: Act = |client| {
            Box::pin(async move {
                client.set_zero_linger().unwrap();
                None
            })
        };
        let sends_more: Act = |mut client| {
            Box::pin(async {
                client.write_all(b"GET / HTTP/1.1").await.unwrap();
                client.shutdown().await.unwrap();
                Some(client)
            })
        };
        for (name, act, is_answered, is_closed) in [
            ("waits", waits, true, false),
            ("shuts down", shuts_down, true, true),
            ("closes", hangs_up, true, true),
            ("resets", resets, false, false),
            ("sends more", sends_more, true, false),
        ] {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
            let (mut stream, _) = listener.accept().await.unwrap();
            let closed = ClientClosed::default();
            let answer = async {
                let client = act(client).await;
                tokio::time::sleep(Duration::from_millis(200)).await;
                client
            };
            let poll = |context: &mut Context<'_>| poll_closed(&stream, context);
            let answered = answer_or_reset(answer, &closed, poll).await;
            assert_eq!((answered.is_ok(), closed.get()), (is_answered, is_closed), "{name}");
            // Nothing was taken.
            if name == "sends more" {
                let mut bytes = Vec::new();
                stream.read_to_end(&mut bytes).await.unwrap();
                assert_eq!(bytes, b"GET / HTTP/1.1");
            }
        }
    }
}
