//! Reads an open file: at once where the page cache has it, else where waiting is allowed.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::Arc;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;

use crate::storage::{MediaFile, Metadata, ReadAt, StorageError};

/// What an open handle is. Its name is not looked at again.
pub(super) fn media_file(file: File) -> Result<MediaFile, StorageError> {
    let found = file.metadata().map_err(|source| StorageError::Io { doing: "looking at a file", source })?;
    if !found.is_file() {
        return Err(StorageError::not_found("it is no regular file"));
    }
    let modified =
        found.modified().map_err(|source| StorageError::Io { doing: "looking at a file", source })?;
    let metadata = Metadata {
        len: found.len(),
        modified,
        created: found.created().ok(),
        accessed: found.accessed().ok(),
        etag: format!("{:x}.{:x}-{:x}-{:x}", found.mtime(), found.mtime_nsec(), found.len(), found.ino()),
    };
    Ok(MediaFile::new(metadata, Arc::new(LocalFile(file))))
}

#[derive(Debug)]
struct LocalFile(File);

impl ReadAt for LocalFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        Box::pin(async move {
            // No file reaches further, and the kernel would call it an error.
            if i64::try_from(offset.saturating_add(len as u64)).is_err() {
                return Ok(Bytes::new());
            }
            #[cfg(target_os = "linux")]
            if let Some(bytes) = self.cached(offset, len) {
                return Ok(bytes);
            }
            let reading = move || {
                let mut bytes = BytesMut::zeroed(len);
                let read = self.0.read_at(&mut bytes, offset)?;
                bytes.truncate(read);
                Ok(bytes.freeze())
            };
            tokio::task::spawn_blocking(reading).await.map_err(io::Error::other)?
        })
    }
}

impl LocalFile {
    /// What of it is in the page cache (`RWF_NOWAIT`), if anything is. All else, the end of the file too, is for a read that
    /// may wait to find out.
    #[cfg(target_os = "linux")]
    fn cached(&self, offset: u64, len: usize) -> Option<Bytes> {
        use rustix::io::{ReadWriteFlags, preadv2};

        let mut bytes = BytesMut::zeroed(len);
        let mut buffers = [io::IoSliceMut::new(&mut bytes)];
        let read =
            preadv2(&self.0, &mut buffers, offset, ReadWriteFlags::NOWAIT).ok().filter(|read| *read > 0)?;
        bytes.truncate(read);
        Some(bytes.freeze())
    }
}
