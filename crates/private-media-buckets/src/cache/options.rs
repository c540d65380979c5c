//! The options of a cache, and its counters.

use std::sync::atomic::{AtomicU64, Ordering};

/// The options of a [`BlockCache`](super::BlockCache).
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct CacheOptions {
    /// The maximum space on disk, in bytes.
    pub size: u64,
    /// The maximum number of files that stay open between requests. Default: 256.
    pub max_open_files: usize,
}

impl CacheOptions {
    /// Returns the default options, with this [`CacheOptions::size`].
    #[must_use]
    pub const fn new(size: u64) -> Self {
        Self { size, max_open_files: 256 }
    }

    /// Sets [`CacheOptions::max_open_files`].
    #[must_use]
    pub const fn max_open_files(mut self, max_open_files: usize) -> Self {
        self.max_open_files = max_open_files;
        self
    }
}

/// What a [`BlockCache`](super::BlockCache) has counted, and its space on disk.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheStats {
    /// Blocks that readers got without a request of their own.
    pub hits: u64,
    /// Blocks that were requested from the bucket.
    pub misses: u64,
    /// Bytes that were read from the bucket.
    pub bytes_from_bucket: u64,
    /// Files that were removed to make room.
    pub evictions: u64,
    /// Errors of the disk, and damaged files.
    pub errors: u64,
    /// The space on disk, in bytes.
    pub size: u64,
}

/// Counts what a cache does.
#[derive(Debug, Default)]
pub(crate) struct Counters {
    hits: AtomicU64,
    misses: AtomicU64,
    from_bucket: AtomicU64,
    evictions: AtomicU64,
}

impl Counters {
    /// Counts blocks that a reader got from the cache, or from the request of another reader.
    pub(crate) fn hit(&self, blocks: u64) {
        self.hits.fetch_add(blocks, Ordering::Relaxed);
    }

    /// Counts blocks that are requested.
    pub(crate) fn miss(&self, blocks: u64) {
        self.misses.fetch_add(blocks, Ordering::Relaxed);
    }

    pub(crate) fn received(&self, bytes: u64) {
        self.from_bucket.fetch_add(bytes, Ordering::Relaxed);
    }

    /// Counts files that made room.
    pub(crate) fn evicted(&self, files: u64) {
        self.evictions.fetch_add(files, Ordering::Relaxed);
    }

    /// Returns all counts, with those of others.
    pub(crate) fn stats(&self, errors: u64, size: u64) -> CacheStats {
        let read = |counter: &AtomicU64| counter.load(Ordering::Relaxed);
        CacheStats {
            hits: read(&self.hits),
            misses: read(&self.misses),
            bytes_from_bucket: read(&self.from_bucket),
            evictions: read(&self.evictions),
            errors,
            size,
        }
    }
}
