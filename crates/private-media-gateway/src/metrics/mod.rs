//! Metrics of the gateway, in the text format of Prometheus.
//!
//! Threads count in shards of their own, so they share no cache line. A scrape adds the shards up.

mod audit;
mod block_cache;
mod families;
mod family;
mod histogram;
mod labels;
pub(crate) mod shard;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use http::{Method, StatusCode};
use private_media::{AccessRecord, CacheCounts, FailedStep, PrivateMedia};
use private_media_listener::Stats;

use crate::health::Health;
use crate::identity::IdentityBackend;
pub(crate) use audit::{AuditCounts, AuditSource};
pub(crate) use block_cache::{BlockCacheCounts, BlockCacheSource};
use labels::Labels;
use shard::{Sample, Shard};

/// The number of shards. More threads share them.
const SHARDS: usize = 32;

/// The metrics of the process.
#[derive(Debug)]
pub(crate) struct Metrics {
    shards: [Shard; SHARDS],
    sources: Mutex<Sources>,
    reloads: [AtomicU64; 2],
    started: SystemTime,
}

/// What has counters of its own.
#[derive(Debug, Default)]
struct Sources {
    servers: Vec<Arc<Stats>>,
    site: Option<SiteSources>,
    /// What the caches of previous sites have counted.
    previous: SiteCacheCounts,
    audit: Option<Box<dyn AuditSource>>,
    block_cache: Option<Box<dyn BlockCacheSource>>,
}

/// The parts of the current site.
#[derive(Debug)]
struct SiteSources {
    media: PrivateMedia,
    identities: IdentityBackend,
    health: Health,
}

/// What caches have counted.
#[derive(Debug, Clone, Copy, Default)]
struct SiteCacheCounts {
    files: CacheCounts,
    identities: CacheCounts,
}

impl SiteCacheCounts {
    fn with(self, other: Self) -> Self {
        let sum = |own: CacheCounts, other| -> CacheCounts { [own, other].into_iter().sum() };
        Self { files: sum(self.files, other.files), identities: sum(self.identities, other.identities) }
    }

    fn without(self, other: Self) -> Self {
        let rest = |own: CacheCounts, other: CacheCounts| {
            CacheCounts::new(own.hits.saturating_sub(other.hits), own.misses.saturating_sub(other.misses))
        };
        Self { files: rest(self.files, other.files), identities: rest(self.identities, other.identities) }
    }
}

impl Sources {
    /// Returns what the caches of all sites have counted.
    fn cache_counts(&self) -> SiteCacheCounts {
        self.site.as_ref().map_or(self.previous, |site| self.previous.with(site.cache_counts()))
    }
}

impl SiteSources {
    fn cache_counts(&self) -> SiteCacheCounts {
        SiteCacheCounts {
            files: self.media.storage().cache_counts(),
            identities: self.identities.cache_counts(),
        }
    }
}

impl Metrics {
    /// Returns metrics that last until the end of the process.
    pub(crate) fn leak() -> &'static Self {
        Box::leak(Box::new(Self::new()))
    }

    fn new() -> Self {
        Self {
            shards: std::array::from_fn(|_| Shard::default()),
            sources: Mutex::default(),
            reloads: [AtomicU64::new(0), AtomicU64::new(0)],
            started: SystemTime::now(),
        }
    }

    /// Adds the counters of a server.
    pub(crate) fn add_server(&self, stats: Arc<Stats>) {
        self.sources().servers.push(stats);
    }

    /// Sets the audit.
    pub(crate) fn set_audit(&self, audit: impl AuditSource + 'static) {
        self.sources().audit = Some(Box::new(audit));
    }

    /// Sets the cache of a bucket.
    pub(crate) fn set_block_cache(&self, cache: impl BlockCacheSource + 'static) {
        self.sources().block_cache = Some(Box::new(cache));
    }

    /// Sets the parts of the current site. The counters of its caches continue those of the previous site.
    pub(crate) fn set_site(&self, media: &PrivateMedia, identities: &IdentityBackend, health: &Health) {
        let (media, identities, health) = (media.clone(), identities.clone(), health.clone());
        let site = SiteSources { media, identities, health };
        let mut sources = self.sources();
        let counted = sources.cache_counts();
        // Sites may share caches, which continue to count.
        sources.previous = counted.without(site.cache_counts());
        let previous = sources.site.replace(site);
        drop(sources);
        // Dropped after unlocking.
        drop(previous);
    }

    /// Returns whether the current site is ready.
    pub(crate) fn is_ready(&self) -> bool {
        self.sources().site.as_ref().is_some_and(|site| site.health.is_ready())
    }

    /// Counts a reload of the configuration.
    pub(crate) fn count_reload(&self, is_success: bool) {
        let [succeeded, failed] = &self.reloads;
        (if is_success { succeeded } else { failed }).fetch_add(1, Ordering::Relaxed);
    }

    /// Records what is known when a response begins. The sample is to be ended with its last byte.
    pub(crate) fn begin(
        &'static self,
        begin: Instant,
        method: &Method,
        status: StatusCode,
        record: Option<&AccessRecord>,
    ) -> Sample {
        let shard = self.shard();
        if let Some(record) = record {
            let steps = [record.steps.identity(), record.steps.permission(), record.steps.storage()];
            for (histogram, step) in shard.step_durations.iter().zip(steps) {
                if let Some(duration) = step {
                    histogram.observe(duration);
                }
            }
            if let Some(failed) = record.failed {
                let [identity, lookup, storage] = &shard.failures;
                let counter = match failed {
                    FailedStep::Identity => identity,
                    FailedStep::Lookup => lookup,
                    FailedStep::Storage => storage,
                };
                counter.fetch_add(1, Ordering::Relaxed);
            }
        }
        Sample { shard, labels: Labels::new(method, status, record), begin }
    }

    /// Returns the shard of this thread.
    fn shard(&'static self) -> &'static Shard {
        static THREADS: AtomicUsize = AtomicUsize::new(0);
        thread_local! {
            static NUMBER: usize = THREADS.fetch_add(1, Ordering::Relaxed);
        }
        let [first, ..] = &self.shards;
        NUMBER.with(|number| self.shards.get(number % SHARDS).unwrap_or(first))
    }

    fn sources(&self) -> MutexGuard<'_, Sources> {
        self.sources.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
