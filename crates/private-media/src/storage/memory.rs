//! Stores files in memory, for tests.

use std::collections::BTreeMap;
use std::io;
use std::ops::Bound;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_util::StreamExt;

use super::{Content, Entry, MediaFile, Metadata, ReadAt, SaveOptions, Storage, StorageError};
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::{MediaPath, alternative_paths};

/// Stores files in memory. Tests of an application can use it instead of `LocalStorage`. It behaves the same, except that nothing is durable
/// and it is never [`StorageError::Full`].
///
/// ```
/// use private_media::storage::{MemoryStorage, SaveOptions, Storage, content};
/// use private_media::{MediaPath, Permit};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let storage = MemoryStorage::new();
/// let permit = Permit::trusted(MediaPath::new("cars/7/photo.jpg").unwrap());
/// let first = storage.save(&permit, content("one"), &SaveOptions::default()).await.unwrap();
/// let second = storage.save(&permit, content("two"), &SaveOptions::default()).await.unwrap();
/// assert_ne!(first, second);
/// # }).unwrap();
/// ```
#[derive(Debug, Default)]
pub struct MemoryStorage {
    files: RwLock<BTreeMap<MediaPath, MediaFile>>,
    /// The number of saves so far, which makes entity tags unique.
    stored: AtomicU64,
}

impl MemoryStorage {
    /// Returns an empty storage.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    fn find(&self, path: &MediaPath) -> Result<MediaFile, StorageError> {
        self.read().get(path).cloned().ok_or_else(|| StorageError::not_found("no such file"))
    }

    fn put(
        &self,
        path: &MediaPath,
        content: Bytes,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        let number = self.stored.fetch_add(1, Ordering::Relaxed);
        let now = SystemTime::now();
        let metadata = Metadata {
            len: content.len() as u64,
            modified: options.modified.unwrap_or(now),
            created: Some(now),
            accessed: None,
            etag: format!("{number:x}-{:x}", content.len()),
        };
        let file = MediaFile::new(metadata, Arc::new(InMemory(content)));
        let mut files = self.write();
        let above = std::iter::successors(path.parent(), MediaPath::parent);
        if above.into_iter().any(|folder| files.contains_key(&folder)) {
            return Err(failed(io::ErrorKind::NotADirectory));
        }
        if options.replace {
            if is_folder(&files, path) {
                return Err(failed(io::ErrorKind::IsADirectory));
            }
            files.insert(path.clone(), file);
            return Ok(path.clone());
        }
        if options.create_new && (files.contains_key(path) || is_folder(&files, path)) {
            return Err(StorageError::Exists);
        }
        for path in std::iter::once(path.clone()).chain(alternative_paths(path)) {
            if !files.contains_key(&path) && !is_folder(&files, &path) {
                files.insert(path.clone(), file);
                return Ok(path);
            }
        }
        Err(failed(io::ErrorKind::AlreadyExists))
    }

    // No panic leaves the map inconsistent, so a poisoned lock is usable.
    fn read(&self) -> RwLockReadGuard<'_, BTreeMap<MediaPath, MediaFile>> {
        self.files.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, BTreeMap<MediaPath, MediaFile>> {
        self.files.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Storage for MemoryStorage {
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        Box::pin(std::future::ready(self.find(permit.path())))
    }

    fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
        Some(self.find(permit.path()))
    }

    fn save<'a>(
        &'a self,
        permit: &'a Permit<Write>,
        mut content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        Box::pin(async move {
            options.check_expected_len()?;
            let mut bytes = BytesMut::new();
            while let Some(piece) = content.next().await {
                let piece = piece.map_err(StorageError::Content)?;
                options.check_len(bytes.len() as u64 + piece.len() as u64)?;
                bytes.extend_from_slice(&piece);
            }
            self.put(permit.path(), bytes.freeze(), options)
        })
    }

    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
        let removed = self.write().remove(permit.path());
        let result = removed.map(drop).ok_or_else(|| StorageError::not_found("no such file"));
        Box::pin(std::future::ready(result))
    }

    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(std::future::ready(self.find(permit.path()).map(|file| file.metadata().clone())))
    }

    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        let folder = permit.path().as_ref();
        let prefix = folder.map(|folder| format!("{folder}/")).unwrap_or_default();
        let files = self.read();
        let mut entries: BTreeMap<MediaPath, bool> = BTreeMap::new();
        for path in files.keys() {
            let Some(rest) = path.as_str().strip_prefix(&prefix) else { continue };
            let (name, is_folder) = rest.split_once('/').map_or((rest, false), |(name, _)| (name, true));
            // A path up to a separator is a valid path.
            if let Ok(path) = MediaPath::new(&format!("{prefix}{name}")) {
                entries.insert(path, is_folder);
            }
        }
        let result = if entries.is_empty() && folder.is_some() {
            Err(StorageError::not_found("no such folder"))
        } else {
            Ok(entries.into_iter().map(|(path, is_folder)| Entry { path, is_folder }).collect())
        };
        Box::pin(std::future::ready(result))
    }
}

/// Returns whether a path is a folder, which means that another path is below it.
fn is_folder(files: &BTreeMap<MediaPath, MediaFile>, path: &MediaPath) -> bool {
    // Names such as `a-b` sort between `a` and `a/b`.
    let prefix = format!("{path}/");
    files
        .range((Bound::Excluded(path), Bound::Unbounded))
        .map(|(other, _)| other.as_str())
        .take_while(|other| other.starts_with(path.as_str()))
        .any(|other| other.starts_with(&prefix))
}

fn failed(kind: io::ErrorKind) -> StorageError {
    StorageError::Io { doing: "naming the file", source: kind.into() }
}

/// The content of a file in memory.
#[derive(Debug)]
pub(super) struct InMemory(pub(super) Bytes);

impl ReadAt for InMemory {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        let start = usize::try_from(offset).map_or(self.0.len(), |offset| offset.min(self.0.len()));
        let end = start.saturating_add(len).min(self.0.len());
        Box::pin(std::future::ready(Ok(self.0.slice(start..end))))
    }

    fn as_bytes(&self) -> Option<&Bytes> {
        Some(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::storage::conformance::conformance;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn conforms() {
        conformance(Arc::new(MemoryStorage::new())).await;
    }
}
