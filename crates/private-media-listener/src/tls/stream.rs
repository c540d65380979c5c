//! An encrypted connection.
//!
//! Each method queues ciphertext in the session and sends it with one writev(2), so a head and the file after it share a system call. At
//! most [`QUEUE`] bytes are queued: the memory of a client that receives slowly.

use std::cell::Cell;
use std::future::Future;
use std::io::{self, BufRead as _, ErrorKind, IoSlice, Write as _};
use std::pin::Pin;
use std::task::{Context, Poll, Waker, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::task::JoinHandle;
use tokio_rustls::rustls::ServerConnection;

use crate::min_rate::{MinRateStream, WaitsForPeer};
use crate::page_cache::{self, FileKey};
use crate::piece::FileSlice;
use crate::sendfile::{Transport, file_shrank};
use crate::stream::Stream;
use crate::turn::{self, Turn};

/// How many bytes of a file are sent with one system call.
const CHUNK: usize = 64 << 10;
/// How many bytes of a file are read and encrypted at once: the content of a record, which fits into the fastest cache of a core.
const RECORD: usize = 16 << 10;
/// How many queued bytes may share a system call with the next ones.
const JOINED: usize = 16 << 10;
/// The maximum number of queued bytes.
const QUEUE: usize = CHUNK + 2 * JOINED;

thread_local! {
    /// The target of reads from files.
    static FILE_BUFFER: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
}

/// A connection with TLS. The minimum rate is measured on what the socket takes.
#[derive(Debug)]
pub(crate) struct TlsStream {
    io: MinRateStream<Stream>,
    session: ServerConnection,
    /// The number of bytes in the session that the socket has not taken.
    queued: usize,
    turn: Turn,
    /// The task that reads a part of a file into the page cache.
    reading: Option<JoinHandle<io::Result<usize>>>,
}

impl TlsStream {
    pub(crate) fn new(stream: Stream, mut session: ServerConnection, min_rate: u64) -> Self {
        session.set_buffer_limit(Some(QUEUE));
        let io = MinRateStream::new(stream, min_rate);
        Self { io, session, queued: 0, turn: Turn::new(), reading: None }
    }

    /// Returns whether the client has chosen HTTP/2.
    #[cfg(feature = "http2")]
    pub(crate) fn is_http2(&self) -> bool {
        self.session.alpn_protocol() == Some(b"h2")
    }

    /// Sends what is queued. Ready when the queue is empty.
    fn poll_drain(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.session.wants_write() {
            let mut socket = Socket { io: &mut self.io, context };
            match self.session.write_tls(&mut socket) {
                Ok(0) => return Poll::Ready(Err(ErrorKind::WriteZero.into())),
                Ok(count) => self.queued = self.queued.saturating_sub(count),
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
        }
        self.queued = 0;
        Poll::Ready(Ok(()))
    }

    /// Sends what the socket takes now.
    fn drain(&mut self, context: &mut Context<'_>) -> io::Result<()> {
        match self.poll_drain(context) {
            Poll::Ready(Err(error)) => Err(error),
            Poll::Ready(Ok(())) | Poll::Pending => Ok(()),
        }
    }

    /// Makes room for more ciphertext than this.
    fn poll_queued_at_most(&mut self, context: &mut Context<'_>, bytes: usize) -> Poll<io::Result<()>> {
        if self.queued > bytes { self.poll_drain(context) } else { Poll::Ready(Ok(())) }
    }

    /// Encrypts bytes, and returns how many fit into the queue: at least one, if the queue has room for a record.
    fn encrypt(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let count = self.session.writer().write(bytes)?;
        self.queued += count;
        Ok(count)
    }

    /// Ready when the session has plaintext, or at the end of the stream. Returns the length of the plaintext, which is zero at the end.
    fn poll_plaintext(&mut self, context: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            match self.session.reader().fill_buf() {
                Ok(bytes) => return Poll::Ready(Ok(bytes.len())),
                // A client may close without an alert. HTTP itself says where a message ends.
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Poll::Ready(Ok(0)),
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => return Poll::Ready(Err(error)),
            }
            match self.session.read_tls(&mut Socket { io: &mut self.io, context }) {
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Poll::Pending,
                Err(error) => return Poll::Ready(Err(error)),
            }
            if let Err(error) = self.session.process_new_packets() {
                // The session has an alert for the client.
                let _ = self.drain(context);
                return Poll::Ready(Err(io::Error::new(ErrorKind::InvalidData, error)));
            }
        }
    }

    /// Passes plaintext of at most `len` bytes to a function, and removes it.
    fn poll_take(
        &mut self,
        context: &mut Context<'_>,
        len: usize,
        take: impl FnOnce(&[u8]),
    ) -> Poll<io::Result<usize>> {
        let len = ready!(self.poll_plaintext(context))?.min(len);
        let mut reader = self.session.reader();
        if len > 0 {
            take(reader.fill_buf()?.get(..len).unwrap_or_default());
            reader.consume(len);
        }
        Poll::Ready(Ok(len))
    }

    /// Encrypts at most `len` bytes of a slice that is not empty, and removes them from it. Without cached bytes, the blocking pool reads
    /// the slice into the page cache first.
    fn poll_encrypt_file(
        &mut self,
        context: &mut Context<'_>,
        slice: &mut FileSlice,
        key: FileKey,
        len: usize,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            if let Some(reading) = &mut self.reading {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading = None;
                if read.map_err(io::Error::other)?? == 0 {
                    return Poll::Ready(Err(file_shrank()));
                }
            }
            let mut total = 0;
            while total < len {
                let part = buffer.get_mut(..(len - total).min(RECORD)).unwrap_or_default();
                let read = page_cache::read_cached_into(&slice.file, slice.offset, part);
                let count = self.encrypt(part.get(..read).unwrap_or_default())?;
                slice.advance(count);
                total += count;
                if count < part.len() {
                    break;
                }
            }
            if total > 0 {
                return Poll::Ready(Ok(total));
            }
            // The client gets what is queued while the disk is read.
            self.drain(context)?;
            let FileSlice { file, offset, len } = slice.clone();
            let len = usize::try_from(len).unwrap_or(usize::MAX).min(READ_IN);
            let read_in = move || page_cache::read_in(&file, key, offset, len);
            self.reading = Some(tokio::task::spawn_blocking(read_in));
        }
    }
}

/// How many bytes of a file are read into the page cache at once.
const READ_IN: usize = 1 << 20;

impl Transport for TlsStream {
    fn poll_read_append(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        self.turn.restart();
        let room = buffer.capacity() - buffer.len();
        self.poll_take(context, room, |bytes| buffer.extend_from_slice(bytes))
    }

    fn poll_send(&mut self, context: &mut Context<'_>, bytes: &[u8], more: bool) -> Poll<io::Result<usize>> {
        ready!(self.poll_queued_at_most(context, JOINED))?;
        if !more {
            turn::count_small();
        }
        let count = self.encrypt(bytes)?;
        if !more {
            self.drain(context)?;
        }
        Poll::Ready(Ok(count))
    }

    fn poll_send_file(
        &mut self,
        context: &mut Context<'_>,
        slice: &mut FileSlice,
        key: FileKey,
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_queued_at_most(context, JOINED))?;
        let room = ready!(self.turn.poll_room(context));
        let len = usize::try_from(slice.len).unwrap_or(usize::MAX).min(room).min(CHUNK);
        let mut buffer = FILE_BUFFER.take();
        buffer.resize(RECORD, 0);
        let encrypted = self.poll_encrypt_file(context, slice, key, len, &mut buffer);
        FILE_BUFFER.set(buffer);
        let count = ready!(encrypted)?;
        self.turn.count(count);
        self.drain(context)?;
        Poll::Ready(Ok(count))
    }

    fn poll_closed(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.poll_plaintext(context))? {
            0 => Poll::Ready(Ok(())),
            // Bytes that were not asked for hide a later close.
            _ => Poll::Pending,
        }
    }

    fn poll_sent(&mut self, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context)
    }

    fn unsent(&self) -> u64 {
        self.queued as u64
    }

    fn end(&mut self) {
        self.session.send_close_notify();
        let _ = self.drain(&mut Context::from_waker(Waker::noop()));
    }
}

/// [`TlsStream::io`] measures what the socket takes.
impl WaitsForPeer for TlsStream {
    fn waits_for_peer(&self) -> bool {
        false
    }
}

impl WaitsForPeer for Stream {
    fn waits_for_peer(&self) -> bool {
        true
    }
}

impl AsyncRead for TlsStream {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let room = buffer.remaining();
        self.poll_take(context, room, |bytes| buffer.put_slice(bytes)).map_ok(|_| ())
    }
}

/// Writes are sent when the queue is full, and by a flush.
impl AsyncWrite for TlsStream {
    fn poll_write(self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(context, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_queued_at_most(context, CHUNK))?;
        let count = self.session.writer().write_vectored(slices)?;
        self.queued += count;
        Poll::Ready(Ok(count))
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_drain(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.session.send_close_notify();
        ready!(self.poll_drain(context))?;
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// The socket of a session, in the form that rustls needs: `WouldBlock` instead of `Pending`.
struct Socket<'a, 'b> {
    io: &'a mut MinRateStream<Stream>,
    context: &'a mut Context<'b>,
}

fn or_would_block<T>(poll: Poll<io::Result<T>>) -> io::Result<T> {
    match poll {
        Poll::Ready(result) => result,
        Poll::Pending => Err(ErrorKind::WouldBlock.into()),
    }
}

impl io::Read for Socket<'_, '_> {
    fn read(&mut self, memory: &mut [u8]) -> io::Result<usize> {
        let mut buffer = ReadBuf::new(memory);
        or_would_block(Pin::new(&mut *self.io).poll_read(self.context, &mut buffer))?;
        Ok(buffer.filled().len())
    }
}

impl io::Write for Socket<'_, '_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.io).poll_write(self.context, bytes))
    }

    fn write_vectored(&mut self, slices: &[IoSlice<'_>]) -> io::Result<usize> {
        or_would_block(Pin::new(&mut *self.io).poll_write_vectored(self.context, slices))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
