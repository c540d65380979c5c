//! Open files whose name below the root is known.

use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use super::super::{MediaFile, ReadAt};
use super::root::OpenRoot;
use crate::request::MediaPath;

/// A file that was opened without following a link, so its path is its name.
#[derive(Debug)]
struct NamedFile {
    root: Arc<OpenRoot>,
    name: PathBuf,
    file: Arc<dyn ReadAt>,
}

/// Names a file by the path at which it was opened without following a link. [`ReadAt::local_name`] then does not read `/proc`.
pub(super) fn named(root: &Arc<OpenRoot>, file: &MediaFile, path: &MediaPath) -> MediaFile {
    let (root, name) = (Arc::clone(root), PathBuf::from(path.as_str()));
    file.with_bytes(Arc::new(NamedFile { root, name, file: Arc::clone(file.bytes()) }))
}

impl ReadAt for NamedFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        Arc::clone(&self.file).read_at(offset, len)
    }

    /// If the file was renamed meanwhile, a front server finds at this name no file, or one that the permit covers, too.
    fn local_name(&self) -> Option<PathBuf> {
        self.root.is_at_its_path().then(|| self.name.clone())
    }

    fn as_file(&self) -> Option<&Arc<File>> {
        self.file.as_file()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::time::Duration;

    use crate::permission::{Permit, Read};
    use crate::storage::{CacheOptions, LocalStorage, Storage, StorageError};

    use super::*;

    fn permit(path: &str) -> Permit<Read> {
        Permit::trusted(MediaPath::new(path).unwrap())
    }

    #[tokio::test]
    async fn files_opened_without_links_are_named_by_their_path() {
        let hour = Duration::from_secs(3600);
        let cache = CacheOptions {
            revalidate_after: hour,
            max_bytes: 1 << 20,
            max_open_files: 10,
            max_in_memory: None,
        };
        for cache in [None, Some(cache)] {
            let folder = tempfile::tempdir().unwrap();
            let at = |name: &str| folder.path().join(name);
            for name in ["a.jpg", "b.jpg"] {
                std::fs::write(at(name), name).unwrap();
            }
            let storage = LocalStorage::open_root(folder.path()).unwrap();
            let storage = cache.map_or(storage.clone(), |cache| storage.cache(cache));
            let name = async |path: &str| {
                let file = storage.open(&permit(path)).await?;
                assert!(file.bytes().as_bytes().is_none(), "the file is held open");
                Ok::<_, StorageError>(file.local_name())
            };
            for _ in 0..2 {
                assert_eq!(name("a.jpg").await.unwrap().as_deref(), Some(Path::new("a.jpg")));
            }
            // A replaced file, and a removed one.
            std::fs::rename(at("b.jpg"), at("a.jpg")).unwrap();
            let file = storage.open(&permit("a.jpg")).await.unwrap();
            assert_eq!(file.bytes().clone().read_at(0, 9).await.unwrap(), "b.jpg");
            std::fs::remove_file(at("a.jpg")).unwrap();
            assert!(matches!(name("a.jpg").await, Err(StorageError::NotFound { .. })));
            // A front server would not find the files of a moved root.
            std::fs::write(at("c.jpg"), "").unwrap();
            let file = storage.open(&permit("c.jpg")).await.unwrap();
            let moved = folder.path().with_extension("moved");
            std::fs::rename(folder.path(), &moved).unwrap();
            assert_eq!(file.local_name(), None);
            std::fs::rename(&moved, folder.path()).unwrap();
            assert_eq!(file.local_name().as_deref(), Some(Path::new("c.jpg")));
        }
    }

    #[tokio::test]
    async fn files_behind_links_are_not_named_by_their_path() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("a.jpg"), "").unwrap();
        std::os::unix::fs::symlink("a.jpg", folder.path().join("link.jpg")).unwrap();
        let storage = LocalStorage::open_root(folder.path()).unwrap().follow_links(true);
        let file = storage.open(&permit("link.jpg")).await.unwrap();
        assert_eq!(file.local_name().as_deref(), Some(Path::new("a.jpg")));
    }
}
