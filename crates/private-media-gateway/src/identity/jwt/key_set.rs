//! The keys of a source, and how a token finds its own.

use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, DecodingKey};
use private_media::decision_cache::CacheKey;
use serde::Deserialize;
use serde_json::Value;

use super::key::{HMAC_ALGORITHMS, Key};
use super::public_key;

/// The minimum length of a secret, in bytes: that of a SHA-256 hash (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// The keys of a source.
#[derive(Debug)]
pub(super) struct KeySet {
    keys: Vec<Key>,
    digest: CacheKey,
}

/// The reason why no key verifies a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NoKey {
    /// No key has the id and algorithm of the token.
    Unknown,
    /// The token does not name one of several keys.
    Ambiguous,
}

impl KeySet {
    /// Reads a JWK set (RFC 7517 section 5). Keys that cannot verify tokens are left out, and so are secrets: whoever can read the
    /// set could sign tokens with them.
    pub(super) fn from_jwks(json: &[u8]) -> Result<Self, &'static str> {
        const EXPECTED: &str = "not a JWK set; expected {\"keys\": […]}";
        let set: Value = serde_json::from_slice(json).map_err(|_| EXPECTED)?;
        let keys = set.get("keys").and_then(Value::as_array).ok_or(EXPECTED)?;
        let keys = keys.iter().filter_map(|jwk| Key::from_jwk(&Jwk::deserialize(jwk).ok()?));
        Ok(Self { keys: keys.collect(), digest: CacheKey::of([json]) })
    }

    /// Reads a public key in PEM.
    pub(super) fn from_pem(pem: &[u8]) -> Result<Self, &'static str> {
        Ok(Self { keys: vec![public_key::from_pem(pem)?], digest: CacheKey::of([pem]) })
    }

    /// Returns the set of one secret. Line breaks at its end are ignored.
    pub(super) fn from_secret(text: &str) -> Result<Self, &'static str> {
        let secret = text.trim_end_matches(['\r', '\n']).as_bytes();
        if secret.len() < MIN_SECRET {
            return Err("the secret is shorter than 32 bytes; make a new one with: openssl rand -base64 48");
        }
        let key = Key::new(None, HMAC_ALGORITHMS, DecodingKey::from_secret(secret));
        Ok(Self { keys: vec![key], digest: CacheKey::of([secret]) })
    }

    /// Returns the key for a token with this key id and algorithm. A key without an id is used only if no other has the token's id.
    pub(super) fn find(&self, id: Option<&str>, algorithm: Algorithm) -> Result<&DecodingKey, NoKey> {
        let suitable = || self.keys.iter().filter(|key| key.algorithms.contains(&algorithm));
        let by_id = || suitable().filter(|key| key.id.as_deref() == id);
        let without_id = || suitable().filter(|key| key.id.is_none());
        match id {
            Some(_) if by_id().next().is_some() => only(by_id()),
            Some(_) => only(without_id()),
            None => only(suitable()),
        }
    }

    /// Returns a digest of the text that the keys were read from.
    pub(super) fn digest(&self) -> CacheKey {
        self.digest
    }

    /// Returns whether no key can verify a token.
    pub(super) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }
}

fn only<'a>(mut keys: impl Iterator<Item = &'a Key>) -> Result<&'a DecodingKey, NoKey> {
    match (keys.next(), keys.next()) {
        (Some(key), None) => Ok(&key.decoding),
        (None, _) => Err(NoKey::Unknown),
        (Some(_), Some(_)) => Err(NoKey::Ambiguous),
    }
}
