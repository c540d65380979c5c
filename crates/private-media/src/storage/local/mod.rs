//! A folder of the local disk as a private root.

mod cache;
mod edit;
mod file_id;
mod folder;
mod named;
mod read;
mod resolve;
mod root;
mod save;
mod temporary;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;

pub use cache::CacheOptions;
use cache::FileCache;
pub use edit::OpenOptions;
use resolve::Resolver;
use root::{Accept, OpenRoot, Root};

use super::{Content, Entry, MediaFile, Metadata, SaveOptions, Storage, StorageError};
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::MediaPath;

/// A folder of the local disk as a private root.
///
/// The folder is opened once, and again if [`LocalStorage::check_root`] finds another one at its path. Everything else is opened
/// below that handle, and nothing outside is reached: no spelling, no link and no race of renames leads out. Symbolic links below
/// the root are not followed, unless [`LocalStorage::follow_links`] says so. Only regular files are served. A hard link cannot be
/// told from the file's first name, so nobody but the application should be able to write below the root.
///
/// A save needs the root's file system for its temporaries, and leaves a hidden folder `.private-media-uploads` where
/// it cannot do without names. A file system that is mounted below the root is served; it can be stored to where it
/// has unnamed temporary files (`O_TMPFILE`), but nothing in it can be replaced.
///
/// A save that is dropped before its content has ended leaves nothing; dropped later, it leaves the whole file or nothing.
/// One that fails after it has replaced a file, because the folder cannot be made durable, leaves the new file.
///
/// Its futures need a Tokio runtime, whose blocking pool waits for the disk.
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
    how: WriteOptions,
    kept: Option<Arc<FileCache>>,
}

/// How files and folders are written.
#[derive(Debug, Clone, Copy)]
#[expect(clippy::struct_excessive_bools, reason = "each is an independent setting")]
struct WriteOptions {
    file_mode: u32,
    dir_mode: u32,
    exact_file_mode: bool,
    exact_dir_mode: bool,
    named_temporaries: bool,
    durable: bool,
    share_group: bool,
}

impl LocalStorage {
    /// Opens a folder that exists, and sweeps what the uploads of a crashed process left in it. It waits for the disk.
    pub fn open_root(root: impl AsRef<Path>) -> Result<Self, StorageError> {
        let root = Root::open(root.as_ref())?;
        let how = WriteOptions {
            file_mode: 0o640,
            dir_mode: 0o750,
            exact_file_mode: false,
            exact_dir_mode: false,
            named_temporaries: false,
            durable: true,
            share_group: false,
        };
        Ok(Self { root: Arc::new(root), accept: None, follow_links: false, how, kept: None })
    }

    /// Adds a check of another folder at the root's path, before it is served in place of the one that was opened. An error keeps
    /// it from being served, and is the reason that [`LocalStorage::check_root`] gives.
    #[must_use]
    pub fn accept_root(
        mut self,
        accept: impl Fn(&Path) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.accept = Some(Accept(Arc::new(accept)));
        self
    }

    /// Compares the folder that is open with what the root's path leads to now. It waits for the disk.
    ///
    /// While the path leads to no folder, or to one that cannot be read, every operation is an error. Another folder is opened as
    /// the new root, and nothing of the old one is served any more. One exception: if the root's file system was unmounted, the path
    /// leads to a folder of the file system below it, which is an error until it is mounted again. Requests that run finish with the
    /// folder in which they began.
    ///
    /// What stores and deletes does this first. Reading does not: call this every few seconds, as the gateway does, where the root
    /// may be replaced.
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
        if let Some(kept) = self.kept.as_ref().filter(|_| is_changed) {
            kept.clear();
        }
        result
    }

    /// Sets whether symbolic links below the root are followed; they are not unless told.
    ///
    /// A link gives a file a second path, and permission is decided by path: with `shared/x -> ../users/alice/secret`, readers of
    /// `shared/x` get alice's file. So a link below the root is [`StorageError::NotFound`] for every operation and not listed. With
    /// `true`, links are followed if they are relative and stay below the root. The root's own path may have links either way.
    ///
    /// ```
    /// # use private_media::{LocalStorage, MediaPath, Permit, Storage};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let root = folder.path();
    /// std::fs::write(root.join("photo.jpg"), "…")?;
    /// std::os::unix::fs::symlink("photo.jpg", root.join("link.jpg"))?;
    /// let link = Permit::trusted(MediaPath::new("link.jpg")?);
    /// assert!(!LocalStorage::open_root(root)?.exists(&link).await?);
    /// assert!(LocalStorage::open_root(root)?.follow_links(true).exists(&link).await?);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn follow_links(mut self, follow_links: bool) -> Self {
        self.follow_links = follow_links;
        self
    }

    /// Keeps the files that are opened, so that they need not be opened again each time: the bytes of small ones, the handles of
    /// others. What others change is noticed when [`CacheOptions::fresh`] is over; what is saved and deleted here, at once. It is for a storage
    /// whose files this process sends, or a front server if [`CacheOptions::max_content`] is `None`.
    ///
    /// Whether a reader may is asked each time all the same, as nothing is opened without a [`Permit`].
    #[must_use]
    pub fn keep(mut self, keep: CacheOptions) -> Self {
        self.kept = Some(Arc::new(FileCache::new(keep)));
        self
    }

    /// The permissions that a stored file gets, before the umask; `0o640` unless told.
    #[must_use]
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.how.file_mode = mode & 0o777;
        self
    }

    /// The permissions that a folder gets that a save makes, before the umask; `0o750` unless told.
    #[must_use]
    pub fn dir_mode(mut self, mode: u32) -> Self {
        self.how.dir_mode = mode & 0o777;
        self
    }

    /// The permissions that a stored file gets, whatever the umask is.
    ///
    /// ```
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # use private_media::{LocalStorage, MediaPath, Permit, SaveOptions, Storage, storage::content};
    /// # use std::os::unix::fs::PermissionsExt;
    /// # let folder = tempfile::tempdir()?;
    /// # let root = folder.path();
    /// let storage = LocalStorage::open_root(root)?.exact_file_mode(0o666).exact_dir_mode(0o777);
    /// let permit = Permit::trusted(MediaPath::new("cars/photo.jpg")?);
    /// storage.save(&permit, content("…"), &SaveOptions::default()).await?;
    /// let mode = |name: &str| root.join(name).metadata().map(|it| it.permissions().mode() & 0o777);
    /// assert_eq!((mode("cars")?, mode("cars/photo.jpg")?), (0o777, 0o666));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn exact_file_mode(mut self, mode: u32) -> Self {
        self.how.exact_file_mode = true;
        self.file_mode(mode)
    }

    /// The permissions that a folder gets that a save makes, whatever the umask is.
    #[must_use]
    pub fn exact_dir_mode(mut self, mode: u32) -> Self {
        self.how.exact_dir_mode = true;
        self.dir_mode(mode)
    }

    /// Sets whether a save or delete waits until the disk has it; it does unless told otherwise.
    ///
    /// Without that, a save costs no fsync and still appears whole or not at all, also if the process is killed. After a power
    /// cut or a kernel crash, files of the last seconds (on ext4, some 30 s) may be missing or empty, and deleted ones be back.
    ///
    /// ```
    /// # use private_media::{LocalStorage, MediaPath, Permit, SaveOptions, Storage, storage::content};
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// # let folder = tempfile::tempdir()?;
    /// # let root = folder.path();
    /// let thumbnails = LocalStorage::open_root(root)?.durable(false);
    /// let permit = Permit::trusted(MediaPath::new("small.jpg")?);
    /// thumbnails.save(&permit, content("…"), &SaveOptions::default()).await?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn durable(mut self, durable: bool) -> Self {
        self.how.durable = durable;
        self
    }

    /// Gives each stored file the root's group, where the process may do so.
    #[must_use]
    pub fn share_group(mut self) -> Self {
        self.how.share_group = true;
        self
    }

    /// [`Storage::save`] for a thread that may wait for the disk: without a runtime, and without changing threads.
    pub fn save_blocking(
        &self,
        permit: &Permit<Write>,
        content: impl Iterator<Item = io::Result<Bytes>>,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        let used = save::save_blocking(self.checked_resolver()?, self.how, permit.path(), content, *options)?;
        self.changed(&used);
        Ok(used)
    }

    /// Returns the metadata of a file or folder for the application itself, without a permit: by any name below the root, also one
    /// that is not a [`MediaPath`]. An empty name is the root. Waits for the disk.
    pub fn trusted_stat(&self, name: impl AsRef<Path>) -> Result<fs::Metadata, StorageError> {
        let name = name.as_ref();
        self.resolver()?.stat(if name.as_os_str().is_empty() { Path::new(".") } else { name })
    }

    /// Removes a file, a link or an empty folder for the application itself, without a permit: by any name below the root, also
    /// one that is not a [`MediaPath`], such as another program may have left. Waits for the disk.
    pub fn trusted_remove(&self, name: impl AsRef<Path>) -> Result<(), StorageError> {
        let name = name.as_ref();
        let removed = folder::remove(&self.checked_resolver()?, name, self.how.durable);
        if let Some(path) = name.to_str().and_then(|name| MediaPath::new(name).ok()) {
            self.changed(&path);
        }
        removed
    }

    /// Opens a file for the application itself to change in place, beneath the root as everything is. Nothing of it is atomic, and
    /// readers see each change at once: [`Storage::save`] is the way to store. It waits for the disk.
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
    ///     storage.edit(&log, OpenOptions { append: true, create: true, ..OpenOptions::default() })?.write_all(line.as_bytes())?;
    /// }
    /// assert_eq!(std::fs::read_to_string(root.join("log.txt"))?, "one\ntwo\n");
    /// # Ok(())
    /// # }
    /// ```
    pub fn edit(&self, permit: &Permit<Write>, edit: OpenOptions) -> Result<File, StorageError> {
        edit::edit(&self.checked_resolver()?, permit.path(), edit, self.how.file_mode)
    }

    /// Removes a folder that is empty; what is not there is [`StorageError::NotFound`]. It waits for the disk.
    pub fn remove_folder(&self, permit: &Permit<Delete>) -> Result<(), StorageError> {
        folder::remove_folder(&self.checked_resolver()?, permit.path(), self.how.durable)
    }

    /// Writes to hidden names even where unnamed files are to be had, so that tests see both ways.
    #[doc(hidden)]
    #[must_use]
    pub fn named_temporaries(mut self) -> Self {
        self.how.named_temporaries = true;
        self
    }

    fn changed(&self, path: &MediaPath) {
        if let Some(kept) = &self.kept {
            kept.forget(path);
        }
    }

    fn resolver(&self) -> Result<Resolver, StorageError> {
        Ok(Resolver::new(self.root.current()?, self.follow_links))
    }

    /// Checks the root first, so that nothing is stored in a folder that was moved away.
    fn checked_resolver(&self) -> Result<Resolver, StorageError> {
        self.check_root()?;
        self.resolver()
    }

    /// Names a file after its path, unless a link may have led to it.
    fn named(&self, file: MediaFile, path: &MediaPath) -> Result<MediaFile, StorageError> {
        if self.follow_links {
            return Ok(file);
        }
        Ok(named::named(&self.root.current()?, &file, path))
    }

    /// Opens a file and looks at it: at once if that takes no disk, else on the blocking pool.
    async fn find<T: Send + 'static>(
        &self,
        path: &MediaPath,
        look: fn(&Arc<OpenRoot>, File) -> Result<T, StorageError>,
    ) -> Result<T, StorageError> {
        let resolver = self.resolver()?;
        if let Some(file) = resolver.open_cached(path) {
            return file.and_then(|file| look(resolver.root(), file));
        }
        let path = path.clone();
        blocking(move || resolver.open(&path).and_then(|file| look(resolver.root(), file))).await
    }
}

impl Storage for LocalStorage {
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        match &self.kept {
            Some(kept) => match kept.get(permit.path(), self.root.generation()) {
                Some(file) => Box::pin(std::future::ready(Ok(file))),
                None => Box::pin(kept.open(self, permit.path())),
            },
            None => Box::pin(async {
                let file = self.find(permit.path(), read::media_file).await?;
                self.named(file, permit.path())
            }),
        }
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
            let used = save::save(resolver, self.how, permit.path(), content, *options).await?;
            self.changed(&used);
            Ok(used)
        })
    }

    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async {
            let (storage, gone) = (self.clone(), permit.path().clone());
            let delete = move || folder::delete(&storage.checked_resolver()?, &gone, storage.how.durable);
            let deleted = blocking(delete).await;
            self.changed(permit.path());
            deleted
        })
    }

    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(self.find(permit.path(), |_, file| read::metadata(&file)))
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

/// Runs what waits for the disk where waiting is allowed.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    match tokio::task::spawn_blocking(work).await {
        Ok(result) => result,
        Err(error) => {
            Err(StorageError::Io { doing: "waiting for the disk", source: io::Error::other(error) })
        }
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
        assert_eq!(uploads.count(), 0, "every temporary is gone");
    }

    #[test]
    fn a_root_that_is_none_is_one_clear_line() {
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
