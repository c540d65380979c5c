//! One place of a relocation: a folder or a bucket.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::path::PathBuf;
use std::time::SystemTime;

use bytes::Bytes;
use futures_util::stream::{self, BoxStream};
use futures_util::{StreamExt as _, TryStreamExt as _};
use private_media::storage::{ByteStream, Content};
use private_media::{LocalStorage, MediaPath, Permit, SaveOptions, Storage as _, StorageError};
use private_media_buckets::{ListedObject, ObjectStorage};
use tokio::sync::mpsc;

use super::super::transfer::{self, PIECE, piece};
use super::super::walk::{Found, QUEUE, Walk};

/// A place of a relocation.
#[expect(clippy::large_enum_variant, reason = "a run has two of them")]
pub(super) enum Side {
    Folder { path: PathBuf, storage: LocalStorage },
    Bucket { url: String, storage: ObjectStorage },
}

/// Distinguishes versions of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Version {
    File(transfer::Version),
    /// The entity tag of an object.
    Object(String),
}

/// A file whose content can be read once.
pub(super) struct Opened {
    pub(super) version: Version,
    pub(super) len: u64,
    pub(super) modified: Option<SystemTime>,
    pub(super) content: ByteStream,
}

/// What a place contains.
pub(super) enum Listed {
    /// A file, and its length in bytes.
    File(MediaPath, u64),
    /// What cannot be moved, and why.
    Other(String, String),
    /// A part that cannot be listed.
    Failed(String, StorageError),
}

impl Side {
    pub(super) fn is_bucket(&self) -> bool {
        matches!(self, Self::Bucket { .. })
    }

    /// Lists all files, in bounded memory.
    pub(super) fn list(&self) -> BoxStream<'_, Listed> {
        match self {
            Self::Folder { path, storage } => list_folder(path.clone(), storage.clone()),
            Self::Bucket { url, storage } => {
                let listed = move |object| match object {
                    Ok(ListedObject::File(path, len)) => Listed::File(path, len),
                    Ok(ListedObject::Invalid(key)) => {
                        let reason = match MediaPath::new(&key) {
                            Err(error) => format!("the path cannot be served: {error}"),
                            Ok(_) => "the path cannot be served".into(),
                        };
                        Listed::Other(key, reason)
                    }
                    Ok(_) => Listed::Other(url.clone(), "not a regular object".into()),
                    Err(error) => Listed::Failed(url.clone(), error),
                };
                storage.objects().map(listed).boxed()
            }
        }
    }

    /// Opens a file to read its whole content.
    pub(super) async fn read(&self, path: &MediaPath) -> Result<Opened, StorageError> {
        match self {
            Self::Folder { storage, .. } => {
                let (storage, permit) = (storage.clone(), Permit::trusted(path.clone()));
                blocking(move || {
                    let mut file = storage.open_blocking(&permit)?;
                    let metadata = file.metadata().map_err(StorageError::Content)?;
                    let first = piece(&mut file).map_err(StorageError::Content)?;
                    Ok(Opened {
                        version: Version::File(transfer::Version::of(&metadata)),
                        len: metadata.len(),
                        modified: metadata.modified().ok(),
                        content: pieces(file, first),
                    })
                })
                .await
            }
            Self::Bucket { storage, .. } => {
                let (metadata, content) = storage.read(&Permit::trusted(path.clone())).await?;
                let (len, modified) = (metadata.len, Some(metadata.modified));
                Ok(Opened { version: Version::Object(metadata.etag), len, modified, content })
            }
        }
    }

    /// Saves a file whose name is free, durably.
    pub(super) async fn save(
        &self,
        path: &MediaPath,
        content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<(), StorageError> {
        let permit = Permit::trusted(path.clone());
        match self {
            Self::Folder { storage, .. } => storage.save(&permit, content, options).await.map(drop),
            Self::Bucket { storage, .. } => storage.save(&permit, content, options).await.map(drop),
        }
    }

    /// Returns whether a name is taken, in a folder also by a folder.
    pub(super) async fn has(&self, path: &MediaPath) -> Result<bool, StorageError> {
        let found = match self {
            Self::Folder { storage, .. } => {
                let (storage, path) = (storage.clone(), path.clone());
                blocking(move || storage.trusted_stat(path.as_str()).map(drop)).await
            }
            Self::Bucket { storage, .. } => storage.metadata(&Permit::trusted(path.clone())).await.map(drop),
        };
        match found {
            Err(StorageError::NotFound { .. }) => Ok(false),
            found => found.map(|()| true),
        }
    }

    /// Returns the version of a file.
    pub(super) async fn version(&self, path: &MediaPath) -> Result<Version, StorageError> {
        match self {
            Self::Folder { storage, .. } => {
                let (storage, path) = (storage.clone(), path.clone());
                blocking(move || file_version(&storage, &path)).await
            }
            Self::Bucket { storage, .. } => {
                let metadata = storage.metadata(&Permit::trusted(path.clone())).await?;
                Ok(Version::Object(metadata.etag))
            }
        }
    }

    /// Deletes a version of a file. Returns `false` if the file is another version now.
    pub(super) async fn delete(&self, path: &MediaPath, version: &Version) -> Result<bool, StorageError> {
        match (self, version) {
            (Self::Folder { storage, .. }, version) => {
                let (storage, path, version) = (storage.clone(), path.clone(), version.clone());
                blocking(move || {
                    if file_version(&storage, &path)? != version {
                        return Ok(false);
                    }
                    storage.delete_blocking(&Permit::trusted(path)).map(|()| true)
                })
                .await
            }
            (Self::Bucket { storage, .. }, Version::Object(etag)) => {
                match storage.delete_version(&Permit::trusted(path.clone()), etag).await {
                    Err(StorageError::Io { source, .. }) if is_other_version(&source) => Ok(false),
                    deleted => deleted.map(|()| true),
                }
            }
            (Self::Bucket { .. }, Version::File(_)) => Ok(false),
        }
    }

    /// Returns whether an error of reading content is an outage.
    pub(super) fn is_outage(&self, error: &io::Error) -> bool {
        self.is_bucket() && !is_other_version(error)
    }
}

/// Returns whether an error says that a file was replaced or deleted.
fn is_other_version(error: &io::Error) -> bool {
    error.kind() == ErrorKind::StaleNetworkFileHandle
}

fn file_version(storage: &LocalStorage, path: &MediaPath) -> Result<Version, StorageError> {
    let file = storage.open_blocking(&Permit::trusted(path.clone()))?;
    let metadata = file.metadata().map_err(StorageError::Content)?;
    Ok(Version::File(transfer::Version::of(&metadata)))
}

/// Walks a folder in a thread of its own, which ends with the stream.
fn list_folder(path: PathBuf, storage: LocalStorage) -> BoxStream<'static, Listed> {
    let (send, receive) = mpsc::channel(QUEUE);
    tokio::task::spawn_blocking(move || {
        for found in Walk::new(&path) {
            let listed = match found {
                Ok(Found::File(path)) => match storage.trusted_stat(path.as_str()) {
                    Ok(metadata) => Listed::File(path, metadata.len()),
                    Err(error) => Listed::Failed(path.to_string(), error),
                },
                Ok(Found::Other(name, reason)) => Listed::Other(name, reason),
                Err((name, source)) => {
                    Listed::Failed(name, StorageError::Io { doing: "listing the folder", source })
                }
            };
            if send.blocking_send(listed).is_err() {
                return;
            }
        }
    });
    stream::unfold(receive, |mut receive| async { Some((receive.recv().await?, receive)) }).boxed()
}

/// Returns the content of a file whose first piece was read.
fn pieces(file: File, first: Bytes) -> ByteStream {
    let next = |(file, ready): (Option<File>, Option<Bytes>)| async {
        let (file, piece) = match (file, ready) {
            (file, Some(piece)) => (file, piece),
            (Some(file), None) => {
                let read = move |mut file: File| piece(&mut file).map(|piece| (Some(file), piece));
                tokio::task::spawn_blocking(move || read(file)).await.map_err(io::Error::other)??
            }
            (None, None) => return Ok(None),
        };
        // A short piece is the last one.
        let file = file.filter(|_| piece.len() >= PIECE);
        Ok((!piece.is_empty()).then_some((piece, (file, None))))
    };
    stream::try_unfold((Some(file), Some(first)), next).into_stream().boxed()
}

/// Runs work that may wait for the disk.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, StorageError> + Send + 'static,
) -> Result<T, StorageError> {
    let failed = |error| StorageError::Io { doing: "waiting for the disk", source: io::Error::other(error) };
    tokio::task::spawn_blocking(work).await.map_err(failed)?
}
