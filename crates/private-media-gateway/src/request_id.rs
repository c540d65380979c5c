//! Names for requests.

use std::hash::{BuildHasher, RandomState};
use std::sync::atomic::{AtomicU64, Ordering};

use http::HeaderValue;

/// What one request is called, in its response and in the log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RequestId([u8; 16]);

impl RequestId {
    /// Hexadecimal digits.
    pub(crate) fn as_str(&self) -> &str {
        str::from_utf8(&self.0).unwrap_or_default()
    }

    pub(crate) fn to_header(self) -> HeaderValue {
        HeaderValue::from_str(self.as_str()).unwrap_or(HeaderValue::from_static("-"))
    }
}

impl From<u64> for RequestId {
    fn from(number: u64) -> Self {
        Self(std::array::from_fn(|at| {
            let digit = u8::try_from(number >> (60 - 4 * at) & 0xf).unwrap_or_default();
            if digit < 10 { b'0' + digit } else { b'a' + digit - 10 }
        }))
    }
}

/// Makes names unlike those of any other process, and hard to guess from one another.
#[derive(Debug, Default)]
pub(crate) struct RequestIds {
    random: RandomState,
    count: AtomicU64,
}

impl RequestIds {
    pub(crate) fn next(&self) -> RequestId {
        self.random.hash_one(self.count.fetch_add(1, Ordering::Relaxed)).into()
    }
}

#[cfg(test)]
mod tests {
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
        let ids = RequestIds::default();
        assert_ne!(ids.next().as_str(), ids.next().as_str());
    }
}
