//! Counters of caches.

use std::iter::Sum;
use std::sync::atomic::{AtomicU64, Ordering};

/// How many requests to a cache were answered by it.
///
/// ```
/// use private_media::CacheCounts;
///
/// let sum: CacheCounts = [CacheCounts::new(3, 1), CacheCounts::new(1, 0)].into_iter().sum();
/// assert_eq!((sum.hits, sum.misses), (4, 1));
/// ```
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheCounts {
    /// Requests for what was cached and could be used.
    pub hits: u64,
    /// All other requests.
    pub misses: u64,
}

impl CacheCounts {
    /// Returns these counts.
    #[must_use]
    pub fn new(hits: u64, misses: u64) -> Self {
        Self { hits, misses }
    }
}

impl Sum for CacheCounts {
    fn sum<I: Iterator<Item = Self>>(counts: I) -> Self {
        counts.fold(Self::default(), |sum, next| Self::new(sum.hits + next.hits, sum.misses + next.misses))
    }
}

/// Counts the requests to a cache.
#[derive(Debug, Default)]
pub(crate) struct CacheCounter {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheCounter {
    /// Counts a request by its result, and returns it.
    pub(crate) fn count<T>(&self, found: Option<T>) -> Option<T> {
        if found.is_none() {
            self.miss();
        }
        found.map(|found| self.hit(found))
    }

    /// Counts a request that was answered, and returns the answer.
    pub(crate) fn hit<T>(&self, found: T) -> T {
        self.hits.fetch_add(1, Ordering::Relaxed);
        found
    }

    /// Counts a request that was not answered.
    pub(crate) fn miss(&self) {
        self.misses.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        CacheCounts::new(self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }
}
