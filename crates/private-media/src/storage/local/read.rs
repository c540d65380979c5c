//! Reads open files, without waiting if the bytes are in the page cache.

use std::fs::{File, Metadata as FileMetadata};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::path::PathBuf;
use std::sync::Arc;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use rustix::fs::{AtFlags, fstat, statat};

use super::super::{MediaFile, Metadata, ReadAt, StorageError};
use super::error::io_error;
use super::resolve::Opened;
use super::root::OpenRoot;

/// The maximum length of one read, in bytes.
const MAX_READ: usize = 1 << 20;

/// Converts the metadata of a file.
pub(super) fn metadata(metadata: &FileMetadata) -> Result<Metadata, StorageError> {
    use std::os::unix::fs::MetadataExt as _;

    let doing = io_error("reading the file's metadata");
    let modified = i128::from(metadata.mtime()) * 1_000_000_000 + i128::from(metadata.mtime_nsec());
    Ok(Metadata {
        len: metadata.len(),
        modified: metadata.modified().map_err(&doing)?,
        created: metadata.created().ok(),
        accessed: metadata.accessed().ok(),
        etag: format!("{modified:x}-{:x}-{:x}", metadata.len(), metadata.ino()),
    })
}

/// Returns an open file as a [`MediaFile`].
pub(super) fn media_file(root: &Arc<OpenRoot>, opened: Opened) -> Result<MediaFile, StorageError> {
    let metadata = metadata(&opened.metadata)?;
    Ok(MediaFile::new(metadata, Arc::new(LocalFile { root: Arc::clone(root), file: Arc::new(opened.file) })))
}

#[derive(Debug)]
struct LocalFile {
    root: Arc<OpenRoot>,
    file: Arc<File>,
}

impl ReadAt for LocalFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let len = clamp_len(offset, len);
        Box::pin(async move {
            if len == 0 {
                return Ok(Bytes::new());
            }
            if let Some(bytes) = self.read_cached(offset, len) {
                return Ok(bytes);
            }
            tokio::task::spawn_blocking(move || self.read(offset, len)).await.map_err(io::Error::other)?
        })
    }

    fn local_name(&self) -> Option<PathBuf> {
        // The kernel knows the current name of each handle, after any links and renames.
        let name_of =
            |handle: BorrowedFd| std::fs::read_link(format!("/proc/self/fd/{}", handle.as_raw_fd()));
        let (root, file) = (name_of(self.root.dir.as_fd()).ok()?, name_of(self.file.as_fd()).ok()?);
        let name = file.strip_prefix(root).ok()?;
        // The kernel's name of a deleted file may be that of another file, so the name must lead to the same file.
        let found = statat(&*self.root.dir, name, AtFlags::SYMLINK_NOFOLLOW).ok()?;
        let opened = fstat(&self.file).ok()?;
        let is_same = (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino);
        // A front server opens the path of the root, where another folder may be by now.
        (is_same && self.root.is_at_its_path()).then(|| name.to_path_buf())
    }

    fn as_file(&self) -> Option<&Arc<File>> {
        Some(&self.file)
    }
}

impl LocalFile {
    /// Reads at least one byte from the page cache; `None` if that may need the disk.
    #[cfg(target_os = "linux")]
    fn read_cached(&self, offset: u64, len: usize) -> Option<Bytes> {
        use rustix::io::{ReadWriteFlags, preadv2};

        let mut buffer = vec![0; len];
        let count =
            preadv2(&self.file, &mut [io::IoSliceMut::new(&mut buffer)], offset, ReadWriteFlags::NOWAIT);
        match count {
            // Linux 5.9 and 5.10 return 0 (end of file) for uncached pages, so only a blocking read is trusted for the end.
            Ok(0) | Err(_) => None,
            Ok(count) => Some(filled(buffer, count)),
        }
    }

    #[cfg(not(target_os = "linux"))]
    fn read_cached(&self, _offset: u64, _len: usize) -> Option<Bytes> {
        None
    }

    fn read(&self, offset: u64, len: usize) -> io::Result<Bytes> {
        let mut buffer = vec![0; len];
        let count = rustix::io::retry_on_intr(|| rustix::io::pread(&self.file, &mut *buffer, offset))?;
        Ok(filled(buffer, count))
    }
}

/// Limits the length of a read. Positions end at `i64::MAX`.
fn clamp_len(offset: u64, len: usize) -> usize {
    let room = i64::MAX.unsigned_abs().saturating_sub(offset);
    len.min(MAX_READ).min(usize::try_from(room).unwrap_or(usize::MAX))
}

fn filled(mut buffer: Vec<u8>, count: usize) -> Bytes {
    buffer.truncate(count);
    // Otherwise a short read would hold the memory of a long one.
    buffer.shrink_to_fit();
    Bytes::from(buffer)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn read_lengths_are_limited() {
        let end = i64::MAX.unsigned_abs();
        for (offset, len, reached) in [
            (0, 0, 0),
            (0, 10, 10),
            (0, usize::MAX, MAX_READ),
            (end - 3, 10, 3),
            (end, 10, 0),
            (end + 1, 10, 0),
            (u64::MAX, usize::MAX, 0),
        ] {
            assert_eq!(clamp_len(offset, len), reached, "{len} at {offset}");
        }
    }

    fn local(file: File) -> Arc<LocalFile> {
        Arc::new(LocalFile { root: OpenRoot::for_test(std::path::Path::new("/")), file: Arc::new(file) })
    }

    #[tokio::test]
    async fn cached_and_uncached_reads_return_the_same_bytes() {
        let content: Vec<u8> = (0..3_000_000_u32).flat_map(u32::to_le_bytes).take(3 << 20).collect();
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &content).unwrap();
        file.sync_all().unwrap();
        let file = local(file);
        for drop_cache in [true, false] {
            if drop_cache {
                rustix::fs::fadvise(&file.file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
            }
            let mut read = Vec::new();
            loop {
                let bytes = Arc::clone(&file).read_at(read.len() as u64, 100_000).await.unwrap();
                assert!(bytes.len() <= 100_000);
                if bytes.is_empty() {
                    break;
                }
                read.extend_from_slice(&bytes);
            }
            assert!(read == content, "read back {} bytes", read.len());
        }
    }

    #[tokio::test]
    async fn reads_past_the_end_are_empty() {
        let file = tempfile::tempfile().unwrap();
        file.set_len(10).unwrap();
        let file = local(file);
        for offset in [10, 11, i64::MAX.unsigned_abs(), u64::MAX] {
            assert_eq!(Arc::clone(&file).read_at(offset, 5).await.unwrap(), Bytes::new(), "at {offset}");
        }
        assert_eq!(Arc::clone(&file).read_at(7, 5).await.unwrap().len(), 3);
        file.file.set_len(4).unwrap();
        assert_eq!(Arc::clone(&file).read_at(7, 5).await.unwrap(), Bytes::new());
    }

    /// With links, renames, a removed file, and another file with its name.
    #[test]
    fn the_local_name_belongs_to_the_open_file() {
        let folder = tempfile::tempdir().unwrap();
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("cars/7")).unwrap();
        std::fs::write(at("cars/7/photo.jpg"), "the photo").unwrap();
        std::os::unix::fs::symlink("cars", at("link")).unwrap();
        let root = OpenRoot::for_test(folder.path());
        let open =
            |name: &str| LocalFile { root: Arc::clone(&root), file: Arc::new(File::open(at(name)).unwrap()) };
        let named = |name: &str| Some(PathBuf::from(name));

        let file = open("link/7/photo.jpg");
        assert_eq!(file.local_name(), named("cars/7/photo.jpg"));
        std::fs::rename(at("cars/7"), at("cars/8")).unwrap();
        assert_eq!(file.local_name(), named("cars/8/photo.jpg"));
        std::fs::write(at("cars/8/photo.jpg (deleted)"), "another upload").unwrap();
        std::fs::remove_file(at("cars/8/photo.jpg")).unwrap();
        assert_eq!(file.local_name(), None, "the kernel's name of a deleted file is not used");
        std::fs::write(at("cars/8/photo.jpg"), "another photo").unwrap();
        assert_eq!(file.local_name(), None);
        assert_eq!(open("cars/8/photo.jpg (deleted)").local_name(), named("cars/8/photo.jpg (deleted)"));

        let outside = tempfile::NamedTempFile::new().unwrap();
        let file = LocalFile { root: Arc::clone(&root), file: Arc::new(outside.reopen().unwrap()) };
        assert_eq!(file.local_name(), None);
        // A front server would not find the files of a moved root.
        let file = open("cars/8/photo.jpg");
        let moved = folder.path().with_extension("moved");
        std::fs::rename(folder.path(), &moved).unwrap();
        assert_eq!(file.local_name(), None);
        std::fs::create_dir_all(at("cars/8")).unwrap();
        std::fs::write(at("cars/8/photo.jpg"), "a file of another root").unwrap();
        assert_eq!(file.local_name(), None);
        std::fs::remove_dir_all(folder.path()).unwrap();
        std::fs::rename(&moved, folder.path()).unwrap();
        assert_eq!(file.local_name(), named("cars/8/photo.jpg"));
    }
}
