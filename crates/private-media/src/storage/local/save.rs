//! Storing: streamed to a temporary, made durable, and only then visible, whole, under a free name.

use std::fs::File;
use std::io::{self, Write as _};

use bytes::{Bytes, BytesMut};
use cap_std::fs::Dir;
use futures_util::StreamExt as _;
use rustix::fs::{AtFlags, Mode};
use rustix::io::Errno;

use super::super::{Content, SaveOptions, StorageError};
use super::folder::{self, sync};
use super::resolve::{Resolver, io_error};
use super::temporary::Temporary;
use super::{WriteOptions, blocking};
use crate::request::{MediaPath, alternatives};

/// Small pieces of content are gathered to this many bytes before a thread of the blocking pool writes them.
const PIECE: usize = 256 << 10;
/// How many bytes are written between two looks at the free space.
const FREE_CHECK: u64 = 4 << 20;
/// How often a save makes its folder again when others, failing, take it back.
const TRIES: usize = 16;

/// The whole of a save. Dropped before its last step, it leaves nothing; the last step happens whole or not at all.
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
    let result = match saving.take_all(content, &options).await {
        Ok(()) => saving.on_pool(Upload::publish).await,
        Err(error) => Err(error),
    };
    // Whoever is told of a failure finds nothing left of it.
    let upload = saving.0.take();
    blocking(move || {
        drop(upload);
        Ok(())
    })
    .await?;
    result
}

/// The same in a thread that may wait for the disk.
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
    async fn take_all(
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
    /// Freeing what a large file took can be long, and a future is dropped on a thread that must not wait.
    fn drop(&mut self) {
        if let Some(upload) = self.0.take()
            && let Ok(runtime) = tokio::runtime::Handle::try_current()
        {
            runtime.spawn_blocking(move || drop(upload));
        }
    }
}

/// A file on its way in, on the blocking pool. Dropped before it is published, it takes everything back.
struct Upload {
    temporary: Temporary,
    folders: MadeFolders,
    how: WriteOptions,
    path: MediaPath,
    options: SaveOptions,
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

    /// Refuses what would leave less than the options ask for, with this many bytes still to come.
    fn check_free(&self, coming: u64) -> Result<(), StorageError> {
        let needed = self.options.min_free.saturating_add(coming);
        if needed == 0 {
            return Ok(());
        }
        let device = rustix::fs::fstatvfs(self.temporary.file())
            .map_err(|error| io_error("asking for the free space")(error.into()))?;
        if device.f_bavail.saturating_mul(device.f_frsize) < needed {
            Err(StorageError::Full)
        } else {
            Ok(())
        }
    }

    /// Durable first, then visible, then visible durably.
    fn publish(&mut self) -> Result<MediaPath, StorageError> {
        if self.how.durable {
            self.temporary.file().sync_all().map_err(io_error("making the content durable"))?;
        }
        self.check_free(0)?;
        for _ in 0..TRIES {
            let folder = self.folders.make(&self.path, self.how)?;
            let used = match self.appear(&folder) {
                Ok(used) => used,
                // A save that failed beside this one took back the folder that it had made.
                Err(Errno::NOENT) => continue,
                Err(error) => return Err(io_error("giving the file its name")(error.into())),
            };
            if self.how.durable
                && let Err(error) = sync(&folder)
            {
                self.disappear(&folder, &used);
                return Err(error);
            }
            self.folders.paths.clear();
            return Ok(used);
        }
        Err(io_error("giving the file its name")(Errno::NOENT.into()))
    }

    fn appear(&mut self, folder: &Dir) -> Result<MediaPath, Errno> {
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

    /// Takes back a name that may not survive a power cut: a save that failed shows no file. What was replaced cannot
    /// come back, so there the new file stays.
    fn disappear(&self, folder: &Dir, path: &MediaPath) {
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

/// Gives the file the root's group. A process that may not do so stores with its own.
fn share_group(root: &Dir, file: &File) {
    if let (Ok(root), Ok(own)) = (rustix::fs::fstat(root), rustix::fs::fstat(file))
        && root.st_gid != own.st_gid
    {
        let _ = rustix::fs::fchown(file, None, Some(rustix::fs::Gid::from_raw(root.st_gid)));
    }
}

/// The folders that a save has made. Dropped before it succeeds, those that are still empty go again.
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
                // Here, too, a save that fails may take a folder back between two steps.
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
