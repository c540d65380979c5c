//! Reads an object through the cache.

use std::collections::BTreeMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Weak};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use private_media::storage::{ByteStream, ReadAt, SignedHeaders};

use super::BlockCache;
use super::entry::{OpenEntry, read_file};
use super::fetch::Way;
use super::flight::{Flight, Landed, shared_error};
use super::layout::{BLOCK_LEN, EntryId, Layout, blocks_of};
use super::small::Small;
use crate::metadata_cache::MetadataCache;
use crate::read::ObjectFile;

/// The length of a piece of a stream, in bytes.
const PIECE: u64 = 128 << 10;
/// How many blocks are fetched ahead of a reader that moves in sequence.
const READ_AHEAD: u64 = 2;
/// How often a reader waits for a task that ends without a result, before it makes a request of its own.
const MAX_LOST_FLIGHTS: u32 = 3;

/// One version of an object, read through a cache. It holds no open file.
#[derive(Debug)]
pub(crate) struct CachedFile {
    pub(crate) cache: BlockCache,
    pub(crate) id: EntryId,
    pub(crate) object: Arc<ObjectFile>,
    pub(crate) small: Small,
    /// Forgets the object if it turns out to be replaced.
    pub(crate) metadata: Weak<MetadataCache>,
}

impl CachedFile {
    fn range(&self, offset: u64, len: u64) -> Range<u64> {
        offset..offset.saturating_add(len).min(self.object.len)
    }

    /// Requests bytes without the cache.
    async fn request(&self, range: Range<u64>) -> io::Result<Source> {
        let blocks = blocks_of(&range);
        self.cache.inner.counters.miss(blocks.end.saturating_sub(blocks.start));
        self.object.get(range).await.map(Source::Bucket)
    }

    fn reader(self: Arc<Self>, Range { start, end }: Range<u64>) -> Reader {
        Reader {
            file: self,
            position: start,
            end,
            open: None,
            is_started: false,
            source: Source::None,
            ahead: BTreeMap::new(),
            has_read_a_block: false,
        }
    }
}

impl ReadAt for CachedFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        Box::pin(async move {
            let range = self.range(offset, u64::try_from(len).unwrap_or(u64::MAX).min(PIECE));
            Ok(self.reader(range).next().await?.unwrap_or_default())
        })
    }

    fn read_range(self: Arc<Self>, offset: u64, len: u64) -> Option<ByteStream> {
        let range = self.range(offset, len);
        let pieces = stream::try_unfold(self.reader(range), |mut reader| async move {
            Ok(reader.next().await?.map(|piece| (piece, reader)))
        });
        Some(pieces.boxed())
    }

    fn signed_url(&self, headers: &SignedHeaders<'_>) -> Option<String> {
        self.object.signed_url(headers)
    }

    fn local_range(&self, offset: u64, len: u64) -> Option<Arc<dyn ReadAt>> {
        let range = self.range(offset, len);
        if range.is_empty() {
            return None;
        }
        if let Some(small) = self.small.get() {
            self.cache.inner.counters.hit(1);
            return Some(small);
        }
        let open = self.cache.whole_range(&self.id, &range)?;
        if let Some(small) = self.small.read(&self.cache.inner.small, &open.data, self.object.len) {
            return Some(small);
        }
        Some(Arc::new(LocalBlocks { file: open.data, len: self.object.len }))
    }
}

/// An object of which a range is in a local file.
#[derive(Debug)]
struct LocalBlocks {
    file: Arc<File>,
    len: u64,
}

impl ReadAt for LocalBlocks {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        Box::pin(async move {
            let len = u64::try_from(len).unwrap_or(PIECE).min(PIECE).min(self.len.saturating_sub(offset));
            read_file(&self.file, offset, usize::try_from(len).map_err(io::Error::other)?).await
        })
    }

    fn as_file(&self) -> Option<&Arc<File>> {
        Some(&self.file)
    }
}

/// Reads a range in pieces. Its memory is that of a piece, unless blocks cannot be stored: then it is that of the blocks ahead.
struct Reader {
    file: Arc<CachedFile>,
    position: u64,
    end: u64,
    /// `None` if the object is not cached.
    open: Option<OpenEntry>,
    is_started: bool,
    source: Source,
    /// The blocks that are fetched ahead.
    ahead: BTreeMap<u64, Flight>,
    has_read_a_block: bool,
}

/// Where the next bytes are.
enum Source {
    None,
    /// In the file, up to this position.
    Stored(u64),
    Memory(Bytes),
    Bucket(ByteStream),
}

impl Reader {
    /// Returns the next piece; `None` at the end.
    async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let piece = self.next_piece().await;
        match &piece {
            Ok(Some(piece)) => self.position = self.position.saturating_add(piece.len() as u64),
            Err(error) if error.kind() == io::ErrorKind::StaleNetworkFileHandle => {
                if let Some(metadata) = self.file.metadata.upgrade() {
                    metadata.forget(&self.file.object.key);
                }
            }
            _ => {}
        }
        piece
    }

    async fn next_piece(&mut self) -> io::Result<Option<Bytes>> {
        while self.position < self.end {
            match &mut self.source {
                Source::Bucket(stream) => match stream.try_next().await? {
                    Some(piece) => {
                        self.file.cache.inner.counters.received(piece.len() as u64);
                        return Ok(Some(piece));
                    }
                    None => self.source = Source::None,
                },
                Source::Memory(bytes) if bytes.is_empty() => self.source = Source::None,
                Source::Memory(bytes) => {
                    let len = usize::try_from(PIECE).unwrap_or(usize::MAX).min(bytes.len());
                    return Ok(Some(bytes.split_to(len)));
                }
                Source::Stored(until) if *until <= self.position => self.source = Source::None,
                Source::Stored(until) => {
                    let len = PIECE.min(until.saturating_sub(self.position));
                    if let Some(piece) = self.read_stored(len).await {
                        return Ok(Some(piece));
                    }
                }
                Source::None => self.source = self.locate().await?,
            }
        }
        Ok(None)
    }

    /// Reads from the file. On an error, the cache is not used for the rest of the range.
    async fn read_stored(&mut self, len: u64) -> Option<Bytes> {
        self.source = match &self.open {
            Some(open) => {
                match read_file(&open.data, self.position, usize::try_from(len).ok()?).await {
                    Ok(piece) if !piece.is_empty() => return Some(piece),
                    // The file is too short.
                    Ok(_) => self.file.cache.discard(&open.entry),
                    Err(error) => {
                        self.file.cache.inner.faults.report("reading", &error);
                        self.file.cache.remove(&open.entry);
                    }
                }
                Source::None
            }
            None => Source::None,
        };
        self.open = None;
        None
    }

    /// Finds the block at the position, or gets it from the bucket.
    async fn locate(&mut self) -> io::Result<Source> {
        if !self.is_started {
            self.is_started = true;
            let layout = Layout { len: self.file.object.len };
            self.open = self.file.cache.entry(self.file.id, layout).await;
        }
        let Some(open) = self.open.clone() else { return self.file.request(self.position..self.end).await };
        let block = self.position / BLOCK_LEN;
        let until = open.entry.layout.range(block).end.min(self.end);
        let is_sequential = std::mem::replace(&mut self.has_read_a_block, true);
        let mut ahead = self.ahead.remove(&block);
        for _ in 0..MAX_LOST_FLIGHTS {
            let is_ahead = ahead.is_some();
            let way = match ahead.take() {
                Some(flight) => Way::Join(flight),
                None => self.file.cache.way_to(&open, &self.file.object, block),
            };
            if is_sequential {
                self.read_ahead(&open, block);
            }
            let counters = &self.file.cache.inner.counters;
            let mut flight = match way {
                Way::Stored => {
                    counters.hit(1);
                    return Ok(Source::Stored(until));
                }
                Way::Direct => return self.file.request(self.position..until).await,
                Way::Join(flight) => {
                    counters.hit(u64::from(!is_ahead));
                    flight
                }
                Way::Begin(flight) => flight,
            };
            let landed = flight.wait_for(Option::is_some).await.ok().and_then(|landed| landed.clone());
            match landed {
                Some(Landed::Stored) => return Ok(Source::Stored(until)),
                Some(Landed::Unstored(bytes)) => {
                    let from = self.position.saturating_sub(open.entry.layout.range(block).start);
                    let to = from.saturating_add(until.saturating_sub(self.position));
                    let cut = |at| usize::try_from(at).unwrap_or(usize::MAX).min(bytes.len());
                    return Ok(Source::Memory(bytes.slice(cut(from)..cut(to))));
                }
                Some(Landed::Failed(error)) if !is_ahead => return Err(shared_error(&error)),
                // The block was not urgent, or the task has ended with its runtime.
                Some(Landed::Failed(_)) | None => {}
            }
        }
        self.file.request(self.position..until).await
    }

    /// Begins to fetch the next blocks of the range.
    fn read_ahead(&mut self, open: &OpenEntry, block: u64) {
        let cache = &self.file.cache;
        if cache.inner.faults.is_paused() {
            return;
        }
        let last = blocks_of(&(self.position..self.end)).end;
        for next in (block.saturating_add(1)..last).take(usize::try_from(READ_AHEAD).unwrap_or(0)) {
            if self.ahead.contains_key(&next) {
                continue;
            }
            if let Way::Join(flight) | Way::Begin(flight) = cache.way_to(open, &self.file.object, next) {
                self.ahead.insert(next, flight);
            }
        }
    }
}
