//! A file before it has its name: unnamed where the file system can, else hidden, locked and swept.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::super::StorageError;
use super::resolve::io_error;
use crate::request::random_characters;

/// Where temporaries are that need a name. It is hidden, so nothing of it is ever served.
pub(super) const UPLOADS: &str = ".private-media-uploads";

/// A file that is being written. Dropped before it has its name, it is gone.
#[derive(Debug)]
pub(super) struct Temporary {
    file: File,
    root: Arc<Dir>,
    name: Option<HiddenName>,
}

impl Temporary {
    /// A new, empty file in the file system of its folder: unnamed where that is to be had, unless `named` forbids it.
    pub(super) fn new(root: &Arc<Dir>, folder: &Dir, mode: u32, named: bool) -> Result<Self, StorageError> {
        let mode = Mode::from_raw_mode(mode);
        let root = Arc::clone(root);
        if !named && let Some(file) = unnamed(folder, mode).map_err(making)? {
            return Ok(Self { file, root, name: None });
        }
        let uploads = open_uploads(&root).map_err(making)?;
        loop {
            let name = HiddenName::random(uploads.try_clone().map_err(io_error(MAKING))?);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&name.folder, &name.name, flags, mode) {
                Ok(file) => File::from(file),
                Err(Errno::EXIST) => {
                    name.forget();
                    continue;
                }
                Err(error) => {
                    name.forget();
                    return Err(making(error));
                }
            };
            // A sweep may have come between the two calls: it holds the lock or has removed the name. Then another is tried.
            match lock(&file) {
                Ok(()) if file.metadata().map_err(io_error(MAKING))?.nlink() > 0 => {
                    return Ok(Self { file, root, name: Some(name) });
                }
                Ok(()) | Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(making(error)),
            }
        }
    }

    /// The file, to write to and to ask.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives it this name in the folder, unless something has it already (EEXIST).
    pub(super) fn link(&mut self, folder: &Dir, name: &str) -> Result<(), Errno> {
        let Some(hidden) = self.name.take() else {
            return link_unnamed(&self.file, folder, name);
        };
        match rustix::fs::linkat(&hidden.folder, &hidden.name, folder, name, AtFlags::empty()) {
            // The hidden name goes as it is dropped; a crash before that leaves it to the sweep.
            Ok(()) => Ok(()),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                let result = rename_to_free(&hidden, folder, name);
                self.keep_hidden_unless_moved(hidden, result)
            }
            Err(error) => self.keep_hidden_unless_moved(hidden, Err(error)),
        }
    }

    /// Gives it this name in the folder, in the place of what has it.
    pub(super) fn replace(&mut self, folder: &Dir, name: &str) -> Result<(), Errno> {
        let hidden = match self.name.take() {
            Some(hidden) => hidden,
            None => self.link_hidden()?,
        };
        let result = rustix::fs::renameat(&hidden.folder, &hidden.name, folder, name);
        self.keep_hidden_unless_moved(hidden, result)
    }

    /// A name in the uploads, since only what has a name can be renamed.
    fn link_hidden(&self) -> Result<HiddenName, Errno> {
        lock(&self.file)?;
        let uploads = open_uploads(&self.root)?;
        loop {
            let hidden = HiddenName::random(uploads.try_clone().map_err(|_| Errno::MFILE)?);
            match link_unnamed(&self.file, &hidden.folder, &hidden.name) {
                Ok(()) => return Ok(hidden),
                Err(error) => {
                    hidden.forget();
                    if error != Errno::EXIST {
                        return Err(error);
                    }
                }
            }
        }
    }

    fn keep_hidden_unless_moved(
        &mut self,
        hidden: HiddenName,
        result: Result<(), Errno>,
    ) -> Result<(), Errno> {
        match result {
            Ok(()) => hidden.forget(),
            Err(_) => self.name = Some(hidden),
        }
        result
    }
}

/// A name in the uploads; dropped, the name is removed.
#[derive(Debug)]
struct HiddenName {
    folder: Dir,
    name: String,
}

impl HiddenName {
    fn random(folder: Dir) -> Self {
        Self { folder, name: random_characters(21) }
    }

    /// There is no such name (any more).
    fn forget(mut self) {
        self.name.clear();
    }
}

impl Drop for HiddenName {
    fn drop(&mut self) {
        if !self.name.is_empty()
            && let Err(error) = rustix::fs::unlinkat(&self.folder, &self.name, AtFlags::empty())
            && error != Errno::NOENT
        {
            tracing::warn!(name = self.name, %error, "a temporary file stays until the next start");
        }
    }
}

/// Removes the temporaries of processes that are no more. What a living one holds is locked.
///
/// A root that cannot be swept, such as one that is mounted for reading only, is served all the same.
pub(super) fn sweep(root: &Dir) {
    let Ok(uploads) = open_hidden(root) else { return };
    let Ok(entries) = uploads.entries() else { return };
    for entry in entries.flatten() {
        let name = entry.file_name();
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let Ok(file) = rustix::fs::openat(&uploads, &name, flags, Mode::empty()).map(File::from) else {
            continue;
        };
        if !file.metadata().is_ok_and(|metadata| metadata.is_file()) || lock(&file).is_err() {
            continue;
        }
        // Its lock is held until its name is gone, so whoever just made it notices.
        match rustix::fs::unlinkat(&uploads, &name, AtFlags::empty()) {
            Ok(()) => tracing::info!(?name, "swept a temporary file that a crash left"),
            Err(error) => tracing::warn!(?name, %error, "a temporary file that a crash left cannot be swept"),
        }
    }
}

fn open_uploads(root: &Dir) -> Result<Dir, Errno> {
    match rustix::fs::mkdirat(root, UPLOADS, Mode::RWXU) {
        Ok(()) | Err(Errno::EXIST) => open_hidden(root),
        Err(error) => Err(error),
    }
}

fn open_hidden(root: &Dir) -> Result<Dir, Errno> {
    // One segment that may not be a link: it cannot lead out of the root.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(root, UPLOADS, flags, Mode::empty())?;
    Ok(Dir::from_std_file(File::from(folder)))
}

fn lock(file: &File) -> Result<(), Errno> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// `None` where the file system, the kernel or the lack of `/proc` does not let an unnamed file get a name later.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Dir, mode: Mode) -> Result<Option<File>, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, ".", flags, mode) {
        Ok(file) => File::from(file),
        // A folder that was just taken back by the save that made it says NOENT, or PERM on ext4; publishing makes it again.
        Err(Errno::OPNOTSUPP | Errno::ISDIR | Errno::INVAL | Errno::NOENT | Errno::PERM) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (there, here) = (rustix::fs::stat(proc_path(&file)), rustix::fs::fstat(&file)?);
    Ok(there.is_ok_and(|there| (there.st_dev, there.st_ino) == (here.st_dev, here.st_ino)).then_some(file))
}

#[cfg(not(target_os = "linux"))]
fn unnamed(_folder: &Dir, _mode: Mode) -> Result<Option<File>, Errno> {
    Ok(None)
}

fn link_unnamed(file: &File, folder: &Dir, name: &str) -> Result<(), Errno> {
    rustix::fs::linkat(CWD, proc_path(file), folder, name, AtFlags::SYMLINK_FOLLOW)
}

fn proc_path(file: &File) -> String {
    use std::os::fd::AsRawFd as _;
    format!("/proc/self/fd/{}", file.as_raw_fd())
}

#[cfg(target_os = "linux")]
fn rename_to_free(hidden: &HiddenName, folder: &Dir, name: &str) -> Result<(), Errno> {
    let flags = rustix::fs::RenameFlags::NOREPLACE;
    rustix::fs::renameat_with(&hidden.folder, &hidden.name, folder, name, flags)
}

/// Elsewhere a file system without hard links is not stored to: a plain rename could replace.
#[cfg(not(target_os = "linux"))]
fn rename_to_free(_hidden: &HiddenName, _folder: &Dir, _name: &str) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

const MAKING: &str = "making a temporary file";

fn making(error: Errno) -> StorageError {
    io_error(MAKING)(io::Error::from(error))
}
