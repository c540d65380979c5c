//! Identifiers of requests.

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// Identifies one request, in its response and in the log.
#[derive(Debug, Clone)]
pub(crate) enum RequestId {
    /// 16 hexadecimal digits.
    Own([u8; 16]),
    /// The identifier of a trusted proxy: visible ASCII characters.
    OfProxy(Arc<str>),
}

impl RequestId {
    pub(crate) fn as_str(&self) -> &str {
        match self {
            Self::Own(digits) => str::from_utf8(digits).unwrap_or_default(),
            Self::OfProxy(text) => text,
        }
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Own(digits) => digits,
            Self::OfProxy(text) => text.as_bytes(),
        }
    }

    pub(crate) fn to_header(&self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).unwrap_or(HeaderValue::from_static("-"))
    }
}

/// A one in each byte.
const ONES: u128 = 0x0101_0101_0101_0101_0101_0101_0101_0101;

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        // All 16 digits at once, one a byte: the four-bit groups are spread out, then each becomes its ASCII character.
        let mut spread = u128::from(number);
        for (shift, mask) in [
            (32, 0x0000_0000_ffff_ffff_0000_0000_ffff_ffff),
            (16, 0x0000_ffff_0000_ffff_0000_ffff_0000_ffff),
            (8, 0x00ff_00ff_00ff_00ff_00ff_00ff_00ff_00ff),
            (4, 0x0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f_0f0f),
        ] {
            spread = (spread | spread << shift) & mask;
        }
        let letters = (spread + 6 * ONES) >> 4 & ONES;
        let digits = spread + u128::from(b'0') * ONES + u128::from(b'a' - b'0' - 10) * letters;
        Self::Own(digits.to_be_bytes())
    }
}

/// Makes identifiers that differ from those of any other process and do not reveal how many requests there were.
#[derive(Debug)]
pub(crate) struct RequestIds {
    seed: u64,
    count: AtomicU64,
}

impl Default for RequestIds {
    fn default() -> Self {
        Self { seed: RandomState::new().hash_one(0), count: AtomicU64::new(RandomState::new().hash_one(1)) }
    }
}

impl RequestIds {
    pub(crate) fn next(&self) -> RequestId {
        // The finalizer of MurmurHash3, a bijection: no identifier comes twice.
        let mut number = self.count.fetch_add(1, Ordering::Relaxed) ^ self.seed;
        for factor in [0xff51_afd7_ed55_8ccd, 0xc4ce_b9fe_1a85_ec53] {
            number = (number ^ number >> 33).wrapping_mul(factor);
        }
        (number ^ number >> 33 ^ self.seed.rotate_left(32)).into()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    #[test]
    fn digits() {
        for (number, digits) in [
            (0, "0000000000000000"),
            (u64::MAX, "ffffffffffffffff"),
            (0x0123_4567_89ab_cdef, "0123456789abcdef"),
        ] {
            assert_eq!(RequestId::from(number).as_str(), digits);
            assert_eq!(RequestId::from(number).to_header(), digits);
        }
    }

    #[test]
    fn identifiers_differ() {
        let (ids, others) = (RequestIds::default(), RequestIds::default());
        let mut seen = HashSet::new();
        for _ in 0..10_000 {
            assert!(
                seen.insert(ids.next().as_str().to_owned()) && seen.insert(others.next().as_str().to_owned())
            );
        }
    }
}
