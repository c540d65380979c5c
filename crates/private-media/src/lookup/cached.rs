//! A cache of a lookup.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use futures_core::future::BoxFuture;
use futures_util::FutureExt;
use futures_util::future::{Shared, WeakShared};

use super::{Attributes, Lookup, LookupError};
use crate::decision_cache::{CacheKey, DecisionCache};
use crate::request::MediaPath;

/// Caches what a [`Lookup`] returns, in bounded memory, and that it has no such file. Failures are not cached. Requests for a path that is
/// being looked up wait for that result. Cheap to clone; all clones share their state.
///
/// ```
/// use std::sync::atomic::{AtomicUsize, Ordering};
/// use std::sync::Arc;
/// use std::time::Duration;
///
/// use private_media::lookup::{Attributes, CachedLookup, Lookup};
/// use private_media::MediaPath;
///
/// # futures_util::FutureExt::now_or_never(async {
/// let count = Arc::new(AtomicUsize::new(0));
/// let counted = Arc::clone(&count);
/// let slow = move |_: &MediaPath| {
///     counted.fetch_add(1, Ordering::Relaxed);
///     Ok(Attributes::new().owner("7"))
/// };
/// let lookup = CachedLookup::new(slow, Duration::from_secs(5));
/// let path = MediaPath::new("blobs/x7Fq2Ab").unwrap();
/// assert_eq!(lookup.look_up(&path).await.unwrap().owner_id(), Some("7"));
/// assert_eq!(lookup.look_up(&path).await.unwrap().owner_id(), Some("7"));
/// assert_eq!(count.load(Ordering::Relaxed), 1);
/// # }).unwrap();
/// ```
pub struct CachedLookup<L>(Arc<Inner<L>>);

struct Inner<L> {
    lookup: L,
    ttl: Duration,
    /// `None` is a file that the lookup does not have.
    cache: DecisionCache<Option<Attributes>>,
    running: Mutex<HashMap<MediaPath, WeakShared<Query>>>,
}

type Query = BoxFuture<'static, Result<Attributes, LookupError>>;

impl<L: Lookup> CachedLookup<L> {
    /// Caches each result for this time. With zero, each request is looked up by itself.
    pub fn new(lookup: L, ttl: Duration) -> Self {
        Self(Arc::new(Inner { lookup, ttl, cache: DecisionCache::new(ttl), running: Mutex::default() }))
    }

    /// Returns the running query for a path, or starts one.
    fn query(&self, path: &MediaPath, key: CacheKey, requested: Instant) -> Shared<Query> {
        let mut running = self.0.running();
        if let Some(query) = running.get(path).and_then(WeakShared::upgrade) {
            return query;
        }
        let running_query = RunningQuery { of: Arc::clone(&self.0), path: path.clone() };
        let query: Query = Box::pin(async move {
            let RunningQuery { of, path } = &running_query;
            let result = of.lookup.look_up(path).await;
            match &result {
                Ok(attributes) => of.cache.insert(key, Some(attributes.clone()), true, requested),
                Err(LookupError::NotFound) => of.cache.insert(key, None, false, requested),
                Err(LookupError::Failed(_)) => {}
            }
            result
        });
        let query = query.shared();
        running.extend(query.downgrade().map(|weak| (path.clone(), weak)));
        query
    }
}

impl<L> Inner<L> {
    fn running(&self) -> MutexGuard<'_, HashMap<MediaPath, WeakShared<Query>>> {
        // No panic leaves the map inconsistent, so a poisoned lock is usable.
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The entry of a running query. It goes when the query has ended, also if all its clients have disconnected.
struct RunningQuery<L> {
    of: Arc<Inner<L>>,
    path: MediaPath,
}

impl<L> Drop for RunningQuery<L> {
    fn drop(&mut self) {
        self.of.running().remove(&self.path);
    }
}

impl<L: Lookup> Lookup for CachedLookup<L> {
    fn covers(&self, path: &MediaPath) -> bool {
        self.0.lookup.covers(path)
    }

    fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>> {
        if self.0.ttl.is_zero() {
            return self.0.lookup.look_up(path);
        }
        let (key, now) = (CacheKey::of([path.as_str()]), Instant::now());
        match self.0.cache.get(key, now) {
            Some(cached) => Box::pin(std::future::ready(cached.ok_or(LookupError::NotFound))),
            None => self.query(path, key, now).boxed(),
        }
    }
}

impl<L> Clone for CachedLookup<L> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<L> fmt::Debug for CachedLookup<L> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CachedLookup").field("ttl", &self.0.ttl).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::{join, join_all};
    use tokio::sync::Semaphore;

    use super::*;

    /// A lookup that waits for permission to answer, and counts its queries.
    struct Gated {
        gate: Semaphore,
        queries: AtomicUsize,
    }

    impl Gated {
        fn cached(permits: usize, ttl: Duration) -> (Arc<Self>, CachedLookup<Arc<Self>>) {
            let gated = Arc::new(Self { gate: Semaphore::new(permits), queries: AtomicUsize::new(0) });
            (Arc::clone(&gated), CachedLookup::new(gated, ttl))
        }

        fn queries(&self) -> usize {
            self.queries.load(Ordering::Relaxed)
        }
    }

    impl Lookup for Gated {
        fn covers(&self, path: &MediaPath) -> bool {
            path.segments().next() == Some("blobs")
        }

        fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>> {
            Box::pin(async move {
                self.queries.fetch_add(1, Ordering::Relaxed);
                self.gate.acquire().await.unwrap().forget();
                match path.file_name() {
                    "none" => Err(LookupError::NotFound),
                    "failing" => Err(LookupError::failed("away")),
                    owner => Ok(Attributes::new().owner(owner)),
                }
            })
        }
    }

    fn path(name: &str) -> MediaPath {
        MediaPath::new(&format!("blobs/{name}")).unwrap()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn rows_and_missing_rows_are_cached_and_failures_are_not() {
        for (name, expected) in [("7", 1), ("none", 1), ("failing", 3)] {
            let (gated, lookup) = Gated::cached(9, LONG);
            for _ in 0..3 {
                let result = lookup.look_up(&path(name)).await;
                assert_eq!(result.is_ok(), name == "7", "{name}");
                assert_eq!(matches!(result, Err(LookupError::NotFound)), name == "none", "{name}");
            }
            assert_eq!(gated.queries(), expected, "{name}");
        }
    }

    #[tokio::test]
    async fn without_a_ttl_each_request_is_a_query() {
        let (gated, lookup) = Gated::cached(9, Duration::ZERO);
        let path = path("7");
        let (first, second) = join(lookup.look_up(&path), lookup.look_up(&path)).await;
        assert!(first.is_ok() && second.is_ok());
        assert_eq!(gated.queries(), 2);
    }

    #[tokio::test]
    async fn entries_expire() {
        let (gated, lookup) = Gated::cached(9, Duration::from_millis(20));
        lookup.look_up(&path("7")).await.unwrap();
        tokio::time::sleep(Duration::from_millis(30)).await;
        lookup.look_up(&path("7")).await.unwrap();
        assert_eq!(gated.queries(), 2);
    }

    #[tokio::test]
    async fn requests_for_one_path_share_one_query() {
        let (gated, lookup) = Gated::cached(0, LONG);
        let (same, other) = (path("7"), path("8"));
        let mut waiting: Vec<_> = (0..20).map(|_| lookup.look_up(&same)).collect();
        waiting.push(lookup.look_up(&other));
        let all = join_all(waiting);
        let release = async {
            tokio::task::yield_now().await;
            gated.gate.add_permits(2);
        };
        let (results, ()) = join(all, release).await;
        assert_eq!(gated.queries(), 2);
        let owners: Vec<_> =
            results.into_iter().map(|found| found.unwrap().owner_id().unwrap().to_owned()).collect();
        assert_eq!((owners[0].as_str(), owners[19].as_str(), owners[20].as_str()), ("7", "7", "8"));
        assert!(lookup.0.running().is_empty());
    }

    /// A client that disconnects may be the one whose task drives the query.
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_query_outlives_the_client_that_started_it() {
        let (gated, lookup) = Gated::cached(0, LONG);
        let spawn = || {
            let lookup = lookup.clone();
            tokio::spawn(async move { lookup.look_up(&path("7")).await })
        };
        let first = spawn();
        while gated.queries() == 0 {
            tokio::task::yield_now().await;
        }
        let second = spawn();
        tokio::time::sleep(Duration::from_millis(20)).await;
        first.abort();
        assert!(first.await.unwrap_err().is_cancelled());
        gated.gate.add_permits(1);
        assert_eq!(second.await.unwrap().unwrap().owner_id(), Some("7"));
        assert_eq!(gated.queries(), 1);
    }

    #[tokio::test]
    async fn a_query_that_nobody_waits_for_is_forgotten() {
        let (gated, lookup) = Gated::cached(0, LONG);
        for number in 0..100 {
            let path = path(&number.to_string());
            assert!(lookup.look_up(&path).now_or_never().is_none());
        }
        assert_eq!(gated.queries(), 100);
        assert!(lookup.0.running().is_empty());
    }

    #[test]
    fn it_covers_what_the_lookup_covers() {
        let (_, lookup) = Gated::cached(0, LONG);
        assert!(lookup.covers(&path("7")));
        assert!(!lookup.covers(&MediaPath::new("cars/7").unwrap()));
    }
}
