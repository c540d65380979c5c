//! Metrics of the gateway, in the text format of Prometheus.
//!
//! Threads count in shards of their own, so they share no cache line. A scrape adds the shards up.

mod families;
mod histogram;
mod labels;

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Instant, SystemTime};

use http::{Method, StatusCode};
use private_media::{AccessRecord, FailedStep, PrivateMedia};
use private_media_listener::Stats;

use crate::health::Health;
use crate::identity::IdentityBackend;
use histogram::Histogram;
use labels::Labels;

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
}

/// The parts of the current site.
#[derive(Debug)]
struct SiteSources {
    media: PrivateMedia,
    identities: IdentityBackend,
    health: Health,
}

/// The counters of some threads, on cache lines of their own.
#[derive(Debug)]
#[repr(align(128))]
struct Shard {
    requests: [AtomicU64; Labels::COUNT],
    request_duration: Histogram,
    /// Of identity, permission and storage.
    step_durations: [Histogram; 3],
    /// Failures of identity, lookup and storage.
    failures: [AtomicU64; 3],
    response_bytes: AtomicU64,
}

impl Default for Shard {
    fn default() -> Self {
        let zero = |_| AtomicU64::new(0);
        Self {
            requests: std::array::from_fn(zero),
            request_duration: Histogram::default(),
            step_durations: std::array::from_fn(|_| Histogram::default()),
            failures: std::array::from_fn(zero),
            response_bytes: AtomicU64::new(0),
        }
    }
}

/// A request whose response is being sent.
#[derive(Debug)]
pub(crate) struct Sample {
    metrics: &'static Metrics,
    labels: Labels,
    begin: Instant,
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

    /// Sets the parts of the current site.
    pub(crate) fn set_site(&self, media: &PrivateMedia, identities: &IdentityBackend, health: &Health) {
        let (media, identities, health) = (media.clone(), identities.clone(), health.clone());
        let previous = self.sources().site.replace(SiteSources { media, identities, health });
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
        if let Some(record) = record {
            let shard = self.shard();
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
        Sample { metrics: self, labels: Labels::new(method, status, record), begin }
    }

    /// Returns the shard of this thread.
    fn shard(&self) -> &Shard {
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

impl Sample {
    /// Records the end of the response.
    pub(crate) fn end(self, bytes: u64) {
        let shard = self.metrics.shard();
        if let Some(requests) = shard.requests.get(self.labels.index()) {
            requests.fetch_add(1, Ordering::Relaxed);
        }
        shard.response_bytes.fetch_add(bytes, Ordering::Relaxed);
        shard.request_duration.observe(self.begin.elapsed());
    }
}
