//! Walks a folder: regular files with a legal path, and everything else with the reason why it stays.

use std::io;
use std::path::Path;

use cap_std::ambient_authority;
use cap_std::fs::{Dir, DirEntry, ReadDir};
use private_media::MediaPath;

/// How many files wait to be moved.
pub(super) const QUEUE: usize = 1024;

/// An entry of the folder or one below it.
pub(super) enum Found {
    File(MediaPath),
    /// What cannot be moved, and why.
    Other(String, String),
}

/// Yields each entry once, folder by folder. It holds one open folder a level, and no list of names.
pub(super) struct Walk {
    levels: Vec<Level>,
    /// The error of the first folder.
    failed: Option<io::Error>,
}

struct Level {
    /// The path below the first folder, with a slash at its end; empty for that folder.
    prefix: String,
    entries: ReadDir,
}

impl Walk {
    pub(super) fn new(folder: &Path) -> Self {
        match Dir::open_ambient_dir(folder, ambient_authority()).and_then(|folder| folder.entries()) {
            Ok(entries) => Self { levels: vec![Level { prefix: String::new(), entries }], failed: None },
            Err(error) => Self { levels: vec![], failed: Some(error) },
        }
    }

    /// Returns what an entry is; `None` for a folder, which is walked next.
    fn found(&mut self, name: String, entry: &DirEntry) -> Result<Option<Found>, (String, io::Error)> {
        let kind = match entry.file_type() {
            Ok(kind) => kind,
            Err(error) => return Err((name, error)),
        };
        if kind.is_symlink() {
            return Ok(Some(Found::Other(name, "a symbolic link".into())));
        }
        let path = match MediaPath::new(&name) {
            Ok(path) => path,
            Err(error) => return Ok(Some(Found::Other(name, format!("the path cannot be served: {error}")))),
        };
        if kind.is_dir() {
            match entry.open_dir().and_then(|folder| folder.entries()) {
                Ok(entries) => self.levels.push(Level { prefix: format!("{name}/"), entries }),
                Err(error) => return Err((name, error)),
            }
            return Ok(None);
        }
        Ok(Some(if kind.is_file() {
            Found::File(path)
        } else {
            Found::Other(name, "not a regular file".into())
        }))
    }
}

impl Iterator for Walk {
    type Item = Result<Found, (String, io::Error)>;

    fn next(&mut self) -> Option<Self::Item> {
        if let Some(error) = self.failed.take() {
            return Some(Err((String::new(), error)));
        }
        loop {
            let level = self.levels.last_mut()?;
            let entry = match level.entries.next() {
                None => {
                    self.levels.pop();
                    continue;
                }
                Some(Ok(entry)) => entry,
                Some(Err(error)) => return Some(Err((level.prefix.clone(), error))),
            };
            let name = entry.file_name();
            let Some(name) = name.to_str() else {
                let shown = format!("{}{}", level.prefix, name.to_string_lossy());
                return Some(Ok(Found::Other(shown, "the name is not UTF-8".into())));
            };
            let name = format!("{}{name}", level.prefix);
            match self.found(name, &entry) {
                Ok(None) => {}
                Ok(Some(found)) => return Some(Ok(found)),
                Err(error) => return Some(Err(error)),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_found_and_the_rest_is_explained() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("cars/7/empty")).unwrap();
        std::fs::create_dir_all(at("cars/.git")).unwrap();
        for name in ["a.jpg", "cars/7/photo.jpg", "cars/.git/config", "cars/.hidden", "cars/a\nb"] {
            std::fs::write(at(name), "x").unwrap();
        }
        std::os::unix::fs::symlink("a.jpg", at("link.jpg")).unwrap();
        std::os::unix::net::UnixListener::bind(at("socket")).unwrap();
        let mut found: Vec<String> = Walk::new(folder.path())
            .map(|found| match found.map_err(|(name, error)| format!("{name}: {error}")).unwrap() {
                Found::File(path) => path.to_string(),
                Found::Other(name, reason) => format!("{name:?}: {}", reason.split(':').next().unwrap()),
            })
            .collect();
        found.sort();
        let expected = [
            "\"cars/.git\": the path cannot be served",
            "\"cars/.hidden\": the path cannot be served",
            "\"cars/a\\nb\": the path cannot be served",
            "\"link.jpg\": a symbolic link",
            "\"socket\": not a regular file",
            "a.jpg",
            "cars/7/photo.jpg",
        ];
        assert_eq!(found, expected);
        let missing: Vec<_> = Walk::new(&at("none")).collect();
        assert!(
            matches!(&missing[..], [Err((name, error))] if name.is_empty() && error.kind() == io::ErrorKind::NotFound)
        );
    }
}
