//! Storage: a [`Storage`] opens, stores, deletes and lists files for a [`Permit`].

#[cfg(feature = "local")]
mod local;
mod memory;
mod presented;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

#[cfg(feature = "local")]
pub use local::{CacheOptions, LocalStorage, OpenOptions};
pub use memory::MemoryStorage;

use crate::lookup::Attributes;
use crate::permission::{Delete, List, Permit, Read, Write};
use crate::request::MediaPath;

/// Opens, stores, deletes and lists files below a private root, for those who have a [`Permit`].
///
/// Every operation takes the permit of its action, which decides the path. What the application does on its own behalf has a
/// [`Permit::trusted`]. An implementation should pass the `conformance` suite, a feature of this crate.
pub trait Storage: fmt::Debug + Send + Sync + 'static {
    /// Opens a file. Anything but a regular file below the root is [`StorageError::NotFound`].
    fn open<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<MediaFile, StorageError>>;

    /// Stores content at the path of the permit or, if that name is taken, under a free name next to it. Returns the path that was
    /// used. The file appears whole or not at all, and is durable when this returns.
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

    /// Returns the entries of a folder, sorted by name. Those that cannot be served, such as hidden files and sockets, are left
    /// out.
    fn list<'a>(&'a self, permit: &'a Permit<List>) -> BoxFuture<'a, Result<Vec<Entry>, StorageError>>;

    /// Checks whether files can be served now, for health checks. A storage that can lose its root reopens it here.
    fn ready(&self) -> BoxFuture<'_, Result<(), StorageError>> {
        Box::pin(std::future::ready(Ok(())))
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

            fn exists<'a>(&'a self, permit: &'a Permit<Read>) -> BoxFuture<'a, Result<bool, StorageError>> {
                (**self).exists(permit)
            }
        }
    )*};
}

delegate!(Arc Box);

/// The content that [`Storage::save`] stores: pieces in order. An error among them ends the save, and nothing is stored.
pub type Content<'a> = BoxStream<'a, io::Result<Bytes>>;

/// Returns content that is in memory.
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
    /// Whether a file of the same name is replaced, atomically. The default is to find a free name.
    pub replace: bool,
    /// The maximum length of the content, in bytes. More is [`StorageError::TooLarge`].
    pub max_len: Option<u64>,
    /// The announced length of the content, in bytes, so that content that cannot fit is refused before it is read. It is a hint: the
    /// content may have any other length.
    pub expected_len: Option<u64>,
    /// The space that has to remain free on the device after the save, in bytes. Less is [`StorageError::Full`].
    pub min_free: u64,
}

impl SaveOptions {
    /// Returns the default options: no limits, and nothing is replaced.
    #[must_use]
    pub const fn new() -> Self {
        Self { replace: false, max_len: None, expected_len: None, min_free: 0 }
    }

    /// Sets [`SaveOptions::replace`].
    #[must_use]
    pub const fn replace(mut self, replace: bool) -> Self {
        self.replace = replace;
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

    /// Checks the announced length against the limit.
    fn check_announced(&self) -> Result<(), StorageError> {
        self.check_len(self.expected_len.unwrap_or(0))
    }

    /// Checks a length, in bytes, against the limit.
    fn check_len(&self, len: u64) -> Result<(), StorageError> {
        match self.max_len {
            Some(max_len) if len > max_len => Err(StorageError::TooLarge { max_len }),
            _ => Ok(()),
        }
    }
}

/// An open file: its metadata, as its handle has it, and its bytes. Cheap to clone.
#[derive(Debug, Clone)]
pub struct MediaFile {
    shared: Arc<Shared>,
    bytes: Arc<dyn ReadAt>,
}

/// The part of a [`MediaFile`] that its clones share.
#[derive(Debug)]
struct Shared {
    metadata: Metadata,
    memo: OnceLock<Box<dyn Any + Send + Sync>>,
    /// The same file under the name and media type of its last lookup.
    presented: Mutex<Option<(Attributes, Arc<Self>)>>,
}

impl Shared {
    fn new(metadata: Metadata) -> Self {
        Self { metadata, memo: OnceLock::new(), presented: Mutex::default() }
    }
}

impl MediaFile {
    /// Returns a file of these bytes, for implementations of [`Storage`].
    #[must_use]
    pub fn new(metadata: Metadata, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::new(Shared::new(metadata)), bytes }
    }

    /// Returns the same file with another way to read its bytes.
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

    /// Returns what the delivery has computed of this file before, or computes it. It lives as long as the file is cached. `None` if
    /// a value of another type is in the one slot.
    pub(crate) fn memo<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.shared.memo.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Returns the name of the file below the root, if a front server can open it by that; see [`ReadAt::local_name`].
    #[must_use]
    pub fn local_name(&self) -> Option<PathBuf> {
        self.bytes.local_name()
    }
}

/// Reads the bytes of a [`MediaFile`] at any position.
pub trait ReadAt: fmt::Debug + Send + Sync + 'static {
    /// Reads at most `len` bytes at `offset`, and at least one unless the file ends there.
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>>;

    /// Returns the current name of this file below the root, without symbolic links, for a front server to send it. `None` if the file
    /// is not on the local disk or was deleted.
    fn local_name(&self) -> Option<PathBuf> {
        None
    }

    /// Returns the whole content, if it is in memory.
    fn as_bytes(&self) -> Option<&Bytes> {
        None
    }

    /// Returns the open file if it is on the local disk, for callers that send it with sendfile(2) or read it themselves. Its position
    /// is shared: read and send at explicit offsets.
    fn as_file(&self) -> Option<&Arc<File>> {
        None
    }
}

/// Size, times and entity tag of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metadata {
    /// Size in bytes.
    pub len: u64,
    /// The time of the last change of the content.
    pub modified: SystemTime,
    /// The time of creation, if the storage knows it.
    pub created: Option<SystemTime>,
    /// The time of the last access, if the storage knows it.
    pub accessed: Option<SystemTime>,
    /// The opaque part of a strong entity tag, without quotes (RFC 9110 section 8.8.3). It differs whenever the bytes differ, and
    /// consists of `!` and `#` to `~`.
    pub etag: String,
}

impl Metadata {
    /// Returns the metadata of a file whose other times are unknown.
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
    /// Whether it is a folder; else it is a regular file.
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

/// Why a storage operation failed.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// The file does not exist, or may not be served.
    NotFound {
        /// The reason, for the log.
        reason: String,
        /// The error of the operating system, if it is the reason.
        source: Option<io::Error>,
    },
    /// The content exceeds the limit of the save.
    TooLarge {
        /// The limit in bytes.
        max_len: u64,
    },
    /// The device or the quota is full.
    Full,
    /// The content ended with an error, so nothing was stored.
    Content(io::Error),
    /// Any other error of the operating system.
    Io {
        /// The operation that failed.
        doing: &'static str,
        /// The error.
        source: io::Error,
    },
}

impl StorageError {
    /// Returns [`StorageError::NotFound`] with this reason.
    pub fn not_found(reason: impl fmt::Display) -> Self {
        Self::NotFound { reason: reason.to_string(), source: None }
    }

    /// Returns [`StorageError::NotFound`] with this reason and the error of the operating system.
    #[cfg(feature = "local")]
    fn not_found_as(reason: impl fmt::Display, source: impl Into<io::Error>) -> Self {
        Self::NotFound { reason: reason.to_string(), source: Some(source.into()) }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { reason, .. } => write!(f, "not found: {reason}"),
            Self::TooLarge { max_len } => write!(f, "content exceeds the limit of {max_len} bytes"),
            Self::Full => f.write_str("no space left on the device"),
            Self::Content(_) => f.write_str("content ended early; nothing was stored"),
            Self::Io { doing, .. } => write!(f, "{doing} failed"),
        }
    }
}

impl std::error::Error for StorageError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Content(source) | Self::Io { source, .. } | Self::NotFound { source: Some(source), .. } => {
                Some(source)
            }
            _ => None,
        }
    }
}
