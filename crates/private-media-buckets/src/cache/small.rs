//! Small files in memory, so that they leave with their headers in one write.

use std::fs::File;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use futures_core::future::BoxFuture;
use private_media::storage::ReadAt;

use super::entry::read_now;

/// The longest file that is kept in memory, in bytes.
const MAX_LEN: u64 = 16 << 10;
/// The most bytes of all of them.
const MAX_BYTES: u64 = 32 << 20;

/// The number of bytes in memory.
#[derive(Debug, Default)]
pub(crate) struct SmallFiles(Arc<AtomicU64>);

impl SmallFiles {
    /// Reads a whole file; `None` if it is too long, if there is no room for it, or if reading it may need the disk.
    fn read(&self, file: &File, len: u64) -> Option<Arc<SmallFile>> {
        if len > MAX_LEN {
            return None;
        }
        let add = |used: u64| used.checked_add(len).filter(|used| *used <= MAX_BYTES);
        self.0.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        // Its end gives the room back.
        let mut small = SmallFile { content: Bytes::new(), len, used: Arc::clone(&self.0) };
        small.content = read_now(file, 0, usize::try_from(len).ok()?)?;
        (small.content.len() as u64 == len).then(|| Arc::new(small))
    }
}

/// The content of a file, if it is small and was read before.
#[derive(Debug, Default)]
pub(crate) struct Small(OnceLock<Arc<SmallFile>>);

impl Small {
    pub(crate) fn get(&self) -> Option<Arc<dyn ReadAt>> {
        self.0.get().map(|small| Arc::clone(small) as Arc<dyn ReadAt>)
    }

    /// Reads the whole file and keeps it, if it is small.
    pub(crate) fn read(&self, files: &SmallFiles, file: &File, len: u64) -> Option<Arc<dyn ReadAt>> {
        let small = files.read(file, len)?;
        Some(Arc::clone(self.0.get_or_init(|| small)) as Arc<dyn ReadAt>)
    }
}

/// A file in memory.
#[derive(Debug)]
struct SmallFile {
    content: Bytes,
    len: u64,
    used: Arc<AtomicU64>,
}

impl Drop for SmallFile {
    fn drop(&mut self) {
        self.used.fetch_sub(self.len, Ordering::Relaxed);
    }
}

impl ReadAt for SmallFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let start = usize::try_from(offset).map_or(self.content.len(), |start| start.min(self.content.len()));
        let end = start.saturating_add(len).min(self.content.len());
        Box::pin(std::future::ready(Ok(self.content.slice(start..end))))
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(&self.content)
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    #[test]
    fn memory_is_bounded_and_given_back() {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&vec![b'x'; 1 << 20]).unwrap();
        let files = SmallFiles::default();
        let read = |len| {
            let small = Small::default();
            small.read(&files, &file, len).map(|_| small)
        };
        assert!(read(MAX_LEN + 1).is_none());
        // The file is shorter.
        assert!(files.read(&tempfile::tempfile().unwrap(), 10).is_none());
        assert_eq!(files.0.load(Ordering::Relaxed), 0);
        let all: Vec<_> = (0..MAX_BYTES / MAX_LEN).map(|_| read(MAX_LEN).unwrap()).collect();
        assert!(read(1).is_none());
        assert_eq!(all[0].get().unwrap().as_bytes().unwrap().len() as u64, MAX_LEN);
        drop(all);
        assert_eq!(files.0.load(Ordering::Relaxed), 0);
        assert!(read(1).is_some());
    }
}
