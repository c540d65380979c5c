//! The metrics of the block cache of a bucket.

use std::fmt;

use prometheus::proto::MetricFamily;

use super::family::{counters, float, gauge};

/// What a block cache has counted since its start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BlockCacheCounts {
    /// Blocks that were in the cache.
    pub(crate) hits: u64,
    /// Blocks that were requested from the bucket.
    pub(crate) misses: u64,
    /// Bytes that were read from the bucket.
    pub(crate) bytes_from_bucket: u64,
    /// Files that were removed to make room.
    pub(crate) evictions: u64,
    /// Errors of the disk, and damaged files.
    pub(crate) errors: u64,
    /// The space on disk.
    pub(crate) size: u64,
}

/// A block cache whose counts are metrics.
pub(crate) trait BlockCacheSource: fmt::Debug + Send + Sync {
    /// Returns the current counts.
    fn counts(&self) -> BlockCacheCounts;
}

impl BlockCacheCounts {
    /// Returns the metrics.
    pub(super) fn families(&self) -> [MetricFamily; 5] {
        [
            counters(
                "private_media_block_cache_requests_total",
                "Requests to the block cache of a bucket, for blocks of 1 MiB.",
                &[(&[("result", "hit")], self.hits), (&[("result", "miss")], self.misses)],
            ),
            counters(
                "private_media_block_cache_bucket_bytes_total",
                "Bytes of files that were read from the bucket.",
                &[(&[], self.bytes_from_bucket)],
            ),
            counters(
                "private_media_block_cache_evictions_total",
                "Files that were removed from the block cache to make room.",
                &[(&[], self.evictions)],
            ),
            counters(
                "private_media_block_cache_errors_total",
                "Errors of the disk of the block cache, and damaged files in it.",
                &[(&[], self.errors)],
            ),
            gauge(
                "private_media_block_cache_size_bytes",
                "The space of the block cache on disk, which is limited by cache.size.",
                &[],
                float(self.size),
            ),
        ]
    }
}
