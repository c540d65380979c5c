//! Several roots as one storage.

use std::io;

use futures_core::future::BoxFuture;

use super::{Content, Entry, MediaFile, Metadata, SaveOptions, Storage, StorageError};
use crate::cache_counts::CacheCounts;
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::MediaPath;

/// Several roots as one storage: each file is in the root with the longest prefix of its path.
///
/// A file has the same path below its root as in the URL, so it can be moved from root to root, and keeps its URL, its grants and its name
/// in a database. Files of another root below a prefix are not served. A prefix is a folder: no file has its path.
///
/// ```
/// use private_media::storage::{Roots, SaveOptions, Storage, content};
/// use private_media::{MediaPath, MemoryStorage, Permit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let roots = Roots::new(MemoryStorage::new()).root(MediaPath::new("archive")?, MemoryStorage::new());
/// for name in ["archive/2019/photo.jpg", "cars/photo.jpg"] {
///     roots.save(&Permit::trusted(MediaPath::new(name)?), content("…"), &SaveOptions::new()).await?;
/// }
/// assert_eq!(roots.list(&Permit::trusted(None)).await?.len(), 2);
/// # Ok(())
/// # }
/// ```
#[derive(Debug)]
pub struct Roots {
    main: Box<dyn Storage>,
    /// The other roots, those with the longest prefixes first.
    others: Vec<(MediaPath, Box<dyn Storage>)>,
}

impl Roots {
    /// Returns a storage with one root, which has all files.
    pub fn new(main: impl Storage) -> Self {
        Self { main: Box::new(main), others: Vec::new() }
    }

    /// Adds the root of all files below a folder. A root that was added earlier for this folder is replaced.
    #[must_use]
    pub fn root(mut self, prefix: MediaPath, storage: impl Storage) -> Self {
        self.others.retain(|(other, _)| *other != prefix);
        self.others.push((prefix, Box::new(storage)));
        self.others.sort_by_key(|(prefix, _)| std::cmp::Reverse(prefix.as_str().len()));
        self
    }

    /// Returns the root of a file.
    fn of(&self, path: &MediaPath) -> &dyn Storage {
        let root = self.others.iter().find(|(prefix, _)| below(path, prefix).is_some());
        root.map_or(&*self.main, |(_, storage)| &**storage)
    }

    /// Returns the root of a file that is about to be read; an error if its path is a folder.
    fn of_file(&self, path: &MediaPath) -> Result<&dyn Storage, StorageError> {
        if self.is_folder(path) { Err(StorageError::not_found("a folder")) } else { Ok(self.of(path)) }
    }

    /// Returns whether a path is a prefix, or above one.
    fn is_folder(&self, path: &MediaPath) -> bool {
        self.others.iter().any(|(prefix, _)| prefix == path || below(prefix, path).is_some())
    }

    /// Returns the root that lists a folder.
    fn of_folder(&self, folder: Option<&MediaPath>) -> &dyn Storage {
        let is_inside = |prefix: &MediaPath| {
            folder.is_some_and(|folder| folder == prefix || below(folder, prefix).is_some())
        };
        let root = self.others.iter().find(|(prefix, _)| is_inside(prefix));
        root.map_or(&*self.main, |(_, storage)| &**storage)
    }

    /// Returns the folders in a folder that are prefixes, or above one.
    fn folders_in(&self, folder: Option<&MediaPath>) -> impl Iterator<Item = MediaPath> {
        self.others.iter().filter_map(move |(prefix, _)| {
            let rest = match folder {
                None => prefix.as_str(),
                Some(folder) => below(prefix, folder)?,
            };
            let name = rest.split('/').next()?;
            let above = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
            MediaPath::new(&format!("{above}{name}")).ok()
        })
    }

    async fn entries(&self, permit: &Permit<List>) -> Result<Vec<Entry>, StorageError> {
        let folder = permit.path().as_ref();
        let mut folders: Vec<_> = self.folders_in(folder).collect();
        folders.sort();
        folders.dedup();
        let is_known = !folders.is_empty() || folder.is_some_and(|folder| self.is_folder(folder));
        let mut entries = match self.of_folder(folder).list(permit).await {
            Err(StorageError::NotFound { .. }) if is_known => vec![],
            entries => entries?,
        };
        entries.retain(|entry| folders.binary_search(&entry.path).is_err());
        entries.extend(folders.into_iter().map(Entry::folder));
        entries.sort_by(|one, other| one.path.cmp(&other.path));
        Ok(entries)
    }
}

/// Returns the rest of a path that is below a folder.
fn below<'a>(path: &'a MediaPath, folder: &MediaPath) -> Option<&'a str> {
    path.as_str().strip_prefix(folder.as_str())?.strip_prefix('/')
}

impl Storage for Roots {
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        match self.of_file(permit.path()) {
            Ok(root) => root.open(permit),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn open_whole<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        match self.of_file(permit.path()) {
            Ok(root) => root.open_whole(permit),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
        match self.of_file(permit.path()) {
            Ok(root) => root.open_now(permit),
            Err(error) => Some(Err(error)),
        }
    }

    fn save<'a>(
        &'a self,
        permit: &'a Permit<Write>,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        if !self.is_folder(permit.path()) {
            return self.of(permit.path()).save(permit, content, options);
        }
        let source = io::ErrorKind::IsADirectory.into();
        let error = if options.create_new {
            StorageError::Exists
        } else {
            StorageError::Io { doing: "naming the file", source }
        };
        Box::pin(std::future::ready(Err(error)))
    }

    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
        match self.of_file(permit.path()) {
            Ok(root) => root.delete(permit),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        match self.of_file(permit.path()) {
            Ok(root) => root.metadata(permit),
            Err(error) => Box::pin(std::future::ready(Err(error))),
        }
    }

    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        Box::pin(self.entries(permit))
    }

    /// Checks every root, and returns the first error.
    fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async move {
            // Each may reopen its folder.
            let others = self.others.iter().map(|(_, storage)| storage.ready());
            let checks = futures_util::future::join_all(std::iter::once(self.main.ready()).chain(others));
            checks.await.into_iter().collect()
        })
    }

    fn cache_counts(&self) -> CacheCounts {
        let others = self.others.iter().map(|(_, storage)| storage.cache_counts());
        std::iter::once(self.main.cache_counts()).chain(others).sum()
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::sync::Arc;

    use proptest::prelude::*;

    use super::super::conformance::conformance;
    use super::super::{MemoryStorage, content};
    use super::*;

    fn path(name: &str) -> MediaPath {
        MediaPath::new(name).unwrap()
    }

    async fn save(storage: &dyn Storage, name: &str, text: &'static str) -> Result<MediaPath, StorageError> {
        storage.save(&Permit::trusted(path(name)), content(text), &SaveOptions::new()).await
    }

    async fn read(storage: &dyn Storage, name: &str) -> Result<String, StorageError> {
        let file = storage.open(&Permit::trusted(path(name))).await?;
        Ok(String::from_utf8(file.bytes().clone().read_at(0, 100).await.unwrap().to_vec()).unwrap())
    }

    async fn list(storage: &dyn Storage, folder: Option<&str>) -> Result<Vec<(String, bool)>, StorageError> {
        let entries = storage.list(&Permit::trusted(folder.map(path))).await?;
        Ok(entries.into_iter().map(|entry| (entry.path.as_str().to_owned(), entry.is_folder)).collect())
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms_at_each_prefix() {
        conformance(Arc::new(Roots::new(MemoryStorage::new()))).await;
        // The folders of the suite are in several roots.
        let roots = ["names", "replace", "lists", "lists/b"].into_iter();
        let mut storage = Roots::new(MemoryStorage::new());
        for prefix in roots.clone() {
            storage = storage.root(path(prefix), MemoryStorage::new());
        }
        assert_eq!(list(&storage, Some("lists")).await.unwrap(), [("lists/b".to_owned(), true)]);
        for prefix in roots {
            let error = save(&storage, prefix, "x").await.unwrap_err();
            assert!(matches!(&error, StorageError::Io { .. }), "{prefix}: {error}");
        }
    }

    #[tokio::test]
    async fn files_are_in_the_root_of_their_prefix() {
        let (main, archive, old) =
            (Arc::new(MemoryStorage::new()), Arc::new(MemoryStorage::new()), Arc::new(MemoryStorage::new()));
        // What is below a prefix in another root is not served.
        save(&*main, "archive/lost", "lost").await.unwrap();
        save(&*archive, "archive/old/lost", "lost").await.unwrap();
        save(&*archive, "cars/lost", "lost").await.unwrap();
        let roots = Roots::new(Arc::clone(&main))
            .root(path("archive/old"), Arc::clone(&old))
            .root(path("archive"), Arc::clone(&archive));
        for (name, own) in [
            ("cars/a", &main),
            ("archive2/a", &main),
            ("archive.txt", &main),
            ("archive/a", &archive),
            ("archive/older/a", &archive),
            ("archive/old/a", &old),
        ] {
            save(&roots, name, "text").await.unwrap();
            assert_eq!(read(&**own, name).await.unwrap(), "text", "{name}");
            assert_eq!(read(&roots, name).await.unwrap(), "text", "{name}");
        }
        for name in ["archive/lost", "archive/old/lost", "cars/lost", "archive", "archive/old"] {
            assert!(matches!(read(&roots, name).await, Err(StorageError::NotFound { .. })), "{name}");
        }
        let new = SaveOptions::new().create_new(true);
        let saved = roots.save(&Permit::trusted(path("archive")), content("x"), &new).await;
        assert!(matches!(saved, Err(StorageError::Exists)));
        let listed = |names: &[(&str, bool)]| -> Vec<_> {
            names.iter().map(|(name, is_folder)| ((*name).to_owned(), *is_folder)).collect()
        };
        let root = [("archive", true), ("archive.txt", false), ("archive2", true), ("cars", true)];
        assert_eq!(list(&roots, None).await.unwrap(), listed(&root));
        let inside = [("archive/a", false), ("archive/old", true), ("archive/older", true)];
        assert_eq!(list(&roots, Some("archive")).await.unwrap(), listed(&inside));
        assert_eq!(list(&roots, Some("archive/old")).await.unwrap(), listed(&[("archive/old/a", false)]));
        assert!(matches!(list(&roots, Some("none")).await, Err(StorageError::NotFound { .. })));
        roots.delete(&Permit::trusted(path("archive/a"))).await.unwrap();
        assert!(read(&*archive, "archive/a").await.is_err());
    }

    proptest! {
        /// Several roots have the same files as one.
        #[test]
        fn files_of_several_roots_are_those_of_one(
            prefixes in proptest::collection::vec("[ab](/[ab]){0,2}", 0..4),
            names in proptest::collection::vec("[ab](/[ab]){0,2}/[fg]", 1..10),
        ) {
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let mut roots = Roots::new(MemoryStorage::new());
            for prefix in &prefixes {
                roots = roots.root(path(prefix), MemoryStorage::new());
            }
            let names: BTreeMap<_, _> = names.into_iter().map(|name| (name, "text")).collect();
            runtime.block_on(async {
                for (name, text) in &names {
                    assert_eq!(save(&roots, name, text).await.unwrap().as_str(), name);
                }
                let mut found = Vec::new();
                let mut folders = vec![None];
                while let Some(folder) = folders.pop() {
                    for entry in roots.list(&Permit::trusted(folder)).await.unwrap() {
                        if entry.is_folder {
                            folders.push(Some(entry.path));
                        } else {
                            found.push(entry.path.as_str().to_owned());
                        }
                    }
                }
                found.sort();
                assert_eq!(found, names.keys().cloned().collect::<Vec<_>>());
            });
        }
    }
}
