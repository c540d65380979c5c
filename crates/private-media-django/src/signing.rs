//! Values in the format of `django.core.signing`: `PAYLOAD:TIME:SIGNATURE`.
//!
//! The payload is JSON in base64url, or a dot and compressed JSON in base64url. The time is in base62.

use std::io::Read;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use flate2::read::ZlibDecoder;

use crate::secret::SecretKeys;

/// The longest accepted value, compressed or not.
pub(crate) const MAX_LENGTH: usize = 4 << 20;

/// A value with a valid signature. Its content is JSON, or is ignored.
#[derive(Debug)]
pub(crate) struct Signed {
    pub(crate) json: Vec<u8>,
    /// When it was signed, in seconds since 1970.
    at: i128,
}

impl Signed {
    /// Returns the value of a text that one of these keys signed with this salt. Nothing is decompressed before the signature is verified.
    pub(crate) fn parse(text: &str, salt: &str, keys: &SecretKeys) -> Option<Self> {
        if text.len() > MAX_LENGTH {
            return None;
        }
        let (signed, signature) = text.rsplit_once(':')?;
        // As Django's `Signer` does.
        let salt = format!("{salt}signer");
        if !keys.verify(&salt, signed.as_bytes(), signature, |mac| URL_SAFE_NO_PAD.encode(mac)) {
            return None;
        }
        let (packed, at) = signed.rsplit_once(':')?;
        Some(Self { at: base62(at)?, json: unpack(packed)? })
    }

    /// Returns whether the value was signed longer ago than this.
    pub(crate) fn is_older_than(&self, age: Duration, now: SystemTime) -> bool {
        let nanoseconds = |time: Duration| i128::try_from(time.as_nanos()).unwrap_or(i128::MAX);
        let now = nanoseconds(now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default());
        now.saturating_sub(self.at.saturating_mul(1_000_000_000)) > nanoseconds(age)
    }
}

fn unpack(packed: &str) -> Option<Vec<u8>> {
    let Some(compressed) = packed.strip_prefix('.') else { return URL_SAFE_NO_PAD.decode(packed).ok() };
    let compressed = URL_SAFE_NO_PAD.decode(compressed).ok()?;
    let mut json = Vec::new();
    let limit = u64::try_from(MAX_LENGTH).ok()?;
    ZlibDecoder::new(&*compressed).take(limit + 1).read_to_end(&mut json).ok()?;
    (json.len() <= MAX_LENGTH).then_some(json)
}

/// Parses a number like Django's `b62_decode`. The result saturates.
fn base62(text: &str) -> Option<i128> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let number = digits.bytes().try_fold(0_i128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'A'..=b'Z' => digit - b'A' + 10,
            b'a'..=b'z' => digit - b'a' + 36,
            _ => return None,
        };
        Some(number.saturating_mul(62).saturating_add(digit.into()))
    });
    // Django parses a lone sign as zero.
    number.filter(|_| !text.is_empty()).map(|number| if digits == text { number } else { -number })
}
