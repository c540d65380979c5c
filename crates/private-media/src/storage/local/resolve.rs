//! Opens files and folders below the root, and follows links only if the storage is configured to.

use std::ffi::OsStr;
use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::FileTypeExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use cap_std::fs::{Dir, OpenOptions, OpenOptionsExt};
use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::super::StorageError;
use super::error::io_error;
use super::root::OpenRoot;
use crate::request::MediaPath;

/// Neither waits for the other end of a FIFO nor acquires a controlling terminal.
pub(super) const NO_WAIT: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

const READ: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(NO_WAIT);

/// Opens a file for its metadata, without read permission.
#[cfg(target_os = "linux")]
const STAT: OFlags = OFlags::PATH.union(OFlags::CLOEXEC);
#[cfg(not(target_os = "linux"))]
const STAT: OFlags = READ;

/// Opens a folder for lookups.
const FOLDER: OFlags = STAT.union(OFlags::DIRECTORY);

/// Opens files and folders below a root.
#[derive(Debug, Clone)]
pub(super) struct Resolver {
    root: Arc<OpenRoot>,
    follow_links: bool,
}

impl Resolver {
    pub(super) fn new(root: Arc<OpenRoot>, follow_links: bool) -> Self {
        Self { root, follow_links }
    }

    pub(super) fn root(&self) -> &Arc<OpenRoot> {
        &self.root
    }

    pub(super) fn dir(&self) -> &Arc<Dir> {
        &self.root.dir
    }

    pub(super) fn follows_links(&self) -> bool {
        self.follow_links
    }

    /// Opens a regular file if the kernel can do so without the disk; `None` if that may need the disk.
    #[cfg(target_os = "linux")]
    pub(super) fn open_cached(&self, path: &MediaPath) -> Option<Result<Opened, StorageError>> {
        match self.openat2(path.as_str().as_ref(), READ, rustix::fs::ResolveFlags::CACHED) {
            Ok(file) => Some(regular(file)),
            // Only these errors are final. For the others, the file is opened again on the blocking pool: for EINVAL of an older kernel,
            // and for ELOOP, because finding the link for the error message takes further lookups.
            Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::ACCESS)) => {
                Some(Err(unreachable(error.into())))
            }
            Err(_) => None,
        }
    }

    /// Other kernels cannot open a file only if it is cached.
    #[cfg(not(target_os = "linux"))]
    pub(super) fn open_cached(&self, _path: &MediaPath) -> Option<Result<Opened, StorageError>> {
        None
    }

    /// Opens a regular file. May wait for the disk.
    pub(super) fn open(&self, path: &MediaPath) -> Result<Opened, StorageError> {
        regular(self.open_name(path.as_str().as_ref(), READ)?)
    }

    /// Returns the metadata of a regular file or a folder, with any name. May wait for the disk.
    pub(super) fn stat(&self, name: &Path) -> Result<Metadata, StorageError> {
        let metadata = self.open_name(name, STAT)?.metadata().map_err(io_error(READING_METADATA))?;
        if metadata.is_file() || metadata.is_dir() {
            Ok(metadata)
        } else {
            Err(StorageError::not_found(kind(metadata.file_type())))
        }
    }

    /// Opens a folder for lookups. `None` is the root.
    pub(super) fn open_folder(&self, folder: Option<&MediaPath>) -> Result<Dir, StorageError> {
        self.open_folder_named(folder.map_or(".", MediaPath::as_str).as_ref())
    }

    /// Like [`Resolver::open_folder`], by any name.
    pub(super) fn open_folder_named(&self, name: &Path) -> Result<Dir, StorageError> {
        self.open_name(name, FOLDER).map(Dir::from_std_file)
    }

    fn open_name(&self, name: &Path, flags: OFlags) -> Result<File, StorageError> {
        self.try_open(name, flags).map_err(|error| self.refused(name, error))
    }

    fn try_open(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        #[cfg(target_os = "linux")]
        match self.openat2(name, flags, rustix::fs::ResolveFlags::empty()) {
            // The kernel lacks the call (ENOSYS), a sandbox forbids it (EPERM), or it races with renames (EAGAIN).
            Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
            result => return Ok(result?),
        }
        if self.follow_links {
            self.open_by_cap_std(name, flags)
        } else {
            self.open_by_components(name, flags)
        }
    }

    #[cfg(target_os = "linux")]
    fn openat2(&self, name: &Path, flags: OFlags, more: rustix::fs::ResolveFlags) -> Result<File, Errno> {
        use rustix::fs::{ResolveFlags, openat2};

        // If a link contains `..`, any concurrent rename on the machine makes the kernel return EAGAIN.
        const TRIES: usize = 16;
        let links = if self.follow_links { ResolveFlags::empty() } else { ResolveFlags::NO_SYMLINKS };
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | links | more;
        let tries = if more.contains(ResolveFlags::CACHED) { 1 } else { TRIES };
        let mut result = Err(Errno::AGAIN);
        for _ in 0..tries {
            result = openat2(self.dir(), name, flags, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result.map(File::from)
    }

    /// Follows links below the root without openat2, with cap-std.
    fn open_by_cap_std(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        let dir = self.dir();
        if flags.contains(OFlags::DIRECTORY) {
            return dir.open_dir(name).map(Dir::into_std_file);
        }
        if flags == STAT
            && let Ok(folder) = dir.open_dir(name)
        {
            return Ok(folder.into_std_file());
        }
        let mut options = OpenOptions::new();
        options.read(true).custom_flags(NO_WAIT.bits().cast_signed());
        dir.open_with(name, &options).map(cap_std::fs::File::into_std)
    }

    /// Opens one component after the other without openat2, and follows no link.
    fn open_by_components(&self, name: &Path, flags: OFlags) -> io::Result<File> {
        let mut opened: Vec<OwnedFd> = Vec::new();
        let needs_folder = name.as_os_str().as_bytes().ends_with(b"/");
        let flags = if needs_folder { flags | OFlags::DIRECTORY } else { flags };
        let mut components = name.components().peekable();
        while let Some(component) = components.next() {
            let folder = opened.last().map_or(self.dir().as_fd(), AsFd::as_fd);
            match component {
                Component::Normal(name) => {
                    let flags = if components.peek().is_some() { FOLDER } else { flags };
                    opened.push(open_no_link(folder, name, flags)?);
                }
                Component::CurDir => {}
                Component::ParentDir if opened.pop().is_some() => {}
                _ => return Err(Errno::XDEV.into()),
            }
        }
        let opened = match opened.pop() {
            Some(opened) => opened,
            None => rustix::fs::openat(self.dir(), ".", flags, Mode::empty())?,
        };
        Ok(File::from(opened))
    }

    /// Returns the error for a name that could not be opened. If a link is the reason, the error contains it.
    pub(super) fn refused(&self, name: &Path, error: io::Error) -> StorageError {
        // Without openat2, the error for a link in place of a folder is ENOTDIR.
        let may_be_link = matches!(Errno::from_io_error(&error), Some(Errno::LOOP | Errno::NOTDIR));
        if may_be_link
            && !self.follow_links
            && let Some(link) = self.first_link(name)
        {
            return link_refused(&link);
        }
        unreachable(error)
    }

    /// Returns the first link in a path.
    fn first_link(&self, name: &Path) -> Option<PathBuf> {
        let mut walked = PathBuf::new();
        for component in name.components() {
            match component {
                Component::Normal(name) => walked.push(name),
                Component::CurDir => continue,
                _ => return None,
            }
            if is_link(self.dir(), &walked) {
                return Some(walked);
            }
        }
        None
    }
}

#[cfg(test)]
impl Resolver {
    pub(super) fn for_test(root: &Path, follow_links: bool) -> Self {
        Self::new(OpenRoot::for_test(root), follow_links)
    }
}

/// Opens an entry of a folder. A link is an error.
fn open_no_link(folder: impl AsFd, name: &OsStr, flags: OFlags) -> Result<OwnedFd, Errno> {
    let opened = rustix::fs::openat(folder, name, flags | OFlags::NOFOLLOW, Mode::empty())?;
    // O_PATH opens the link itself.
    let is_link = flags == STAT && is_symlink(&rustix::fs::fstat(&opened)?);
    if is_link { Err(Errno::LOOP) } else { Ok(opened) }
}

/// Returns whether a name below a folder is a symbolic link.
pub(super) fn is_link(folder: impl AsFd, name: impl rustix::path::Arg) -> bool {
    rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok_and(|found| is_symlink(&found))
}

fn is_symlink(found: &rustix::fs::Stat) -> bool {
    rustix::fs::FileType::from_raw_mode(found.st_mode).is_symlink()
}

/// Returns the error for a link that is not followed.
pub(super) fn link_refused(link: &Path) -> StorageError {
    let reason = format!("{} is a symbolic link, and storage.follow_links is off", link.display());
    StorageError::not_found(reason)
}

const READING_METADATA: &str = "reading the file's metadata";

/// An open regular file, with the metadata of its handle.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) file: File,
    pub(super) metadata: Metadata,
}

/// Returns the file if it is a regular one.
pub(super) fn regular(file: File) -> Result<Opened, StorageError> {
    let metadata = file.metadata().map_err(io_error(READING_METADATA))?;
    match kind(metadata.file_type()) {
        _ if metadata.is_file() => Ok(Opened { file, metadata }),
        kind if metadata.is_dir() => Err(StorageError::not_found_as(kind, Errno::ISDIR)),
        kind => Err(StorageError::not_found(kind)),
    }
}

/// Describes a file that is not regular.
fn kind(found: FileType) -> &'static str {
    match found {
        _ if found.is_dir() => "a folder, not a file",
        _ if found.is_fifo() => "a FIFO, not a file",
        _ if found.is_socket() => "a socket, not a file",
        _ if found.is_block_device() || found.is_char_device() => "a device, not a file",
        _ => "not a regular file",
    }
}

/// Converts the error of a lookup to [`StorageError::NotFound`], or a failure of the system to [`StorageError::Io`].
pub(super) fn unreachable(error: io::Error) -> StorageError {
    let errno = Errno::from_io_error(&error);
    match errno {
        Some(Errno::NFILE | Errno::MFILE | Errno::IO | Errno::NOMEM | Errno::STALE | Errno::AGAIN) => {
            io_error("opening below the root")(error)
        }
        Some(
            Errno::NOENT
            | Errno::NOTDIR
            | Errno::LOOP
            | Errno::XDEV
            | Errno::ACCESS
            | Errno::PERM
            | Errno::NAMETOOLONG
            | Errno::NXIO
            | Errno::NODEV
            | Errno::INVAL
            | Errno::ISDIR,
        ) => StorageError::not_found_as(error.to_string(), error),
        // cap-std's error for a path that leads out of the root has no errno.
        None if error.kind() == io::ErrorKind::PermissionDenied => StorageError::not_found(error),
        _ => io_error("opening below the root")(error),
    }
}

#[cfg(test)]
mod tests {
    use rustix::fs::{CWD, mknodat};

    use super::*;

    #[test]
    fn only_failures_of_the_system_are_errors() {
        for (errno, is_fault) in [
            (Errno::NOENT, false),
            (Errno::NOTDIR, false),
            (Errno::LOOP, false),
            (Errno::XDEV, false),
            (Errno::ACCESS, false),
            (Errno::PERM, false),
            (Errno::NAMETOOLONG, false),
            (Errno::NXIO, false),
            (Errno::MFILE, true),
            (Errno::NFILE, true),
            (Errno::IO, true),
            (Errno::NOMEM, true),
        ] {
            let error = unreachable(errno.into());
            assert_eq!(matches!(error, StorageError::Io { .. }), is_fault, "{errno}: {error:?}");
            assert_eq!(matches!(error, StorageError::NotFound { .. }), !is_fault, "{errno}: {error:?}");
        }
        for errno in [Errno::NOSPC, Errno::DQUOT] {
            assert!(matches!(io_error("")(errno.into()), StorageError::Full), "{errno}");
        }
    }

    #[test]
    fn files_and_folders_with_any_name_have_metadata() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cars")).unwrap();
        std::fs::write(folder.path().join("cars/.a"), "four").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("cars", folder.path().join("in")).unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        for follow_links in [false, true] {
            let resolver = Resolver::for_test(folder.path(), follow_links);
            // With openat2 if available, and without.
            let open_name = |name: &Path| {
                if follow_links {
                    resolver.open_by_cap_std(name, STAT)
                } else {
                    resolver.open_by_components(name, STAT)
                }
            };
            let is_folder = |name: &str| {
                let found = resolver.stat(name.as_ref()).map(|found| found.is_dir());
                let opened = open_name(name.as_ref()).and_then(|file| file.metadata());
                let opened = opened.ok().filter(|found| found.is_dir() || found.is_file());
                assert_eq!(opened.map(|found| found.is_dir()), found.as_ref().ok().copied(), "{name}");
                found
            };
            assert_eq!(resolver.stat("cars/.a".as_ref()).unwrap().len(), 4);
            for (name, expected) in [
                (".", Some(true)),
                ("cars", Some(true)),
                ("cars/", Some(true)),
                ("./cars/../cars/.", Some(true)),
                ("cars/..", Some(true)),
                ("cars/.a", Some(false)),
                ("in", follow_links.then_some(true)),
                ("in/.a", follow_links.then_some(false)),
                ("none", None),
                ("out", None),
                ("pipe", None),
                ("cars/.a/", None),
                ("cars/.a/b", None),
                ("cars/.a/..", None),
                ("cars/../..", None),
                ("../x", None),
                ("/etc/passwd", None),
            ] {
                let found = is_folder(name);
                assert_eq!(found.as_ref().ok().copied(), expected, "{name}: {found:?}");
                assert!(matches!(found, Ok(_) | Err(StorageError::NotFound { .. })), "{name}: {found:?}");
            }
        }
    }
}
