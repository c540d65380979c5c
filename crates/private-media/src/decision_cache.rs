//! A cache for identities and permissions.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};

use crate::cache_counts::{CacheCounter, CacheCounts};
use crate::two_generation_cache::{TwoGenerationCache, Weigh};

/// The maximum number of entries of one generation. There are two generations of positive decisions, and two of negative ones.
const GENERATION: usize = 5_000;

/// Caches decisions for a limited time, in bounded memory. For implementations of [`Identify`](crate::Identify) and
/// [`Permissions`](crate::Permissions) that query a database or an application.
///
/// ```
/// use std::time::{Duration, Instant};
///
/// use private_media::decision_cache::{CacheKey, DecisionCache};
///
/// let (cache, now) = (DecisionCache::new(Duration::from_secs(5)), Instant::now());
/// let key = CacheKey::of(["sessionid=abc", "cars/7/photo.jpg"]);
/// cache.insert(key, "alice".to_owned(), true, now);
/// assert_eq!(cache.get(key, now + Duration::from_secs(4)).as_deref(), Some("alice"));
/// assert_eq!(cache.get(key, now + Duration::from_secs(5)), None);
/// ```
#[derive(Debug)]
pub struct DecisionCache<T> {
    ttl: Duration,
    positive: Mutex<Recent<T>>,
    /// Separate, so that invalid credentials do not evict the decisions about signed-in users.
    negative: Mutex<Recent<T>>,
    counter: CacheCounter,
}

/// The key of a cached decision: a SHA-256 hash, so that no session keys stay in memory.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CacheKey([u8; 32]);

impl CacheKey {
    /// Returns the key of a list of parts. The same bytes in a different list of parts have a different key.
    pub fn of<B: AsRef<[u8]>>(parts: impl IntoIterator<Item = B>) -> Self {
        let hash = parts.into_iter().fold(Sha256::new(), |hash, part| {
            let part = part.as_ref();
            hash.chain_update((part.len() as u64).to_le_bytes()).chain_update(part)
        });
        Self(hash.finalize().into())
    }
}

impl<T: Clone> DecisionCache<T> {
    /// Returns an empty cache whose entries expire after this time. Zero disables the cache.
    #[must_use]
    pub fn new(ttl: Duration) -> Self {
        let new = || Mutex::new(TwoGenerationCache::new([GENERATION, 0]));
        Self { ttl, positive: new(), negative: new(), counter: CacheCounter::default() }
    }

    /// Returns a cached decision that has not expired.
    pub fn get(&self, key: CacheKey, now: Instant) -> Option<T> {
        let of = |recent: &Mutex<Recent<T>>| {
            let recent = recent.lock().unwrap_or_else(PoisonError::into_inner);
            recent.get(&key).filter(|entry| entry.until > now).map(|entry| entry.value.clone())
        };
        self.counter.count(of(&self.positive).or_else(|| of(&self.negative)))
    }

    /// Returns how many requests were answered from the cache.
    #[must_use]
    pub fn counts(&self) -> CacheCounts {
        self.counter.counts()
    }

    /// Caches a decision. Its lifetime starts at `requested`, the time of the request that caused it. A positive decision grants access.
    pub fn insert(&self, key: CacheKey, value: T, is_positive: bool, requested: Instant) {
        self.insert_for(key, value, is_positive, requested, self.ttl);
    }

    /// Like [`insert`](Self::insert), for at most this time: for decisions with a lifetime of their own.
    pub fn insert_for(
        &self,
        key: CacheKey,
        value: T,
        is_positive: bool,
        requested: Instant,
        at_most: Duration,
    ) {
        let ttl = self.ttl.min(at_most);
        if ttl.is_zero() {
            return;
        }
        let recent = if is_positive { &self.positive } else { &self.negative };
        let entry = Expiring { value, until: requested + ttl };
        recent.lock().unwrap_or_else(PoisonError::into_inner).insert(key, entry);
    }
}

type Recent<T> = TwoGenerationCache<CacheKey, Expiring<T>>;

#[derive(Debug)]
struct Expiring<T> {
    value: T,
    until: Instant,
}

impl<T> Weigh for Expiring<T> {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decisions_expire() {
        let now = Instant::now();
        let key = CacheKey::of(["a"]);
        let cache = DecisionCache::new(Duration::from_secs(5));
        assert_eq!(cache.get(key, now), None);
        cache.insert(key, "alice", true, now);
        assert_eq!(cache.get(key, now + Duration::from_secs(4)), Some("alice"));
        assert_eq!(cache.get(key, now + Duration::from_secs(5)), None);
        assert_eq!(cache.get(CacheKey::of(["b"]), now), None);
        let none = DecisionCache::new(Duration::ZERO);
        none.insert(key, "alice", true, now);
        assert_eq!(none.get(key, now), None);
    }

    #[test]
    fn a_lifetime_of_its_own_only_shortens() {
        let now = Instant::now();
        let key = CacheKey::of(["a"]);
        for (at_most, lasts) in [(0, 0), (3, 3), (5, 5), (u64::MAX, 5)] {
            let cache = DecisionCache::new(Duration::from_secs(5));
            cache.insert_for(key, "alice", true, now, Duration::from_secs(at_most));
            let is_cached = |second| cache.get(key, now + Duration::from_secs(second)).is_some();
            assert_eq!((0..10).filter(|second| is_cached(*second)).count() as u64, lasts, "{at_most}");
        }
    }

    #[test]
    fn different_lists_of_parts_have_different_keys() {
        assert_ne!(CacheKey::of(["ab", "c"]), CacheKey::of(["a", "bc"]));
        assert_ne!(CacheKey::of(["abc"]), CacheKey::of(["abc", ""]));
    }

    #[test]
    fn negative_decisions_use_bounded_memory_and_evict_no_positive_one() {
        let now = Instant::now();
        let cache = DecisionCache::new(Duration::from_secs(60));
        cache.insert(CacheKey::of(["alice"]), true, true, now);
        for made_up in 0..3 * GENERATION {
            cache.insert(CacheKey::of([made_up.to_string()]), false, false, now);
        }
        let negative = cache.negative.lock().unwrap();
        assert!(negative.values().count() <= 2 * GENERATION);
        drop(negative);
        assert_eq!(cache.get(CacheKey::of(["alice"]), now), Some(true));
        assert_eq!(cache.get(CacheKey::of(["14999"]), now), Some(false));
    }
}
