//! The cache behind the other caches of this crate.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;

use foldhash::fast::RandomState;

/// A cache in bounded memory. When the young generation is full, it becomes the old one, and the old one is evicted. A lookup or an
/// insertion costs one or two operations of a hash map, without a list of recent use.
#[derive(Debug)]
pub(crate) struct TwoGenerationCache<K, V> {
    young: Generation<K, V>,
    old: Generation<K, V>,
    /// The weight of the young generation.
    weight: Weight,
    /// The limit of each generation.
    limit: Weight,
}

/// Entries that were inserted at about the same time.
pub(crate) type Generation<K, V> = HashMap<K, V, RandomState>;

/// Two quantities that are limited independently, such as bytes and open files.
pub(crate) type Weight = [usize; 2];

/// A value with a weight.
pub(crate) trait Weigh {
    fn weight(&self) -> Weight {
        [1, 0]
    }
}

impl<K: Hash + Eq, V: Weigh> TwoGenerationCache<K, V> {
    /// Returns an empty cache. The limit is that of each of the two generations.
    pub(crate) fn new(limit: Weight) -> Self {
        Self { young: HashMap::default(), old: HashMap::default(), weight: [0, 0], limit }
    }

    pub(crate) fn get<Q: Hash + Eq + ?Sized>(&self, key: &Q) -> Option<&V>
    where
        K: Borrow<Q>,
    {
        self.young.get(key).or_else(|| self.old.get(key))
    }

    /// Inserts a value, unless it exceeds the limit of a generation. Returns the evicted entries, so that the caller can drop them after
    /// unlocking the cache.
    pub(crate) fn insert(&mut self, key: K, value: V) -> Generation<K, V> {
        self.remove(&key);
        let weight = value.weight();
        let is_over = |sum: Weight| sum.iter().zip(self.limit).any(|(sum, limit)| *sum > limit);
        if is_over(weight) {
            return HashMap::default();
        }
        let mut evicted = HashMap::default();
        let mut sum = added(self.weight, weight);
        if is_over(sum) {
            evicted = std::mem::replace(&mut self.old, std::mem::take(&mut self.young));
            sum = weight;
        }
        self.weight = sum;
        self.young.insert(key, value);
        evicted
    }

    pub(crate) fn remove<Q: Hash + Eq + ?Sized>(&mut self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.old.remove(key);
        if let Some(value) = self.young.remove(key) {
            let [first, second] = value.weight();
            self.weight = [self.weight[0].saturating_sub(first), self.weight[1].saturating_sub(second)];
        }
    }

    /// Empties the cache, and returns its content.
    #[cfg(any(test, feature = "local"))]
    pub(crate) fn clear(&mut self) -> Self {
        let empty = Self::new(self.limit);
        std::mem::replace(self, empty)
    }

    #[cfg(test)]
    pub(crate) fn values(&self) -> impl Iterator<Item = &V> {
        self.young.values().chain(self.old.values())
    }
}

fn added([a, b]: Weight, [c, d]: Weight) -> Weight {
    [a.saturating_add(c), b.saturating_add(d)]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Clone, Copy, PartialEq)]
    struct Item(Weight);

    impl Weigh for Item {
        fn weight(&self) -> Weight {
            self.0
        }
    }

    #[test]
    fn neither_quantity_exceeds_twice_the_limit() {
        let mut cache = TwoGenerationCache::new([10, 3]);
        for key in 0..100_usize {
            cache.insert(key, Item([key % 4, key % 2]));
            let sum = cache.values().fold([0, 0], |sum, value| added(sum, value.0));
            assert!(sum[0] <= 20 && sum[1] <= 6, "{sum:?}");
            assert!(cache.get(&key).is_some(), "{key}");
        }
    }

    #[test]
    fn an_entry_survives_one_generation() {
        let mut cache = TwoGenerationCache::new([2, 0]);
        let one = Item([1, 0]);
        let evicted: Vec<usize> = (0..6).flat_map(|key| cache.insert(key, one).into_keys()).collect();
        assert_eq!(evicted.len(), 2);
        assert!(evicted.contains(&0) && evicted.contains(&1), "{evicted:?}");
        assert_eq!((0..6).filter(|key| cache.get(key).is_some()).collect::<Vec<_>>(), [2, 3, 4, 5]);
        assert_eq!(cache.clear().values().count(), 4);
        assert_eq!(cache.values().count(), 0);
    }

    #[test]
    fn replaced_and_removed_values_have_no_weight() {
        let mut cache = TwoGenerationCache::new([10, 10]);
        for _ in 0..100 {
            assert!(cache.insert("a", Item([6, 6])).is_empty());
        }
        cache.remove("a");
        assert!(cache.insert("b", Item([10, 10])).is_empty());
        assert!(cache.get("b").is_some());
    }

    #[test]
    fn a_value_over_the_limit_evicts_nothing() {
        let mut cache = TwoGenerationCache::new([10, 1]);
        cache.insert("a", Item([5, 0]));
        for weight in [[11, 0], [0, 2], [usize::MAX, usize::MAX]] {
            assert!(cache.insert("b", Item(weight)).is_empty());
            assert!(cache.get("b").is_none() && cache.get("a").is_some());
        }
    }
}
