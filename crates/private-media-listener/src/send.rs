//! Sends a response: short parts from one buffer, slices of files with sendfile(2).

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::task::{Poll, ready};

use bytes::Bytes;

use crate::head::write::Framing;
use crate::min_rate::MinRateStream;
use crate::page_cache::{self, FileKey};
use crate::piece::{FileSlice, Piece, ResponseBody, poll_piece};
use crate::sendfile::{self, MAX_SLICE, Transport};

/// The longest response that is sent from one buffer, in bytes. One send(2) is cheaper than several, even with the copy. For the same
/// reason, shorter slices of files are read instead of sent with sendfile(2).
const JOINED: usize = 16 << 10;
/// The length of one read of a slice that sendfile(2) cannot send, in bytes.
const CHUNK: u64 = 64 << 10;

/// A body that is being sent. However that ends, the body is told what was removed from it and not sent.
struct Outgoing<'a, T: Transport, B: ResponseBody> {
    stream: &'a mut MinRateStream<T>,
    body: B,
    /// The bytes of the stream before the content, with the head of the response.
    before: u64,
    /// The bytes around the chunks.
    overhead: u64,
    /// The bytes that were removed from the body.
    taken: u64,
}

impl<'a, T: Transport, B: ResponseBody> Outgoing<'a, T, B> {
    fn new(stream: &'a mut MinRateStream<T>, body: B, head: &[u8]) -> Self {
        let before = stream.written().saturating_add(head.len() as u64);
        Self { stream, body, before, overhead: 0, taken: 0 }
    }

    /// Appends bytes that are no content.
    fn frame(&mut self, buffer: &mut Vec<u8>, bytes: &[u8]) {
        buffer.extend_from_slice(bytes);
        self.overhead = self.overhead.saturating_add(bytes.len() as u64);
    }
}

impl<T: Transport, B: ResponseBody> Drop for Outgoing<'_, T, B> {
    fn drop(&mut self) {
        let written = self.stream.written().saturating_sub(self.stream.io_mut().unsent());
        let sent = written.saturating_sub(self.before).saturating_sub(self.overhead);
        if sent < self.taken {
            self.body.return_unsent(self.taken - sent);
        }
    }
}

/// Sends the buffer, which contains the head, and the content of a response. Empties the buffer.
pub(crate) async fn send(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    body: impl ResponseBody,
    mut framing: Framing,
) -> io::Result<()> {
    let mut out = Outgoing::new(stream, body, buffer);
    while framing != Framing::Length(0) {
        let piece = match poll_fn(|context| Poll::Ready(poll_piece(&mut out.body, context, MAX_SLICE))).await
        {
            Poll::Ready(piece) => piece,
            Poll::Pending => {
                // The next piece may take a while.
                flush(out.stream, buffer, false).await?;
                poll_fn(|context| poll_piece(&mut out.body, context, MAX_SLICE)).await
            }
        };
        let Some(piece) = piece.transpose().map_err(io::Error::other)? else {
            match framing {
                // The content is shorter than announced. Padding would falsify it, so the connection ends.
                Framing::Length(_) => return Err(ErrorKind::UnexpectedEof.into()),
                Framing::Chunked => out.frame(buffer, b"0\r\n\r\n"),
            }
            break;
        };
        let len = piece.len();
        out.taken = out.taken.saturating_add(len);
        match &mut framing {
            Framing::Length(left) => *left = left.checked_sub(len).ok_or(ErrorKind::InvalidData)?,
            // An empty chunk would end the response.
            Framing::Chunked if len == 0 => continue,
            Framing::Chunked => out.frame(buffer, format!("{len:x}\r\n").as_bytes()),
        }
        match piece {
            Piece::Bytes(bytes) => send_bytes(out.stream, buffer, &bytes).await?,
            Piece::File(slice) => send_file(out.stream, buffer, slice).await?,
        }
        if framing == Framing::Chunked {
            out.frame(buffer, b"\r\n");
        }
    }
    flush(out.stream, buffer, false).await
}

/// Appends bytes to the buffer if they fit, or else sends the buffer and the bytes.
async fn send_bytes(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    bytes: &[u8],
) -> io::Result<()> {
    if buffer.len() + bytes.len() <= JOINED {
        buffer.extend_from_slice(bytes);
        return Ok(());
    }
    flush(stream, buffer, true).await?;
    send_all(stream, bytes, false).await
}

/// Sends a slice of a file: a short one from the buffer, a long one with sendfile(2).
async fn send_file(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    mut slice: FileSlice,
) -> io::Result<()> {
    let key = FileKey::of(&slice.file)?;
    if slice.len < JOINED as u64 || !page_cache::can_tell(&slice.file, key, slice.offset) {
        while !slice.is_empty() {
            let bytes = read(&slice).await?;
            slice.advance(bytes.len());
            send_bytes(stream, buffer, &bytes).await?;
        }
        return Ok(());
    }
    flush(stream, buffer, true).await?;
    poll_fn(|context| {
        while !slice.is_empty() {
            let sent =
                stream.poll_with(context, |stream, context| stream.poll_send_file(context, &mut slice, key));
            ready!(sent)?;
        }
        Poll::Ready(Ok(()))
    })
    .await
}

/// Reads the beginning of a slice: from the page cache, or on the blocking pool.
async fn read(slice: &FileSlice) -> io::Result<Bytes> {
    let len = usize::try_from(slice.len.min(CHUNK)).unwrap_or(0);
    if let Some(bytes) = page_cache::read_cached(&slice.file, slice.offset, len) {
        return Ok(bytes);
    }
    let FileSlice { file, offset, .. } = slice.clone();
    let read = move || page_cache::read(&file, offset, len);
    let bytes = tokio::task::spawn_blocking(read).await.map_err(io::Error::other)??;
    if bytes.is_empty() { Err(sendfile::file_shrank()) } else { Ok(bytes) }
}

/// Sends the buffer, and empties it. `more` says that more bytes of the response follow. Otherwise all bytes so far have left the
/// stream when this returns.
pub(crate) async fn flush(
    stream: &mut MinRateStream<impl Transport>,
    buffer: &mut Vec<u8>,
    more: bool,
) -> io::Result<()> {
    let sent = if buffer.is_empty() { Ok(()) } else { send_all(stream, buffer, more).await };
    buffer.clear();
    sent?;
    if more { Ok(()) } else { poll_fn(|context| stream.io_mut().poll_sent(context)).await }
}

async fn send_all(
    stream: &mut MinRateStream<impl Transport>,
    mut bytes: &[u8],
    more: bool,
) -> io::Result<()> {
    poll_fn(|context| {
        while !bytes.is_empty() {
            let sent = stream.poll_with(context, |stream, context| stream.poll_send(context, bytes, more));
            let sent = ready!(sent)?;
            bytes = bytes.get(sent..).unwrap_or_default();
        }
        Poll::Ready(Ok(()))
    })
    .await
}
