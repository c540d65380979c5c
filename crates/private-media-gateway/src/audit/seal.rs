//! Seals: the SHA-256 of a line, or its HMAC-SHA256 if there is a key.

use std::path::Path;

use private_media::identity::read_secret_file;
use ring::{digest, hmac};

/// A SHA-256 in lower-case hexadecimal digits.
pub(crate) type Hex = [u8; 64];

/// The hash before the first record.
pub(crate) const NOTHING: Hex = [b'0'; 64];

/// The shortest key, in bytes.
const MIN_KEY: usize = 32;

/// Computes the hashes of lines. With a key, only its holders can compute them.
#[derive(Debug, Clone, Default)]
pub(crate) struct Seal(Option<Key>);

#[derive(Debug, Clone)]
struct Key {
    hmac: hmac::Key,
    id: String,
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
        let hmac = hmac::Key::new(hmac::HMAC_SHA256, key);
        // The id is public, so it is derived by the key, not from it.
        let id = hex(hmac::sign(&hmac, b"the id of this key").as_ref());
        let id = String::from_utf8_lossy(&id).chars().take(16).collect();
        Self(Some(Key { hmac, id }))
    }

    /// Returns the public name of the key.
    pub(crate) fn key_id(&self) -> Option<&str> {
        self.0.as_ref().map(|key| key.id.as_str())
    }

    /// Returns the hash of these bytes.
    pub(crate) fn of(&self, bytes: &[u8]) -> Hex {
        match &self.0 {
            Some(key) => hex(hmac::sign(&key.hmac, bytes).as_ref()),
            None => hex(digest::digest(&digest::SHA256, bytes).as_ref()),
        }
    }
}

fn hex(bytes: &[u8]) -> Hex {
    let digit = |value: u8| if value < 10 { b'0' + value } else { b'a' - 10 + value };
    let mut digits = NOTHING;
    for (pair, byte) in digits.as_chunks_mut::<2>().0.iter_mut().zip(bytes) {
        *pair = [digit(byte >> 4), digit(byte & 15)];
    }
    digits
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_those_of_other_tools() {
        // printf abc | sha256sum
        let plain = Seal::default().of(b"abc");
        assert_eq!(plain, *b"ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        // printf 'what do ya want for nothing?' | openssl dgst -sha256 -hmac Jefe (RFC 4231 section 4.3)
        let keyed = Seal::with_key(b"Jefe").of(b"what do ya want for nothing?");
        assert_eq!(keyed, *b"5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
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
