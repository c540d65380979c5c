//! Opens the bucket of a configuration.

use std::error::Error;
use std::io::ErrorKind;

use private_media::{Storage as _, StorageError};
use private_media_buckets::{BlockCache, CacheOptions, ObjectStorage};

use crate::causes::one_line;
use crate::config::{BucketConfig, Config, ConfigError};
use crate::front;
use crate::metrics::{BlockCacheCounts, BlockCacheSource};
use crate::send_mode::SendMode;

const FIX: &str = "see storage.* in the configuration reference";

/// Connects to the bucket, and checks that it can be read. If it does not respond, requests get 503 until it does.
pub(crate) async fn open(config: &Config, bucket: &BucketConfig) -> Result<ObjectStorage, ConfigError> {
    let storage = connect(config, bucket)?;
    match storage.ready().await {
        Ok(()) => {}
        Err(error @ StorageError::Unavailable { .. }) => tracing::warn!(
            "{}: {}; requests get 503 until the bucket responds; check storage.endpoint, the network, and the credentials in the environment",
            bucket.url,
            cause(&error)
        ),
        Err(error) => {
            let fix = match &error {
                StorageError::Io { source, .. } if source.kind() == ErrorKind::NotFound => "create it",
                _ => "give these credentials permission to list the bucket and to read its objects",
            };
            return Err(config.bucket_error(&cause(&error), fix));
        }
    }
    Ok(storage)
}

/// Opens the cache of all buckets, if there is one. This reads its folder.
pub(crate) fn open_cache(config: &Config, max_open_files: usize) -> Result<Option<BlockCache>, ConfigError> {
    let Some(cache) = config.each_root().find_map(|root| root.bucket.as_ref()?.cache.as_ref()) else {
        return Ok(None);
    };
    let options = CacheOptions::new(cache.size).max_open_files(max_open_files);
    BlockCache::open(&cache.path, options).map(Some).map_err(|error| config.cache_error(&error))
}

impl BlockCacheSource for BlockCache {
    fn counts(&self) -> BlockCacheCounts {
        let stats = self.stats();
        BlockCacheCounts {
            hits: stats.hits,
            misses: stats.misses,
            bytes_from_bucket: stats.bytes_from_bucket,
            evictions: stats.evictions,
            errors: stats.errors,
            size: stats.size,
        }
    }
}

/// Returns the storage, without a request.
pub(crate) fn connect(config: &Config, bucket: &BucketConfig) -> Result<ObjectStorage, ConfigError> {
    let storage = ObjectStorage::from_url(&bucket.url, bucket.options.clone())
        .map_err(|error| config.bucket_error(&error.to_string(), FIX))?;
    let Some(lifetime) = bucket.url_lifetime else { return Ok(storage) };
    let storage = match config.send_mode {
        SendMode::Nginx(_) => storage.sign_urls_for_proxy(lifetime, front::HIDDEN_METADATA),
        _ => storage.sign_urls(lifetime),
    };
    storage.ok_or_else(|| config.bucket_error("it has no presigned URLs", FIX))
}

/// Returns the origin of the presigned URLs; `None` if the bucket has none.
pub(crate) fn presigned_origin(
    config: &Config,
    bucket: &BucketConfig,
) -> Result<Option<String>, ConfigError> {
    ObjectStorage::presigned_origin(&bucket.url, &bucket.options)
        .map_err(|error| config.bucket_error(&error.to_string(), FIX))
}

/// Returns a storage error with its cause, in one line.
pub(crate) fn cause(error: &StorageError) -> String {
    let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
    one_line(&cause)
}
