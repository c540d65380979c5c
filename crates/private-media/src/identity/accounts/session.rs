//! The signed session cookie.

use std::fmt;
use std::time::{Duration, SystemTime};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use subtle::ConstantTimeEq;

/// The name of the cookie.
pub(super) const NAME: &str = "private_media_session";
/// The first byte of every token, so that a later format cannot be confused with this one.
const VERSION: u8 = 2;
const MAC: usize = 32;

/// The content of a session cookie. The token is base64url of: version, id, time of issue (microseconds since 1970, 8 bytes), expiry
/// (seconds since 1970, 8 bytes), stamp, name; and the HMAC-SHA256 of these, each preceded by its length.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Session {
    /// Identifies the session once it has ended.
    pub(super) id: [u8; 16],
    /// The time of issue, in microseconds since 1970.
    pub(super) issued: u64,
    pub(super) expires: SystemTime,
    /// The digest of the password hash. It changes with the password, which ends the session.
    pub(super) stamp: [u8; 16],
    pub(super) name: String,
}

impl Session {
    pub(super) fn to_token(&self, key: &Key) -> String {
        let issued = self.issued.to_be_bytes();
        let expires = seconds(self.expires).to_be_bytes();
        let parts: [&[u8]; 6] = [&[VERSION], &self.id, &issued, &expires, &self.stamp, self.name.as_bytes()];
        URL_SAFE_NO_PAD.encode([parts.concat(), key.sign(&parts).to_vec()].concat())
    }

    /// Returns the session of a token that this key signed. The caller checks whether it has expired or ended.
    pub(super) fn parse(token: impl AsRef<[u8]>, key: &Key) -> Option<Self> {
        let bytes = URL_SAFE_NO_PAD.decode(token).ok()?;
        let (content, mac) = bytes.split_at_checked(bytes.len().checked_sub(MAC)?)?;
        let (version, rest) = content.split_at_checked(1)?;
        let (id, rest) = rest.split_first_chunk::<16>()?;
        let (issued, rest) = rest.split_first_chunk::<8>()?;
        let (expires, rest) = rest.split_first_chunk::<8>()?;
        let (stamp, name) = rest.split_first_chunk::<16>()?;
        let expected = key.sign(&[version, id, issued, expires, stamp, name]);
        if !bool::from(expected.ct_eq(mac)) || version != [VERSION] {
            return None;
        }
        Some(Self {
            id: *id,
            issued: u64::from_be_bytes(*issued),
            expires: SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(u64::from_be_bytes(*expires)))?,
            stamp: *stamp,
            name: String::from_utf8(name.to_vec()).ok()?,
        })
    }
}

/// Returns a time in whole seconds since 1970.
pub(super) fn seconds(time: SystemTime) -> u64 {
    time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Returns a time in microseconds since 1970.
pub(super) fn microseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Returns the digest that represents a password in a session.
pub(super) fn stamp(key: &Key, password_hash: &str) -> [u8; 16] {
    let mac = key.sign(&[b"stamp", password_hash.as_bytes()]);
    mac.first_chunk().copied().unwrap_or_default()
}

pub(super) fn random<const N: usize>() -> Option<[u8; N]> {
    let mut bytes = [0; N];
    getrandom::fill(&mut bytes).ok().map(|()| bytes)
}

/// A key of HMAC-SHA256, padded to the block size of the hash (RFC 2104).
#[derive(Clone)]
pub(super) struct Key([u8; 64]);

impl Key {
    pub(super) fn new(bytes: [u8; 32]) -> Self {
        let mut block = [0; 64];
        block.iter_mut().zip(bytes).for_each(|(to, byte)| *to = byte);
        Self(block)
    }

    /// Returns a random key; `None` if the system provides no random numbers.
    pub(super) fn random() -> Option<Self> {
        random().map(Self::new)
    }

    /// Signs a list of parts, each preceded by its length, so that different lists are different messages.
    pub(super) fn sign(&self, parts: &[&[u8]]) -> [u8; MAC] {
        let mut mac = Hmac::<Sha256>::new(&self.0.into());
        for part in parts {
            mac.update(&(part.len() as u64).to_be_bytes());
            mac.update(part);
        }
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Key(…)")
    }
}
