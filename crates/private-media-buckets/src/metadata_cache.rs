//! What the store said about objects, for a short time.

use std::collections::HashMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use object_store::path::Path;
use private_media::{CacheCounts, MediaFile};
use tokio::time::{Duration, Instant};

use crate::cache::{EntryId, lock};

/// The most objects of a generation. There are two.
const MAX_OBJECTS: usize = 4096;

/// Files by their keys. Each is used for a limited time after the store was asked.
#[derive(Debug)]
pub(crate) struct MetadataCache {
    revalidate_after: Duration,
    objects: Mutex<Objects>,
    hits: AtomicU64,
    misses: AtomicU64,
}

#[derive(Debug, Default)]
struct Objects {
    recent: HashMap<Path, Known>,
    older: HashMap<Path, Known>,
    /// The number of changes so far.
    changes: u64,
}

/// An object, as the store described it.
#[derive(Debug, Clone)]
pub(crate) struct Known {
    pub(crate) file: MediaFile,
    pub(crate) id: EntryId,
    checked: Instant,
}

/// A question to the store. Its answer is not cached if an object changes meanwhile.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Question {
    changes: u64,
    asked: Instant,
}

impl MetadataCache {
    pub(crate) fn new(revalidate_after: Duration) -> Self {
        let objects = Mutex::default();
        Self { revalidate_after, objects, hits: AtomicU64::new(0), misses: AtomicU64::new(0) }
    }

    /// Returns an object that need not be checked yet.
    pub(crate) fn fresh(&self, key: &Path) -> Option<Known> {
        let known = lock(&self.objects).get(key)?;
        (known.checked.elapsed() < self.revalidate_after).then_some(known)
    }

    /// Counts a request by whether the store was asked.
    pub(crate) fn count(&self, is_hit: bool) {
        let counter = if is_hit { &self.hits } else { &self.misses };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        CacheCounts::new(self.hits.load(Ordering::Relaxed), self.misses.load(Ordering::Relaxed))
    }

    /// Begins a question to the store. The time of an answer is that of its question.
    pub(crate) fn ask(&self) -> Question {
        Question { changes: lock(&self.objects).changes, asked: Instant::now() }
    }

    /// Returns what was known about an object, fresh or not.
    pub(crate) fn last(&self, key: &Path) -> Option<Known> {
        lock(&self.objects).get(key)
    }

    /// Caches the answer to a question.
    pub(crate) fn insert(&self, key: Path, question: Question, file: MediaFile, id: EntryId) {
        let mut objects = lock(&self.objects);
        // Answers may arrive in another order than their questions.
        let is_newest = objects.get(&key).is_none_or(|known| known.checked <= question.asked);
        if objects.changes == question.changes && is_newest {
            objects.insert(key, Known { file, id, checked: question.asked });
        }
    }

    /// Forgets an object that has changed, or may have.
    pub(crate) fn forget(&self, key: &Path) -> Option<Known> {
        let mut objects = lock(&self.objects);
        objects.changes = objects.changes.wrapping_add(1);
        let older = objects.older.remove(key);
        objects.recent.remove(key).or(older)
    }

    /// Forgets all objects.
    pub(crate) fn clear(&self) {
        let mut objects = lock(&self.objects);
        let changes = objects.changes.wrapping_add(1);
        *objects = Objects { changes, ..Objects::default() };
    }
}

impl Objects {
    fn get(&mut self, key: &Path) -> Option<Known> {
        if let Some(known) = self.recent.get(key) {
            return Some(known.clone());
        }
        let known = self.older.remove(key)?;
        self.insert(key.clone(), known.clone());
        Some(known)
    }

    fn insert(&mut self, key: Path, known: Known) {
        self.older.remove(&key);
        if self.recent.len() >= MAX_OBJECTS && !self.recent.contains_key(&key) {
            self.older = std::mem::take(&mut self.recent);
        }
        self.recent.insert(key, known);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;
    use std::time::UNIX_EPOCH;

    use private_media::storage::{Metadata, ReadAt};

    use super::*;

    #[derive(Debug)]
    struct NoBytes;

    impl ReadAt for NoBytes {
        fn read_at(
            self: Arc<Self>,
            _: u64,
            _: usize,
        ) -> futures_core::future::BoxFuture<'static, std::io::Result<bytes::Bytes>> {
            unreachable!()
        }
    }

    fn insert(cache: &MetadataCache, question: Question, key: &str) {
        let file = MediaFile::new(Metadata::new(1, UNIX_EPOCH, "t"), Arc::new(NoBytes));
        cache.insert(key.into(), question, file, EntryId::new("", key, "t", 1));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_is_used_for_some_time_after_its_question() {
        let second = Duration::from_secs(1);
        let cache = MetadataCache::new(second * 10);
        let question = cache.ask();
        tokio::time::advance(second * 3).await;
        insert(&cache, question, "a");
        tokio::time::advance(second * 6).await;
        assert!(cache.fresh(&"a".into()).is_some());
        assert!(cache.fresh(&"b".into()).is_none());
        tokio::time::advance(second).await;
        assert!(cache.fresh(&"a".into()).is_none());
        assert!(cache.last(&"a".into()).is_some());
        // An answer that arrives late does not replace a newer one.
        let (earlier, later) = (cache.ask(), {
            tokio::time::advance(second).await;
            cache.ask()
        });
        insert(&cache, later, "c");
        insert(&cache, earlier, "c");
        tokio::time::advance(second * 9 + second / 2).await;
        assert!(cache.fresh(&"c".into()).is_some());
        let never = MetadataCache::new(Duration::ZERO);
        insert(&never, never.ask(), "a");
        assert!(never.fresh(&"a".into()).is_none());
    }

    #[tokio::test]
    async fn an_answer_from_before_a_change_is_not_cached() {
        let cache = MetadataCache::new(Duration::from_secs(3600));
        let (first, second) = (cache.ask(), cache.ask());
        insert(&cache, first, "a");
        assert!(cache.forget(&"a".into()).is_some());
        insert(&cache, second, "a");
        assert!(cache.last(&"a".into()).is_none());
        let third = cache.ask();
        insert(&cache, third, "a");
        insert(&cache, third, "b");
        cache.clear();
        insert(&cache, third, "c");
        assert!(["a", "b", "c"].iter().all(|key| cache.last(&(*key).into()).is_none()));
    }

    #[tokio::test]
    async fn memory_is_bounded_and_used_objects_stay() {
        let cache = MetadataCache::new(Duration::from_secs(3600));
        for number in 0..5 * MAX_OBJECTS {
            insert(&cache, cache.ask(), &number.to_string());
            assert!(cache.fresh(&"0".into()).is_some(), "{number}");
        }
        let objects = lock(&cache.objects);
        assert!(objects.recent.len() + objects.older.len() <= 2 * MAX_OBJECTS);
    }
}
