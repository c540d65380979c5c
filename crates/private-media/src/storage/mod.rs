//! Storage: a [`Storage`] opens, saves, deletes and lists files, for a [`Permit`].

mod error;
#[cfg(feature = "local")]
mod local;
mod memory;
mod presented;
mod read_at;
mod roots;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::any::Any;
use std::fmt;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

pub use error::StorageError;
#[cfg(feature = "local")]
pub use local::{CacheOptions, LocalStorage, OpenOptions};
pub use memory::MemoryStorage;
pub use read_at::{ByteStream, ReadAt, SignedHeaders};
pub use roots::Roots;

use crate::cache_counts::CacheCounts;
use crate::lookup::Attributes;
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::MediaPath;

/// Opens, saves, deletes and lists files below a private root.
///
/// Every operation takes the [`Permit`] of its action, which contains the path. Operations of the application itself use
/// [`Permit::trusted`]. An implementation should pass the test suite of the feature `conformance`.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Opens a file. Anything except a regular file below the root is [`StorageError::NotFound`].
    ///
    /// The open file keeps its content. A storage that cannot read a file after it was replaced or deleted, such as a bucket, fails with
    /// [`io::ErrorKind::StaleNetworkFileHandle`] instead.
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>>;

    /// Opens a file whose whole content is read next, so that a storage may request both at once. By default, this is
    /// [`open`](Self::open).
    fn open_whole<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
        self.open(permit)
    }

    /// Returns the same as [`open`](Self::open) if that needs no waiting, such as from a cache, and saves the allocation of a future. On
    /// `None`, the default, the service calls `open`.
    fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
        let _ = permit;
        None
    }

    /// Saves content at the path of the permit or, if the name is taken, with a free name in the same folder. Returns the path that was
    /// used. The file appears complete or not at all, and is durable when this returns.
    fn save<'a>(
        &'a self,
        permit: &'a Permit<Write>,
        content: Content<'a>,
        options: &'a SaveOptions,
    ) -> BoxFuture<'a, Result<MediaPath, StorageError>>;

    /// Deletes a file. A file that does not exist is [`StorageError::NotFound`].
    fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>>;

    /// Returns the metadata of a file.
    fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>>;

    /// Returns the entries of a folder, sorted by name, without those that cannot be served, such as hidden files and sockets.
    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>>;

    /// Checks whether files can be served, for health checks. A storage that can lose its root reopens it here.
    fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(std::future::ready(Ok(())))
    }

    /// Returns how many files were opened from a cache, for metrics. By default, there is none.
    fn cache_counts(&self) -> CacheCounts {
        CacheCounts::default()
    }

    /// Returns whether a file exists.
    fn exists<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<bool, StorageError>> {
        Box::pin(async move {
            match self.metadata(permit).await {
                Ok(_) => Ok(true),
                Err(StorageError::NotFound { .. }) => Ok(false),
                Err(error) => Err(error),
            }
        })
    }
}

macro_rules! delegate {
    ($($pointer:ident)*) => {$(
        impl<S: Storage + ?Sized> Storage for $pointer<S> {
            fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
                (**self).open(permit)
            }

            fn open_whole<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>> {
                (**self).open_whole(permit)
            }

            fn open_now(&self, permit: &Permit<Read>) -> Option<Result<MediaFile, StorageError>> {
                (**self).open_now(permit)
            }

            fn save<'a>(
                &'a self,
                permit: &'a Permit<Write>,
                content: Content<'a>,
                options: &'a SaveOptions,
            ) -> BoxFuture<'a, Result<MediaPath, StorageError>> {
                (**self).save(permit, content, options)
            }

            fn delete<'a>(&'a self, permit: &'a Permit<Delete>) -> BoxFuture<'a, Result<(), StorageError>> {
                (**self).delete(permit)
            }

            fn metadata<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<Metadata, StorageError>> {
                (**self).metadata(permit)
            }

            fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>> {
                (**self).list(permit)
            }

            fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
                (**self).ready()
            }

            fn cache_counts(&self) -> CacheCounts {
                (**self).cache_counts()
            }

            fn exists<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<bool, StorageError>> {
                (**self).exists(permit)
            }
        }
    )*};
}

delegate!(Arc Box);

/// The content for [`Storage::save`], in pieces. An error ends the save, and nothing is stored.
pub type Content<'a> = BoxStream<'a, io::Result<Bytes>>;

/// Returns content from memory.
///
/// ```
/// use private_media::storage::{MemoryStorage, SaveOptions, Storage, content};
/// use private_media::{MediaPath, Permit};
///
/// # futures_util::FutureExt::now_or_never(async {
/// let storage = MemoryStorage::new();
/// let path = MediaPath::new("cars/7/note.txt").unwrap();
/// let permit = Permit::trusted(path.clone());
/// let used = storage.save(&permit, content("hello"), &SaveOptions::default()).await.unwrap();
/// assert_eq!(used, path);
/// # }).unwrap();
/// ```
pub fn content<'a>(bytes: impl Into<Bytes>) -> Content<'a> {
    Box::pin(futures_util::stream::iter([Ok(bytes.into())]))
}

/// Options of [`Storage::save`].
///
/// ```
/// use private_media::storage::SaveOptions;
/// let options = SaveOptions::new().max_len(10 << 20).replace(true);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct SaveOptions {
    /// Whether a file with the same name is replaced, atomically. By default, a free name is used.
    pub replace: bool,
    /// Whether a taken name is [`StorageError::Exists`]. By default, a free name is used.
    pub create_new: bool,
    /// The modification time of the file, for copies. By default, it is the time of the save.
    pub modified: Option<SystemTime>,
    /// The maximum length of the content, in bytes. More is [`StorageError::TooLarge`].
    pub max_len: Option<u64>,
    /// The expected length of the content, in bytes, so that content that does not fit is rejected before it is read. The actual length
    /// may differ.
    pub expected_len: Option<u64>,
    /// The space that must remain free on the device after the save, in bytes. Less is [`StorageError::Full`].
    pub min_free: u64,
}

impl SaveOptions {
    /// Returns the default options: no limits, and no replacement.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            replace: false,
            create_new: false,
            modified: None,
            max_len: None,
            expected_len: None,
            min_free: 0,
        }
    }

    /// Sets [`SaveOptions::replace`].
    #[must_use]
    pub const fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
        self
    }

    /// Sets [`SaveOptions::create_new`].
    ///
    /// ```
    /// use private_media::storage::{MemoryStorage, SaveOptions, Storage, StorageError, content};
    /// use private_media::{MediaPath, Permit};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let (storage, new) = (MemoryStorage::new(), SaveOptions::new().create_new(true));
    /// let permit = Permit::trusted(MediaPath::new("photo.jpg")?);
    /// assert_eq!(storage.save(&permit, content("one"), &new).await?.as_str(), "photo.jpg");
    /// assert!(matches!(storage.save(&permit, content("two"), &new).await, Err(StorageError::Exists)));
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub const fn create_new(mut self, create_new: bool) -> Self {
        self.create_new = create_new;
        self
    }

    /// Sets [`SaveOptions::modified`].
    #[must_use]
    pub fn modified(mut self, modified: impl Into<Option<SystemTime>>) -> Self {
        self.modified = modified.into();
        self
    }

    /// Sets [`SaveOptions::max_len`].
    #[must_use]
    pub fn max_len(mut self, max_len: impl Into<Option<u64>>) -> Self {
        self.max_len = max_len.into();
        self
    }

    /// Sets [`SaveOptions::expected_len`].
    #[must_use]
    pub fn expected_len(mut self, expected_len: impl Into<Option<u64>>) -> Self {
        self.expected_len = expected_len.into();
        self
    }

    /// Sets [`SaveOptions::min_free`].
    #[must_use]
    pub const fn min_free(mut self, min_free: u64) -> Self {
        self.min_free = min_free;
        self
    }

    /// Checks the expected length against the limit, for implementations of [`Storage`].
    pub fn check_expected_len(&self) -> Result<(), StorageError> {
        self.check_len(self.expected_len.unwrap_or(0))
    }

    /// Checks a length, in bytes, against the limit, for implementations of [`Storage`].
    pub fn check_len(&self, len: u64) -> Result<(), StorageError> {
        match self.max_len {
            Some(max_len) if len > max_len => Err(StorageError::TooLarge { max_len }),
            _ => Ok(()),
        }
    }
}

/// An open file: its metadata, which is that of the handle, and its bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaFile {
    shared: Arc<Shared>,
    bytes: Arc<dyn ReadAt>,
}

/// The part of a [`MediaFile`] that its clones share.
#[derive(Debug)]
struct Shared {
    metadata: Metadata,
    is_streamed: bool,
    memo: OnceLock<Box<dyn Any + Send + Sync>>,
    /// The same file with the name and media type of its last lookup.
    presented: Mutex<Option<(Attributes, Arc<Self>)>>,
}

impl Shared {
    fn new(metadata: Metadata, is_streamed: bool) -> Self {
        Self { metadata, is_streamed, memo: OnceLock::new(), presented: Mutex::default() }
    }
}

impl MediaFile {
    /// Returns a file with these bytes, for implementations of [`Storage`].
    #[must_use]
    pub fn new(metadata: Metadata, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::new(Shared::new(metadata, false)), bytes }
    }

    /// Returns a file whose bytes come from a server, by [`ReadAt::read_range`]. Its response begins after its first bytes have arrived, so
    /// that an outage is a 503 and no broken download.
    #[must_use]
    pub fn streamed(metadata: Metadata, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::new(Shared::new(metadata, true)), bytes }
    }

    /// Returns the same file with another source of its bytes.
    #[cfg(feature = "local")]
    fn with_bytes(&self, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::clone(&self.shared), bytes }
    }

    /// Returns size, times and entity tag.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.shared.metadata
    }

    /// Returns the bytes.
    #[must_use]
    pub fn bytes(&self) -> &Arc<dyn ReadAt> {
        &self.bytes
    }

    /// Returns whether the bytes come from a server.
    pub(crate) fn is_streamed(&self) -> bool {
        self.shared.is_streamed
    }

    /// Returns the value that the delivery has cached with this file, or computes it. `None` if the cached value has another type.
    pub(crate) fn memo<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.shared.memo.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Returns the name of the file below the root, for a front server; see [`ReadAt::local_name`].
    #[must_use]
    pub fn local_name(&self) -> Option<PathBuf> {
        self.bytes.local_name()
    }
}

/// Size, times and entity tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Size in bytes.
    pub len: u64,
    /// The time when the content was last changed.
    pub modified: SystemTime,
    /// The time when the file was created, if known.
    pub created: Option<SystemTime>,
    /// The time when the file was last read, if known.
    pub accessed: Option<SystemTime>,
    /// The opaque part of a strong entity tag, without quotes (RFC 9110 section 8.8.3). Different content has a different tag. It may
    /// contain `!` and `#` to `~`.
    pub etag: String,
}

impl Metadata {
    /// Returns metadata without the times of creation and access.
    pub fn new(len: u64, modified: SystemTime, etag: impl Into<String>) -> Self {
        Self { len, modified, created: None, accessed: None, etag: etag.into() }
    }

    /// Sets [`Metadata::created`].
    #[must_use]
    pub fn created(mut self, created: impl Into<Option<SystemTime>>) -> Self {
        self.created = created.into();
        self
    }

    /// Sets [`Metadata::accessed`].
    #[must_use]
    pub fn accessed(mut self, accessed: impl Into<Option<SystemTime>>) -> Self {
        self.accessed = accessed.into();
        self
    }
}

/// A file or folder in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Entry {
    /// The path.
    pub path: MediaPath,
    /// Whether it is a folder. Otherwise it is a regular file.
    pub is_folder: bool,
}

impl Entry {
    /// Returns the entry of a regular file.
    #[must_use]
    pub fn file(path: MediaPath) -> Self {
        Self { path, is_folder: false }
    }

    /// Returns the entry of a folder.
    #[must_use]
    pub fn folder(path: MediaPath) -> Self {
        Self { path, is_folder: true }
    }
}
