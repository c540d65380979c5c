//! A cache of opened files: the bytes of small ones, the handles of larger ones.

mod version;

#[cfg(test)]
mod tests;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::Bytes;
use sha2::{Digest, Sha256};

use self::version::FileVersion;
use super::error::io_error;
use super::read;
use super::resolve::Opened;
use super::root::{OpenRoot, Root};
use crate::cache_counts::{CacheCounter, CacheCounts};
use crate::request::MediaPath;
use crate::storage::memory::InMemory;
use crate::storage::{MediaFile, StorageError};
use crate::two_generation_cache::{TwoGenerationCache, Weigh, Weight};

/// The approximate size of an entry without its content, in bytes.
const OVERHEAD: usize = 1 << 10;

/// The limits of [`LocalStorage::cache`](super::LocalStorage::cache).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CacheOptions {
    /// How long a cached file is used before it is re-checked. Zero checks every request. The check of a small file reads its content,
    /// because writes through a shared mapping (mmap) may not change its times.
    pub revalidate_after: Duration,
    /// The maximum memory of all entries, in bytes. Default: 16 MiB.
    pub max_bytes: usize,
    /// The maximum number of open files. Default: 256.
    pub max_open_files: usize,
    /// The maximum length of a file whose bytes are cached, in bytes. `None` caches only open files, for a storage whose files a front server
    /// sends, because bytes have no [`MediaFile::local_name`]. Default: 16 KiB.
    pub max_in_memory: Option<u64>,
}

impl CacheOptions {
    /// Returns the default options, with this [`CacheOptions::revalidate_after`].
    #[must_use]
    pub const fn new(revalidate_after: Duration) -> Self {
        Self { revalidate_after, max_bytes: 16 << 20, max_open_files: 256, max_in_memory: Some(16 << 10) }
    }

    /// Sets [`CacheOptions::max_bytes`].
    #[must_use]
    pub const fn max_bytes(mut self, max_bytes: usize) -> Self {
        self.max_bytes = max_bytes;
        self
    }

    /// Sets [`CacheOptions::max_open_files`].
    #[must_use]
    pub const fn max_open_files(mut self, max_open_files: usize) -> Self {
        self.max_open_files = max_open_files;
        self
    }

    /// Sets [`CacheOptions::max_in_memory`].
    #[must_use]
    pub const fn max_in_memory(mut self, max_in_memory: Option<u64>) -> Self {
        self.max_in_memory = max_in_memory;
        self
    }
}

type Entries = TwoGenerationCache<MediaPath, Entry>;

/// The recently opened files. The key is only the path, because [`Storage::open`](crate::Storage::open) takes a permit.
#[derive(Debug)]
pub(super) struct FileCache {
    options: CacheOptions,
    files: Mutex<Entries>,
    counter: CacheCounter,
}

#[derive(Debug, Clone)]
struct Entry {
    file: MediaFile,
    version: FileVersion,
    checked: Instant,
    /// The generation of the root in which the file was opened.
    generation: u64,
}

impl FileCache {
    pub(super) fn new(options: CacheOptions) -> Self {
        let half = [options.max_bytes / 2, options.max_open_files / 2];
        Self { options, files: Mutex::new(Entries::new(half)), counter: CacheCounter::default() }
    }

    /// Returns a cached file of this generation of the root, if no check is due.
    pub(super) fn get(&self, path: &MediaPath, generation: u64) -> Option<MediaFile> {
        let entry = self.with(|files| files.get(path).cloned());
        let usable = entry.filter(|entry| {
            entry.generation == generation
                && entry.checked.elapsed() < self.options.revalidate_after
                && entry.is_unchanged()
        });
        // A miss is counted when the file is opened.
        usable.map(|entry| self.counter.hit(entry.file))
    }

    pub(super) fn counts(&self) -> CacheCounts {
        self.counter.counts()
    }

    /// Waits until a file is opened, and caches it. `named` names an open file after its path.
    pub(super) async fn open(
        &self,
        root: &Root,
        path: &MediaPath,
        opened: impl Future<Output = Result<(MediaFile, FileVersion), StorageError>>,
        named: impl FnOnce(MediaFile) -> Result<MediaFile, StorageError>,
    ) -> Result<MediaFile, StorageError> {
        self.counter.miss();
        let (now, generation) = (Instant::now(), root.generation());
        let cached =
            self.with(|files| files.get(path).cloned()).filter(|entry| entry.generation == generation);
        let (file, version) = match opened.await {
            Ok(opened) => opened,
            Err(error) => {
                self.with(|files| files.remove(path));
                return Err(error);
            }
        };
        let cached = cached.filter(|entry| entry.version == version).map(|entry| entry.file);
        let file = match cached {
            Some(cached) if cached.bytes().as_file().is_some() => cached,
            cached if self.options.max_in_memory.is_some_and(|max| file.metadata().len <= max) => {
                match read_settled(&file, version).await? {
                    Some(content) => in_memory(&file, cached, content),
                    None => return Ok(file),
                }
            }
            _ => named(file)?,
        };
        if root.generation() != generation {
            return Ok(file);
        }
        let entry = Entry { file: file.clone(), version, checked: now, generation };
        // Evicted entries are dropped after unlocking the cache.
        drop(self.with(|files| files.insert(path.clone(), entry)));
        Ok(file)
    }

    pub(super) fn remove(&self, path: &MediaPath) {
        self.with(|files| files.remove(path));
    }

    /// Empties the cache, because the root has changed.
    pub(super) fn clear(&self) {
        drop(self.with(Entries::clear));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry {
    /// Returns whether the file has not changed since it was cached. Bytes in memory cannot change, an open file can.
    fn is_unchanged(&self) -> bool {
        match self.file.bytes().as_file() {
            Some(file) => FileVersion::of(file).is_ok_and(|version| version == self.version),
            None => true,
        }
    }
}

impl Weigh for Entry {
    /// Bytes and open files.
    fn weight(&self) -> Weight {
        if self.file.bytes().as_file().is_some() {
            return [OVERHEAD, 1];
        }
        let len = usize::try_from(self.file.metadata().len).unwrap_or(usize::MAX);
        [len.saturating_add(OVERHEAD), 0]
    }
}

/// Returns an opened file and its version.
pub(super) fn file_and_version(
    root: &Arc<OpenRoot>,
    opened: Opened,
) -> Result<(MediaFile, FileVersion), StorageError> {
    let version = FileVersion::from(&opened.metadata);
    Ok((read::media_file(root, opened)?, version))
}

/// Reads a whole file; `None` if it may be changing at the moment.
async fn read_settled(file: &MediaFile, version: FileVersion) -> Result<Option<Bytes>, StorageError> {
    if !version.is_settled(SystemTime::now()) {
        return Ok(None);
    }
    let reading = io_error("reading the file");
    let len = usize::try_from(file.metadata().len).unwrap_or(usize::MAX);
    let mut content = Bytes::new();
    while content.len() < len {
        let read = Arc::clone(file.bytes()).read_at(content.len() as u64, len - content.len()).await;
        let read = read.map_err(&reading)?;
        if read.is_empty() {
            return Ok(None);
        }
        // A small file is nearly always read at once.
        content = if content.is_empty() { read } else { [content, read].concat().into() };
    }
    let is_same =
        file.bytes().as_file().is_some_and(|file| FileVersion::of(file).is_ok_and(|now| now == version));
    Ok(is_same.then_some(content))
}

/// Returns a file with its bytes in memory. `cached` is the cached file of the same version.
///
/// A write through a shared mapping changes the times of a file only when the kernel writes the page back, and on tmpfs never. So the
/// content is compared, and changed content gets another entity tag.
fn in_memory(file: &MediaFile, cached: Option<MediaFile>, content: Bytes) -> MediaFile {
    match cached {
        Some(cached) if cached.bytes().as_bytes() == Some(&content) => cached,
        None => file.with_bytes(Arc::new(InMemory(content))),
        Some(_) => {
            let digest = Sha256::digest(&content);
            let mark = digest.iter().take(8).fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
            let mut metadata = file.metadata().clone();
            metadata.etag = format!("{}-{mark:x}", metadata.etag);
            MediaFile::new(metadata, Arc::new(InMemory(content)))
        }
    }
}
