//! The kernel sends files, by sendfile(2): their bytes never come here.
//!
//! hyper writes what a body gives it, and knows nothing of files. So the body gives it stand-ins: slices of one stretch of memory that
//! holds nothing. [`Sending`], which hyper writes to, knows them by their address, and has the kernel send what they stand for.
//!
//! What they hold never reaches a client. They are made by [`Files::stand_in`] alone, of the connection that will send them, which
//! notes for each where it is and what it stands for. What is written has to be the next of these, byte for byte, or it is an error
//! that ends the connection.

use std::cell::Cell;
use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::pin::{Pin, pin};
use std::sync::{Arc, LazyLock, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use private_media::storage::ReadAt;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, Interest, ReadBuf};
use tokio::net::TcpStream;
use tokio::task::JoinHandle;

use super::paced::WaitsForPeer;
use super::page_cache::{self, FileKey};

/// The most that one stand-in stands for, in bytes: what is sent at a time.
pub(crate) const LONGEST: usize = 1 << 20;
/// How much one connection may send before others have their turn, in bytes.
const TURN: usize = 1 << 20;
/// The same while others get small answers, who would wait for each turn much longer than for their own.
const SHORT_TURN: usize = 64 << 10;

/// Twice the longest, so that a stand-in may begin anywhere in the first half. Nobody reads it, so it takes no memory.
static STAND_INS: LazyLock<Vec<u8>> = LazyLock::new(|| vec![0; 2 * LONGEST]);

/// What is shorter in all is written in one piece: the kernel takes one faster than several, by more than it costs to copy them together.
const JOINED: usize = 16 << 10;

thread_local! {
    static SCRATCH: Cell<Vec<u8>> = const { Cell::new(Vec::new()) };
    /// How often this thread has had a small answer to send.
    static SMALL: Cell<u64> = const { Cell::new(0) };
}

/// What one connection is to send by the kernel. Cheap to clone; the clones are one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Files(Arc<Mutex<Queue>>);

#[derive(Debug, Default)]
struct Queue {
    waiting: VecDeque<Stretch>,
    /// Where the next stand-in begins: another place each time, so that one that was lost is missed.
    next: usize,
}

#[derive(Debug)]
struct Stretch {
    file: Arc<dyn ReadAt>,
    key: FileKey,
    offset: u64,
    /// The addresses of its stand-in, as far as it has not been sent.
    stand_in: Range<usize>,
}

impl Files {
    /// What stands for this stretch of a file, until it is written to the connection. It is as long as the stretch, and at most
    /// [`LONGEST`]. `None` if the stretch has to be read instead: it is no local file, or the kernel does not tell what is cached.
    pub(crate) fn stand_in(&self, file: &Arc<dyn ReadAt>, offset: u64, len: usize) -> Option<Bytes> {
        let open = file.as_file()?;
        let key = FileKey::of(open).ok()?;
        if !page_cache::can_tell(open, key, offset) {
            return None;
        }
        let file = Arc::clone(file);
        let mut queue = self.locked();
        let begin = queue.next;
        queue.next = (begin + len + 1) % LONGEST;
        let slice = STAND_INS.get(begin..).and_then(|rest| rest.get(..len.min(LONGEST))).unwrap_or_default();
        queue.waiting.push_back(Stretch { file, key, offset, stand_in: addresses(slice) });
        Some(Bytes::from_static(slice))
    }

    fn locked(&self) -> MutexGuard<'_, Queue> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Queue {
    /// The stretch that these bytes stand for, which has to be the next one.
    fn front(&mut self, stand_in: &[u8]) -> io::Result<&mut Stretch> {
        let asked = addresses(stand_in);
        self.waiting
            .front_mut()
            .filter(|next| asked.start == next.stand_in.start && asked.end <= next.stand_in.end)
            .ok_or_else(out_of_step)
    }
}

impl Stretch {
    fn file(&self) -> io::Result<&File> {
        self.file.as_file().ok_or_else(out_of_step)
    }
}

fn out_of_step() -> io::Error {
    io::Error::other("what is to be sent by the kernel is out of step")
}

fn addresses(slice: &[u8]) -> Range<usize> {
    let range = slice.as_ptr_range();
    range.start.addr()..range.end.addr()
}

/// Whether these bytes stand for others. A slice of nothing is written as it is.
fn is_stand_in(slice: &[u8]) -> bool {
    let (own, slice) = (addresses(&STAND_INS), addresses(slice));
    slice.start < own.end && own.start < slice.end
}

/// A connection whose stand-ins the kernel replaces by what they stand for.
#[derive(Debug)]
pub(crate) struct Sending {
    stream: TcpStream,
    files: Files,
    /// What was sent since others had their turn.
    sent: usize,
    /// How much this turn is, and how many small answers there had been when it began.
    turn: usize,
    small: u64,
    /// What was read and is to be read again.
    unread: Vec<u8>,
    /// While the disk is waited for.
    reading_in: Option<JoinHandle<io::Result<usize>>>,
}

impl Sending {
    pub(crate) fn new(stream: TcpStream) -> Self {
        Self {
            stream,
            files: Files::default(),
            sent: 0,
            turn: TURN,
            small: SMALL.get(),
            unread: Vec::new(),
            reading_in: None,
        }
    }

    pub(crate) fn files(&self) -> Files {
        self.files.clone()
    }

    pub(crate) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    /// Reads what there is, behind what is in the buffer and as far as it has room.
    pub(crate) fn poll_read_behind(
        &mut self,
        context: &mut Context<'_>,
        buffer: &mut Vec<u8>,
    ) -> Poll<io::Result<usize>> {
        // Whoever asks has had an answer to its end.
        self.sent = 0;
        pin!(self.stream.read_buf(buffer)).poll(context)
    }

    /// Has these bytes read before what is still to come.
    pub(crate) fn unread(&mut self, bytes: Vec<u8>) {
        self.unread = bytes;
    }

    /// Has the kernel send what this stands for, or some of it.
    fn poll_send(&mut self, context: &mut Context<'_>, stand_in: &[u8]) -> Poll<io::Result<usize>> {
        if self.sent >= self.turn {
            self.sent = 0;
            // It is polled again when others have been.
            let mut turn = pin!(tokio::task::yield_now());
            if turn.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
        }
        if self.sent == 0 {
            let small = SMALL.get();
            self.turn = if std::mem::replace(&mut self.small, small) == small { TURN } else { SHORT_TURN };
        }
        let piece = stand_in.get(..self.turn - self.sent).unwrap_or(stand_in);
        let cached = ready!(self.poll_cached(context, piece))?;
        let count = ready!(self.poll_with_room(context, || self.send_file(cached)))?;
        self.sent += count;
        Poll::Ready(Ok(count))
    }

    /// Gives as much of the piece as the kernel can send without waiting for the disk; what is missing is read on the blocking pool.
    fn poll_cached<'a>(&mut self, context: &mut Context<'_>, piece: &'a [u8]) -> Poll<io::Result<&'a [u8]>> {
        loop {
            if let Some(reading) = &mut self.reading_in {
                let read = ready!(Pin::new(reading).poll(context));
                self.reading_in = None;
                if read.map_err(io::Error::other)?? == 0 {
                    // The file shrank, as sending it will show.
                    return Poll::Ready(Ok(piece));
                }
            }
            let mut queue = self.files.locked();
            let stretch = queue.front(piece)?;
            let (key, offset) = (stretch.key, stretch.offset);
            let cached = page_cache::cached_len(stretch.file()?, key, offset, piece.len());
            if cached > 0 {
                return Poll::Ready(Ok(piece.get(..cached).unwrap_or(piece)));
            }
            let (file, len) = (Arc::clone(&stretch.file), stretch.stand_in.len());
            drop(queue);
            let read_in = move || match file.as_file() {
                Some(file) => page_cache::read_in(file, key, offset, len),
                None => Ok(0),
            };
            self.reading_in = Some(tokio::task::spawn_blocking(read_in));
        }
    }

    fn send_file(&self, stand_in: &[u8]) -> io::Result<usize> {
        let mut queue = self.files.locked();
        let stretch = queue.front(stand_in)?;
        let count = send_file(&self.stream, stretch.file()?, stretch.offset, stand_in.len())?;
        if count == 0 {
            tracing::error!("a download was broken off: the file shrank while it was sent");
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        stretch.offset = stretch.offset.saturating_add(count as u64);
        stretch.stand_in.start = stretch.stand_in.start.saturating_add(count);
        if stretch.stand_in.is_empty() {
            queue.waiting.pop_front();
        }
        Ok(count)
    }

    /// Writes what is no file, and says whether one follows: then the two need not be packets of their own.
    fn poll_send_bytes(
        &self,
        context: &mut Context<'_>,
        bytes: &[u8],
        follows: bool,
    ) -> Poll<io::Result<usize>> {
        SMALL.set(SMALL.get() + u64::from(!follows));
        self.poll_with_room(context, || send_bytes(&self.stream, bytes, follows))
    }

    /// Sends at once, as there nearly always is room, and where there is none, when there is.
    fn poll_with_room(
        &self,
        context: &mut Context<'_>,
        send: impl Fn() -> io::Result<usize>,
    ) -> Poll<io::Result<usize>> {
        let mut result = send();
        while let Err(error) = &result
            && error.kind() == io::ErrorKind::WouldBlock
        {
            ready!(self.stream.poll_write_ready(context))?;
            result = self.stream.try_io(Interest::WRITABLE, &send);
        }
        Poll::Ready(result)
    }
}

impl WaitsForPeer for Sending {
    fn waits_for_peer(&self) -> bool {
        self.reading_in.is_none()
    }
}

impl AsyncWrite for Sending {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        if is_stand_in(bytes) {
            return self.poll_send(context, bytes);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        slices: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let first = slices.iter().position(|slice| is_stand_in(slice));
        let plain = slices.get(..first.unwrap_or(slices.len())).unwrap_or_default();
        let mut nonempty = plain.iter().filter(|slice| !slice.is_empty());
        match (nonempty.next(), first.and_then(|first| slices.get(first))) {
            (None, Some(stand_in)) => self.poll_send(context, stand_in),
            // What is left of it, if there is more than one piece, comes in the next call.
            (Some(head), Some(_)) if nonempty.next().is_none() => self.poll_send_bytes(context, head, true),
            _ => {
                let len: usize = plain.iter().map(|slice| slice.len()).sum();
                if len > JOINED {
                    return Pin::new(&mut self.stream).poll_write_vectored(context, plain);
                }
                let mut joined = SCRATCH.take();
                joined.clear();
                for slice in plain {
                    joined.extend_from_slice(slice);
                }
                let written = self.poll_send_bytes(context, &joined, false);
                SCRATCH.set(joined);
                written
            }
        }
    }

    fn is_write_vectored(&self) -> bool {
        true
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl AsyncRead for Sending {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        self.sent = 0;
        if !self.unread.is_empty() {
            let count = self.unread.len().min(buffer.remaining());
            buffer.put_slice(self.unread.get(..count).unwrap_or_default());
            self.unread.drain(..count);
            return Poll::Ready(Ok(()));
        }
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

#[cfg(target_os = "linux")]
fn send_file(stream: &TcpStream, file: &File, mut offset: u64, len: usize) -> io::Result<usize> {
    Ok(rustix::io::retry_on_intr(|| rustix::fs::sendfile(stream, file, Some(&mut offset), len))?)
}

#[cfg(target_os = "linux")]
fn send_bytes(stream: &TcpStream, bytes: &[u8], follows: bool) -> io::Result<usize> {
    use rustix::net::{SendFlags, send};

    let flags = if follows { SendFlags::MORE | SendFlags::NOSIGNAL } else { SendFlags::NOSIGNAL };
    Ok(rustix::io::retry_on_intr(|| send(stream, bytes, flags))?)
}

#[cfg(not(target_os = "linux"))]
fn send_file(_: &TcpStream, _: &File, _: u64, _: usize) -> io::Result<usize> {
    Err(io::ErrorKind::Unsupported.into())
}

#[cfg(not(target_os = "linux"))]
fn send_bytes(stream: &TcpStream, bytes: &[u8], _: bool) -> io::Result<usize> {
    stream.try_write(bytes)
}

#[cfg(test)]
#[cfg(target_os = "linux")]
mod tests {
    use std::future::poll_fn;

    use futures_util::FutureExt;
    use futures_util::future::BoxFuture;
    use tokio::net::TcpListener;

    use super::*;

    #[derive(Debug)]
    struct Film(File);

    impl ReadAt for Film {
        fn read_at(self: Arc<Self>, _: u64, _: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            Box::pin(std::future::ready(Err(io::ErrorKind::Unsupported.into())))
        }

        fn as_file(&self) -> Option<&File> {
            Some(&self.0)
        }
    }

    /// How much of a file leaves at once, with so many small answers since the last turn. The file is given back: once it is closed, the
    /// next one could get its inode, and with it what is known of its pages.
    async fn sent_at_once(small: u64) -> (usize, Arc<dyn ReadAt>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut sending = Sending::new(listener.accept().await.unwrap().0);
        let mut file = tempfile::tempfile().unwrap();
        // What was just written is in the page cache.
        io::Write::write_all(&mut file, &vec![b'x'; LONGEST]).unwrap();
        let file: Arc<dyn ReadAt> = Arc::new(Film(file));
        let stand_in = sending.files().stand_in(&file, 0, LONGEST).unwrap();
        SMALL.set(SMALL.get() + small);
        let count = poll_fn(|context| Pin::new(&mut sending).poll_write(context, &stand_in)).await.unwrap();
        drop(client);
        (count, file)
    }

    #[tokio::test]
    async fn a_turn_is_short_while_others_get_small_answers() {
        let mut files = Vec::new();
        for (small, is_short) in [(0, false), (1, true), (0, false)] {
            let (count, file) = sent_at_once(small).await;
            assert_eq!(count <= SHORT_TURN, is_short, "{count} bytes after {small} small answers");
            files.push(file);
        }
    }

    /// Otherwise the other clients of the worker would wait for the disk, too.
    #[tokio::test]
    async fn what_is_not_cached_is_read_before_the_kernel_sends_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let mut sending = Sending::new(listener.accept().await.unwrap().0);
        let warm = (0..LONGEST as u64).step_by(256 << 10);
        let file: Arc<dyn ReadAt> = Arc::new(Film(page_cache::tests::cold_file(LONGEST, warm)));
        let mut stand_in = sending.files().stand_in(&file, 0, LONGEST).unwrap();
        // The first page is there. The question for those behind it has the kernel read them, so only the first answer is certain.
        let first = poll_fn(|context| Pin::new(&mut sending).poll_write(context, &stand_in)).await.unwrap();
        assert!(first < 64 << 10, "{first} bytes at once");
        stand_in = stand_in.slice(first..);
        let second = poll_fn(|context| Pin::new(&mut sending).poll_write(context, &stand_in)).now_or_never();
        match second {
            // While the disk is waited for, the client is not.
            None => assert!(!sending.waits_for_peer()),
            Some(count) => stand_in = stand_in.slice(count.unwrap()..),
        }
        let receiver = tokio::spawn(async move {
            let mut received = Vec::new();
            client.read_to_end(&mut received).await.unwrap();
            received
        });
        tokio::io::AsyncWriteExt::write_all(&mut sending, &stand_in).await.unwrap();
        drop(sending);
        assert!(receiver.await.unwrap() == vec![b'x'; LONGEST]);
    }
}
