//! Moves one file from or to a bucket: by a verified copy.

use futures_util::future::try_join;
use futures_util::{StreamExt as _, TryStreamExt as _};
use private_media::storage::ByteStream;
use private_media::{MediaPath, SaveOptions, StorageError};
use ring::digest::{Context, Digest, SHA256};

use super::super::report::Outcome;
use super::side::{Opened, Side, Version};
use crate::causes::{one_line, root_cause};

/// From where to where files are moved.
pub(super) struct Transfer {
    pub(super) from: Side,
    pub(super) to: Side,
    pub(super) keep_source: bool,
    pub(super) dry_run: bool,
}

/// Why a file was not moved.
pub(super) struct Unmoved {
    pub(super) outcome: Outcome,
    /// Whether the bucket did not respond.
    pub(super) is_outage: bool,
}

impl Unmoved {
    pub(super) fn new(outcome: Outcome) -> Self {
        Self { outcome, is_outage: false }
    }

    fn failed(reason: impl Into<String>) -> Self {
        Self::new(Outcome::Failed(reason.into()))
    }
}

impl From<StorageError> for Unmoved {
    fn from(error: StorageError) -> Self {
        let is_outage = matches!(error, StorageError::Unavailable { .. });
        Self { outcome: Outcome::Failed(reason(&error)), is_outage }
    }
}

impl Transfer {
    /// Moves a file, or returns what would be done with it. Calls `advance` with the number of bytes that were read.
    pub(super) async fn run(
        &self,
        path: &MediaPath,
        len: u64,
        advance: &(dyn Fn(u64) + Sync),
    ) -> Result<Outcome, Unmoved> {
        if self.dry_run {
            return self.preview(path, len).await;
        }
        let source = self.open_source(path).await?;
        let (version, len) = (source.version, source.len);
        let mut digest = Context::new(&SHA256);
        let content = source.content.inspect_ok(|piece| {
            digest.update(piece);
            advance(piece.len() as u64);
        });
        let options = SaveOptions::new().create_new(true).modified(source.modified).expected_len(len);
        match self.to.save(path, content.boxed(), &options).await {
            Ok(()) => {
                let copy = self.verify(path, &digest.finish()).await?;
                if self.release(path, &version).await? {
                    return Ok(Outcome::Moved { bytes: len });
                }
                let deleted = self.discard(path, &copy).await;
                Err(Unmoved::failed(format!("the file was changed while it was copied; {deleted}")))
            }
            Err(StorageError::Exists) => {
                let version = self.compare(path).await?;
                if self.release(path, &version).await? {
                    return Ok(Outcome::AlreadyThere);
                }
                Err(Unmoved::failed("the file was changed while it was compared"))
            }
            Err(StorageError::Content(error)) => Err(unreadable(&self.from, &error)),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns what would be done with a file.
    async fn preview(&self, path: &MediaPath, len: u64) -> Result<Outcome, Unmoved> {
        if self.to.has(path).await? {
            return self.compare(path).await.map(|_| Outcome::AlreadyThere);
        }
        // Objects that stand for folders are empty.
        if len == 0 {
            self.from.version(path).await.map_err(|error| self.source_error(error))?;
        }
        Ok(Outcome::Moved { bytes: len })
    }

    async fn open_source(&self, path: &MediaPath) -> Result<Opened, Unmoved> {
        self.from.read(path).await.map_err(|error| self.source_error(error))
    }

    fn source_error(&self, error: StorageError) -> Unmoved {
        match error {
            StorageError::NotFound { .. } if self.from.is_bucket() => Unmoved::new(Outcome::Skipped(
                "no object has this key: it was deleted, or its key begins or ends with a slash".into(),
            )),
            error => error.into(),
        }
    }

    /// Reads a copy back, and compares it with what was read from the source. Returns its version.
    async fn verify(&self, path: &MediaPath, expected: &Digest) -> Result<Version, Unmoved> {
        let copy = self.to.read(path).await?;
        let version = copy.version;
        if digest_of(&self.to, copy.content).await?.as_ref() == expected.as_ref() {
            return Ok(version);
        }
        let deleted = self.discard(path, &version).await;
        Err(Unmoved::failed(format!("the copy differs from what was read; {deleted}")))
    }

    /// Compares a file with the one that has its name. Returns the version of the source.
    async fn compare(&self, path: &MediaPath) -> Result<Version, Unmoved> {
        let source = self.open_source(path).await?;
        let other = match self.to.read(path).await {
            Ok(other) => other,
            Err(StorageError::NotFound { .. }) => {
                return Err(Unmoved::new(Outcome::Conflict("not a regular file".into())));
            }
            Err(error) => return Err(error.into()),
        };
        let is_same = source.len == other.len && {
            let digests = try_join(digest_of(&self.from, source.content), digest_of(&self.to, other.content));
            let (source, other) = digests.await?;
            source.as_ref() == other.as_ref()
        };
        if is_same {
            return Ok(source.version);
        }
        Err(Unmoved::new(Outcome::Conflict("another file has this path".into())))
    }

    /// Removes the source, unless it is kept. Returns `false` if the source has changed.
    async fn release(&self, path: &MediaPath, version: &Version) -> Result<bool, StorageError> {
        match (&self.from, self.keep_source) {
            (_, false) => self.from.delete(path, version).await,
            (Side::Folder { .. }, true) => Ok(self.from.version(path).await? == *version),
            // One response is one version of an object.
            (Side::Bucket { .. }, true) => Ok(true),
        }
    }

    /// Deletes a copy that is of no use. Returns what happened to it.
    async fn discard(&self, path: &MediaPath, copy: &Version) -> String {
        // Another process may have removed the source, because for that process the copy was right.
        if let Err(error) = self.from.version(path).await {
            return format!("the copy was kept, because the source cannot be read: {}", reason(&error));
        }
        match self.to.delete(path, copy).await {
            Ok(true) => "the copy was deleted".into(),
            Ok(false) => "the copy was replaced meanwhile, and was kept".into(),
            Err(error) => {
                format!("the copy could not be deleted ({}), so delete it", reason(&error))
            }
        }
    }
}

/// Returns an error with its root cause, in one line. The errors of `object_store` contain their sources, so those between are left out.
fn reason(error: &StorageError) -> String {
    let (text, cause) = (error.to_string(), one_line(&root_cause(error)));
    if cause.is_empty() || cause == text { text } else { format!("{text}: {cause}") }
}

/// Returns the error of reading content.
fn unreadable(side: &Side, error: &std::io::Error) -> Unmoved {
    let is_outage = side.is_outage(error);
    Unmoved {
        outcome: Outcome::Failed(format!("reading the content failed: {}", root_cause(error))),
        is_outage,
    }
}

async fn digest_of(side: &Side, mut content: ByteStream) -> Result<Digest, Unmoved> {
    let mut digest = Context::new(&SHA256);
    while let Some(piece) = content.try_next().await.map_err(|error| unreadable(side, &error))? {
        digest.update(&piece);
    }
    Ok(digest.finish())
}
