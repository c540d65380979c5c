//! Response bodies. Files are read at the pace of the client.

use std::collections::VecDeque;
use std::fmt;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use http_body::{Body, Frame, SizeHint};

use crate::storage::{ByteStream, ReadAt};

/// The length of one read, in bytes. With the buffers of the connection, it is the memory of a download.
const CHUNK: usize = 32 << 10;

/// The content of a response: bytes in memory and ranges of files, in order.
///
/// Its length is known from the start. If a file shrinks while it is sent, the body ends with an error, which ends the connection. The
/// client receives neither padding nor the next response as content.
pub struct MediaBody {
    pieces: Pieces,
    remaining: u64,
    reading: Reading,
}

#[derive(Debug)]
enum Piece {
    Bytes(Bytes),
    File { file: Arc<dyn ReadAt>, offset: u64, len: u64 },
}

impl MediaBody {
    /// Returns an empty body.
    #[must_use]
    pub fn empty() -> Self {
        Self { pieces: Pieces::NONE, remaining: 0, reading: Reading::Idle }
    }

    /// Appends bytes.
    #[must_use]
    pub fn push_bytes(mut self, bytes: impl Into<Bytes>) -> Self {
        let bytes = bytes.into();
        self.remaining = self.remaining.saturating_add(bytes.len() as u64);
        self.pieces.push_back(Piece::Bytes(bytes));
        self
    }

    /// Appends `len` bytes of a file, from `offset` on.
    #[must_use]
    pub fn push_file(mut self, file: &Arc<dyn ReadAt>, offset: u64, len: u64) -> Self {
        if let Some(bytes) = in_memory(file, offset, len) {
            return self.push_bytes(bytes);
        }
        let local = file.local_range(offset, len);
        if let Some(bytes) = local.as_ref().and_then(|local| in_memory(local, offset, len)) {
            return self.push_bytes(bytes);
        }
        self.remaining = self.remaining.saturating_add(len);
        let file = local.unwrap_or_else(|| Arc::clone(file));
        self.pieces.push_back(Piece::File { file, offset, len });
        self
    }

    /// Returns the number of bytes that have not been read yet.
    #[must_use]
    pub fn remaining(&self) -> u64 {
        self.remaining
    }

    /// Reads the first bytes of the first file ahead, if it is a stream, so that its failure shows before the response begins.
    pub(crate) async fn prefetch(&mut self) -> io::Result<()> {
        let Some(Piece::File { file, offset, len: len @ 1.. }) = self.pieces.first_file() else {
            return Ok(());
        };
        let Some(mut stream) = Arc::clone(file).read_range(*offset, *len) else { return Ok(()) };
        let first = stream.next().await.transpose()?.unwrap_or_default();
        if first.is_empty() {
            return Err(shrank(*len));
        }
        self.reading = Reading::Stream { stream, ahead: first };
        Ok(())
    }

    /// Takes bytes in memory, if the body continues with some.
    #[cfg(feature = "listener")]
    pub(crate) fn take_bytes(&mut self) -> Option<Bytes> {
        let Some(Piece::Bytes(bytes)) = self.pieces.front_mut() else { return None };
        let bytes = std::mem::take(bytes);
        self.pieces.pop_front();
        self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
        Some(bytes)
    }

    fn poll_bytes(&mut self, context: &mut Context<'_>) -> Poll<io::Result<Option<Bytes>>> {
        loop {
            match self.pieces.front_mut() {
                None => return Poll::Ready(Ok(None)),
                Some(Piece::File { len: 0, .. }) => {
                    self.pieces.pop_front();
                }
                Some(Piece::Bytes(bytes)) => {
                    let bytes = std::mem::take(bytes);
                    self.pieces.pop_front();
                    if !bytes.is_empty() {
                        return Poll::Ready(Ok(Some(bytes)));
                    }
                }
                Some(Piece::File { file, offset, len }) => {
                    let mut bytes = ready!(self.reading.poll(file, *offset, *len, context))?;
                    bytes.truncate(usize::try_from(*len).unwrap_or(usize::MAX));
                    if bytes.is_empty() {
                        return Poll::Ready(Err(shrank(*len)));
                    }
                    *offset = offset.saturating_add(bytes.len() as u64);
                    *len = len.saturating_sub(bytes.len() as u64);
                    if *len == 0 {
                        self.reading = Reading::Idle;
                    }
                    return Poll::Ready(Ok(Some(bytes)));
                }
            }
        }
    }
}

fn shrank(missing: u64) -> io::Error {
    let problem = format!("the file shrank while it was sent: {missing} bytes are missing");
    io::Error::new(io::ErrorKind::UnexpectedEof, problem)
}

/// The state of reading the current file.
enum Reading {
    /// Nothing was read yet.
    Idle,
    /// The file is read in pieces.
    Pieces(Option<BoxFuture<'static, io::Result<Bytes>>>),
    /// One stream has the whole range. Its first bytes may have been read ahead.
    Stream { stream: ByteStream, ahead: Bytes },
}

impl Reading {
    /// Returns whether all bytes that were read have been sent.
    fn is_between_pieces(&self) -> bool {
        matches!(self, Self::Idle | Self::Pieces(None))
    }

    /// Returns the next bytes of a range. They are empty at the end of the file.
    fn poll(
        &mut self,
        file: &Arc<dyn ReadAt>,
        offset: u64,
        len: u64,
        context: &mut Context<'_>,
    ) -> Poll<io::Result<Bytes>> {
        if let Self::Idle = self {
            *self = match Arc::clone(file).read_range(offset, len) {
                Some(stream) => Self::Stream { stream, ahead: Bytes::new() },
                None => Self::Pieces(None),
            };
        }
        match self {
            Self::Stream { ahead, .. } if !ahead.is_empty() => Poll::Ready(Ok(std::mem::take(ahead))),
            Self::Stream { stream, .. } => {
                stream.poll_next_unpin(context).map(|next| next.unwrap_or_else(|| Ok(Bytes::new())))
            }
            Self::Idle => Poll::Ready(Ok(Bytes::new())),
            Self::Pieces(piece) => {
                let want = usize::try_from(len).map_or(CHUNK, |len| len.min(CHUNK));
                let reading = piece.get_or_insert_with(|| Arc::clone(file).read_at(offset, want));
                let bytes = ready!(reading.as_mut().poll(context));
                *piece = None;
                Poll::Ready(bytes.map(|mut bytes| {
                    bytes.truncate(want);
                    bytes
                }))
            }
        }
    }
}

/// The ranges of files in a [`MediaBody`], for servers that let the kernel send them.
///
/// ```
/// use std::sync::Arc;
///
/// use private_media::MediaBody;
/// use private_media::raw::FileRanges as _;
/// # #[derive(Debug)]
/// # struct Film;
/// # impl private_media::storage::ReadAt for Film {
/// #     fn read_at(
/// #         self: Arc<Self>,
/// #         _: u64,
/// #         _: usize,
/// #     ) -> futures_core::future::BoxFuture<'static, std::io::Result<bytes::Bytes>> {
/// #         Box::pin(std::future::ready(Ok(bytes::Bytes::new())))
/// #     }
/// # }
/// let film: Arc<dyn private_media::storage::ReadAt> = Arc::new(Film);
/// let mut body = MediaBody::empty().push_file(&film, 100, 50);
/// assert!(matches!(body.as_file_range(), Some((_, 100, 50))));
/// body = body.push_bytes("the end");
/// assert!(body.as_file_range().is_none());
/// body.advance(20);
/// assert!(matches!(body.next_file_range(), Some((_, 120, 30))));
/// body.advance(30);
/// assert!(body.next_file_range().is_none());
/// assert_eq!(body.remaining(), 7);
/// ```
pub trait FileRanges {
    /// Returns the file, offset and length of the rest of the body, if it is a single range.
    fn as_file_range(&self) -> Option<(&Arc<dyn ReadAt>, u64, u64)>;

    /// Returns the file, offset and length of the next range; `None` if the next piece is bytes, or the end.
    fn next_file_range(&self) -> Option<(&Arc<dyn ReadAt>, u64, u64)>;

    /// Removes the first `count` bytes of the next range, which were sent.
    fn advance(&mut self, count: u64);
}

impl FileRanges for MediaBody {
    fn as_file_range(&self) -> Option<(&Arc<dyn ReadAt>, u64, u64)> {
        self.next_file_range().filter(|_| self.pieces.len() == 1)
    }

    fn next_file_range(&self) -> Option<(&Arc<dyn ReadAt>, u64, u64)> {
        match self.pieces.front() {
            Some(Piece::File { file, offset, len }) if self.reading.is_between_pieces() => {
                Some((file, *offset, *len))
            }
            _ => None,
        }
    }

    fn advance(&mut self, count: u64) {
        if let Some(Piece::File { offset, len, .. }) = self.pieces.front_mut()
            && self.reading.is_between_pieces()
        {
            let count = count.min(*len);
            *offset = offset.saturating_add(count);
            *len = len.saturating_sub(count);
            self.remaining = self.remaining.saturating_sub(count);
            if *len == 0 {
                self.pieces.pop_front();
            }
        }
    }
}

impl From<Bytes> for MediaBody {
    fn from(bytes: Bytes) -> Self {
        Self::empty().push_bytes(bytes)
    }
}

/// Pieces in order. Most bodies have at most one, which needs no list.
#[derive(Debug)]
enum Pieces {
    One(Option<Piece>),
    Many(VecDeque<Piece>),
}

impl Pieces {
    const NONE: Self = Self::One(None);

    fn front(&self) -> Option<&Piece> {
        match self {
            Self::One(piece) => piece.as_ref(),
            Self::Many(pieces) => pieces.front(),
        }
    }

    fn first_file(&self) -> Option<&Piece> {
        match self {
            Self::One(piece) => piece.as_ref(),
            Self::Many(pieces) => pieces.iter().find(|piece| matches!(piece, Piece::File { .. })),
        }
    }

    fn front_mut(&mut self) -> Option<&mut Piece> {
        match self {
            Self::One(piece) => piece.as_mut(),
            Self::Many(pieces) => pieces.front_mut(),
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::One(piece) => usize::from(piece.is_some()),
            Self::Many(pieces) => pieces.len(),
        }
    }

    fn pop_front(&mut self) -> Option<Piece> {
        match self {
            Self::One(piece) => piece.take(),
            Self::Many(pieces) => pieces.pop_front(),
        }
    }

    fn push_back(&mut self, piece: Piece) {
        match self {
            Self::One(one @ None) => *one = Some(piece),
            Self::One(Some(_)) => *self = Self::Many(self.pop_front().into_iter().chain([piece]).collect()),
            Self::Many(pieces) => pieces.push_back(piece),
        }
    }
}

/// Returns a range of a file whose bytes are in memory.
fn in_memory(file: &Arc<dyn ReadAt>, offset: u64, len: u64) -> Option<Bytes> {
    let bytes = file.as_bytes()?;
    let start = usize::try_from(offset).ok()?;
    let end = start.checked_add(usize::try_from(len).ok()?)?;
    (end <= bytes.len()).then(|| bytes.slice(start..end))
}

impl Body for MediaBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        Poll::Ready(match ready!(self.poll_bytes(context)) {
            Ok(Some(bytes)) => {
                self.remaining = self.remaining.saturating_sub(bytes.len() as u64);
                Some(Ok(Frame::data(bytes)))
            }
            Ok(None) => None,
            Err(error) => {
                // The body has ended, even if it is polled again.
                self.pieces = Pieces::NONE;
                self.reading = Reading::Idle;
                tracing::error!(%error, "download aborted");
                Some(Err(error))
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.remaining == 0 || self.pieces.front().is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.remaining)
    }
}

impl fmt::Debug for MediaBody {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MediaBody")
            .field("pieces", &self.pieces)
            .field("remaining", &self.remaining)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::stream;
    use http_body_util::BodyExt;
    use proptest::prelude::*;

    use super::*;

    /// A file that returns at most `step` bytes at a time.
    #[derive(Debug)]
    struct SlowFile {
        bytes: Bytes,
        step: usize,
    }

    impl ReadAt for SlowFile {
        fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            Box::pin(async move {
                tokio::task::yield_now().await;
                let start = usize::try_from(offset).unwrap().min(self.bytes.len());
                let end = (start + len.min(self.step)).min(self.bytes.len());
                Ok(self.bytes.slice(start..end))
            })
        }
    }

    fn slow_file(len: usize, step: usize) -> (Bytes, Arc<dyn ReadAt>) {
        let bytes: Bytes = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
        (bytes.clone(), Arc::new(SlowFile { bytes, step }))
    }

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn the_body_contains_exactly_the_announced_bytes(
            len in 0_usize..100_000,
            step in 1_usize..70_000,
            parts in prop::collection::vec((0_usize..100_000, 0_usize..100_000), 0..4),
        ) {
            let (bytes, file) = slow_file(len, step);
            let mut body = MediaBody::empty();
            let mut expected = Vec::new();
            for (a, b) in parts {
                let (start, end) = (a.min(b).min(len), a.max(b).min(len));
                body = body.push_bytes("--").push_file(&file, start as u64, (end - start) as u64);
                expected.extend_from_slice(b"--");
                expected.extend_from_slice(&bytes[start..end]);
            }
            prop_assert_eq!(body.size_hint().exact(), Some(expected.len() as u64));
            let collected = run(body.collect()).unwrap().to_bytes();
            prop_assert!(collected == expected);
        }
    }

    /// A file that is read by ranges only, and counts them.
    #[derive(Debug)]
    struct Remote {
        bytes: Bytes,
        step: usize,
        ranges: Arc<AtomicUsize>,
        end: Option<io::ErrorKind>,
    }

    impl ReadAt for Remote {
        fn read_at(self: Arc<Self>, _: u64, _: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            unreachable!("a stream is not read in pieces")
        }

        fn read_range(self: Arc<Self>, offset: u64, len: u64) -> Option<ByteStream> {
            self.ranges.fetch_add(1, Ordering::Relaxed);
            let start = usize::try_from(offset).unwrap().min(self.bytes.len());
            let end = (start + usize::try_from(len).unwrap()).min(self.bytes.len());
            let range = self.bytes.slice(start..end);
            let pieces: Vec<_> =
                range.chunks(self.step).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
            Some(Box::pin(stream::iter(pieces.into_iter().chain(self.end.map(|end| Err(end.into()))))))
        }
    }

    fn remote(len: usize, end: Option<io::ErrorKind>) -> (Bytes, Arc<dyn ReadAt>, Arc<AtomicUsize>) {
        let (bytes, _) = slow_file(len, 1);
        let ranges = Arc::<AtomicUsize>::default();
        let file = Remote { bytes: bytes.clone(), step: 700, ranges: Arc::clone(&ranges), end };
        (bytes, Arc::new(file), ranges)
    }

    #[test]
    fn a_range_of_a_stream_is_one_request() {
        for is_prefetched in [false, true] {
            let (bytes, file, ranges) = remote(10_000, None);
            let mut body = MediaBody::empty().push_bytes("--").push_file(&file, 5, 9000).push_bytes("--");
            body = body.push_file(&file, 9990, 10);
            if is_prefetched {
                run(body.prefetch()).unwrap();
            }
            assert!(body.next_file_range().is_none());
            let expected = [b"--", &bytes[5..9005], b"--", &bytes[9990..]].concat();
            assert!(run(body.collect()).unwrap().to_bytes() == expected);
            assert_eq!(ranges.load(Ordering::Relaxed), 2);
        }
    }

    /// A file whose first bytes are on the local disk.
    #[derive(Debug)]
    struct PartlyLocal {
        remote: Arc<dyn ReadAt>,
        local: Arc<dyn ReadAt>,
        local_len: u64,
    }

    impl ReadAt for PartlyLocal {
        fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
            Arc::clone(&self.remote).read_at(offset, len)
        }

        fn read_range(self: Arc<Self>, offset: u64, len: u64) -> Option<ByteStream> {
            Arc::clone(&self.remote).read_range(offset, len)
        }

        fn local_range(&self, offset: u64, len: u64) -> Option<Arc<dyn ReadAt>> {
            (offset + len <= self.local_len).then(|| Arc::clone(&self.local))
        }
    }

    #[test]
    fn ranges_on_the_local_disk_are_read_there() {
        let (bytes, remote, ranges) = remote(10_000, None);
        let (_, local) = slow_file(5000, 100);
        let file: Arc<dyn ReadAt> = Arc::new(PartlyLocal { remote, local, local_len: 5000 });
        for (parts, requests) in [
            (vec![(0, 5000)], 0),
            (vec![(0, 5001)], 1),
            (vec![(10, 20), (4990, 20)], 1),
            (vec![(4990, 20), (10, 20)], 1),
            (vec![(6000, 10), (7000, 10), (1, 1)], 2),
        ] {
            let before = ranges.load(Ordering::Relaxed);
            let mut body = MediaBody::empty();
            let mut expected = Vec::new();
            for (offset, len) in &parts {
                body = body.push_bytes("--").push_file(&file, *offset, *len);
                let start = usize::try_from(*offset).unwrap();
                expected.extend_from_slice(b"--");
                expected.extend_from_slice(&bytes[start..start + usize::try_from(*len).unwrap()]);
            }
            run(body.prefetch()).unwrap();
            assert!(run(body.collect()).unwrap().to_bytes() == expected, "{parts:?}");
            assert_eq!(ranges.load(Ordering::Relaxed) - before, requests, "{parts:?}");
        }
    }

    #[test]
    fn prefetching_shows_a_failure_before_the_response_begins() {
        let (_, broken, _) = remote(0, Some(io::ErrorKind::TimedOut));
        let error =
            run(MediaBody::empty().push_bytes("--").push_file(&broken, 0, 10).prefetch()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
        let (_, short, _) = remote(0, None);
        let error = run(MediaBody::empty().push_file(&short, 0, 10).prefetch()).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        // Files in pieces, and bodies without a file, have nothing to read ahead.
        let (_, local) = slow_file(10, 10);
        run(MediaBody::empty().push_file(&local, 0, 10).prefetch()).unwrap();
        run(MediaBody::empty().push_file(&broken, 0, 0).prefetch()).unwrap();
        run(MediaBody::empty().prefetch()).unwrap();
    }

    #[test]
    fn a_stream_that_breaks_ends_the_body_with_an_error() {
        let (bytes, file, _) = remote(5000, Some(io::ErrorKind::ConnectionReset));
        let mut body = MediaBody::empty().push_file(&file, 0, 5001);
        run(body.prefetch()).unwrap();
        let mut received = Vec::new();
        let error = run(async {
            loop {
                match body.frame().await.unwrap() {
                    Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
                    Err(error) => return error,
                }
            }
        });
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert_eq!(received, bytes);
        assert!(run(body.frame()).is_none());
    }

    #[test]
    fn a_file_that_shrank_is_an_error_without_padding() {
        let (bytes, file) = slow_file(1000, 300);
        let mut body = MediaBody::empty().push_file(&file, 0, 1001).push_bytes("the next");
        let (received, error) = run(async {
            let mut received = Vec::new();
            loop {
                match body.frame().await.unwrap() {
                    Ok(frame) => received.extend_from_slice(&frame.into_data().unwrap()),
                    Err(error) => return (received, error),
                }
            }
        });
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(received, bytes);
        assert!(run(body.frame()).is_none());
    }
}
