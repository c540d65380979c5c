//! A cache of blocks on the local disk.

mod blocks;
mod entry;
mod faults;
mod fetch;
mod flight;
mod folder;
mod index;
mod layout;
mod options;
mod reader;
mod small;
mod sync;

use std::io;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock};

use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::{Duration, Instant};

use self::entry::{Entry, OpenEntry};
use self::faults::Faults;
use self::folder::{FileName, Folder, mark_used};
use self::index::{Index, Removed};
use self::layout::{Checksum, Layout, blocks_of};
use self::options::Counters;
use self::small::SmallFiles;
use self::sync::blocking;

pub(crate) use self::layout::EntryId;
pub use self::options::{CacheOptions, CacheStats};
pub(crate) use self::reader::CachedFile;
pub(crate) use self::small::Small;
pub(crate) use self::sync::lock;

/// The most blocks that are fetched or verified at the same time. Each needs the memory of a block.
const MAX_FLIGHTS: usize = 64;
/// How long to wait before the folder is locked again, if another process has it.
const LOCK_AGAIN: Duration = Duration::from_secs(1);

/// A cache of the content of objects, in a folder on the local disk. Clones share it, and storages may do so too.
///
/// Objects are cached in blocks of 1 MiB. What is cached leaves by sendfile(2). The least recently used files are removed to make room. The
/// cache survives a restart and a kill: a checksum verifies each block of an earlier process before its first use.
///
/// One process uses a folder at a time. If another process has locked it, this cache is inactive, and becomes active after that process has
/// ended. Errors of the disk fail no request: the content comes from the bucket.
///
/// ```
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use private_media_buckets::{BlockCache, CacheOptions, ObjectStorage};
///
/// # let place = tempfile::tempdir()?;
/// # let path = place.path().join("cache");
/// let cache = BlockCache::open(path, CacheOptions::new(10 << 30))?;
/// let store = Arc::new(object_store::memory::InMemory::new());
/// let storage = ObjectStorage::new(store).cached(cache, Duration::from_secs(10));
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Debug, Clone)]
pub struct BlockCache {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    path: PathBuf,
    /// Absent while another process has it.
    folder: OnceLock<Folder>,
    lock_again: Mutex<Instant>,
    index: Mutex<Index>,
    flights: Arc<Semaphore>,
    counters: Counters,
    faults: Faults,
    small: SmallFiles,
    size: u64,
}

impl BlockCache {
    /// Opens the cache of a folder, which is created with mode 0700 if it is missing. Its entries of earlier processes are used again.
    ///
    /// A folder that belongs to another user, or that others may write to, is an error. A folder that another process has locked is none; see
    /// [`is_active`](Self::is_active). This reads the folder, so it may wait for the disk.
    pub fn open(path: impl Into<PathBuf>, options: CacheOptions) -> io::Result<Self> {
        let inner = Inner {
            path: path.into(),
            folder: OnceLock::new(),
            lock_again: Mutex::new(Instant::now() + LOCK_AGAIN),
            index: Mutex::new(Index::new(options.size, options.max_open_files)),
            flights: Arc::new(Semaphore::new(MAX_FLIGHTS)),
            counters: Counters::default(),
            faults: Faults::default(),
            small: SmallFiles::default(),
            size: options.size,
        };
        let cache = Self { inner: Arc::new(inner) };
        if !cache.activate()? {
            tracing::warn!(
                "{}: another process uses the block cache; files come from the bucket until it ends",
                cache.inner.path.display()
            );
        }
        Ok(cache)
    }

    /// Returns whether this process uses the folder, and no other does.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.inner.folder.get().is_some()
    }

    /// Returns what was counted since the cache was opened.
    #[must_use]
    pub fn stats(&self) -> CacheStats {
        let size = lock(&self.inner.index).occupied();
        self.inner.counters.stats(self.inner.faults.count(), size)
    }

    /// Returns the folder.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.inner.path
    }

    /// Locks the folder and reads its entries. Returns whether this process has the lock.
    fn activate(&self) -> io::Result<bool> {
        let folder = match Folder::open(&self.inner.path) {
            Ok(folder) => folder,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
            Err(error) => return Err(error),
        };
        let mut surplus = Removed::default();
        for found in folder.scan()? {
            let entry = Arc::new(Entry::new(found.name, found.layout));
            match lock(&self.inner.index).insert(&entry, found.cost) {
                Some(removed) => surplus.entries.extend(removed.entries),
                // It is larger than the whole cache.
                None => surplus.entries.push(entry),
            }
        }
        // Only one thread has the lock of the folder.
        let is_set = self.inner.folder.set(folder).is_ok();
        self.evict(&surplus);
        Ok(is_set)
    }

    /// Tries to take over the folder of another process, at most once a second.
    pub(crate) async fn take_over(&self) {
        if self.is_active() {
            return;
        }
        let now = Instant::now();
        {
            let mut again = lock(&self.inner.lock_again);
            if now < *again {
                return;
            }
            *again = now + LOCK_AGAIN;
        }
        let cache = self.clone();
        match blocking(move || cache.activate()).await {
            Some(Ok(true)) => tracing::info!("{}: the block cache is in use", self.inner.path.display()),
            Some(Ok(false)) | None => {}
            Some(Err(error)) => self.inner.faults.report("opening its folder", &error),
        }
    }

    /// Returns whether nothing has to be opened before a file can be sent.
    pub(crate) fn is_prepared(&self, id: &EntryId) -> bool {
        let entry = lock(&self.inner.index).get(id);
        entry.is_none_or(|entry| entry.handles() > 0)
    }

    /// Opens the files of an entry, if there is one.
    pub(crate) async fn prepare(&self, id: EntryId, len: u64) {
        if !self.is_prepared(&id) {
            let cache = self.clone();
            drop(blocking(move || cache.open_entry(id, Layout { len }, false)).await);
        }
    }

    /// Returns the open entry of an object, which is created if it is missing. `None` if the object cannot be cached.
    async fn entry(&self, id: EntryId, layout: Layout) -> Option<OpenEntry> {
        let open = lock(&self.inner.index).get(&id).and_then(|entry| entry.open_now());
        if let Some(open) = open {
            self.mark(&open);
            return Some(open);
        }
        if !self.is_active() {
            return None;
        }
        let cache = self.clone();
        blocking(move || cache.open_entry(id, layout, true)).await.flatten()
    }

    /// Returns the file of an entry, if it has all blocks of a range that is not empty. This does not wait for the disk.
    fn whole_range(&self, id: &EntryId, range: &Range<u64>) -> Option<OpenEntry> {
        let open = lock(&self.inner.index).get(id)?.open_now()?;
        let blocks = blocks_of(range);
        if !open.are_usable(blocks.clone()) {
            return None;
        }
        if !open.has_its_length() {
            self.discard(&open.entry);
            return None;
        }
        self.inner.counters.hit(blocks.end.saturating_sub(blocks.start));
        self.mark(&open);
        Some(open)
    }

    /// Opens an entry, or creates it. This may wait for the disk.
    fn open_entry(&self, id: EntryId, layout: Layout, can_create: bool) -> Option<OpenEntry> {
        let folder = self.inner.folder.get()?;
        let found = lock(&self.inner.index).get(&id);
        if let Some(entry) = found {
            match entry.open(folder) {
                Ok(Some(open)) if open.entry.layout == layout => {
                    self.stay_open(&open);
                    self.mark(&open);
                    return Some(open);
                }
                Ok(_) => self.discard(&entry),
                Err(error) => {
                    self.inner.faults.report("opening a file", &error);
                    self.remove(&entry);
                    return None;
                }
            }
        }
        if !can_create || self.inner.faults.is_paused() || layout.whole_cost() > self.inner.size {
            return None;
        }
        let entry = match FileName::new(id) {
            Ok(name) => Arc::new(Entry::new(name, layout)),
            Err(error) => {
                self.inner.faults.report("naming a file", &error);
                return None;
            }
        };
        let publish = || {
            let removed = lock(&self.inner.index).insert(&entry, layout.map_cost());
            removed.map(|removed| self.evict(&removed)).is_some()
        };
        match entry.create(folder, publish) {
            Ok(Some(open)) => {
                self.stay_open(&open);
                Some(open)
            }
            // Another reader has created it, or all space is in use.
            Ok(None) => {
                let other = lock(&self.inner.index).get(&id);
                other?.open(folder).ok().flatten()
            }
            Err(error) => {
                self.inner.faults.report("creating a file", &error);
                self.remove(&entry);
                None
            }
        }
    }

    /// Stores a block. Returns whether it was stored. This may wait for the disk.
    fn store(&self, open: &OpenEntry, block: u64, bytes: &[u8]) -> bool {
        let Some(folder) = self.inner.folder.get() else { return false };
        if self.inner.faults.is_paused() {
            return false;
        }
        let cost = open.entry.layout.block_cost(block);
        let Some(removed) = lock(&self.inner.index).grow(&open.entry, cost) else { return false };
        self.evict(&removed);
        if let Err(error) = open.store(folder, block, bytes) {
            // A part of the block may be there, which nobody counts.
            let removed = lock(&self.inner.index).remove(&open.entry);
            // A version that was replaced meanwhile has no files.
            if !removed.entries.is_empty() {
                self.inner.faults.report("writing", &error);
                self.unlink(&removed);
            }
            return false;
        }
        true
    }

    /// Verifies a block of an earlier process. Returns whether it can be used. This may wait for the disk.
    fn verify(&self, open: &OpenEntry, block: u64, expected: &Checksum) -> bool {
        if open.verify(block, expected).unwrap_or(false) {
            return true;
        }
        self.inner.faults.report_damage();
        if open.entry.forget_block(block) {
            lock(&self.inner.index).shrink(&open.entry, open.entry.layout.block_cost(block));
        }
        false
    }

    /// Removes the entry of a version that is not current any more.
    pub(crate) async fn remove_version(&self, id: EntryId) {
        let removed = lock(&self.inner.index).remove_id(&id);
        if !removed.entries.is_empty() {
            let cache = self.clone();
            blocking(move || cache.unlink(&removed)).await.unwrap_or_default();
        }
    }

    /// Removes a damaged entry.
    fn discard(&self, entry: &Arc<Entry>) {
        self.inner.faults.report_damage();
        self.remove(entry);
    }

    fn remove(&self, entry: &Arc<Entry>) {
        let removed = lock(&self.inner.index).remove(entry);
        self.unlink(&removed);
    }

    /// Removes the files of entries that make room.
    fn evict(&self, removed: &Removed) {
        self.inner.counters.evicted(removed.entries.len() as u64);
        self.unlink(removed);
    }

    fn unlink(&self, removed: &Removed) {
        let Some(folder) = self.inner.folder.get() else { return };
        for entry in &removed.entries {
            if let Err(error) = folder.remove(entry.name) {
                self.inner.faults.report("removing a file", &error);
            }
        }
    }

    fn stay_open(&self, open: &OpenEntry) {
        let closed = lock(&self.inner.index).stay_open(open);
        drop(closed);
    }

    /// Writes to disk that an entry is used, in the background.
    fn mark(&self, open: &OpenEntry) {
        if !lock(&self.inner.index).is_mark_due(&open.entry.name.id, Instant::now()) {
            return;
        }
        if let Ok(runtime) = Handle::try_current() {
            let (cache, data) = (self.clone(), Arc::clone(&open.data));
            runtime.spawn_blocking(move || {
                if let Err(error) = mark_used(&data) {
                    cache.inner.faults.report("writing", &error);
                }
            });
        }
    }
}
