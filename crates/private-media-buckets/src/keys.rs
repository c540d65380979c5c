//! The keys of files: a prefix, and the path.

use std::sync::Arc;

use object_store::path::Path;
use private_media::MediaPath;

/// The longest key that all stores accept, in bytes.
const MAX_KEY: usize = 1024;
/// The hidden folder of temporary objects. No [`MediaPath`] leads into it.
const UPLOADS: &str = ".private-media-uploads";

/// Converts between paths and keys.
#[derive(Debug, Clone)]
pub(crate) struct Keys {
    /// Empty, or with a slash at the end.
    prefix: Arc<str>,
    /// The folder of temporary objects.
    uploads: Path,
}

impl Default for Keys {
    /// Returns the keys of a whole bucket.
    fn default() -> Self {
        Self { prefix: "".into(), uploads: Path::from(UPLOADS) }
    }
}

impl Keys {
    /// Returns the keys below a prefix, which has no slash at its ends; `None` if keys cannot begin with it.
    pub(crate) fn new(prefix: &str) -> Option<Self> {
        let prefix = if prefix.is_empty() { String::new() } else { format!("{prefix}/") };
        let uploads = Path::parse(format!("{prefix}{UPLOADS}")).ok()?;
        Some(Self { prefix: prefix.into(), uploads })
    }

    /// Returns the key of a file; `None` if it is too long.
    pub(crate) fn of(&self, path: &MediaPath) -> Option<Path> {
        let key = format!("{}{path}", self.prefix);
        if key.len() > MAX_KEY { None } else { Path::parse(key).ok() }
    }

    /// Returns the prefix: empty, or with a slash at the end.
    pub(crate) fn prefix(&self) -> &str {
        &self.prefix
    }

    /// Returns the prefix as a path; `None` if it is empty.
    pub(crate) fn prefix_path(&self) -> Option<Path> {
        Path::parse(&*self.prefix).ok().filter(|prefix| !prefix.as_ref().is_empty())
    }

    /// Returns what the keys of the files in a folder begin with.
    pub(crate) fn folder(&self, folder: Option<&MediaPath>) -> String {
        folder.map_or_else(|| self.prefix.to_string(), |folder| format!("{}{folder}/", self.prefix))
    }

    /// Returns the path of a key, if it is a valid one below the prefix.
    pub(crate) fn path(&self, key: &str) -> Option<MediaPath> {
        MediaPath::new(key.strip_prefix(&*self.prefix)?).ok()
    }

    /// Returns the folder of temporary objects.
    pub(crate) fn uploads(&self) -> &Path {
        &self.uploads
    }

    /// Returns the key of a new temporary object.
    pub(crate) fn temporary(&self) -> Path {
        self.uploads.clone().join(unique())
    }
}

/// Returns a text that no other call returns.
pub(crate) fn unique() -> String {
    let random = || getrandom::u64().unwrap_or_else(|_| fallback());
    format!("{:016x}{:016x}", random(), random())
}

/// Names need to be unique, not secret, so the keys of a hasher are a sufficient fallback.
fn fallback() -> u64 {
    use std::hash::{BuildHasher, Hasher, RandomState};
    RandomState::new().build_hasher().finish()
}

#[cfg(test)]
mod tests {
    use private_media::storage::conformance::NAMES;
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn keys_are_paths_unchanged() {
        for prefix in ["", "private", "a/b c%20"] {
            let keys = Keys::new(prefix).unwrap();
            for name in NAMES {
                let path = MediaPath::new(&format!("cars/7/{name}")).unwrap();
                let key = keys.of(&path).unwrap();
                assert_eq!(key.as_ref(), format!("{prefix}/{path}").trim_start_matches('/'));
                assert_eq!(keys.path(key.as_ref()), Some(path));
            }
        }
    }

    #[test]
    fn no_path_leads_to_a_temporary_object() {
        let keys = Keys::new("private").unwrap();
        let temporary = keys.temporary();
        assert!(temporary.as_ref().starts_with("private/.private-media-uploads/"));
        assert_eq!(keys.path(temporary.as_ref()), None);
        assert_ne!(keys.temporary(), temporary);
    }

    #[test]
    fn long_keys_are_none() {
        let path = MediaPath::new(&"long/".repeat(204)[..1019]).unwrap();
        assert!(Keys::new("").unwrap().of(&path).is_some());
        assert!(Keys::new("abcd").unwrap().of(&path).is_some());
        assert!(Keys::new("abcde").unwrap().of(&path).is_none());
    }

    proptest! {
        /// A key is served under the one path that leads to it, or under none.
        #[test]
        fn keys_have_at_most_one_path(key in "(a|/|\\.|\\.\\.|private/|%2e|é|\\\\|\n| ){0,12}") {
            let keys = Keys::new("private").unwrap();
            if let Some(path) = keys.path(&key) {
                prop_assert_eq!(keys.of(&path).unwrap().to_string(), key.as_str());
                prop_assert!(!key.contains("//") && !key.ends_with('/') && !key.split('/').any(|part| part.starts_with('.')));
            }
        }
    }
}
