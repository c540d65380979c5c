//! Passwords, hashed with argon2id.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

/// The minimum length of a password, in characters.
pub(super) const MIN_LENGTH: usize = 8;

/// The hash of a password. `Debug` hides it, because it allows offline guessing.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Hash(String);

impl Hash {
    /// Hashes a password, which deliberately takes 20 ms and 19 MiB. `None` if the system provides no random salt.
    pub(super) fn new(password: &str) -> Option<Self> {
        argon2id().hash_password(password.as_bytes()).ok().map(|hash| Self(hash.to_string()))
    }

    /// Returns whether a password can be checked against the hash.
    pub(super) fn is_legal(&self) -> bool {
        self.0.starts_with("$argon2id$") && PasswordHash::new(&self.0).is_ok()
    }

    /// Returns the hash.
    pub(super) fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Hash {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Hash(…)")
    }
}

/// Returns whether the password is right. Without a hash, returns `false` after the same time.
pub(super) fn verify(hash: Option<&Hash>, password: &str) -> bool {
    static NOBODY: LazyLock<Option<Hash>> = LazyLock::new(|| Hash::new("nobody has this password"));
    // Computed even if it is not needed, so that the first unknown name does not take longer.
    let nobody = NOBODY.as_ref();
    let Some(checked) = hash.or(nobody) else { return false };
    let Ok(parsed) = PasswordHash::new(checked.expose()) else { return false };
    argon2id().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}

/// The parameters that OWASP recommends, which are the defaults of the crate: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    // A fuzz target checks thousands of passwords per second.
    let params =
        if cfg!(fuzzing) { Params::new(8, 1, 1, None).unwrap_or_default() } else { Params::default() };
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}
