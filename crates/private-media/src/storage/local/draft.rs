//! Saves a file: it is written where nobody sees it, and appears whole.

use std::fs::File;
use std::io::{self, Write};

use bytes::Bytes;
use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use futures_util::StreamExt;
use rustix::fs::{AtFlags, FlockOperation, linkat};
use rustix::io::Errno;

use super::LocalStorage;
use super::beneath::{Root, sync};
use crate::request::MediaPath;
use crate::storage::{Content, SaveOptions, StorageError, alternative_name};

/// Where drafts lie that need a name. It is hidden, so no path leads there.
const DRAFTS: &str = ".private-media-uploads";
/// How much is gathered before it is written, in bytes.
const GATHER: usize = 256 << 10;
/// How many names are tried. A name has 62^7 others, so more than a few is somebody's doing.
const TRIES: usize = 100;

/// Saves content: see [`Storage::save`](crate::Storage::save).
pub(super) async fn save(
    storage: &LocalStorage,
    path: &MediaPath,
    mut content: Content<'_>,
    options: &SaveOptions,
) -> Result<MediaPath, StorageError> {
    let (begun, options) = (path.clone(), *options);
    let mut draft =
        storage.blocking("beginning to save", move |root| Draft::begin(root, &begun, options)).await?;
    loop {
        let mut gathered = Vec::new();
        let mut len = 0;
        while len < GATHER
            && let Some(piece) = content.next().await
        {
            let piece = piece.map_err(StorageError::Content)?;
            len += piece.len();
            gathered.push(piece);
        }
        if gathered.is_empty() {
            break;
        }
        let write = move |_: &Root| draft.write(&gathered).map(|()| draft);
        draft = storage.blocking("writing a file", write).await?;
    }
    let path = path.clone();
    storage.blocking("saving a file", move |_| draft.appear(&path)).await
}

/// A file that is being written. Dropped before it appeared, it is gone.
struct Draft {
    file: File,
    /// Its name among the drafts, if it has one.
    name: Option<DraftName>,
    /// Where it will appear.
    folder: Dir,
    /// Where a draft gets a name, if it needs one.
    root: Dir,
    options: SaveOptions,
    written: u64,
}

impl Draft {
    fn begin(root: &Root, path: &MediaPath, options: SaveOptions) -> Result<Self, StorageError> {
        let failed = |source| error("making a place for the file", source);
        if let Some(max_len) = options.max_len.filter(|max_len| options.expected_len > Some(*max_len)) {
            return Err(StorageError::TooLarge { max_len });
        }
        check_free(&root.dir, &options, options.expected_len.unwrap_or(0))?;
        let folder = root.make_folder(path.parent().as_ref()).map_err(failed)?;
        let (file, name) = match unnamed(&folder, root).map_err(failed)? {
            Some(file) => (file, None),
            None => DraftName::make(&root.dir, root.options.file_mode)
                .map(|(name, file)| (file, Some(name)))
                .map_err(failed)?,
        };
        Ok(Self { file, name, folder, root: root.dir.try_clone().map_err(failed)?, options, written: 0 })
    }

    fn write(&mut self, pieces: &[Bytes]) -> Result<(), StorageError> {
        let len = pieces.iter().map(|piece| piece.len() as u64).sum();
        self.written = self.written.saturating_add(len);
        if let Some(max_len) = self.options.max_len.filter(|max_len| self.written > *max_len) {
            return Err(StorageError::TooLarge { max_len });
        }
        check_free(&self.root, &self.options, len)?;
        pieces
            .iter()
            .try_for_each(|piece| self.file.write_all(piece))
            .map_err(|source| error("writing a file", source))
    }

    /// Gives the draft its name in the folder, after its bytes are safe and before anybody is told.
    fn appear(mut self, path: &MediaPath) -> Result<MediaPath, StorageError> {
        let failed = |source| error("saving a file", source);
        self.file.sync_all().map_err(failed)?;
        let mut used = path.clone();
        if self.options.replace {
            self.replace(path.file_name()).map_err(failed)?;
        } else {
            let mut tries = 0;
            while let Err(source) = self.link(used.file_name()) {
                tries += 1;
                if source.kind() != io::ErrorKind::AlreadyExists || tries == TRIES {
                    return Err(failed(source));
                }
                let other = alternative_name(path.file_name()).map_err(failed)?;
                used = path.with_file_name(&other).map_err(|error| failed(io::Error::other(error)))?;
            }
        }
        // A name that may be gone after a crash was not stored. Of the two files that a replacement knew, the old one cannot be
        // brought back.
        sync(&self.folder).map_err(|source| {
            if !self.options.replace {
                let _ = self.folder.remove_file(used.file_name());
            }
            failed(source)
        })?;
        Ok(used)
    }

    /// The name appears if there is none such; the kernel decides, so racing saves cannot both have it.
    fn link(&mut self, to: &str) -> io::Result<()> {
        let Some(draft) = &self.name else {
            let own = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&self.file));
            return Ok(linkat(rustix::fs::CWD, own, &self.folder, to, AtFlags::SYMLINK_FOLLOW)?);
        };
        match linkat(&draft.drafts, &draft.name, &self.folder, to, AtFlags::empty()) {
            // The name among the drafts goes with the draft.
            Ok(()) => Ok(()),
            #[cfg(target_os = "linux")]
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::MLINK) => {
                // A file system without hard links.
                let no_replace = rustix::fs::RenameFlags::NOREPLACE;
                rustix::fs::renameat_with(&draft.drafts, &draft.name, &self.folder, to, no_replace)?;
                self.name = None;
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The name appears, or changes from the old file to this one at once.
    fn replace(&mut self, to: &str) -> io::Result<()> {
        if self.name.is_none() {
            // Held while it has a name, as a sweeper may come by.
            rustix::fs::flock(&self.file, FlockOperation::LockExclusive)?;
            let drafts = open_drafts(&self.root)?;
            let name = random_name()?;
            let folder = std::mem::replace(&mut self.folder, drafts);
            let linked = self.link(&name);
            let drafts = std::mem::replace(&mut self.folder, folder);
            linked?;
            self.name = Some(DraftName { drafts, name });
        }
        if let Some(draft) = &self.name {
            draft.drafts.rename(&draft.name, &self.folder, to)?;
        }
        self.name = None;
        Ok(())
    }
}

/// A file without a name, which is gone with its last handle whatever happens; `None` where that cannot be had.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Dir, root: &Root) -> io::Result<Option<File>> {
    use rustix::fs::{Mode, OFlags, openat};

    // Its later name is given by way of /proc.
    if root.options.named_drafts || !std::path::Path::new("/proc/self/fd").exists() {
        return Ok(None);
    }
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    match openat(folder, ".", flags, Mode::from_raw_mode(root.options.file_mode)) {
        Ok(file) => Ok(Some(File::from(file))),
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT) => Ok(None),
        Err(error) => Err(error.into()),
    }
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_: &Dir, _: &Root) -> io::Result<Option<File>> {
    Ok(None)
}

/// A hidden name that a draft has until it appears or is dropped.
struct DraftName {
    drafts: Dir,
    name: String,
}

impl DraftName {
    fn make(root: &Dir, mode: u32) -> io::Result<(Self, File)> {
        let drafts = open_drafts(root)?;
        for _ in 0..TRIES {
            let name = random_name()?;
            let mut options = OpenOptions::new();
            options.write(true).create_new(true).mode(mode);
            let file = drafts.open_with(&name, &options)?.into_std();
            // The lock tells a sweeper that somebody is at work; one that came before the lock has removed the name.
            rustix::fs::flock(&file, FlockOperation::LockExclusive)?;
            if std::os::unix::fs::MetadataExt::nlink(&file.metadata()?) > 0 {
                return Ok((Self { drafts, name }, file));
            }
        }
        Err(io::Error::other("drafts are removed as soon as they are made"))
    }
}

impl Drop for DraftName {
    fn drop(&mut self) {
        let _ = self.drafts.remove_file(&self.name);
    }
}

/// Removes the drafts of processes that are no more. A draft that somebody holds is left alone, and so is one that cannot be
/// looked at: litter is no reason not to start.
pub(super) fn sweep(root: &Dir) {
    let Ok(drafts) = root.open_dir(DRAFTS) else { return };
    for entry in drafts.entries().into_iter().flatten().flatten() {
        let lock = |file: cap_std::fs::File| {
            rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive).is_ok().then_some(file)
        };
        if let Some(_held) = entry.open().ok().and_then(lock) {
            tracing::info!(name = ?entry.file_name(), "removing what an interrupted upload left");
            let _ = entry.remove_file();
        }
    }
}

fn open_drafts(root: &Dir) -> io::Result<Dir> {
    let mut builder = DirBuilder::new();
    builder.mode(0o700);
    match root.create_dir_with(DRAFTS, &builder) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
        _ => root.open_dir(DRAFTS),
    }
}

fn random_name() -> io::Result<String> {
    Ok(format!("{:016x}", getrandom::u64().map_err(io::Error::other)?))
}

fn check_free(root: &Dir, options: &SaveOptions, len: u64) -> Result<(), StorageError> {
    if options.min_free == 0 && options.expected_len.is_none() {
        return Ok(());
    }
    let found = rustix::fs::fstatvfs(root).map_err(|source| error("looking at free space", source.into()))?;
    let free = found.f_bavail.saturating_mul(found.f_frsize);
    if free < len.saturating_add(options.min_free) { Err(StorageError::Full) } else { Ok(()) }
}

fn error(doing: &'static str, source: io::Error) -> StorageError {
    match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => StorageError::Full,
        _ => StorageError::Io { doing, source },
    }
}
