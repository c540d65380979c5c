//! A storage whose reads go through a cache.

use std::sync::Arc;
use std::time::Duration;

use object_store::path::Path;
use private_media::{CacheCounts, MediaFile, StorageError};

use crate::cache::{BlockCache, CachedFile, EntryId, Small};
use crate::metadata::{metadata, raw_tag};
use crate::metadata_cache::MetadataCache;
use crate::read::{ObjectFile, Source, head};

/// The caches of a storage: content on disk, and metadata in memory.
#[derive(Debug, Clone)]
pub(crate) struct Cached {
    blocks: BlockCache,
    metadata: Arc<MetadataCache>,
}

impl Cached {
    pub(crate) fn new(blocks: BlockCache, revalidate_after: Duration) -> Self {
        Self { blocks, metadata: Arc::new(MetadataCache::new(revalidate_after)) }
    }

    /// Returns a file without a request and without waiting, if that is possible.
    pub(crate) fn open_now(&self, key: &Path) -> Option<MediaFile> {
        let known = self.metadata.fresh(key)?;
        // An inactive cache is taken over in `open`.
        if !self.blocks.is_active() || !self.blocks.is_prepared(&known.id) {
            return None;
        }
        self.metadata.count(true);
        Some(known.file)
    }

    /// Returns a file, after a HEAD request if one is due.
    pub(crate) async fn open(&self, source: Source<'_>, key: Path) -> Result<MediaFile, StorageError> {
        self.blocks.take_over().await;
        let (file, id) = self.lookup(source, key).await?;
        self.blocks.prepare(id, file.metadata().len).await;
        Ok(file)
    }

    /// Returns a file whose content may have to be opened.
    pub(crate) async fn lookup(
        &self,
        source: Source<'_>,
        key: Path,
    ) -> Result<(MediaFile, EntryId), StorageError> {
        if let Some(known) = self.metadata.fresh(&key) {
            self.metadata.count(true);
            return Ok((known.file, known.id));
        }
        self.metadata.count(false);
        let question = self.metadata.ask();
        let object = match head(&**source.store, &key, source.open_timeout).await {
            Ok(object) => object,
            Err(error) => {
                if let StorageError::NotFound { .. } = error {
                    self.forget(&key).await;
                }
                return Err(error);
            }
        };
        let (metadata, tag) = (metadata(&object)?, raw_tag(&object.meta)?.to_owned());
        let id = EntryId::new(source.scope, key.as_ref(), &tag, object.meta.size);
        let last = self.metadata.last(&key);
        if let Some(last) = last.as_ref().filter(|last| last.id != id) {
            self.blocks.remove_version(last.id).await;
        }
        let file = match last {
            // It has prepared headers.
            Some(last) if last.id == id && *last.file.metadata() == metadata => last.file,
            _ => {
                let object = Arc::new(ObjectFile::new(source, key.clone(), &object)?);
                let (cache, metadata_cache) = (self.blocks.clone(), Arc::downgrade(&self.metadata));
                let file =
                    CachedFile { cache, id, object, small: Small::default(), metadata: metadata_cache };
                MediaFile::streamed(metadata, Arc::new(file))
            }
        };
        self.metadata.insert(key, question, file.clone(), id);
        Ok((file, id))
    }

    /// Forgets an object that has changed, and its content.
    pub(crate) async fn forget(&self, key: &Path) {
        if let Some(known) = self.metadata.forget(key) {
            self.blocks.remove_version(known.id).await;
        }
    }

    /// Begins a change of any object.
    pub(crate) fn change(&self) -> Change<'_> {
        Change(Some(self))
    }

    pub(crate) fn counts(&self) -> CacheCounts {
        self.metadata.counts()
    }
}

/// A change of an object. If it ends early, by an error or because its client left, any object may have changed.
#[must_use]
pub(crate) struct Change<'a>(Option<&'a Cached>);

impl Change<'_> {
    /// Ends the change of an object.
    pub(crate) async fn end(mut self, key: &Path) {
        if let Some(cached) = self.0 {
            cached.forget(key).await;
            self.0 = None;
        }
    }
}

impl Drop for Change<'_> {
    fn drop(&mut self) {
        if let Some(cached) = self.0 {
            cached.metadata.clear();
        }
    }
}
