//! Opens the private media of a configuration.

use std::time::Duration;

use private_media::delivery::RedirectToStorage;
use private_media::storage::{CacheOptions, Roots};
use private_media::{
    ApacheXSendfile, Builder, LocalStorage, NginxXAccelRedirect, Permissions, PrivateMedia, Storage,
};
use rustix::process::{Resource, getrlimit};

use crate::config::{Config, ConfigError};
use crate::identity::forward::ForwardPermissions;
use crate::identity::{IdentityBackend, Previous};
use crate::lookups;
use crate::metrics::Metrics;
use crate::send_mode::{InternalUrl, SendMode};

/// How many bytes of small files the cache holds in memory.
const CACHED_BYTES: usize = 16 << 20;

/// The cache of a bucket, which outlives a reload.
#[cfg(feature = "buckets")]
pub(crate) type BlockCache = private_media_buckets::BlockCache;

/// Without the feature `buckets`, there is none.
#[cfg(not(feature = "buckets"))]
#[derive(Debug, Clone)]
pub(crate) enum BlockCache {}

/// Opens the private media and the identity sources of a configuration, and checks them. `serve` and `check` use the same.
pub(crate) async fn open(config: &Config) -> Result<(PrivateMedia, IdentityBackend), ConfigError> {
    open_after(config, &Previous::default(), None).await
}

/// Like [`open`], in a process that has other identity sources open, and a cache of a bucket.
pub(crate) async fn open_after(
    config: &Config,
    previous: &Previous,
    cache: Option<&BlockCache>,
) -> Result<(PrivateMedia, IdentityBackend), ConfigError> {
    config.check_roots()?;
    let identities = IdentityBackend::open_after(config, previous).await?;
    let media = PrivateMedia::builder(storage(config, cache).await?).identify(identities.to_identify());
    let media = media.permissions(permissions(config)).debug(config.debug);
    let lookups = lookups::open(&config.lookups).await?;
    let media = lookups.into_iter().fold(media, Builder::lookup);
    let media = match &config.cors {
        Some(cors) => media.cors(cors.clone()),
        None => media,
    };
    let media = match &config.send_mode {
        SendMode::Direct => media,
        SendMode::Redirect => media.delivery(RedirectToStorage),
        SendMode::Nginx(InternalUrl::Prefix(url)) => media.delivery(NginxXAccelRedirect::new(url)),
        SendMode::Nginx(InternalUrl::FullPath) => {
            let delivery = NginxXAccelRedirect::full_path(config.absolute_root()?);
            media.delivery(delivery.map_err(|error| config.root_error(&error))?)
        }
        SendMode::Apache(encoding) => {
            let delivery =
                ApacheXSendfile::new(config.absolute_root()?).map_err(|error| config.root_error(&error))?;
            media.delivery(delivery.encoding(*encoding))
        }
    };
    Ok((media.build(), identities))
}

/// Opens the root, or all of them.
async fn storage(config: &Config, cache: Option<&BlockCache>) -> Result<Box<dyn Storage>, ConfigError> {
    let main = root(config, cache).await?;
    if config.others.is_empty() {
        return Ok(main);
    }
    let mut roots = Roots::new(main);
    for other in &config.others {
        roots = roots.root(other.prefix.clone(), root(&other.config, cache).await?);
    }
    Ok(Box::new(roots))
}

/// Opens one root.
#[cfg_attr(not(feature = "buckets"), expect(clippy::unused_async, reason = "only a bucket is waited for"))]
async fn root(config: &Config, cache: Option<&BlockCache>) -> Result<Box<dyn Storage>, ConfigError> {
    match &config.bucket {
        None => Ok(Box::new(open_folder(config)?)),
        #[cfg(feature = "buckets")]
        Some(bucket) => {
            let storage = crate::bucket::open(config, bucket).await?;
            Ok(Box::new(match cache {
                Some(cache) => storage.cached(cache.clone(), config.revalidate_after),
                None => storage,
            }))
        }
        #[cfg(not(feature = "buckets"))]
        Some(bucket) => {
            let _ = cache;
            match *bucket {}
        }
    }
}

/// Opens the cache of a configuration, and adds its metrics. One process needs it once.
#[cfg_attr(
    not(feature = "buckets"),
    expect(unreachable_code, clippy::unnecessary_wraps, reason = "without the feature, there is no cache")
)]
pub(crate) fn block_cache(
    config: &Config,
    metrics: Option<&'static Metrics>,
) -> Result<Option<BlockCache>, ConfigError> {
    #[cfg(feature = "buckets")]
    let cache = crate::bucket::open_cache(config, cached_handles())?;
    #[cfg(not(feature = "buckets"))]
    let cache: Option<BlockCache> = match &config.bucket {
        None => None,
        Some(bucket) => match *bucket {},
    };
    if let (Some(cache), Some(metrics)) = (&cache, metrics) {
        metrics.set_block_cache(cache.clone());
    }
    Ok(cache)
}

#[cfg(not(feature = "buckets"))]
impl crate::metrics::BlockCacheSource for BlockCache {
    fn counts(&self) -> crate::metrics::BlockCacheCounts {
        match *self {}
    }
}

/// Opens the folder of the root.
fn open_folder(config: &Config) -> Result<LocalStorage, ConfigError> {
    let storage = LocalStorage::open_root(&config.root).map_err(|error| config.root_error(&error))?;
    let checked = config.clone();
    let storage = storage
        .follow_links(config.follow_links)
        .accept_root(move |_| checked.check_root().map_err(|error| error.to_string()));
    let cache = cache_options(config.revalidate_after);
    Ok(match config.send_mode {
        SendMode::Direct | SendMode::Redirect => storage.cache(cache),
        // nginx follows no link, so a cached name is safe. Apache follows links, and the target of a link has another name.
        SendMode::Nginx(_) if !config.follow_links => storage.cache(cache.max_in_memory(None)),
        SendMode::Nginx(_) | SendMode::Apache(_) => storage,
    })
}

/// Returns the grants, and the permissions of an application that is asked.
fn permissions(config: &Config) -> Box<dyn Permissions> {
    let grants = config.grants.clone();
    if config.decides_by_identity() { Box::new(ForwardPermissions::new(grants)) } else { Box::new(grants) }
}

/// Returns the limits of the cache of files that this process sends.
pub(crate) fn cache_options(revalidate_after: Duration) -> CacheOptions {
    CacheOptions::new(revalidate_after).max_bytes(CACHED_BYTES).max_open_files(cached_handles())
}

/// Returns how many open files the cache may hold: a share of the process's limit.
pub(crate) fn cached_handles() -> usize {
    let limit = getrlimit(Resource::Nofile).maximum;
    limit.map_or(256, |limit| usize::try_from(limit / 32).map_or(256, |share| share.min(256)))
}
