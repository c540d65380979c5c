//! Memory as the private root, for the tests of an application.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_util::StreamExt;

use super::{
    Content, Entry, MediaFile, Metadata, ReadAt, SaveOptions, Storage, StorageError, alternative_name,
};
use crate::permission::Permit;
use crate::request::MediaPath;

/// Files in memory. They end with the process; everything else is as with a folder.
///
/// ```
/// use private_media::{MemoryStorage, PrivateMedia};
///
/// let media = PrivateMedia::builder(MemoryStorage::new()).build();
/// ```
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: RwLock<BTreeMap<MediaPath, Stored>>,
    versions: AtomicU64,
}

#[derive(Debug, Clone)]
struct Stored {
    bytes: Bytes,
    metadata: Metadata,
}

impl MemoryStorage {
    /// An empty root.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn read<T>(&self, look: impl FnOnce(&BTreeMap<MediaPath, Stored>) -> T) -> T {
        // A map is whole between any two of its operations, so what panicked elsewhere does not matter.
        look(&self.files.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn change<T>(&self, change: impl FnOnce(&mut BTreeMap<MediaPath, Stored>) -> T) -> T {
        change(&mut self.files.write().unwrap_or_else(PoisonError::into_inner))
    }

    fn get(&self, path: &MediaPath) -> Result<Stored, StorageError> {
        self.read(|files| files.get(path).cloned()).ok_or_else(|| StorageError::not_found("no such file"))
    }

    async fn save(
        &self,
        path: &MediaPath,
        mut content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        let mut bytes = BytesMut::new();
        let check = |len: u64| match options.max_len {
            Some(max_len) if len > max_len => Err(StorageError::TooLarge { max_len }),
            _ => Ok(()),
        };
        check(options.expected_len.unwrap_or(0))?;
        while let Some(piece) = content.next().await {
            let piece = piece.map_err(StorageError::Content)?;
            check(bytes.len() as u64 + piece.len() as u64)?;
            bytes.extend_from_slice(&piece);
        }
        let now = SystemTime::now();
        let metadata = Metadata {
            len: bytes.len() as u64,
            modified: now,
            created: Some(now),
            accessed: None,
            etag: format!("{:x}", self.versions.fetch_add(1, Ordering::Relaxed)),
        };
        let stored = Stored { bytes: bytes.freeze(), metadata };
        self.change(|files| {
            let mut used = path.clone();
            while !options.replace && files.contains_key(&used) {
                let failed = |source| StorageError::Io { doing: "finding a name", source };
                let name = alternative_name(path.file_name()).map_err(failed)?;
                used = path.with_file_name(&name).map_err(|error| failed(io::Error::other(error)))?;
            }
            files.insert(used.clone(), stored);
            Ok(used)
        })
    }

    fn entries(&self, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
        let prefix = folder.map_or_else(String::new, |folder| format!("{folder}/"));
        let mut entries: Vec<Entry> = Vec::new();
        self.read(|files| {
            for path in files.keys() {
                let Some(rest) = path.as_str().strip_prefix(&prefix) else { continue };
                let (name, is_folder) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
                if let Ok(path) = MediaPath::new(&format!("{prefix}{name}")) {
                    entries.push(Entry { path, is_folder });
                }
            }
        });
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        entries.dedup();
        match folder {
            Some(_) if entries.is_empty() => Err(StorageError::not_found("no such folder")),
            _ => Ok(entries),
        }
    }
}

impl Storage for MemoryStorage {
    fn open<'a>(&'a self, permit: &'a Permit) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        Box::pin(async {
            let stored = self.get(permit.path())?;
            Ok(MediaFile::new(stored.metadata, Arc::new(InMemory(stored.bytes))))
        })
    }

    fn save<'a>(
        &'a self,
        path: &'a MediaPath,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        Box::pin(self.save(path, content, options))
    }

    fn delete<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<(), StorageError>> {
        let removed = self.change(|files| files.remove(path));
        Box::pin(std::future::ready(match removed {
            Some(_) => Ok(()),
            None => Err(StorageError::not_found("no such file")),
        }))
    }

    fn metadata<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(std::future::ready(self.get(path).map(|stored| stored.metadata)))
    }

    fn list<'a>(&'a self, folder: Option<&'a MediaPath>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        Box::pin(std::future::ready(self.entries(folder)))
    }
}

#[derive(Debug)]
struct InMemory(Bytes);

impl ReadAt for InMemory {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let start = usize::try_from(offset).map_or(self.0.len(), |offset| offset.min(self.0.len()));
        let end = start.saturating_add(len).min(self.0.len());
        Box::pin(std::future::ready(Ok(self.0.slice(start..end))))
    }
}
