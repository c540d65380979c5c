//! The settings of a [`LocalStorage`].

use std::path::Path;
use std::sync::Arc;

use super::LocalStorage;
use super::cache::{CacheOptions, FileCache};
use super::root::Accept;

impl LocalStorage {
    /// Sets whether symbolic links below the root are followed; the default is `false`.
    ///
    /// A link gives a file a second path, and permission is decided by path: with `shared/x -> ../users/alice/secret`, readers of
    /// `shared/x` get alice's file. Therefore a link below the root is [`StorageError::NotFound`](crate::StorageError::NotFound), and
    /// lists do not show it. With `true`, relative links that stay below the root are followed. With either value, the root's own
    /// path may contain links, and a save never writes through a link.
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
    /// Changes by this storage take effect at once, changes by others within [`CacheOptions::revalidate_after`]. Permission is still decided
    /// for each request, as every open takes a [`Permit`](crate::Permit). If a front server sends the files, [`CacheOptions::max_in_memory`]
    /// has to be `None`.
    #[must_use]
    pub fn cache(mut self, options: CacheOptions) -> Self {
        self.cache = Some(Arc::new(FileCache::new(options)));
        self
    }

    /// Sets the mode of saved files before the umask; the default is `0o640`.
    #[must_use]
    pub fn file_mode(mut self, mode: u32) -> Self {
        self.write.file_mode = mode & 0o777;
        self
    }

    /// Sets the mode of folders that a save makes, before the umask; the default is `0o750`.
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

    /// Sets the mode of folders that a save makes, ignoring the umask.
    #[must_use]
    pub fn exact_dir_mode(mut self, mode: u32) -> Self {
        self.write.exact_dir_mode = true;
        self.dir_mode(mode)
    }

    /// Sets whether saves and deletes wait until they are on the disk (fsync); the default is `true`.
    ///
    /// With `false`, a file still appears whole or not at all, also if the process is killed. After a power cut or a kernel crash,
    /// files of the last seconds (on ext4, some 30 s) may be missing or empty, and deleted ones may be back.
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

    /// Gives saved files the root's group, if the process has the permission to do so.
    #[must_use]
    pub fn share_group(mut self) -> Self {
        self.write.share_group = true;
        self
    }

    /// Adds a check that a new folder at the root's path has to pass before it is served.
    ///
    /// [`LocalStorage::check_root`] fails with the reason that the check returns.
    #[must_use]
    pub fn accept_root(
        mut self,
        accept: impl Fn(&Path) -> Result<(), String> + Send + Sync + 'static,
    ) -> Self {
        self.accept = Some(Accept(Arc::new(accept)));
        self
    }

    /// Uses named temporary files where unnamed ones are available, too; for tests of both.
    #[doc(hidden)]
    #[must_use]
    pub fn named_temporaries(mut self) -> Self {
        self.write.named_temporaries = true;
        self
    }
}
