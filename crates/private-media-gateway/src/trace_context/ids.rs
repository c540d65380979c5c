//! Identifiers of traces and spans.

use std::cell::Cell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::num::{NonZeroU64, NonZeroU128};

/// Identifies a trace: all spans of one request across programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceId(NonZeroU128);

/// Identifies a span: one operation of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanId(NonZeroU64);

impl TraceId {
    /// Returns the identifier with this number. Zero is invalid.
    pub(crate) fn new(number: u128) -> Option<Self> {
        NonZeroU128::new(number).map(Self)
    }

    #[cfg(feature = "otel")]
    pub(crate) fn random() -> Self {
        let number = u128::from(random()) << 64 | u128::from(random());
        Self(NonZeroU128::new(number).unwrap_or(NonZeroU128::MAX))
    }

    #[cfg(feature = "otel")]
    pub(crate) fn number(self) -> u128 {
        self.0.get()
    }
}

impl SpanId {
    /// Returns the identifier with this number. Zero is invalid.
    pub(crate) fn new(number: u64) -> Option<Self> {
        NonZeroU64::new(number).map(Self)
    }

    /// Returns a new identifier.
    pub(crate) fn random() -> Self {
        Self(NonZeroU64::new(random()).unwrap_or(NonZeroU64::MAX))
    }

    #[cfg(feature = "otel")]
    pub(crate) fn number(self) -> u64 {
        self.0.get()
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// Returns a number that is uniformly distributed: the keyed hash of a counter, without a lock or a system call.
fn random() -> u64 {
    thread_local! {
        static KEY: RandomState = RandomState::new();
        static COUNT: Cell<u64> = const { Cell::new(0) };
    }
    let count = COUNT.replace(COUNT.get().wrapping_add(1));
    KEY.with(|key| key.hash_one(count))
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn identifiers_have_leading_zeros_and_are_never_zero() {
        assert_eq!(TraceId::new(0xab).unwrap().to_string(), "000000000000000000000000000000ab");
        assert_eq!(SpanId::new(0xab).unwrap().to_string(), "00000000000000ab");
        assert_eq!((TraceId::new(0), SpanId::new(0)), (None, None));
    }

    #[test]
    fn random_identifiers_differ_between_threads_and_use_all_bits() {
        let thread = || (0..2_000).map(|_| SpanId::random().0.get()).collect::<Vec<_>>();
        let all: Vec<u64> = [std::thread::spawn(thread), std::thread::spawn(thread)]
            .into_iter()
            .flat_map(|thread| thread.join().unwrap())
            .collect();
        assert_eq!(all.iter().collect::<HashSet<_>>().len(), all.len());
        for bit in 0..64 {
            let set = all.iter().filter(|id| *id >> bit & 1 == 1).count();
            assert!((1_600..2_400).contains(&set), "bit {bit} is set in {set} of {}", all.len());
        }
    }
}
