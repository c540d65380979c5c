//! Opens what lies beneath the root, and nothing else.

use std::fs::File;
use std::io;

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use rustix::fs::OFlags;
use rustix::io::Errno;

use super::LocalOptions;
use crate::request::MediaPath;
use crate::storage::{Entry, StorageError};

/// The root's handle.
#[derive(Debug)]
pub(super) struct Root {
    pub(super) dir: Dir,
    pub(super) options: LocalOptions,
}

/// A FIFO does not make us wait for its writer, and a terminal does not become ours.
const HARMLESS: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

impl Root {
    /// Opens a file if the kernel can say at once what it is; `None` if the disk has to be asked.
    pub(super) fn open_cached(&self, path: &MediaPath) -> Option<Result<File, StorageError>> {
        #[cfg(target_os = "linux")]
        {
            let opened = self.openat2(path, rustix::fs::ResolveFlags::CACHED);
            // EAGAIN: not in memory. EINVAL: a kernel before 5.12, which does not know the flag.
            if !matches!(opened, Err(Errno::AGAIN | Errno::INVAL | Errno::NOSYS | Errno::PERM)) {
                return Some(opened.map_err(|error| refusal(error.into())));
            }
        }
        None
    }

    /// Opens a file, for as long as it takes.
    pub(super) fn open(&self, path: &MediaPath) -> Result<File, StorageError> {
        #[cfg(target_os = "linux")]
        {
            // EAGAIN: something beneath the root was renamed meanwhile, and the kernel cannot tell that it stayed beneath.
            for _ in 0..8 {
                match self.openat2(path, rustix::fs::ResolveFlags::empty()) {
                    Err(Errno::AGAIN) => {}
                    // Not to be had here (an old kernel, a sandbox): component by component is as safe, and slower.
                    Err(Errno::NOSYS | Errno::PERM) => break,
                    opened => return opened.map_err(|error| refusal(error.into())),
                }
            }
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(i32::try_from(HARMLESS.bits()).unwrap_or_default());
        self.dir.open_with(path.as_str(), &options).map(cap_std::fs::File::into_std).map_err(refusal)
    }

    #[cfg(target_os = "linux")]
    fn openat2(&self, path: &MediaPath, resolve: rustix::fs::ResolveFlags) -> rustix::io::Result<File> {
        use rustix::fs::{Mode, ResolveFlags, openat2};

        let flags = OFlags::RDONLY | OFlags::CLOEXEC | HARMLESS;
        let resolve = resolve | ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        openat2(&self.dir, path.as_str(), flags, Mode::empty(), resolve).map(File::from)
    }

    /// Opens a folder; the root itself if `None`.
    pub(super) fn folder(&self, folder: Option<&MediaPath>) -> io::Result<Dir> {
        folder.map_or_else(|| self.dir.try_clone(), |folder| self.dir.open_dir(folder.as_str()))
    }

    /// The same, and makes it and what it lies in where there is none. Making it lasts: the folder above is synced.
    pub(super) fn make_folder(&self, folder: Option<&MediaPath>) -> io::Result<Dir> {
        let missing = match (self.folder(folder), folder) {
            (Err(error), Some(folder)) if error.kind() == io::ErrorKind::NotFound => folder,
            (opened, _) => return opened,
        };
        let above = self.make_folder(missing.parent().as_ref())?;
        let mut builder = DirBuilder::new();
        builder.mode(self.options.folder_mode);
        match above.create_dir_with(missing.file_name(), &builder) {
            Ok(()) => sync(&above)?,
            // Somebody else makes it too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error),
        }
        self.folder(folder)
    }

    /// Removes a file's name. Of a symlink, that is the link.
    pub(super) fn delete(&self, path: &MediaPath) -> Result<(), StorageError> {
        let folder = self.folder(path.parent().as_ref()).map_err(refusal)?;
        let found = folder.symlink_metadata(path.file_name()).map_err(refusal)?;
        if !found.is_file() && !found.is_symlink() {
            return Err(StorageError::not_found("it is no regular file"));
        }
        let failed = |source| StorageError::Io { doing: "deleting a file", source };
        folder.remove_file(path.file_name()).map_err(failed)?;
        sync(&folder).map_err(failed)
    }

    pub(super) fn list(&self, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
        let failed = |source| StorageError::Io { doing: "listing a folder", source };
        let mut entries = Vec::new();
        for found in self.folder(folder).map_err(refusal)?.entries().map_err(refusal)? {
            let name = found.map_err(failed)?.file_name();
            // What is no legal path is not served, so it is not shown.
            let path = name.to_str().and_then(|name| match folder {
                Some(folder) => MediaPath::new(&format!("{folder}/{name}")).ok(),
                None => MediaPath::new(name).ok(),
            });
            let Some(path) = path else { continue };
            // A symlink is what it leads to; what leads out, or nowhere, is not shown either.
            let Ok(metadata) = self.dir.metadata(path.as_str()) else { continue };
            if metadata.is_dir() || metadata.is_file() {
                entries.push(Entry { path, is_folder: metadata.is_dir() });
            }
        }
        entries.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(entries)
    }
}

/// Makes what was changed in a folder last.
pub(super) fn sync(folder: &Dir) -> io::Result<()> {
    // A handle that was opened to walk through may be one that cannot be synced.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let handle = rustix::fs::openat(folder, ".", flags, rustix::fs::Mode::empty())?;
    Ok(rustix::fs::fsync(handle)?)
}

/// Why there is nothing to be opened: what is not there, not beneath the root or not readable is not found. What says
/// something about this process or its disk, and nothing about the path, is a failure.
fn refusal(error: io::Error) -> StorageError {
    match Errno::from_io_error(&error) {
        Some(
            Errno::MFILE
            | Errno::NFILE
            | Errno::NOMEM
            | Errno::IO
            | Errno::STALE
            | Errno::AGAIN
            | Errno::INTR,
        ) => StorageError::Io { doing: "opening a file", source: error },
        _ => StorageError::not_found(error),
    }
}
