//! The options of a [`LocalStorage`].

use std::path::Path;
use std::sync::Arc;

use super::LocalStorage;
use super::cache::{CacheOptions, FileCache};
use super::root::Accept;

impl LocalStorage {
    /// Sets whether symbolic links below the root are followed. The default is `false`.
    ///
    /// A link gives a file a second path, and permission is decided by path: with `shared/x -> ../users/alice/secret`, readers of
    /// `shared/x` get alice's file. So by default a link below the root is [`StorageError::NotFound`](crate::StorageError::NotFound), and
    /// lists omit it. With `true`, relative links that stay below the root are followed. With either value, the path of the root may
    /// contain links, and a save never writes through a link.
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

    /// Caches opened files: the bytes of small ones, the handles of larger ones.
    ///
    /// Changes by this storage take effect immediately, other changes within [`CacheOptions::revalidate_after`]. Each request is still
    /// authorized, because opening takes a [`Permit`](crate::Permit). If a front server sends the files, set
    /// [`CacheOptions::max_in_memory`] to `None`.
    #[must_use]
    pub fn cache(mut self, options: CacheOptions) -> Self {
        self.cache = Some(Arc::new(FileCache::new(options)));
        self
    }

    /// Sets the mode of saved files, which the umask restricts. The default is `0o640`.
    #[must_use]
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.write.file_mode = mode & 0o777;
        self
    }

    /// Sets the mode of folders that a save creates, which the umask restricts. The default is `0o750`.
    #[must_use]
    pub fn dir_mode(mut self, mode: u32) -> Self {
        self.write.dir_mode = mode & 0o777;
        self
    }

    /// Sets the mode of saved files, ignoring the umask.
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
        self.write.exact_file_mode = true;
        self.file_mode(mode)
    }

    /// Sets the mode of folders that a save creates, ignoring the umask.
    #[must_use]
    pub fn exact_dir_mode(mut self, mode: u32) -> Self {
        self.write.exact_dir_mode = true;
        self.dir_mode(mode)
    }

    /// Sets whether saves and deletes wait until they are durable (fsync). The default is `true`.
    ///
    /// With `false`, a file still appears complete or not at all, even if the process is killed. After a power failure or a kernel crash,
    /// files of the last seconds (30 s on ext4) may be missing or empty, and deleted files may exist again.
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
        self.write.durable = durable;
        self
    }

    /// Gives saved files the group of the root, if the process is permitted to do so.
    #[must_use]
    pub fn share_group(mut self) -> Self {
        self.write.share_group = true;
        self
    }

    /// Sets a check of a folder that replaces the root. [`LocalStorage::check_root`] fails with the reason that the check returns, and the
    /// folder is not served.
    #[must_use]
    pub fn accept_root(
        mut self,
        accept: impl Fn(&Path) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.accept = Some(Accept(Arc::new(accept)));
        self
    }

    /// Uses named temporary files even if unnamed ones are available, for tests of both.
    #[doc(hidden)]
    #[must_use]
    pub fn named_temporaries(mut self) -> Self {
        self.write.named_temporaries = true;
        self
    }
}
