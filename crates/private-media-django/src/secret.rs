//! The project's secret keys.

use std::fmt;
use std::path::Path;

use hmac::{Hmac, KeyInit, Mac};
use private_media::identity::read_secret_file;
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::DjangoError;

/// Django's `SECRET_KEY`, followed by its `SECRET_KEY_FALLBACKS`.
///
/// ```
/// use private_media_django::SecretKeys;
///
/// let keys = SecretKeys::parse("the SECRET_KEY\nthe first of SECRET_KEY_FALLBACKS\n")?;
/// assert_eq!(format!("{keys:?}"), "SecretKeys(2 keys)");
/// assert!(SecretKeys::parse("").is_err());
/// # Ok::<(), private_media_django::DjangoError>(())
/// ```
#[derive(Clone)]
pub struct SecretKeys(Vec<String>);

impl SecretKeys {
    /// Parses a text with one key per line, the `SECRET_KEY` first. Spaces belong to a key; empty lines are ignored.
    pub fn parse(text: &str) -> Result<Self, DjangoError> {
        Self::new(text.lines().map(str::to_owned)).ok_or_else(|| {
            DjangoError::new("no secret key; write the project's SECRET_KEY on the first line")
        })
    }

    /// Creates the keys from a list, the `SECRET_KEY` first. Empty keys are ignored; returns `None` if no key is left.
    pub fn new(keys: impl IntoIterator<Item = String>) -> Option<Self> {
        let keys: Vec<_> = keys.into_iter().filter(|key| !key.is_empty()).collect();
        (!keys.is_empty()).then_some(Self(keys))
    }

    /// Reads the keys from a file in the format of [`parse`](Self::parse). A file that other users can read is rejected.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, DjangoError> {
        let path = path.as_ref();
        let text = read_secret_file(path).map_err(|error| match error.kind() {
            std::io::ErrorKind::NotFound => DjangoError::new(
                "no such file; write the project's SECRET_KEY into it, readable by its owner only",
            ),
            std::io::ErrorKind::Other => DjangoError::new(error.to_string()),
            _ => DjangoError::new(format!("cannot read the file: {error}; let this user read it")),
        })?;
        Self::parse(&text)
    }

    /// Returns whether a signature of these bytes, in the given encoding, is by one of the keys. Each key is tried in constant time.
    pub(crate) fn verify(
        &self,
        salt: &str,
        signed: &[u8],
        signature: &str,
        encode: fn(&[u8; 32]) -> String,
    ) -> bool {
        self.0.iter().any(|key| {
            let expected = encode(&salted_hmac(salt, key, signed));
            bool::from(expected.as_bytes().ct_eq(signature.as_bytes()))
        })
    }
}

impl fmt::Debug for SecretKeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretKeys({} keys)", self.0.len())
    }
}

/// Django's `salted_hmac` with SHA-256.
fn salted_hmac(salt: &str, key: &str, signed: &[u8]) -> [u8; 32] {
    let derived = Sha256::new().chain_update(salt).chain_update(key).finalize();
    // Padded to the block size of the hash (RFC 2104).
    let mut block = [0; 64];
    block.iter_mut().zip(derived).for_each(|(to, byte)| *to = byte);
    let mut mac = Hmac::<Sha256>::new(&block.into());
    mac.update(signed);
    mac.finalize().into_bytes().into()
}
