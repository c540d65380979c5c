//! Temporary files: unnamed if the file system supports that, or else hidden and locked. The next start removes abandoned ones.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::sync::Arc;

use cap_std::fs::Dir;
use rustix::fs::{AtFlags, CWD, FlockOperation, Mode, OFlags};
use rustix::io::Errno;

use super::super::StorageError;
use super::error::io_error;
use crate::request::random_characters;

/// The folder of named temporary files. Hidden files are never served.
pub(super) const UPLOADS: &str = ".private-media-uploads";

/// A file that is being written. Unless it gets its final name, dropping it removes it.
#[derive(Debug)]
pub(super) struct Temporary {
    file: File,
    root: Arc<Dir>,
    name: Option<HiddenName>,
}

impl Temporary {
    /// Creates an empty file on the file system of a folder. It is unnamed if the file system supports that and `named` is false.
    pub(super) fn new(root: &Arc<Dir>, folder: &Dir, mode: u32, named: bool) -> Result<Self, StorageError> {
        let mode = Mode::from_raw_mode(mode);
        let root = Arc::clone(root);
        if !named && let Some(file) = unnamed(folder, mode).map_err(create_error)? {
            return Ok(Self { file, root, name: None });
        }
        let uploads = open_uploads(&root).map_err(create_error)?;
        loop {
            let name = HiddenName::random(uploads.try_clone().map_err(io_error(CREATING))?);
            let flags = OFlags::CREATE | OFlags::EXCL | OFlags::WRONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
            let file = match rustix::fs::openat(&name.folder, &name.name, flags, mode) {
                Ok(file) => File::from(file),
                Err(Errno::EXIST) => {
                    name.forget();
                    continue;
                }
                Err(error) => {
                    name.forget();
                    return Err(create_error(error));
                }
            };
            // A sweep between the two calls holds the lock or has removed the name. Then another name is used.
            match lock(&file) {
                Ok(()) if file.metadata().map_err(io_error(CREATING))?.nlink() > 0 => {
                    return Ok(Self { file, root, name: Some(name) });
                }
                Ok(()) | Err(Errno::WOULDBLOCK) => {}
                Err(error) => return Err(create_error(error)),
            }
        }
    }

    /// Returns the open file.
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file a name in a folder; EEXIST if the name is taken.
    pub(super) fn link(&mut self, folder: &Dir, name: &str) -> Result<(), Errno> {
        let Some(hidden) = self.name.take() else {
            return link_unnamed(&self.file, folder, name);
        };
        match rustix::fs::linkat(&hidden.folder, &hidden.name, folder, name, AtFlags::empty()) {
            // Dropping the hidden name removes it. After a crash, a sweep does.
            Ok(()) => Ok(()),
            Err(Errno::PERM | Errno::OPNOTSUPP | Errno::NOSYS | Errno::MLINK) => {
                let result = rename_to_free(&hidden, folder, name);
                self.keep_hidden_unless_moved(hidden, result)
            }
            Err(error) => self.keep_hidden_unless_moved(hidden, Err(error)),
        }
    }

    /// Gives the file a name in a folder, replacing another file.
    pub(super) fn replace(&mut self, folder: &Dir, name: &str) -> Result<(), Errno> {
        let hidden = match self.name.take() {
            Some(hidden) => hidden,
            None => self.link_hidden()?,
        };
        let result = rustix::fs::renameat(&hidden.folder, &hidden.name, folder, name);
        self.keep_hidden_unless_moved(hidden, result)
    }

    /// Gives the unnamed file a hidden name, as a rename needs one.
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

/// A name in the folder of temporary files. Dropping it removes the name.
#[derive(Debug)]
struct HiddenName {
    folder: Dir,
    name: String,
}

impl HiddenName {
    fn random(folder: Dir) -> Self {
        Self { folder, name: random_characters(21) }
    }

    /// Drops the value without removing the name, because it does not exist.
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
            tracing::warn!(name = self.name, %error, "cannot remove a temporary file; the next start removes it");
        }
    }
}

/// Removes the temporary files of processes that have ended. Those of running processes are locked. Errors are ignored, so that a
/// read-only root can be served.
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
        // The lock is held until the name is removed, so a process that has just created the file detects that.
        match rustix::fs::unlinkat(&uploads, &name, AtFlags::empty()) {
            Ok(()) => tracing::info!(name = %name.display(), "removed an abandoned temporary file"),
            Err(error) => {
                tracing::warn!(name = %name.display(), %error, "cannot remove an abandoned temporary file");
            }
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
    // A single component that is not a link cannot lead out of the root.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(root, UPLOADS, flags, Mode::empty())?;
    Ok(Dir::from_std_file(File::from(folder)))
}

fn lock(file: &File) -> Result<(), Errno> {
    rustix::fs::flock(file, FlockOperation::NonBlockingLockExclusive)
}

/// Creates an unnamed file; `None` if the file system, the kernel or `/proc` do not support that.
#[cfg(target_os = "linux")]
fn unnamed(folder: &Dir, mode: Mode) -> Result<Option<File>, Errno> {
    let flags = OFlags::TMPFILE | OFlags::WRONLY | OFlags::CLOEXEC;
    let file = match rustix::fs::openat(folder, ".", flags, mode) {
        Ok(file) => File::from(file),
        // NOENT (PERM on ext4): a failed save has just removed the folder. Publishing creates it again.
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

/// Fails: on other systems, a rename could replace a file.
#[cfg(not(target_os = "linux"))]
fn rename_to_free(_hidden: &HiddenName, _folder: &Dir, _name: &str) -> Result<(), Errno> {
    Err(Errno::OPNOTSUPP)
}

const CREATING: &str = "creating a temporary file";

fn create_error(error: Errno) -> StorageError {
    io_error(CREATING)(io::Error::from(error))
}
