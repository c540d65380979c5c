//! A folder as the private root.

mod beneath;
mod draft;
mod read;

use std::fmt;
use std::io;
use std::path::Path;
use std::sync::Arc;

use cap_std::ambient_authority;
use cap_std::fs::Dir;
use futures_core::future::BoxFuture;

use super::{Content, Entry, MediaFile, Metadata, SaveOptions, Storage, StorageError};
use crate::permission::Permit;
use crate::request::MediaPath;
use beneath::Root;

/// A folder of the local disk, opened once; whatever is opened later is opened relative to that handle and beneath it.
///
/// Only regular files are served. A symlink counts if it leads, relatively, to something beneath the root; one that leads out
/// of it, by any way, is not found. A hard link cannot be told from a file, so who may put hard links into the root may publish
/// what they link to. What this process may not read is not found.
///
/// ```
/// use private_media::{LocalStorage, MediaPath, SaveOptions, Storage, storage::content};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let root = tempfile::tempdir()?;
/// # let root = root.path();
/// let storage = LocalStorage::open_root(root)?;
/// let path = MediaPath::for_upload("cars/7", "photo.jpg")?;
/// let first = storage.save(&path, content("one"), &SaveOptions::default()).await?;
/// let second = storage.save(&path, content("two"), &SaveOptions::default()).await?;
/// assert_eq!(first.as_str(), "cars/7/photo.jpg");
/// assert_ne!(first, second); // cars/7/photo_x7Fq2Ab.jpg
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct LocalStorage(Arc<Root>);

/// How a [`LocalStorage`] makes files and folders; the process's umask is taken off the modes.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct LocalOptions {
    /// The mode of new files; 0o640 unless told otherwise.
    pub file_mode: u32,
    /// The mode of new folders; 0o750 unless told otherwise.
    pub folder_mode: u32,
    /// Writes uploads under a hidden name rather than none (`O_TMPFILE`). It happens by itself where the file system knows no
    /// unnamed files.
    pub named_drafts: bool,
}

impl Default for LocalOptions {
    fn default() -> Self {
        Self { file_mode: 0o640, folder_mode: 0o750, named_drafts: false }
    }
}

impl LocalStorage {
    /// Opens the folder, and removes what an interrupted process left of its uploads.
    pub fn open_root(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        Self::open_root_with(root, LocalOptions::default())
    }

    /// The same, with other modes.
    pub fn open_root_with(root: impl AsRef<Path>, options: LocalOptions) -> Result<Self, StorageError> {
        let dir = Dir::open_ambient_dir(root, ambient_authority())
            .map_err(|source| StorageError::Io { doing: "opening the root folder", source })?;
        draft::sweep(&dir);
        Ok(Self(Arc::new(Root { dir, options })))
    }

    /// Does what may wait for the disk where waiting is allowed.
    async fn blocking<T: Send + 'static>(
        &self,
        doing: &'static str,
        work: impl FnOnce(&Root) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let root = Arc::clone(&self.0);
        match tokio::task::spawn_blocking(move || work(&root)).await {
            Ok(result) => result,
            Err(stopped) => Err(StorageError::Io { doing, source: io::Error::other(stopped) }),
        }
    }

    async fn open_path(&self, path: &MediaPath) -> Result<MediaFile, StorageError> {
        let file = if let Some(opened) = self.0.open_cached(path) {
            opened?
        } else {
            let path = path.clone();
            self.blocking("opening a file", move |root| root.open(&path)).await?
        };
        read::media_file(file)
    }
}

impl Storage for LocalStorage {
    fn open<'a>(&'a self, permit: &'a Permit) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        Box::pin(self.open_path(permit.path()))
    }

    fn save<'a>(
        &'a self,
        path: &'a MediaPath,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        Box::pin(draft::save(self, path, content, options))
    }

    fn delete<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<(), StorageError>> {
        let path = path.clone();
        Box::pin(self.blocking("deleting a file", move |root| root.delete(&path)))
    }

    fn metadata<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(async { Ok(self.open_path(path).await?.metadata().clone()) })
    }

    fn list<'a>(&'a self, folder: Option<&'a MediaPath>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        let folder = folder.cloned();
        Box::pin(self.blocking("listing a folder", move |root| root.list(folder.as_ref())))
    }
}

impl fmt::Debug for LocalStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("LocalStorage").field("root", &self.0.dir).field("options", &self.0.options).finish()
    }
}
