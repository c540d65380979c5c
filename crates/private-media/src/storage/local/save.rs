//! Saves a file: writes a temporary file, makes it durable, and links it to a free name.

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
use crate::request::{MediaPath, alternative_paths};

/// How many bytes of content are buffered before the blocking pool writes them.
const BUFFER: usize = 256 << 10;
/// How many bytes are written between two checks of the free space.
const FREE_SPACE_INTERVAL: u64 = 4 << 20;
/// How often a save creates its folder again after a failed save removed it.
const TRIES: usize = 16;

/// Saves a file. If the future is dropped before the last step, which is atomic, nothing is stored.
pub(super) async fn save(
    resolver: impl FnOnce() -> Result<Resolver, StorageError> + Send + 'static,
    write: WriteOptions,
    path: &MediaPath,
    content: Content<'_>,
    options: SaveOptions,
) -> Result<MediaPath, StorageError> {
    options.check_expected_len()?;
    let path = path.clone();
    let mut upload =
        AsyncUpload(Some(blocking(move || Upload::begin(resolver()?, write, path, options)).await?));
    let result = match upload.write_all(content, &options).await {
        Ok(()) => upload.on_pool(Upload::publish).await,
        Err(error) => Err(error),
    };
    // The temporary file and the new folders are removed before this returns.
    let upload = upload.0.take();
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
    write: WriteOptions,
    path: &MediaPath,
    content: impl Iterator<Item = io::Result<Bytes>>,
    options: SaveOptions,
) -> Result<MediaPath, StorageError> {
    options.check_expected_len()?;
    let mut upload = Upload::begin(resolver, write, path.clone(), options)?;
    let mut len: u64 = 0;
    for piece in content {
        let piece = piece.map_err(StorageError::Content)?;
        len = len.saturating_add(piece.len() as u64);
        options.check_len(len)?;
        upload.write(&piece)?;
    }
    upload.publish()
}

/// An upload whose steps run on the blocking pool. It is `None` during a step.
struct AsyncUpload(Option<Upload>);

impl AsyncUpload {
    async fn write_all(
        &mut self,
        mut content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<(), StorageError> {
        let mut len: u64 = 0;
        let mut buffer = BytesMut::new();
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(StorageError::Content)?;
            len = len.saturating_add(piece.len() as u64);
            options.check_len(len)?;
            if buffer.len() + piece.len() > BUFFER {
                self.write(buffer.split().freeze()).await?;
            }
            if piece.len() < BUFFER {
                buffer.extend_from_slice(&piece);
            } else {
                self.write(piece).await?;
            }
        }
        self.write(buffer.freeze()).await
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

impl Drop for AsyncUpload {
    /// Removes the temporary file on the blocking pool, because that takes time for a large file.
    fn drop(&mut self) {
        if let Some(upload) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(upload));
        }
    }
}

/// A file that is being saved. Unless it is published, dropping it removes the temporary file and the new folders.
struct Upload {
    temporary: Temporary,
    folders: CreatedFolders,
    write: WriteOptions,
    path: MediaPath,
    options: SaveOptions,
    /// The number of bytes that were written since the last check of the free space.
    unchecked: u64,
}

impl Upload {
    fn begin(
        resolver: Resolver,
        write: WriteOptions,
        path: MediaPath,
        options: SaveOptions,
    ) -> Result<Self, StorageError> {
        let mut folders = CreatedFolders { resolver, paths: Vec::new() };
        let folder = folders.create(&path, write)?;
        let root = folders.resolver.dir();
        let temporary = Temporary::new(root, &folder, write.file_mode, write.named_temporaries)?;
        if write.exact_file_mode {
            rustix::fs::fchmod(temporary.file(), Mode::from_raw_mode(write.file_mode))
                .map_err(|error| io_error("setting the file's permissions")(error.into()))?;
        }
        if write.share_group {
            share_group(root, temporary.file());
        }
        let upload = Self { temporary, folders, write, path, options, unchecked: 0 };
        upload.check_free(options.expected_len.unwrap_or(0))?;
        Ok(upload)
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), StorageError> {
        let len = bytes.len() as u64;
        self.unchecked = self.unchecked.saturating_add(len);
        if self.unchecked >= FREE_SPACE_INTERVAL {
            self.check_free(len)?;
            self.unchecked = 0;
        }
        self.temporary.file().write_all(bytes).map_err(io_error("writing the content"))
    }

    /// Fails if the free space without the remaining bytes is less than the minimum.
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

    /// Makes the content durable, names the file, and makes the name durable.
    fn publish(&mut self) -> Result<MediaPath, StorageError> {
        if let Some(modified) = self.options.modified {
            self.temporary.file().set_modified(modified).map_err(io_error("setting the file's time"))?;
        }
        if self.write.durable {
            self.temporary.file().sync_all().map_err(io_error("syncing the content"))?;
        }
        self.check_free(0)?;
        for _ in 0..TRIES {
            let folder = self.folders.create(&self.path, self.write)?;
            let used = match self.link(&folder) {
                Ok(used) => used,
                // A failed save has removed the folder, which it had created.
                Err(Errno::NOENT) => continue,
                Err(Errno::EXIST) if self.options.create_new => return Err(StorageError::Exists),
                Err(error) => return Err(io_error("naming the file")(error.into())),
            };
            if self.write.durable
                && let Err(error) = sync(&folder)
            {
                self.unlink(&folder, &used);
                return Err(error);
            }
            self.folders.paths.clear();
            return Ok(used);
        }
        Err(io_error("naming the file")(Errno::NOENT.into()))
    }

    fn link(&mut self, folder: &Dir) -> Result<MediaPath, Errno> {
        if self.options.replace {
            self.temporary.replace(folder, self.path.file_name())?;
            return Ok(self.path.clone());
        }
        let alternatives =
            alternative_paths(&self.path).take(if self.options.create_new { 0 } else { usize::MAX });
        for path in std::iter::once(self.path.clone()).chain(alternatives) {
            match self.temporary.link(folder, path.file_name()) {
                Err(Errno::EXIST) => {}
                result => return result.map(|()| path),
            }
        }
        Err(Errno::EXIST)
    }

    /// Removes a name that could not be made durable, so that a failed save leaves no file. A replaced file cannot be restored, so the new
    /// one remains.
    fn unlink(&self, folder: &Dir, path: &MediaPath) {
        let there = rustix::fs::statat(folder, path.file_name(), AtFlags::SYMLINK_NOFOLLOW);
        let ours = rustix::fs::fstat(self.temporary.file());
        if let (Ok(there), Ok(ours)) = (there, ours)
            && !self.options.replace
            && (there.st_dev, there.st_ino) == (ours.st_dev, ours.st_ino)
            && let Err(error) = rustix::fs::unlinkat(folder, path.file_name(), AtFlags::empty())
        {
            tracing::error!(%path, %error, "cannot remove the file of a failed save");
        }
    }
}

/// Gives the file the group of the root, if the process is permitted to do so.
fn share_group(root: &Dir, file: &File) {
    if let (Ok(root), Ok(own)) = (rustix::fs::fstat(root), rustix::fs::fstat(file))
        && root.st_gid != own.st_gid
    {
        let _ = rustix::fs::fchown(file, None, Some(rustix::fs::Gid::from_raw(root.st_gid)));
    }
}

/// The folders that a save has created. If the save fails, those that are still empty are removed.
pub(super) struct CreatedFolders {
    pub(super) resolver: Resolver,
    pub(super) paths: Vec<MediaPath>,
}

impl CreatedFolders {
    pub(super) fn create(&mut self, path: &MediaPath, write: WriteOptions) -> Result<Dir, StorageError> {
        let folder = path.parent();
        let mut result = Err(StorageError::not_found("no folder was created"));
        for _ in 0..TRIES {
            result = folder::create(&self.resolver, folder.as_ref(), write, &mut self.paths);
            match &result {
                // A failed save may remove a folder between two steps of this one.
                Err(StorageError::NotFound { source: Some(_), .. }) => {}
                Err(StorageError::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {}
                _ => break,
            }
        }
        result
    }
}

impl Drop for CreatedFolders {
    fn drop(&mut self) {
        for path in self.paths.iter().rev() {
            // This fails if another save has stored a file in the folder.
            let _ = folder::remove_folder(&self.resolver, path, false);
        }
    }
}
