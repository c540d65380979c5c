//! Saves a file: streams it to a temporary file, makes that durable, and then gives it a free name.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::{Bytes, BytesMut};
use cap_std::fs::Dir;
use futures_util::StreamExt as _;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::super::{Content, SaveOptions, StorageError};
use super::blocking::blocking;
use super::error::io_error;
use super::folder::{self, sync};
use super::resolve::Resolver;
use super::temporary::Temporary;
use super::write_options::WriteOptions;
use crate::request::{MediaPath, alternatives};

/// How many bytes of content are collected before the blocking pool writes them.
const PIECE: usize = 256 << 10;
/// How many bytes are written between two checks of the free space.
const FREE_CHECK: u64 = 4 << 20;
/// How often a save makes its folder again after a failed save removed it.
const TRIES: usize = 16;

/// Saves a file. Dropped before its last step, it leaves nothing; the last step is atomic.
pub(super) async fn save(
    resolver: impl FnOnce() -> Result<Resolver, StorageError> + Send + 'static,
    how: WriteOptions,
    path: &MediaPath,
    content: Content<'_>,
    options: SaveOptions,
) -> Result<MediaPath, StorageError> {
    options.check_announced()?;
    let path = path.clone();
    let mut saving = Saving(Some(blocking(move || Upload::begin(resolver()?, how, path, options)).await?));
    let result = match saving.write_all(content, &options).await {
        Ok(()) => saving.on_pool(Upload::publish).await,
        Err(error) => Err(error),
    };
    // The temporary file and new folders are removed before the caller gets the error.
    let upload = saving.0.take();
    blocking(move || {
        drop(upload);
        Ok(())
    })
    .await?;
    result
}

/// Like [`save`], on the calling thread.
pub(super) fn save_blocking(
    resolver: Resolver,
    how: WriteOptions,
    path: &MediaPath,
    content: impl Iterator<Item = io::Result<Bytes>>,
    options: SaveOptions,
) -> Result<MediaPath, StorageError> {
    options.check_announced()?;
    let mut upload = Upload::begin(resolver, how, path.clone(), options)?;
    let mut len: u64 = 0;
    for piece in content {
        let piece = piece.map_err(StorageError::Content)?;
        len = len.saturating_add(piece.len() as u64);
        options.check_len(len)?;
        upload.write(&piece)?;
    }
    upload.publish()
}

/// An upload between two visits to the blocking pool.
struct Saving(Option<Upload>);

impl Saving {
    async fn write_all(
        &mut self,
        mut content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<(), StorageError> {
        let mut len: u64 = 0;
        let mut waiting = BytesMut::new();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(StorageError::Content)?;
            len = len.saturating_add(piece.len() as u64);
            options.check_len(len)?;
            if waiting.len() + piece.len() > PIECE {
                self.write(waiting.split().freeze()).await?;
            }
            if piece.len() < PIECE {
                waiting.extend_from_slice(&piece);
            } else {
                self.write(piece).await?;
            }
        }
        self.write(waiting.freeze()).await
    }

    async fn write(&mut self, bytes: Bytes) -> Result<(), StorageError> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.on_pool(move |upload| upload.write(&bytes)).await
    }

    async fn on_pool<T: Send + 'static>(
        &mut self,
        work: impl FnOnce(&mut Upload) -> Result<T, StorageError> + Send + 'static,
    ) -> Result<T, StorageError> {
        let mut upload = self.0.take();
        let (upload, result) = blocking(move || {
            let result = upload.as_mut().map(work);
            Ok((upload, result))
        })
        .await?;
        self.0 = upload;
        result.unwrap_or_else(|| Err(io_error("saving")(io::ErrorKind::Interrupted.into())))
    }
}

impl Drop for Saving {
    /// Removes the temporary file on the blocking pool, as freeing a large file takes time.
    fn drop(&mut self) {
        if let Some(upload) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(upload));
        }
    }
}

/// A file that is being saved. Dropped before it is published, it removes the temporary file and the new folders.
struct Upload {
    temporary: Temporary,
    folders: MadeFolders,
    how: WriteOptions,
    path: MediaPath,
    options: SaveOptions,
    /// Bytes written since the last check of the free space.
    unchecked: u64,
}

impl Upload {
    fn begin(
        resolver: Resolver,
        how: WriteOptions,
        path: MediaPath,
        options: SaveOptions,
    ) -> Result<Self, StorageError> {
        let mut folders = MadeFolders { resolver, paths: Vec::new() };
        let folder = folders.make(&path, how)?;
        let root = folders.resolver.dir();
        let temporary = Temporary::new(root, &folder, how.file_mode, how.named_temporaries)?;
        if how.exact_file_mode {
            rustix::fs::fchmod(temporary.file(), Mode::from_raw_mode(how.file_mode))
                .map_err(|error| io_error("setting the file's permissions")(error.into()))?;
        }
        if how.share_group {
            share_group(root, temporary.file());
        }
        let upload = Self { temporary, folders, how, path, options, unchecked: 0 };
        upload.check_free(options.expected_len.unwrap_or(0))?;
        Ok(upload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let len = bytes.len() as u64;
        self.unchecked = self.unchecked.saturating_add(len);
        if self.unchecked >= FREE_CHECK {
            self.check_free(len)?;
            self.unchecked = 0;
        }
        self.temporary.file().write_all(bytes).map_err(io_error("writing the content"))
    }

    /// Fails if the free space, less the remaining bytes, is below the minimum.
    fn check_free(&self, remaining: u64) -> Result<(), StorageError> {
        let needed = self.options.min_free.saturating_add(remaining);
        if needed == 0 {
            return Ok(());
        }
        let device = rustix::fs::fstatvfs(self.temporary.file())
            .map_err(|error| io_error("reading the free space")(error.into()))?;
        if device.f_bavail.saturating_mul(device.f_frsize) < needed {
            Err(StorageError::Full)
        } else {
            Ok(())
        }
    }

    /// Makes the content durable, then visible, then its name durable.
    fn publish(&mut self) -> Result<MediaPath, StorageError> {
        if self.how.durable {
            self.temporary.file().sync_all().map_err(io_error("making the content durable"))?;
        }
        self.check_free(0)?;
        for _ in 0..TRIES {
            let folder = self.folders.make(&self.path, self.how)?;
            let used = match self.link(&folder) {
                Ok(used) => used,
                // A failed save removed the folder, which it had made.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io_error("giving the file its name")(error.into())),
            };
            if self.how.durable
                && let Err(error) = sync(&folder)
            {
                self.unlink(&folder, &used);
                return Err(error);
            }
            self.folders.paths.clear();
            return Ok(used);
        }
        Err(io_error("giving the file its name")(Errno::NOENT.into()))
    }

    fn link(&mut self, folder: &Dir) -> Result<MediaPath, Errno> {
        if self.options.replace {
            self.temporary.replace(folder, self.path.file_name())?;
            return Ok(self.path.clone());
        }
        for path in std::iter::once(self.path.clone()).chain(alternatives(&self.path)) {
            match self.temporary.link(folder, path.file_name()) {
                Err(Errno::EXIST) => {}
                result => return result.map(|()| path),
            }
        }
        Err(Errno::EXIST)
    }

    /// Removes a name that is not durable, so that a failed save shows no file. A file that was replaced cannot be restored, so
    /// its replacement stays.
    fn unlink(&self, folder: &Dir, path: &MediaPath) {
        let there = rustix::fs::statat(folder, path.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        let ours = rustix::fs::fstat(self.temporary.file());
        if let (Ok(there), Ok(ours)) = (there, ours)
            && !self.options.replace
            && (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            && let Err(error) = rustix::fs::unlinkat(folder, path.file_name(), AtFlags::empty())
        {
            tracing::error!(%path, %error, "a file whose save failed cannot be removed");
        }
    }
}

/// Gives the file the root's group. Without the permission to do so, the file has the group of the process.
fn share_group(root: &Dir, file: &File) {
    if let (Ok(root), Ok(own)) = (rustix::fs::fstat(root), rustix::fs::fstat(file))
        && root.st_gid != own.st_gid
    {
        let _ = rustix::fs::fchown(file, None, Some(rustix::fs::Gid::from_raw(root.st_gid)));
    }
}

/// The folders that a save has made. Unless it succeeds, those that are still empty are removed.
struct MadeFolders {
    resolver: Resolver,
    paths: Vec<MediaPath>,
}

impl MadeFolders {
    fn make(&mut self, path: &MediaPath, how: WriteOptions) -> Result<Dir, StorageError> {
        let folder = path.parent();
        let mut result = Err(StorageError::not_found("no folder was made"));
        for _ in 0..TRIES {
            result = folder::make(&self.resolver, folder.as_ref(), how, &mut self.paths);
            match &result {
                // A failed save may remove a folder between two steps here, too.
                Err(StorageError::NotFound { source: Some(_), .. }) => {}
                Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        result
    }
}

impl Drop for MadeFolders {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // This fails if another save has stored a file there.
            let _ = folder::remove_folder(&self.resolver, path, false);
        }
    }
}
