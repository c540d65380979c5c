//! One request for each block, however many readers wait for it.

use std::io;
use std::ops::Range;
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_util::TryStreamExt as _;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, watch};

use super::BlockCache;
use super::blocks::BlockState;
use super::entry::{Entry, OpenEntry};
use super::flight::{Flight, Landed};
use super::sync::{blocking, lock};
use crate::read::ObjectFile;

/// How to get a block.
#[derive(Debug)]
pub(crate) enum Way {
    /// It is in the file.
    Stored,
    /// Another reader has begun the flight.
    Join(Flight),
    Begin(Flight),
    /// The cache has no capacity for another flight: the reader makes a request of its own.
    Direct,
}

impl BlockCache {
    /// Returns the way to get a block, and begins to fetch it if it is missing. The task goes on if the reader leaves.
    pub(crate) fn way_to(&self, open: &OpenEntry, object: &Arc<ObjectFile>, block: u64) -> Way {
        let mut flights = lock(&open.entry.flights);
        // Under this lock: a block is usable before its flight ends.
        let state = open.entry.state_of(block);
        if state == BlockState::Usable {
            return Way::Stored;
        }
        if let Some(flight) = flights.get(&block) {
            return Way::Join(flight.clone());
        }
        let (Ok(permit), Ok(runtime)) =
            (Arc::clone(&self.inner.flights).try_acquire_owned(), Handle::try_current())
        else {
            return Way::Direct;
        };
        let (landed, flight) = watch::channel(None);
        flights.insert(block, flight.clone());
        // A runtime that shuts down drops the task here, which locks the flights.
        drop(flights);
        let task = Task { entry: Arc::clone(&open.entry), block, _permit: permit };
        let (cache, open, object) = (self.clone(), open.clone(), Arc::clone(object));
        runtime.spawn(async move {
            let result = cache.fly(&open, &object, block, state).await;
            landed.send_replace(Some(result));
            drop(task);
        });
        Way::Begin(flight)
    }

    async fn fly(&self, open: &OpenEntry, object: &ObjectFile, block: u64, state: BlockState) -> Landed {
        if let BlockState::Unverified(checksum) = state {
            let (cache, open) = (self.clone(), open.clone());
            if blocking(move || cache.verify(&open, block, &checksum)).await.unwrap_or(false) {
                self.inner.counters.hit(1);
                return Landed::Stored;
            }
        }
        let bytes = match self.fetch(object, open.entry.layout.range(block)).await {
            Ok(bytes) => bytes,
            Err(error) => return Landed::Failed(Arc::new(error)),
        };
        let (cache, open, copy) = (self.clone(), open.clone(), bytes.clone());
        match blocking(move || cache.store(&open, block, &copy)).await {
            Some(true) => Landed::Stored,
            _ => Landed::Unstored(bytes),
        }
    }

    async fn fetch(&self, object: &ObjectFile, range: Range<u64>) -> io::Result<Bytes> {
        self.inner.counters.miss(1);
        let len = range.end.saturating_sub(range.start);
        let mut pieces = object.get(range).await?;
        let mut bytes = BytesMut::with_capacity(usize::try_from(len).map_err(io::Error::other)?);
        while let Some(piece) = pieces.try_next().await? {
            self.inner.counters.received(piece.len() as u64);
            bytes.extend_from_slice(&piece);
        }
        Ok(bytes.freeze())
    }
}

/// A running flight. It ends with this, also if its task is dropped.
struct Task {
    entry: Arc<Entry>,
    block: u64,
    _permit: OwnedSemaphorePermit,
}

impl Drop for Task {
    fn drop(&mut self) {
        lock(&self.entry.flights).remove(&self.block);
    }
}
