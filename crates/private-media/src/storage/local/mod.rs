//! Stores files in a local folder.

mod blocking;
mod builder;
mod cache;
mod edit;
mod error;
mod file_id;
mod folder;
mod named;
mod read;
mod rename;
mod resolve;
mod root;
mod save;
mod temporary;
mod write_options;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

use blocking::blocking;
pub use cache::CacheOptions;
use cache::FileCache;
pub use edit::OpenOptions;
use resolve::{Opened, Resolver};
use root::{Accept, OpenRoot, Root};
use write_options::WriteOptions;

use super::{Content, Entry, MediaFile, Metadata, SaveOptions, Storage, StorageError};
use crate::cache_counts::CacheCounts;
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::MediaPath;

/// Stores private files in a folder of the local disk, the root.
///
/// **Isolation.** The root is opened once, and again if [`LocalStorage::check_root`] finds another folder at its path. All files are
/// opened relative to that handle, so no spelling, link or race of renames leads out of the root. Symbolic links below the root are
/// rejected unless [`LocalStorage::follow_links`] is set. Only regular files are served. A hard link cannot be distinguished from the
/// first name of a file, so only the application should be able to write below the root.
///
/// **Saving** needs space for temporary files on the file system of the root. If the file system has no unnamed temporary files
/// (`O_TMPFILE`), they are in the hidden folder `.private-media-uploads`. Files on a file system that is mounted below the root are
/// served. They can be saved if it has `O_TMPFILE`, but not replaced.
///
/// **Cancellation.** If the future of a save is dropped before the end of the content, nothing is stored. If it is dropped later, the
/// complete file is stored or nothing. If a save that replaces a file fails while syncing the folder, the new file remains.
///
/// **Runtime.** The futures need a Tokio runtime, whose blocking pool waits for the disk.
///
/// ```
/// use private_media::storage::{LocalStorage, SaveOptions, Storage, content};
/// use private_media::{MediaPath, Permit};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let folder = tempfile::tempdir()?;
/// # let root = folder.path();
/// let storage = LocalStorage::open_root(root)?;
/// let permit = Permit::trusted(MediaPath::for_upload("cars/7", "photo.jpg")?);
/// let used = storage.save(&permit, content("…"), &SaveOptions::default()).await?;
/// assert!(storage.exists(&Permit::trusted(used)).await?);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct LocalStorage {
    root: Arc<Root>,
    accept: Option<Accept>,
    follow_links: bool,
    write: WriteOptions,
    cache: Option<Arc<FileCache>>,
}

impl LocalStorage {
    /// Opens an existing folder, and removes temporary files of crashed processes. May wait for the disk.
    pub fn open_root(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        let root = Root::open(root.as_ref())?;
        Ok(Self {
            root: Arc::new(root),
            accept: None,
            follow_links: false,
            write: WriteOptions::default(),
            cache: None,
        })
    }

    /// Compares the open root with the folder that is at its path now. May wait for the disk.
    ///
    /// Another folder at the path becomes the root, and the old one is no longer served. Running requests complete with the folder in
    /// which they began. While the path does not lead to a readable folder, every operation fails. After an unmount, the path leads to the
    /// folder of the mount point, which is never served. Operations fail until the file system is mounted again.
    ///
    /// Saving and deleting check the root first. Reading does not, so call this every few seconds if the root may be replaced.
    ///
    /// ```
    /// # use private_media::LocalStorage;
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// let (root, old) = (folder.path().join("private"), folder.path().join("old"));
    /// std::fs::create_dir(&root)?;
    /// let storage = LocalStorage::open_root(&root)?;
    /// std::fs::rename(&root, &old)?;
    /// assert!(storage.check_root().is_err());
    /// std::fs::rename(&old, &root)?;
    /// assert!(storage.check_root().is_ok());
    /// # Ok(())
    /// # }
    /// ```
    pub fn check_root(&self) -> Result<(), StorageError> {
        let (is_changed, result) = self.root.check(self.accept.as_ref());
        if let Some(cache) = self.cache.as_ref().filter(|_| is_changed) {
            cache.clear();
        }
        result
    }

    /// Saves like [`Storage::save`], on the calling thread and without a runtime. May wait for the disk.
    pub fn save_blocking(
        &self,
        permit: &Permit<Write>,
        content: impl Iterator<Item = io::Result<Bytes>>,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        let used =
            save::save_blocking(self.checked_resolver()?, self.write, permit.path(), content, *options)?;
        self.uncache(&used);
        Ok(used)
    }

    /// Opens a file for reading, on the calling thread and without a runtime. May wait for the disk.
    pub fn open_blocking(&self, permit: &Permit<Read>) -> Result<File, StorageError> {
        self.resolver()?.open(permit.path()).map(|opened| opened.file)
    }

    /// Deletes a file like [`Storage::delete`], on the calling thread and without a runtime. May wait for the disk.
    pub fn delete_blocking(&self, permit: &Permit<Delete>) -> Result<(), StorageError> {
        let deleted = folder::delete(&self.checked_resolver()?, permit.path(), self.write.durable);
        self.uncache(permit.path());
        deleted
    }

    /// Moves a file of another storage, on the same file system, to the path of `permit`. Nothing is copied, and nothing replaced: a taken
    /// path is [`StorageError::Exists`]. Another file system is [`StorageError::Io`] with
    /// [`CrossesDevices`](io::ErrorKind::CrossesDevices). May wait for the disk.
    ///
    /// ```
    /// # use private_media::{LocalStorage, MediaPath, Permit};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let (media, root) = (folder.path().join("media"), folder.path().join("private"));
    /// # std::fs::create_dir(&media)?;
    /// # std::fs::create_dir(&root)?;
    /// std::fs::write(media.join("photo.jpg"), "…")?;
    /// let (public, private) = (LocalStorage::open_root(&media)?, LocalStorage::open_root(&root)?);
    /// let path = MediaPath::new("photo.jpg")?;
    /// private.rename_from(&Permit::trusted(path.clone()), &public, &Permit::trusted(path))?;
    /// assert!(root.join("photo.jpg").exists() && !media.join("photo.jpg").exists());
    /// # Ok(())
    /// # }
    /// ```
    pub fn rename_from(
        &self,
        permit: &Permit<Write>,
        from: &Self,
        source: &Permit<Delete>,
    ) -> Result<(), StorageError> {
        let source_resolver = from.checked_resolver()?;
        let renamed = rename::rename(
            self.checked_resolver()?,
            self.write,
            permit.path(),
            &source_resolver,
            source.path(),
        );
        self.uncache(permit.path());
        from.uncache(source.path());
        renamed
    }

    /// Makes all files and folders that were saved without [`durable`](Self::durable) durable, with one syncfs(2) for the file system. May
    /// wait for the disk.
    pub fn sync(&self) -> Result<(), StorageError> {
        let resolver = self.checked_resolver()?;
        rustix::fs::openat(resolver.dir(), ".", root::READ_FOLDER, rustix::fs::Mode::empty())
            .and_then(sync_file_system)
            .map_err(|error| error::io_error("syncing the file system")(error.into()))
    }

    /// Opens a file for changes in place. without a permit, for the application itself. The name need not be a [`MediaPath`]. An empty
    /// name is the root. May wait for the disk.
    pub fn trusted_stat(&self, name: impl AsRef<Path>) -> Result<fs::Metadata, StorageError> {
        let name = name.as_ref();
        self.resolver()?.stat(if name.as_os_str().is_empty() { Path::new(".") } else { name })
    }

    /// Removes a file, a link or an empty folder without a permit, for the application itself. The name need not be a [`MediaPath`], so that
    /// files of other programs can be removed. May wait for the disk.
    pub fn trusted_remove(&self, name: impl AsRef<Path>) -> Result<(), StorageError> {
        let name = name.as_ref();
        let removed = folder::remove(&self.checked_resolver()?, name, self.write.durable);
        if let Some(path) = name.to_str().and_then(|name| MediaPath::new(name).ok()) {
            self.uncache(&path);
        }
        removed
    }

    /// Opens a file for changes in place. Changes are not atomic and immediately visible, so prefer [`Storage::save`]. May wait for the disk.
    ///
    /// ```
    /// # use private_media::{LocalStorage, MediaPath, Permit, storage::OpenOptions};
    /// # fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let root = folder.path();
    /// use std::io::Write as _;
    ///
    /// let storage = LocalStorage::open_root(root)?;
    /// let log = Permit::trusted(MediaPath::new("log.txt")?);
    /// for line in ["one\n", "two\n"] {
    ///     storage.edit(&log, OpenOptions::new().append(true).create(true))?.write_all(line.as_bytes())?;
    /// }
    /// assert_eq!(std::fs::read_to_string(root.join("log.txt"))?, "one\ntwo\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn edit(&self, permit: &Permit<Write>, edit: OpenOptions) -> Result<File, StorageError> {
        edit::edit(&self.checked_resolver()?, permit.path(), edit, self.write.file_mode)
    }

    /// Removes an empty folder. May wait for the disk.
    pub fn remove_folder(&self, permit: &Permit<Delete>) -> Result<(), StorageError> {
        folder::remove_folder(&self.checked_resolver()?, permit.path(), self.write.durable)
    }

    /// Removes a changed path from the cache.
    fn uncache(&self, path: &MediaPath) {
        if let Some(cache) = &self.cache {
            cache.remove(path);
        }
    }

    fn resolver(&self) -> Result<Resolver, StorageError> {
        Ok(Resolver::new(self.root.current()?, self.follow_links))
    }

    /// Checks the root first, so that nothing is stored in a folder that was moved.
    fn checked_resolver(&self) -> Result<Resolver, StorageError> {
        self.check_root()?;
        self.resolver()
    }

    /// Names a file after its path, unless the path may contain a link.
    fn named(&self, file: MediaFile, path: &MediaPath) -> Result<MediaFile, StorageError> {
        if self.follow_links {
            return Ok(file);
        }
        Ok(named::named(&self.root.current()?, &file, path))
    }

    /// Opens a file and inspects it: immediately if the disk is not needed, or else on the blocking pool.
    async fn open_with<T: Send + 'static>(
        &self,
        path: &MediaPath,
        inspect: fn(&Arc<OpenRoot>, Opened) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let resolver = self.resolver()?;
        if let Some(file) = resolver.open_cached(path) {
            return file.and_then(|opened| inspect(resolver.root(), opened));
        }
        let path = path.clone();
        blocking(move || resolver.open(&path).and_then(|opened| inspect(resolver.root(), opened))).await
    }
}

#[cfg(target_os = "linux")]
fn sync_file_system(folder: impl std::os::fd::AsFd) -> rustix::io::Result<()> {
    rustix::fs::syncfs(folder)
}

#[cfg(not(target_os = "linux"))]
fn sync_file_system(_folder: impl std::os::fd::AsFd) -> rustix::io::Result<()> {
    rustix::fs::sync();
    Ok(())
}

impl Storage for LocalStorage {
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        let path = permit.path();
        let Some(cache) = &self.cache else {
            return Box::pin(async {
                let file = self.open_with(path, read::media_file).await?;
                self.named(file, path)
            });
        };
        if let Some(file) = self.open_now(permit) {
            return Box::pin(std::future::ready(file));
        }
        let opened = self.open_with(path, cache::file_and_version);
        Box::pin(cache.open(&self.root, path, opened, |file| self.named(file, path)))
    }

    fn cache_counts(&self) -> CacheCounts {
        self.cache.as_ref().map(|cache| cache.counts()).unwrap_or_default()
    }

    fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
        self.cache.as_ref()?.get(permit.path(), self.root.generation()).map(Ok)
    }

    fn save<'a>(
        &'a self,
        permit: &'a Permit<Write>,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        Box::pin(async {
            let storage = self.clone();
            let resolver = move || storage.checked_resolver();
            let used = save::save(resolver, self.write, permit.path(), content, *options).await?;
            self.uncache(&used);
            Ok(used)
        })
    }

    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async {
            let (storage, gone) = (self.clone(), permit.path().clone());
            let delete = move || folder::delete(&storage.checked_resolver()?, &gone, storage.write.durable);
            let deleted = blocking(delete).await;
            self.uncache(permit.path());
            deleted
        })
    }

    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(self.open_with(permit.path(), |_, opened| read::metadata(&opened.metadata)))
    }

    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        let (resolver, folder) = (self.resolver(), permit.path().clone());
        Box::pin(blocking(move || folder::list(&resolver?, folder.as_ref())))
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        let storage = self.clone();
        Box::pin(blocking(move || storage.check_root()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms() {
        let root = tempfile::tempdir().unwrap();
        conformance(Arc::new(LocalStorage::open_root(root.path()).unwrap())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms_with_named_temporaries() {
        let root = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open_root(root.path()).unwrap().named_temporaries();
        conformance(Arc::new(storage)).await;
        let uploads = fs::read_dir(root.path().join(".private-media-uploads")).unwrap();
        assert_eq!(uploads.count(), 0, "no temporary file remains");
    }

    #[test]
    fn the_error_of_an_invalid_root_is_one_line() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("file");
        fs::write(&file, "").unwrap();
        for (root, what) in [(folder.path().join("none"), "does not exist"), (file, "is not a folder")] {
            let error = LocalStorage::open_root(&root).unwrap_err();
            let source = std::error::Error::source(&error).unwrap().to_string();
            assert_eq!(source, format!("{} {what}", root.display()));
        }
    }
}
