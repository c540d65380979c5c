//! A connection that sends bytes with send(2) and slices of files with sendfile(2).

use std::future::Future;
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;

use crate::min_rate::WaitsForPeer;
use crate::page_cache::{self, FileKey};
use crate::piece::FileSlice;
use crate::stats::Stats;
use crate::stream::Stream;
use crate::turn::{self, Turn};

/// The longest slice that is requested from a body, in bytes. A body counts a slice as sent when it returns it.
pub(crate) const MAX_SLICE: u64 = 1 << 20;
/// The stream of a connection. Tests use one in memory.
pub(crate) trait Transport: AsyncRead + AsyncWrite + WaitsForPeer + Unpin + Send {
    /// Reads available bytes, and appends them to the buffer within its capacity.
    fn poll_read_append(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>>;

    /// Sends bytes. With `more`, the response continues and the next part may share a packet.
    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8], more: bool) -> Poll<io::Result<usize>>;

    /// Sends the beginning of a slice that is not empty, and removes it from the slice. `key` is the key of the file.
    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        slice: &mut FileSlice,
        key: FileKey,
    ) -> Poll<io::Result<usize>>;

    /// Ready when the client has closed its sending side; an error if it has reset the connection. Consumes no bytes, so unread bytes hide
    /// a later close.
    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>>;

    /// Ready when the kernel has all bytes that were sent. A stream that encrypts may hold some back.
    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        let _ = context;
        Poll::Ready(Ok(()))
    }

    /// Returns how many bytes were taken and not sent yet.
    fn unsent(&self) -> u64 {
        0
    }

    /// Tells the client that no more bytes follow, where closing the socket alone does not say that. Does not wait.
    fn end(&mut self) {}
}

/// A connection that can send slices of files.
#[derive(Debug)]
pub(crate) struct SendfileStream {
    stream: Stream,
    stats: Arc<Stats>,
    turn: Turn,
    /// The task that reads a part of a file into the page cache.
    reading: Option<JoinHandle<io::Result<usize>>>,
}

impl SendfileStream {
    pub(crate) fn new(stream: Stream, stats: Arc<Stats>) -> Self {
        Self { stream, stats, turn: Turn::new(), reading: None }
    }

    /// Returns how many of the next `len` bytes the kernel can send without waiting for the disk. If the first byte is not cached, the
    /// blocking pool reads the slice first.
    fn poll_cached(
        &mut self,
        context: &mut Context<'_>,
        slice: &FileSlice,
        key: FileKey,
        len: usize,
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                if read.map_err(io::Error::other)?? == 0 {
                    // The file shrank. Sending it will fail.
                    return Poll::Ready(Ok(len));
                }
            }
            let cached = page_cache::cached_len(&slice.file, key, slice.offset, len);
            if cached > 0 {
                return Poll::Ready(Ok(cached));
            }
            let FileSlice { file, offset, len } = slice.clone();
            let len = usize::try_from(len).unwrap_or(usize::MAX);
            let read_in = move || page_cache::read_in(&file, key, offset, len);
            self.reading = Some(tokio::task::spawn_blocking(read_in));
        }
    }
}

impl Transport for SendfileStream {
    fn poll_read_append(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        // Reading means that the previous response is complete.
        self.turn.restart();
        pin!(self.stream.read_buf(buffer)).poll(context)
    }

    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        slice: &mut FileSlice,
        key: FileKey,
    ) -> Poll<io::Result<usize>> {
        let room = ready!(self.turn.poll_room(context));
        let len = usize::try_from(slice.len).unwrap_or(usize::MAX).min(room);
        let cached = ready!(self.poll_cached(context, slice, key, len))?;
        let count = ready!(self.stream.poll_writable(context, || send_file(&self.stream, slice, cached)))?;
        if count == 0 {
            return Poll::Ready(Err(file_shrank()));
        }
        slice.advance(count);
        self.turn.count(count);
        self.stats.count_sendfile(count);
        Poll::Ready(Ok(count))
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8], more: bool) -> Poll<io::Result<usize>> {
        if !more {
            turn::count_small();
        }
        self.stream.poll_writable(context, || send_bytes(&self.stream, bytes, more))
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.stream.poll_closed(context)
    }
}

pub(crate) fn file_shrank() -> io::Error {
    tracing::error!("response aborted: the file shrank while it was sent");
    io::ErrorKind::UnexpectedEof.into()
}

impl WaitsForPeer for SendfileStream {
    fn waits_for_peer(&self) -> bool {
        self.reading.is_none()
    }
}

impl AsyncWrite for SendfileStream {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, slices)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for SendfileStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(target_os = "linux")]
fn send_file(stream: &Stream, slice: &FileSlice, len: usize) -> io::Result<usize> {
    let mut offset = slice.offset;
    Ok(rustix::io::retry_on_intr(|| rustix::fs::sendfile(stream, &*slice.file, Some(&mut offset), len))?)
}

#[cfg(target_os = "linux")]
fn send_bytes(stream: &Stream, bytes: &[u8], more: bool) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};

    let flags = if more { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
    Ok(rustix::io::retry_on_intr(|| send(stream, bytes, flags))?)
}

#[cfg(not(target_os = "linux"))]
fn send_file(_: &Stream, _: &FileSlice, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn send_bytes(stream: &Stream, bytes: &[u8], _: bool) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::net::send(stream, bytes, rustix::net::SendFlags::empty()))?)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::fs::File;
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;
    use crate::turn::SHORT_TURN;

    const LEN: usize = 1 << 20;

    async fn connection() -> (TcpStream, SendfileStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        (client, SendfileStream::new(Stream::Tcp(listener.accept().await.unwrap().0), Arc::default()))
    }

    fn slice(file: File) -> (FileSlice, FileKey) {
        let key = FileKey::of(&file).unwrap();
        (FileSlice::new(Arc::new(file), 0, LEN as u64), key)
    }

    /// Sends a file once, after this many small responses. Returns the number of bytes, and the open file, because a new file could get the
    /// inode of a closed one, and with it the proofs of its pages.
    async fn send_once(small: u64) -> (usize, FileSlice) {
        let (client, mut stream) = connection().await;
        let mut file = tempfile::tempfile().unwrap();
        // A file that was just written is in the page cache.
        io::Write::write_all(&mut file, &vec![b'x'; LEN]).unwrap();
        let (mut slice, key) = slice(file);
        (0..small).for_each(|_| turn::count_small());
        let count = poll_fn(|context| stream.poll_send_file(context, &mut slice, key)).await.unwrap();
        drop(client);
        assert_eq!(stream.stats.sendfile_bytes(), count as u64);
        (count, slice)
    }

    #[tokio::test]
    async fn turns_are_short_while_other_clients_receive_small_responses() {
        let mut files = Vec::new();
        for (small, is_short) in [(0, false), (1, true), (0, false)] {
            let (count, file) = send_once(small).await;
            assert_eq!(count <= SHORT_TURN, is_short, "{count} bytes after {small} small responses");
            files.push(file);
        }
    }

    /// Otherwise all clients of the worker would wait for the disk.
    #[tokio::test]
    async fn a_file_is_read_into_the_page_cache_before_it_is_sent() {
        use tokio::io::AsyncReadExt as _;

        let (mut client, mut stream) = connection().await;
        let warm = (0..LEN as u64).step_by(256 << 10);
        let (mut slice, key) = slice(page_cache::tests::cold_file(LEN, warm));
        // Only the first page is cached. Reading it triggers readahead, so only the first count is certain.
        let first = poll_fn(|context| stream.poll_send_file(context, &mut slice, key)).await.unwrap();
        assert!(first < 64 << 10, "{first} bytes");
        match poll_fn(|context| stream.poll_send_file(context, &mut slice, key)).now_or_never() {
            // It waits for the disk, not for the client.
            None => assert!(!stream.waits_for_peer()),
            Some(count) => assert!(count.unwrap() > 0),
        }
        let receiver = tokio::spawn(async move {
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            received
        });
        while !slice.is_empty() {
            poll_fn(|context| stream.poll_send_file(context, &mut slice, key)).await.unwrap();
        }
        drop(stream);
        assert!(receiver.await.unwrap() == vec![b'x'; LEN]);
    }
}
