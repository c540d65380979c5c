//! Where are the bytes? A [`Storage`] opens them for a [`Permit`].

#[cfg(feature = "local")]
mod local;
mod memory;

#[cfg(any(test, feature = "conformance"))]
pub mod conformance;

use std::any::Any;
use std::fmt;
use std::fs::File;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};
use std::time::SystemTime;

use bytes::Bytes;
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;

#[cfg(feature = "local")]
pub use local::{CacheOptions, LocalStorage, OpenOptions};
pub use memory::MemoryStorage;

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

/// What [`Storage::save`] stores: pieces in order. An error among them ends the save and leaves nothing behind.
pub type Content<'a> = BoxStream<'a, io::Result<Bytes>>;

/// Content that is in memory already.
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

/// How to save.
///
/// ```
/// use private_media::storage::SaveOptions;
/// let options = SaveOptions { max_len: Some(10 << 20), ..SaveOptions::default() };
/// ```
#[derive(Debug, Clone, Copy, Default)]
pub struct SaveOptions {
    /// Replace a file of that name, all at once, rather than find a free name.
    pub replace: bool,
    /// The largest content, in bytes; more is [`StorageError::TooLarge`].
    pub max_len: Option<u64>,
    /// The length that was announced, in bytes, so that what cannot fit is refused before it is sent. It is a hint: the
    /// content may be of any other length.
    pub expected_len: Option<u64>,
    /// What has to stay free on the device after the save, in bytes; less is [`StorageError::Full`].
    pub min_free: u64,
}

impl SaveOptions {
    /// Refuses what is announced to be over the limit, before it is sent.
    fn check_announced(&self) -> Result<(), StorageError> {
        self.check_len(self.expected_len.unwrap_or(0))
    }

    /// Refuses content of this length, in bytes, if it is over the limit.
    fn check_len(&self, len: u64) -> Result<(), StorageError> {
        match self.max_len {
            Some(max_len) if len > max_len => Err(StorageError::TooLarge { max_len }),
            _ => Ok(()),
        }
    }
}

/// An open file: what it is as its handle says, and its bytes.
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
}

impl MediaFile {
    /// A file of these bytes; for those who write a storage.
    #[must_use]
    pub fn new(metadata: Metadata, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::new(Shared { metadata, memo: OnceLock::new() }), bytes }
    }

    /// The same file, its bytes reached in another way.
    #[cfg(feature = "local")]
    fn with_bytes(&self, bytes: Arc<dyn ReadAt>) -> Self {
        Self { shared: Arc::clone(&self.shared), bytes }
    }

    /// Size, times and entity tag.
    #[must_use]
    pub fn metadata(&self) -> &Metadata {
        &self.shared.metadata
    }

    /// The bytes.
    #[must_use]
    pub fn bytes(&self) -> &Arc<dyn ReadAt> {
        &self.bytes
    }

    /// Returns what the delivery has computed of this file before, or computes it. It lives as long as the file is cached. `None` if
    /// a value of another type is in the one slot.
    pub(crate) fn memo<T: Any + Send + Sync>(&self, make: impl FnOnce() -> T) -> Option<&T> {
        self.shared.memo.get_or_init(|| Box::new(make())).downcast_ref()
    }

    /// Its own name below the root, if a front server could open it there; see [`ReadAt::local_name`].
    #[must_use]
    pub fn local_name(&self) -> Option<PathBuf> {
        self.bytes.local_name()
    }
}

/// Reads at a position; how the bytes of a [`MediaFile`] are reached.
pub trait ReadAt: fmt::Debug + Send + Sync + 'static {
    /// Reads at most `len` bytes at `offset`, and at least one unless the file ends there.
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>>;

    /// The name below the root that leads to this very file now, without passing a link: what a front server is told to send.
    /// `None` if there is none, as for a file that is no file of the local disk, or one that has just been deleted.
    fn local_name(&self) -> Option<PathBuf> {
        None
    }

    /// The whole content, where it is in memory.
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
pub struct Metadata {
    /// Size in bytes.
    pub len: u64,
    /// When the content changed last.
    pub modified: SystemTime,
    /// When the file came to be, where the storage knows.
    pub created: Option<SystemTime>,
    /// When the content was read last, where the storage knows.
    pub accessed: Option<SystemTime>,
    /// The opaque part of a strong entity tag, without its quotes (RFC 9110 section 8.8.3): another one whenever the bytes
    /// are others. Only `!`, `#` to `~` may be in it.
    pub etag: String,
}

/// One thing in a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where it is.
    pub path: MediaPath,
    /// Whether it is a folder; else it is a regular file.
    pub is_folder: bool,
}

/// Why a storage could not do as it was asked.
#[derive(Debug)]
#[non_exhaustive]
pub enum StorageError {
    /// There is no such file, or none that may be served; the reason is for the log.
    NotFound {
        /// What was found instead.
        reason: String,
        /// The error of the operating system, if it is what the reason says.
        source: Option<io::Error>,
    },
    /// The content is larger than the save allows.
    TooLarge {
        /// The limit in bytes.
        max_len: u64,
    },
    /// The device, or the quota, is full.
    Full,
    /// The content broke off, so nothing was stored.
    Content(io::Error),
    /// Anything else.
    Io {
        /// What was being done.
        doing: &'static str,
        /// What went wrong.
        source: io::Error,
    },
}

impl StorageError {
    /// [`StorageError::NotFound`] for this reason.
    pub fn not_found(reason: impl fmt::Display) -> Self {
        Self::NotFound { reason: reason.to_string(), source: None }
    }

    /// [`StorageError::NotFound`] for this reason, with the error that the operating system has for it.
    #[cfg(feature = "local")]
    fn not_found_as(reason: impl fmt::Display, source: impl Into<io::Error>) -> Self {
        Self::NotFound { reason: reason.to_string(), source: Some(source.into()) }
    }
}

impl fmt::Display for StorageError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotFound { reason, .. } => write!(f, "not found: {reason}"),
            Self::TooLarge { max_len } => write!(f, "the content is over the limit of {max_len} bytes"),
            Self::Full => f.write_str("no space left for it on the device of the root"),
            Self::Content(_) => f.write_str("the content broke off before its end, and nothing was stored"),
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
