//! Moves one file after another from a folder to a folder: by a rename, or else by a verified copy.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::MetadataExt;

use bytes::Bytes;
use private_media::storage::{SaveOptions, StorageError};
use private_media::{LocalStorage, MediaPath, Permit};
use ring::digest::{Context, Digest, SHA256};

use super::report::Outcome;
use crate::causes::with_sources;

/// How many bytes are read at a time.
pub(super) const PIECE: usize = 256 << 10;
/// After this many files or bytes, the copies are made durable and their sources removed.
const BATCH_FILES: usize = 1000;
const BATCH_BYTES: u64 = 256 << 20;

/// From where to where files are moved.
pub(super) struct Transfer {
    pub(super) from: LocalStorage,
    pub(super) to: LocalStorage,
    pub(super) keep_source: bool,
    pub(super) dry_run: bool,
}

/// The copies whose sources are not removed yet.
pub(super) struct Batch<'a> {
    transfer: &'a Transfer,
    copies: Vec<Copied>,
    bytes: u64,
}

/// A file that is at both places.
struct Copied {
    path: MediaPath,
    /// What the source was when it was read.
    source: Version,
    outcome: Outcome,
}

/// Distinguishes versions of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Version {
    inode: (u64, u64),
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Version {
    pub(super) fn of(metadata: &Metadata) -> Self {
        Self {
            inode: (metadata.dev(), metadata.ino()),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

type Outcomes = Vec<(MediaPath, Outcome)>;

impl Transfer {
    pub(super) fn batch(&self) -> Batch<'_> {
        Batch { transfer: self, copies: Vec::new(), bytes: 0 }
    }

    fn open(&self, path: &MediaPath) -> Result<(File, Metadata), StorageError> {
        let file = self.from.open_blocking(&Permit::trusted(path.clone()))?;
        let metadata = file.metadata().map_err(StorageError::Content)?;
        Ok((file, metadata))
    }

    /// Renames a file if both places are on one file system and its name is free.
    fn rename(&self, path: &MediaPath) -> Result<Option<Outcome>, StorageError> {
        if self.keep_source {
            return Ok(None);
        }
        let (_, metadata) = self.open(path)?;
        match self.to.rename_from(&Permit::trusted(path.clone()), &self.from, &Permit::trusted(path.clone()))
        {
            Ok(()) => Ok(Some(Outcome::Moved { bytes: metadata.len() })),
            Err(StorageError::Exists) => Ok(None),
            Err(StorageError::Io { source, .. }) if source.kind() == ErrorKind::CrossesDevices => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Copies a file whose name is free, and compares the copy with what was read.
    fn copy(&self, path: &MediaPath) -> Result<(Version, Outcome), StorageError> {
        let (mut file, metadata) = self.open(path)?;
        let version = Version::of(&metadata);
        let mut digest = Context::new(&SHA256);
        let content = std::iter::from_fn(|| match piece(&mut file) {
            Ok(piece) if piece.is_empty() => None,
            Ok(piece) => {
                digest.update(&piece);
                Some(Ok(piece))
            }
            Err(error) => Some(Err(error)),
        });
        let options = SaveOptions::new()
            .create_new(true)
            .modified(metadata.modified().ok())
            .expected_len(metadata.len());
        match self.to.save_blocking(&Permit::trusted(path.clone()), content, &options) {
            Ok(_) => {}
            Err(StorageError::Exists) => return self.compare(path),
            Err(error) => return Err(error),
        }
        let result = self.verify(path, version, &digest.finish());
        if result.is_err() {
            // The source is whole, and the next run copies it again.
            self.to.delete_blocking(&Permit::trusted(path.clone()))?;
        }
        result.map(|()| (version, Outcome::Moved { bytes: version.len }))
    }

    /// Checks that a copy is what was read, and that the source has not changed since.
    fn verify(&self, path: &MediaPath, version: Version, digest: &Digest) -> Result<(), StorageError> {
        let copy = digest_of(&mut self.to.open_blocking(&Permit::trusted(path.clone()))?)?;
        if copy.as_ref() != digest.as_ref() {
            return Err(StorageError::Content(io::Error::other("the copy differs from what was read")));
        }
        if self.version(path)? != version {
            return Err(StorageError::Content(io::Error::other("the file was changed while it was copied")));
        }
        Ok(())
    }

    /// Compares a file with the one that has its name.
    fn compare(&self, path: &MediaPath) -> Result<(Version, Outcome), StorageError> {
        let (mut file, metadata) = self.open(path)?;
        let version = Version::of(&metadata);
        let mut other = match self.to.open_blocking(&Permit::trusted(path.clone())) {
            Ok(other) => other,
            Err(StorageError::NotFound { .. }) => {
                return Ok((version, Outcome::Conflict("not a regular file".into())));
            }
            Err(error) => return Err(error),
        };
        let is_same = other.metadata().map_err(StorageError::Content)?.len() == version.len
            && digest_of(&mut file)?.as_ref() == digest_of(&mut other)?.as_ref()
            && self.version(path)? == version;
        Ok((
            version,
            if is_same {
                Outcome::AlreadyThere
            } else {
                Outcome::Conflict("another file has this path".into())
            },
        ))
    }

    fn version(&self, path: &MediaPath) -> Result<Version, StorageError> {
        self.open(path).map(|(_, metadata)| Version::of(&metadata))
    }

    /// Returns what would be done with a file.
    fn preview(&self, path: &MediaPath) -> Result<Outcome, StorageError> {
        let (_, metadata) = self.open(path)?;
        match self.to.trusted_stat(path.as_str()) {
            Err(StorageError::NotFound { .. }) => Ok(Outcome::Moved { bytes: metadata.len() }),
            Err(error) => Err(error),
            Ok(_) => self.compare(path).map(|(_, outcome)| outcome),
        }
    }
}

impl Batch<'_> {
    /// Moves a file. Returns what is known by now, which may be about earlier files.
    pub(super) fn transfer(&mut self, path: MediaPath) -> Outcomes {
        let transfer = self.transfer;
        if transfer.dry_run {
            let outcome =
                transfer.preview(&path).unwrap_or_else(|error| Outcome::Failed(with_sources(&error)));
            return vec![(path, outcome)];
        }
        let copied = match transfer.rename(&path) {
            Ok(Some(outcome)) => return vec![(path, outcome)],
            Ok(None) => transfer.copy(&path),
            Err(error) => Err(error),
        };
        match copied {
            Ok((source, outcome @ (Outcome::Moved { .. } | Outcome::AlreadyThere))) => {
                self.bytes = self.bytes.saturating_add(source.len);
                self.copies.push(Copied { path, source, outcome });
            }
            Ok((_, outcome)) => return vec![(path, outcome)],
            Err(error) => return vec![(path, Outcome::Failed(with_sources(&error)))],
        }
        if self.copies.len() >= BATCH_FILES || self.bytes >= BATCH_BYTES { self.finish() } else { vec![] }
    }

    /// Makes the copies durable, and removes their sources then.
    pub(super) fn finish(&mut self) -> Outcomes {
        self.bytes = 0;
        let copies = std::mem::take(&mut self.copies);
        if copies.is_empty() {
            return vec![];
        }
        let synced = self.transfer.to.sync().map_err(|error| with_sources(&error));
        let conclude = |copied: Copied| {
            let outcome = match &synced {
                Ok(()) if self.transfer.keep_source => copied.outcome,
                Ok(()) => self
                    .remove(&copied)
                    .map_or_else(|error| Outcome::Failed(with_sources(&error)), |()| copied.outcome),
                Err(error) => Outcome::Failed(format!("{error}; the source was kept")),
            };
            (copied.path, outcome)
        };
        copies.into_iter().map(conclude).collect()
    }

    /// Removes the source of a durable copy.
    fn remove(&self, copied: &Copied) -> Result<(), StorageError> {
        let transfer = self.transfer;
        if transfer.version(&copied.path)? != copied.source {
            let error = io::Error::other("the file was changed after it was copied, and was kept");
            return Err(StorageError::Content(error));
        }
        transfer.from.delete_blocking(&Permit::trusted(copied.path.clone()))
    }
}

fn digest_of(file: &mut File) -> Result<Digest, StorageError> {
    let mut digest = Context::new(&SHA256);
    let mut buffer = vec![0; PIECE];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(digest.finish()),
            Ok(len) => digest.update(buffer.get(..len).unwrap_or_default()),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(StorageError::Content(error)),
        }
    }
}

/// Reads the next bytes; none at the end.
pub(super) fn piece(file: &mut File) -> io::Result<Bytes> {
    let mut piece = Vec::new();
    file.take(PIECE as u64).read_to_end(&mut piece)?;
    Ok(piece.into())
}
