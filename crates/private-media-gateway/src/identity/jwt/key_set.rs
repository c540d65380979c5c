//! The keys that verify tokens. Each key has its algorithms, so a token cannot choose one for it.

use std::fmt;
use std::str::FromStr;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};
use private_media::decision_cache::CacheKey;
use serde::Deserialize;
use serde_json::Value;

use super::public_key;

pub(super) const RSA_ALGORITHMS: &[Algorithm] = &[
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
];
pub(super) const HMAC_ALGORITHMS: &[Algorithm] = &[Algorithm::HS256, Algorithm::HS384, Algorithm::HS512];

/// The minimum length of a secret, in bytes: that of the hash (RFC 7518 section 3.2).
const MIN_SECRET: usize = 32;

/// A key that verifies tokens.
pub(super) struct Key {
    /// The key id, which a token names in `kid`.
    id: Option<String>,
    algorithms: Vec<Algorithm>,
    decoding: DecodingKey,
}

impl Key {
    pub(super) fn new(id: Option<String>, algorithms: &[Algorithm], decoding: DecodingKey) -> Self {
        Self { id, algorithms: algorithms.to_vec(), decoding }
    }

    /// Returns a public signature key of a JWK (RFC 7517). Others are `None`: secrets, encryption keys, unsupported algorithms.
    fn from_jwk(jwk: &Jwk) -> Option<Self> {
        let algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => RSA_ALGORITHMS,
            AlgorithmParameters::EllipticCurve(key) => match key.curve {
                EllipticCurve::P256 => &[Algorithm::ES256][..],
                EllipticCurve::P384 => &[Algorithm::ES384],
                EllipticCurve::P521 | EllipticCurve::Ed25519 => return None,
            },
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => {
                &[Algorithm::EdDSA]
            }
            AlgorithmParameters::OctetKeyPair(_) | AlgorithmParameters::OctetKey(_) => return None,
        };
        let common = &jwk.common;
        let is_for_signatures =
            common.public_key_use.as_ref().is_none_or(|usage| *usage == PublicKeyUse::Signature)
                && common.key_operations.as_ref().is_none_or(|list| list.contains(&KeyOperations::Verify));
        if !is_for_signatures {
            return None;
        }
        let key = DecodingKey::from_jwk(jwk).ok()?;
        let Some(only) = common.key_algorithm else {
            return Some(Self::new(common.key_id.clone(), algorithms, key));
        };
        let only = Algorithm::from_str(&only.to_string()).ok().filter(|only| algorithms.contains(only))?;
        Some(Self::new(common.key_id.clone(), &[only], key))
    }
}

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

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({:?})", self.id.as_deref().unwrap_or("-"), self.algorithms)
    }
}
