//! A histogram of durations.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// The upper bounds of the buckets, in nanoseconds. A last bucket has no bound.
pub(super) const BOUNDS: [u64; 19] = [
    10_000,
    25_000,
    50_000,
    100_000,
    250_000,
    500_000,
    1_000_000,
    2_500_000,
    5_000_000,
    10_000_000,
    25_000_000,
    50_000_000,
    100_000_000,
    250_000_000,
    500_000_000,
    1_000_000_000,
    2_500_000_000,
    10_000_000_000,
    60_000_000_000,
];

/// A histogram that one thread writes and others read.
#[derive(Debug)]
pub(super) struct Histogram {
    /// The number of durations in each bucket, without those of smaller ones.
    buckets: [AtomicU64; BOUNDS.len() + 1],
    /// The sum of all durations, in nanoseconds.
    sum: AtomicU64,
}

/// The values of histograms, added up.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Values {
    pub(super) buckets: [u64; BOUNDS.len() + 1],
    pub(super) nanoseconds: u64,
}

impl Default for Histogram {
    fn default() -> Self {
        Self { buckets: std::array::from_fn(|_| AtomicU64::new(0)), sum: AtomicU64::new(0) }
    }
}

impl Histogram {
    pub(super) fn observe(&self, duration: Duration) {
        let nanoseconds = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
        let bucket = BOUNDS.iter().position(|bound| nanoseconds <= *bound).unwrap_or(BOUNDS.len());
        if let Some(bucket) = self.buckets.get(bucket) {
            bucket.fetch_add(1, Ordering::Relaxed);
        }
        self.sum.fetch_add(nanoseconds, Ordering::Relaxed);
    }

    /// Adds the values of this histogram.
    pub(super) fn add_to(&self, values: &mut Values) {
        for (to, bucket) in values.buckets.iter_mut().zip(&self.buckets) {
            *to += bucket.load(Ordering::Relaxed);
        }
        values.nanoseconds = values.nanoseconds.wrapping_add(self.sum.load(Ordering::Relaxed));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_in_the_bucket_of_their_bound() {
        let histogram = Histogram::default();
        for nanoseconds in [0, 10_000, 10_001, 60_000_000_000, 60_000_000_001] {
            histogram.observe(Duration::from_nanos(nanoseconds));
        }
        let mut values = Values::default();
        histogram.add_to(&mut values);
        let filled: Vec<_> = (0..).zip(values.buckets).filter(|(_, count)| *count > 0).collect();
        assert_eq!(filled, [(0, 2), (1, 1), (18, 1), (19, 1)]);
        assert_eq!(values.nanoseconds, 120_000_020_002);
    }
}
