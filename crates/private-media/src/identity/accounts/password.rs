//! Passwords, hashed with argon2id.

use std::fmt;
use std::sync::LazyLock;

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};
use serde::{Deserialize, Serialize};

/// The shortest valid password, in characters.
pub(super) const MIN_LENGTH: usize = 8;

/// A password's hash. `Debug` hides it, because it allows offline guessing.
#[derive(Clone, PartialEq, Eq, Deserialize, Serialize)]
#[serde(transparent)]
pub(super) struct Hash(String);

impl Hash {
    /// Hashes a password, which deliberately takes some 20 ms and 19 MiB. `None` if the system provides no random salt.
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

/// Returns whether the password is right. Without a hash the result is `false`, after the same time.
pub(super) fn verify(hash: Option<&Hash>, password: &str) -> bool {
    static NOBODY: LazyLock<Option<Hash>> = LazyLock::new(|| Hash::new("nobody has this password"));
    // Computed in advance, so that the first unknown name takes no longer than others.
    let nobody = NOBODY.as_ref();
    let Some(checked) = hash.or(nobody) else { return false };
    let Ok(parsed) = PasswordHash::new(checked.expose()) else { return false };
    argon2id().verify_password(password.as_bytes(), &parsed).is_ok() && hash.is_some()
}

/// OWASP's parameters, which are the crate's own: 19 MiB, two passes, one lane.
fn argon2id() -> Argon2<'static> {
    // A fuzz target tries thousands of passwords a second.
    let params =
        if cfg!(fuzzing) { Params::new(8, 1, 1, None).unwrap_or_default() } else { Params::default() };
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
}
