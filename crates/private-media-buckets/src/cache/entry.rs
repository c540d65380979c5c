//! One version of an object, and the blocks of it that are on disk.

use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::sync::{Arc, Mutex, Weak};

use bytes::Bytes;

use super::blocks::{BlockState, Blocks};
use super::flight::Flight;
use super::folder::{FileName, Folder};
use super::layout::{BLOCK_LEN, Checksum, Layout, checksum, record};
use super::sync::lock;

/// An entry of the cache. Its files may be closed.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: FileName,
    pub(crate) layout: Layout,
    /// Held while the files are created or opened, which may wait for the disk.
    opening: Mutex<()>,
    state: Mutex<State>,
    /// The blocks that are being verified or fetched. Locked before the state.
    pub(crate) flights: Mutex<HashMap<u64, Flight>>,
}

#[derive(Debug)]
struct State {
    /// `None` until the map was read.
    blocks: Option<Blocks>,
    /// The content, while it is open.
    data: Weak<File>,
}

/// An entry whose content is open. It can be read to its end, also after the entry was removed from the cache.
#[derive(Debug, Clone)]
pub(crate) struct OpenEntry {
    pub(crate) entry: Arc<Entry>,
    pub(crate) data: Arc<File>,
}

impl Entry {
    /// Returns the entry of these files, which are closed.
    pub(crate) fn new(name: FileName, layout: Layout) -> Self {
        let state = Mutex::new(State { blocks: None, data: Weak::new() });
        Self { name, layout, opening: Mutex::default(), state, flights: Mutex::default() }
    }

    /// Creates the files, after the closure has made the entry visible to others. `None` if the closure refuses.
    pub(crate) fn create(
        self: &Arc<Self>,
        folder: &Folder,
        publish: impl FnOnce() -> bool,
    ) -> io::Result<Option<OpenEntry>> {
        let _opening = lock(&self.opening);
        if !publish() {
            return Ok(None);
        }
        let data = Arc::new(folder.create(self.name, self.layout)?);
        *lock(&self.state) = State { blocks: Some(Blocks::default()), data: Arc::downgrade(&data) };
        Ok(Some(OpenEntry { entry: Arc::clone(self), data }))
    }

    /// Opens the files. `None` if they are not those of this entry. This may wait for the disk.
    pub(crate) fn open(self: &Arc<Self>, folder: &Folder) -> io::Result<Option<OpenEntry>> {
        let _opening = lock(&self.opening);
        if let Some(open) = self.open_now() {
            return Ok(Some(open));
        }
        let needs_map = lock(&self.state).blocks.is_none();
        let Some((data, blocks)) = folder.open_entry(self.name, self.layout, needs_map)? else {
            return Ok(None);
        };
        let (data, mut state) = (Arc::new(data), lock(&self.state));
        state.data = Arc::downgrade(&data);
        state.blocks = blocks.or(state.blocks.take());
        Ok(Some(OpenEntry { entry: Arc::clone(self), data }))
    }

    /// Returns the open entry, if its files are open.
    pub(crate) fn open_now(self: &Arc<Self>) -> Option<OpenEntry> {
        let data = lock(&self.state).data.upgrade()?;
        Some(OpenEntry { entry: Arc::clone(self), data })
    }

    /// Returns how many handles of the content there are.
    pub(crate) fn handles(&self) -> usize {
        lock(&self.state).data.strong_count()
    }

    pub(crate) fn data(&self) -> Weak<File> {
        lock(&self.state).data.clone()
    }

    pub(crate) fn state_of(&self, block: u64) -> BlockState {
        lock(&self.state).blocks.as_ref().map_or(BlockState::Missing, |blocks| blocks.state(block))
    }

    fn set_usable(&self, block: u64) {
        lock(&self.state).blocks.get_or_insert_default().set_usable(block);
    }

    /// Marks a block as missing. Returns whether it was not.
    pub(crate) fn forget_block(&self, block: u64) -> bool {
        lock(&self.state).blocks.as_mut().is_some_and(|blocks| blocks.remove(block))
    }
}

impl OpenEntry {
    /// Returns whether these blocks can be sent from the file as it is.
    pub(crate) fn are_usable(&self, blocks: Range<u64>) -> bool {
        lock(&self.entry.state).blocks.as_ref().is_some_and(|known| known.are_usable(blocks))
    }

    /// Returns whether the file has its length. If not, another program changed it.
    pub(crate) fn has_its_length(&self) -> bool {
        self.data.metadata().is_ok_and(|metadata| metadata.len() == self.entry.layout.len)
    }

    /// Returns whether the bytes of a block have this checksum. If so, the block can be used.
    pub(crate) fn verify(&self, block: u64, expected: &Checksum) -> io::Result<bool> {
        let range = self.entry.layout.range(block);
        let len = range.end.saturating_sub(range.start).min(BLOCK_LEN);
        let mut bytes = vec![0; usize::try_from(len).map_err(io::Error::other)?];
        self.data.read_exact_at(&mut bytes, range.start)?;
        let is_valid = checksum(&bytes) == *expected;
        if is_valid {
            self.entry.set_usable(block);
        }
        Ok(is_valid)
    }

    /// Writes a block, and then its record: the map names no block that was not written.
    pub(crate) fn store(&self, folder: &Folder, block: u64, bytes: &[u8]) -> io::Result<()> {
        self.data.write_all_at(bytes, self.entry.layout.range(block).start)?;
        let record = record(&self.entry.name.id, block, &checksum(bytes));
        folder.write_record(self.entry.name, block, &record)?;
        self.entry.set_usable(block);
        Ok(())
    }
}

/// Reads at most `len` bytes of a file, without waiting if they are in the page cache.
pub(crate) async fn read_file(file: &Arc<File>, offset: u64, len: usize) -> io::Result<Bytes> {
    if len == 0 {
        return Ok(Bytes::new());
    }
    if let Some(bytes) = read_now(file, offset, len) {
        return Ok(bytes);
    }
    let file = Arc::clone(file);
    let read = move || {
        let mut buffer = vec![0; len];
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(&file, &mut *buffer, offset))?;
        Ok(filled(buffer, count))
    };
    tokio::task::spawn_blocking(read).await.map_err(io::Error::other)?
}

/// Reads at least one byte from the page cache; `None` if that may need the disk.
#[cfg(target_os = "linux")]
pub(crate) fn read_now(file: &File, offset: u64, len: usize) -> Option<Bytes> {
    use rustix::io::{ReadWriteFlags, preadv2};

    let mut buffer = vec![0; len];
    match preadv2(file, &mut [io::IoSliceMut::new(&mut buffer)], offset, ReadWriteFlags::NOWAIT) {
        // Linux 5.9 and 5.10 return 0 for uncached pages.
        Ok(0) | Err(_) => None,
        Ok(count) => Some(filled(buffer, count)),
    }
}

#[cfg(not(target_os = "linux"))]
pub(crate) fn read_now(_file: &File, _offset: u64, _len: usize) -> Option<Bytes> {
    None
}

fn filled(mut buffer: Vec<u8>, count: usize) -> Bytes {
    buffer.truncate(count);
    // Otherwise a short read would hold the memory of a long one.
    buffer.shrink_to_fit();
    Bytes::from(buffer)
}
