//! Files in a bucket.

use std::collections::HashSet;
use std::fmt;
use std::io::ErrorKind;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures_core::future::BoxFuture;
use futures_util::StreamExt as _;
use object_store::list::PaginatedListStore;
use object_store::path::Path;
use object_store::{Error, GetOptions, GetResult, ObjectStore, ObjectStoreExt as _};
use private_media::permission::{Delete, List, Permit, Read, Write};
use private_media::storage::{Content, Entry, Metadata};
use private_media::{CacheCounts, MediaFile, MediaPath, SaveOptions, Storage, StorageError};
use tokio::sync::OnceCell;

use crate::cache::BlockCache;
use crate::cached::Cached;
use crate::error::{failed, storage_error, within};
use crate::folders::Folders;
use crate::keys::Keys;
use crate::metadata::metadata;
use crate::options::BucketOptions;
use crate::read::{ObjectFile, Source, Whole, exactly, head, whole};
use crate::signed::{SignedUrls, UrlSigner};
use crate::url::is_valid_prefix;

/// Stores files in a bucket.
///
/// ```
/// use std::sync::Arc;
///
/// use object_store::memory::InMemory;
/// use private_media::storage::{SaveOptions, Storage, content};
/// use private_media::{MediaPath, Permit};
/// use private_media_buckets::ObjectStorage;
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let storage = ObjectStorage::new(Arc::new(InMemory::new()));
/// let permit = Permit::trusted(MediaPath::new("cars/7/photo.jpg")?);
/// let first = storage.save(&permit, content("one"), &SaveOptions::default()).await?;
/// let second = storage.save(&permit, content("two"), &SaveOptions::default()).await?;
/// assert_ne!(first, second);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ObjectStorage {
    pub(crate) store: Arc<dyn ObjectStore>,
    /// The same bucket, whose multipart uploads do not replace an object. `None` if that needs a copy.
    pub(crate) create_only: Option<Arc<dyn ObjectStore>>,
    /// The same bucket, listed in pages of any length.
    pub(crate) pages: Option<Arc<dyn PaginatedListStore>>,
    /// The same bucket, which makes presigned URLs.
    pub(crate) url_signer: Option<UrlSigner>,
    pub(crate) signed: Option<Arc<SignedUrls>>,
    pub(crate) keys: Keys,
    pub(crate) options: BucketOptions,
    /// What is known about the folders. `None` unless this is the sole writer.
    pub(crate) folders: Option<Arc<Folders>>,
    pub(crate) shared: Arc<Shared>,
    /// Names the bucket in a cache.
    pub(crate) scope: Arc<str>,
    pub(crate) cached: Option<Cached>,
}

/// The part of a storage that its clones share.
#[derive(Debug, Default)]
pub(crate) struct Shared {
    /// The names of multipart uploads that have not ended.
    pub(crate) saving: Mutex<HashSet<MediaPath>>,
    /// Whether conditional writes were verified.
    pub(crate) checked: OnceCell<()>,
}

impl ObjectStorage {
    /// Returns a storage in any store of the crate [`object_store`]. The timeouts of its client should not limit a whole download; those of
    /// [`from_url`](Self::from_url) do not.
    #[must_use]
    pub fn new(store: Arc<dyn ObjectStore>) -> Self {
        Self::with_keys(store, Keys::default(), BucketOptions::new())
    }

    pub(crate) fn with_keys(store: Arc<dyn ObjectStore>, keys: Keys, options: BucketOptions) -> Self {
        let scope = store.to_string().into();
        Self {
            store,
            create_only: None,
            pages: None,
            url_signer: None,
            signed: None,
            keys,
            options,
            folders: None,
            shared: Arc::default(),
            scope,
            cached: None,
        }
    }

    /// Sets the endpoint, so that buckets of the same name at different servers differ in a cache.
    pub(crate) fn at(mut self, endpoint: Option<&str>) -> Self {
        self.scope = format!("{} {}", self.scope, endpoint.unwrap_or_default()).into();
        self
    }

    /// Sets the prefix of all keys, without a slash at its ends; `None` if it has an empty segment, `.` or `..`.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use private_media_buckets::ObjectStorage;
    /// let store = Arc::new(object_store::memory::InMemory::new());
    /// assert!(ObjectStorage::new(store.clone()).prefix("private/uploads").is_some());
    /// assert!(ObjectStorage::new(store).prefix("../other").is_none());
    /// ```
    #[must_use]
    pub fn prefix(mut self, prefix: &str) -> Option<Self> {
        if !prefix.is_empty() && !is_valid_prefix(prefix) {
            return None;
        }
        self.keys = Keys::new(prefix)?;
        Some(self)
    }

    /// Sets the timeout until a response begins, and the length of parts. The other options are those of a connection, which
    /// [`from_url`](Self::from_url) makes.
    #[must_use]
    pub fn options(mut self, options: BucketOptions) -> Self {
        self.options = options;
        self
    }

    /// Makes presigned URLs that expire after this time, for [`RedirectToStorage`](private_media::delivery::RedirectToStorage). `None` if the
    /// bucket cannot: only those of S3 and Google that [`from_url`](Self::from_url) connects to can.
    ///
    /// A URL is made again after half of the time, which is what a client has to use it. Buckets allow seven days; seconds are better, because
    /// a URL cannot be taken back.
    #[must_use]
    pub fn sign_urls(mut self, lifetime: Duration) -> Option<Self> {
        self.signed = Some(Arc::new(SignedUrls::new(self.url_signer.clone()?, lifetime)));
        Some(self)
    }

    /// Like [`sign_urls`](Self::sign_urls), but only for objects whose user metadata has no other names than these. A proxy can hide the
    /// headers of these names, and no others.
    #[must_use]
    pub fn sign_urls_for_proxy(mut self, lifetime: Duration, metadata: &[&str]) -> Option<Self> {
        let urls = SignedUrls::new(self.url_signer.clone()?, lifetime);
        self.signed = Some(Arc::new(urls.with_metadata(metadata)));
        Some(self)
    }

    /// Caches the content of files on disk, and their metadata in memory.
    ///
    /// For `revalidate_after`, a file that was opened is opened again without a request. After it, a HEAD request decides whether the cached
    /// content is still current. Changes by this storage take effect immediately, and changes by others within this time. If the bucket is not
    /// available then, the request fails: the file may have been replaced or deleted.
    ///
    /// Storages may share a cache. A storage of [`new`](Self::new) is known by the name of its store, which [`Display`](std::fmt::Display)
    /// returns, so different stores of the same name need different caches.
    #[must_use]
    pub fn cached(mut self, cache: BlockCache, revalidate_after: Duration) -> Self {
        self.cached = Some(Cached::new(cache, revalidate_after));
        self
    }

    pub(crate) fn source(&self) -> Source<'_> {
        Source {
            store: &self.store,
            scope: &self.scope,
            signed: self.signed.as_ref(),
            open_timeout: self.options.open_timeout,
        }
    }

    /// Returns the key of a file. No object has a key that is too long.
    pub(crate) fn key(&self, path: &MediaPath) -> Result<Path, StorageError> {
        self.keys.of(path).ok_or_else(|| StorageError::not_found("the key would be too long"))
    }

    /// Requests the metadata of an object.
    pub(crate) async fn head(&self, key: &Path) -> Result<GetResult, StorageError> {
        head(&*self.store, key, self.options.open_timeout).await
    }

    /// Deletes an object, and forgets what is cached of it.
    pub(crate) async fn delete_object(&self, key: &Path) -> Result<(), StorageError> {
        let change = self.cached.as_ref().map(Cached::change);
        let deleted = within(self.options.open_timeout, self.store.delete(key)).await;
        deleted.map_err(|error| storage_error("deleting the file", error))?;
        if let Some(change) = change {
            change.end(key).await;
        }
        Ok(())
    }

    /// Returns whether an object exists.
    pub(crate) async fn is_object(&self, key: &Path) -> Result<bool, StorageError> {
        match self.head(key).await {
            Ok(_) => Ok(true),
            Err(StorageError::NotFound { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Marks a name as one that is saved now. Returns `None` if it is marked already.
    pub(crate) fn reserve(&self, path: &MediaPath) -> Option<Reservation> {
        let mut saving = self.shared.saving.lock().unwrap_or_else(PoisonError::into_inner);
        saving
            .insert(path.clone())
            .then(|| Reservation { shared: Arc::clone(&self.shared), path: path.clone() })
    }
}

impl fmt::Debug for ObjectStorage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let store = self.store.to_string();
        f.debug_struct("ObjectStorage")
            .field("store", &store)
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

/// A name that is saved now. Dropping it ends that.
#[derive(Debug)]
pub(crate) struct Reservation {
    shared: Arc<Shared>,
    path: MediaPath,
}

impl Drop for Reservation {
    fn drop(&mut self) {
        // No panic leaves the set inconsistent, so a poisoned lock is usable.
        self.shared.saving.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

impl Storage for ObjectStorage {
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        Box::pin(async {
            let key = self.key(permit.path())?;
            if let Some(cached) = &self.cached {
                return cached.open(self.source(), key).await;
            }
            let object = self.head(&key).await?;
            let file = ObjectFile::new(self.source(), key, &object)?;
            Ok(MediaFile::streamed(metadata(&object)?, Arc::new(file)))
        })
    }

    fn open_whole<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        if self.cached.is_some() {
            return self.open(permit);
        }
        Box::pin(async {
            let key = self.key(permit.path())?;
            let object = whole(&*self.store, &key, self.options.open_timeout).await?;
            let metadata = metadata(&object)?;
            let mut file = ObjectFile::new(self.source(), key, &object)?;
            file.whole = Whole::new(exactly(object.into_stream(), file.len).boxed());
            Ok(MediaFile::streamed(metadata, Arc::new(file)))
        })
    }

    fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
        self.cached.as_ref()?.open_now(&self.key(permit.path()).ok()?).map(Ok)
    }

    fn save<'a>(
        &'a self,
        permit: &'a Permit<Write>,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
        Box::pin(async move {
            let change = self.cached.as_ref().map(Cached::change);
            let path = self.save_content(permit.path(), content, options).await?;
            if let Some(change) = change {
                change.end(&self.key(&path)?).await;
            }
            Ok(path)
        })
    }

    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
        Box::pin(async {
            let key = self.key(permit.path())?;
            // Deleting a missing object succeeds.
            self.head(&key).await?;
            self.delete_object(&key).await
        })
    }

    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
        Box::pin(async {
            let key = self.key(permit.path())?;
            match &self.cached {
                Some(cached) => Ok(cached.lookup(self.source(), key).await?.0.metadata().clone()),
                None => metadata(&self.head(&key).await?),
            }
        })
    }

    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
        Box::pin(self.list_folder(permit.path().as_ref()))
    }

    fn cache_counts(&self) -> CacheCounts {
        self.cached.as_ref().map(Cached::counts).unwrap_or_default()
    }

    fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(async {
            // An error of a list does not tell whether the bucket exists.
            let key = self.keys.uploads().clone().join("ready");
            let response = self.store.get_opts(&key, GetOptions::new());
            match within(self.options.open_timeout, response).await {
                Err(error) if is_missing_bucket(&error) => {
                    Err(failed("reading the bucket", ErrorKind::NotFound, "no such bucket"))
                }
                Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
                Err(error) => Err(storage_error("reading the bucket", error)),
            }
        })
    }
}

/// Returns whether an error says that the bucket itself is missing, by the codes of S3, Google and Azure.
fn is_missing_bucket(error: &Error) -> bool {
    let Error::NotFound { source, .. } = error else { return false };
    let text = source.to_string();
    ["NoSuchBucket", "ContainerNotFound"].iter().any(|code| text.contains(code))
}

#[cfg(test)]
mod tests {
    use object_store::memory::InMemory;
    use private_media::storage::conformance::conformance;

    use super::*;

    /// With short parts, nearly all content is uploaded in parts, and copied.
    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn uploads_in_parts_conform() {
        let store = Arc::new(InMemory::new());
        let mut storage = ObjectStorage::new(store.clone()).prefix("private").unwrap();
        storage.options.part_len = 1000;
        conformance(Arc::new(storage.clone())).await;
        let left = store.list_with_delimiter(Some(storage.keys.uploads())).await.unwrap();
        assert!(left.objects.is_empty(), "{:?}", left.objects);
    }

    #[tokio::test]
    async fn content_of_too_many_parts_is_an_error() {
        let mut storage = ObjectStorage::new(Arc::new(InMemory::new()));
        storage.options.part_len = 1;
        let permit = Permit::trusted(MediaPath::new("a").unwrap());
        let save = async |len: usize, options: SaveOptions| {
            storage.save(&permit, private_media::storage::content(vec![0; len]), &options).await
        };
        let error = save(10_001, SaveOptions::new()).await.unwrap_err();
        assert!(matches!(error, StorageError::Io { .. }), "{error:?}");
        save(10_000, SaveOptions::new()).await.unwrap();
        // The expected length makes the parts longer.
        save(10_001, SaveOptions::new().expected_len(10_001)).await.unwrap();
    }

    #[test]
    fn a_name_is_reserved_once() {
        let storage = ObjectStorage::new(Arc::new(InMemory::new()));
        let path = MediaPath::new("a").unwrap();
        let reservation = storage.clone().reserve(&path);
        assert!(reservation.is_some() && storage.reserve(&path).is_none());
        drop(reservation);
        assert!(storage.reserve(&path).is_some());
    }
}
