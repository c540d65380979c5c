//! The names and contents of canaries: small test files below the root.
//!
//! The names contain one nonce and the contents another, so that a response that repeats the requested name is not mistaken for
//! one that contains the file.

use std::io;

use bytes::Bytes;
use private_media::MediaPath;

use super::probe_accounts::path_in;

/// The beginning of each name, so that an administrator who finds a file knows its origin.
pub(super) const PREFIX: &str = "private-media-doctor-";

/// The endings of the names.
const ENDINGS: [&str; 8] = [PHOTO, PAGE, PERCENT, LETTER, CLOSED, ANONYMOUS_FIRST, USER_FIRST, DENIED];
pub(super) const PHOTO: &str = ".jpg";
pub(super) const PAGE: &str = " it's a café 🚗.html";
pub(super) const PERCENT: &str = "-%41.txt";
pub(super) const LETTER: &str = "-A.txt";
pub(super) const CLOSED: &str = "-closed.jpg";
pub(super) const ANONYMOUS_FIRST: &str = "-anonymous.jpg";
pub(super) const USER_FIRST: &str = "-user.jpg";
pub(super) const DENIED: &str = "-denied.jpg";

/// The beginning of each content, before the secret nonce.
const CONTENT: &str = "private-media doctor: ";

/// One test file and its content.
#[derive(Debug, Clone)]
pub(super) struct Canary {
    pub(super) path: MediaPath,
    pub(super) content: Bytes,
}

/// The random values of one run.
#[derive(Debug, Clone)]
pub(super) struct Nonces {
    /// Part of each name.
    pub(super) name: String,
    /// Part of each content.
    pub(super) secret: String,
}

impl Nonces {
    /// Creates random values; `None` if the operating system provides none.
    pub(super) fn new() -> Option<Self> {
        let nonce = || Some(format!("{:016x}", getrandom::u64().ok()?));
        Some(Self { name: nonce()?, secret: format!("{}{}", nonce()?, nonce()?) })
    }

    /// Returns the test file with this ending in a folder.
    pub(super) fn canary(&self, folder: &str, ending: &str) -> io::Result<Canary> {
        let path = path_in(folder, &format!("{PREFIX}{}{ending}", self.name));
        let content = format!("{CONTENT}{} {ending}\n", self.secret);
        let too_long =
            || io::Error::other(format!("the path of folder {folder} is too long for a file name"));
        Ok(Canary { path: path.ok_or_else(too_long)?, content: content.into() })
    }
}

/// Returns whether a text may be the nonce in the names of a run.
pub(super) fn is_nonce(nonce: &str) -> bool {
    nonce.len() == 16 && nonce.bytes().all(is_lower_hex)
}

/// Returns whether a name and a content are those of a test file of the run with this nonce.
pub(super) fn is_canary(nonce: &str, name: &str, content: &[u8]) -> bool {
    let ending = name.strip_prefix(PREFIX).and_then(|rest| rest.strip_prefix(nonce));
    let Some(ending) = ending.filter(|ending| ENDINGS.contains(ending)) else { return false };
    let secret = content
        .strip_prefix(CONTENT.as_bytes())
        .and_then(|rest| rest.strip_suffix(format!(" {ending}\n").as_bytes()));
    secret.is_some_and(|secret| secret.len() == 32 && secret.iter().copied().all(is_lower_hex))
}

fn is_lower_hex(byte: u8) -> bool {
    matches!(byte, b'0'..=b'9' | b'a'..=b'f')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_canaries_are_recognized() {
        let nonce = "0123456789abcdef";
        let secret = "fedcba9876543210fedcba9876543210";
        for ending in ENDINGS {
            let nonces = Nonces { name: nonce.into(), secret: secret.into() };
            let canary = nonces.canary("a", ending).unwrap();
            assert!(is_canary(nonce, canary.path.file_name(), &canary.content), "{ending}");
        }
        let content = format!("{CONTENT}{secret} .jpg\n");
        for (nonce, name, content) in [
            (nonce, "private-media-doctor-0123456789abcdef.jpg", "an upload"),
            (nonce, "private-media-doctor-0123456789abcdef.jpg", ""),
            (nonce, "private-media-doctor-0123456789abcdef-A.txt", &content),
            (nonce, "private-media-doctor-0123456789abcdef.png", &content),
            (nonce, "private-media-doctor-1123456789abcdef.jpg", &content),
            (nonce, "photo.jpg", &content),
            (nonce, "private-media-doctor-0123456789abcdef.jpg", &format!("{content}more")),
            (nonce, "private-media-doctor-0123456789abcdef.jpg", &content.replace('f', "F")),
            (nonce, "private-media-doctor-0123456789abcdef.jpg", &content.replace('f', "")),
        ] {
            assert!(!is_canary(nonce, name, content.as_bytes()), "{name}: {content}");
        }
        for nonce in ["", "0123456789abcde", "0123456789abcdef0", "0123456789ABCDEF", "../456789abcdef"] {
            assert!(!is_nonce(nonce), "{nonce}");
        }
        assert!(is_nonce(&Nonces::new().unwrap().name));
    }
}
