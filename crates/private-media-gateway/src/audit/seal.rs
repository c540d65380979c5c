//! Seals: the BLAKE3 of a line, in its keyed mode if there is a key.
//!
//! SHA-256 takes four times as long on processors without an instruction for it, and then costs a small request a fifth of its time.

use std::fmt;
use std::path::Path;

use private_media::identity::read_secret_file;

/// A hash in lower-case hexadecimal digits.
pub(crate) type Hex = [u8; 64];

/// The hash before the first record.
pub(crate) const NOTHING: Hex = [b'0'; 64];

/// The shortest key, in bytes.
const MIN_KEY: usize = 32;
/// Sets the keys of seals apart from all other uses of the same text.
const CONTEXT: &str = "private-media 2026-11-29 seals of the audit";

/// Computes the hashes of lines. With a key, only its holders can compute them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seal(Option<Key>);

#[derive(Clone)]
struct Key {
    secret: [u8; blake3::KEY_LEN],
    id: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Key").field(&self.id).finish()
    }
}

impl Seal {
    /// Reads a key. The error is what is wrong, and the fix.
    pub(crate) fn from_file(path: &Path) -> Result<Self, String> {
        let text = read_secret_file(path)
            .map_err(|error| format!("{error}; name a file with mode 600 that this user can read"))?;
        let key = text.trim();
        if key.len() < MIN_KEY {
            return Err(format!(
                "shorter than {MIN_KEY} bytes; create a key with: (umask 077; openssl rand -base64 32 > {})",
                path.display()
            ));
        }
        Ok(Self::with_key(key.as_bytes()))
    }

    pub(super) fn with_key(key: &[u8]) -> Self {
        let secret = blake3::derive_key(CONTEXT, key);
        // The id is public, so it is derived by the key, not from it.
        let id = blake3::keyed_hash(&secret, b"the id of this key").to_hex();
        let id = id.chars().take(16).collect();
        Self(Some(Key { secret, id }))
    }

    /// Returns the public name of the key.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.id.as_str())
    }

    /// Returns the hash of these bytes.
    pub(crate) fn of(&self, bytes: &[u8]) -> Hex {
        match &self.0 {
            Some(key) => hex(&blake3::keyed_hash(&key.secret, bytes)),
            None => hex(&blake3::hash(bytes)),
        }
    }
}

fn hex(hash: &blake3::Hash) -> Hex {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    let mut digits = NOTHING;
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(hash.as_bytes()) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_other_tools() {
        // printf abc | b3sum
        let plain = Seal::default().of(b"abc");
        assert_eq!(plain, *b"6437b3ac38465133ffb63b75273a8db548c558465d79db03fd359c6cd5bd9d85");
        // key=$(printf key | b3sum --no-names --derive-key 'private-media 2026-11-29 seals of the audit')
        // echo $key | xxd -r -p | b3sum --keyed abc
        let keyed = Seal::with_key(b"key").of(b"abc");
        assert_eq!(keyed, *b"ce4d6088a1cb73517a9d4b6a660af4b0d9d874d26ed4ec0cd5da55b6d2b1da80");
    }

    #[test]
    fn keys_are_long_and_private() {
        use std::os::unix::fs::PermissionsExt;

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let with = |text: &str, mode| {
            std::fs::write(&path, text).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(mode)).unwrap();
            Seal::from_file(&path)
        };
        let long = "k".repeat(32);
        assert!(with(&long, 0o644).unwrap_err().contains("chmod 600"));
        assert!(with(&long[1..], 0o600).unwrap_err().contains("openssl rand"));
        // A line end is no part of the key.
        let (plain, line) = (with(&long, 0o600).unwrap(), with(&format!("{long}\n"), 0o600).unwrap());
        assert_eq!(plain.of(b"x"), line.of(b"x"));
        assert_eq!(plain.key_id().unwrap().len(), 16);
        std::fs::remove_file(&path).unwrap();
        assert!(Seal::from_file(&path).unwrap_err().contains("No such file"));
    }
}
