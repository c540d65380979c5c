//! Whatever is reached by name: beneath the root's handle, or not at all.

use std::fs::{File, FileType, Metadata};
use std::io;
use std::os::unix::fs::FileTypeExt as _;
use std::path::Path;

use cap_std::fs::{Dir, DirBuilder, DirBuilderExt, OpenOptions, OpenOptionsExt};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::super::{Entry, StorageError};
use super::How;
use crate::request::MediaPath;

/// Never waits for the other end of a FIFO, and never takes a terminal for its own.
pub(super) const NO_WAIT: OFlags = OFlags::NONBLOCK.union(OFlags::NOCTTY);

/// cap-std's handles are good for lookups only (`O_PATH`); so opened, `.` is the same folder, whatever its name is now.
pub(super) const OPEN_FOLDER: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::CLOEXEC);

/// Opens a regular file if that takes no disk; `None` means that it might.
#[cfg(target_os = "linux")]
pub(super) fn open_cached(root: &Dir, path: &MediaPath) -> Option<Result<File, StorageError>> {
    match linux::open(root, path, rustix::fs::ResolveFlags::CACHED) {
        Ok(file) => Some(regular(file)),
        // Only these are final. All else, an older kernel's EINVAL too, is asked again where it may wait.
        Err(error @ (Errno::NOENT | Errno::NOTDIR | Errno::XDEV | Errno::LOOP | Errno::ACCESS)) => {
            Some(Err(unreachable(error.into())))
        }
        Err(_) => None,
    }
}

/// Elsewhere the kernel cannot say.
#[cfg(not(target_os = "linux"))]
pub(super) fn open_cached(_root: &Dir, _path: &MediaPath) -> Option<Result<File, StorageError>> {
    None
}

/// Opens a regular file; may wait for the disk.
pub(super) fn open(root: &Dir, path: &MediaPath) -> Result<File, StorageError> {
    #[cfg(target_os = "linux")]
    match linux::open(root, path, rustix::fs::ResolveFlags::empty()) {
        Ok(file) => return regular(file),
        // No such call (ENOSYS, or EPERM by seccomp), or renames all around: it is left to cap-std, for this one open.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
        Err(error) => return Err(unreachable(error.into())),
    }
    open_by_components(root, path)
}

/// The same where the kernel has no such call: cap-std walks component by component and follows links itself.
fn open_by_components(root: &Dir, path: &MediaPath) -> Result<File, StorageError> {
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(NO_WAIT.bits().cast_signed());
    let file = root.open_with(path.as_str(), &options).map_err(unreachable)?;
    regular(file.into_std())
}

/// Returns the metadata of a regular file or a folder of any name, hidden ones too; may wait for the disk.
pub(super) fn stat(root: &Dir, name: &Path) -> Result<Metadata, StorageError> {
    #[cfg(target_os = "linux")]
    match linux::open_flags(root, name, OFlags::PATH | OFlags::CLOEXEC, rustix::fs::ResolveFlags::empty()) {
        Ok(file) => return metadata_of_a_name(&file),
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN) => {}
        Err(error) => return Err(unreachable(error.into())),
    }
    // Without openat2 a name is opened for reading: a folder as a folder, all else without waiting for a FIFO.
    if let Ok(folder) = root.open_dir(name) {
        return metadata_of_a_name(&folder.into_std_file());
    }
    let mut options = OpenOptions::new();
    options.read(true).custom_flags(NO_WAIT.bits().cast_signed());
    metadata_of_a_name(&root.open_with(name, &options).map_err(unreachable)?.into_std())
}

fn metadata_of_a_name(file: &File) -> Result<Metadata, StorageError> {
    let metadata = file.metadata().map_err(io_error(ASKING))?;
    if metadata.is_file() || metadata.is_dir() {
        Ok(metadata)
    } else {
        Err(StorageError::not_found(kind(metadata.file_type())))
    }
}

const ASKING: &str = "asking for the file's metadata";

#[cfg(target_os = "linux")]
mod linux {
    use rustix::fs::{ResolveFlags, openat2};

    use super::{Dir, Errno, File, MediaPath, Mode, NO_WAIT, OFlags, Path};

    pub(super) fn open(root: &Dir, path: &MediaPath, more: ResolveFlags) -> Result<File, Errno> {
        open_flags(root, path.as_str().as_ref(), OFlags::RDONLY | OFlags::CLOEXEC | NO_WAIT, more)
    }

    pub(super) fn open_flags(
        root: &Dir,
        name: &Path,
        flags: OFlags,
        more: ResolveFlags,
    ) -> Result<File, Errno> {
        // Where a link leads over `..`, any rename on the machine makes the kernel say EAGAIN.
        const TRIES: usize = 16;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS | more;
        let tries = if more.contains(ResolveFlags::CACHED) { 1 } else { TRIES };
        let mut result = Err(Errno::AGAIN);
        for _ in 0..tries {
            result = openat2(root, name, flags, Mode::empty(), resolve);
            if !matches!(result, Err(Errno::AGAIN | Errno::INTR)) {
                break;
            }
        }
        result.map(File::from)
    }
}

/// The handle says what was opened; the name is not asked again.
pub(super) fn regular(file: File) -> Result<File, StorageError> {
    let metadata = file.metadata().map_err(io_error(ASKING))?;
    match kind(metadata.file_type()) {
        _ if metadata.is_file() => Ok(file),
        kind if metadata.is_dir() => Err(StorageError::not_found_as(kind, Errno::ISDIR)),
        kind => Err(StorageError::not_found(kind)),
    }
}

/// What stands where a regular file was expected.
fn kind(found: FileType) -> &'static str {
    match found {
        _ if found.is_dir() => "it is a folder",
        _ if found.is_fifo() => "it is a FIFO",
        _ if found.is_socket() => "it is a socket",
        _ if found.is_block_device() || found.is_char_device() => "it is a device",
        _ => "it is not a regular file",
    }
}

/// Deletes a name, and not what it may link to.
pub(super) fn delete(root: &Dir, path: &MediaPath, durable: bool) -> Result<(), StorageError> {
    let folder = open_folder(root, path.parent().as_ref())?;
    let name = path.file_name();
    if folder.symlink_metadata(name).map_err(unreachable)?.is_dir() {
        return Err(StorageError::not_found_as("it is a folder", Errno::ISDIR));
    }
    folder.remove_file(name).map_err(unreachable)?;
    if durable { sync(&folder) } else { Ok(()) }
}

/// What can be served of a folder, sorted by name.
pub(super) fn list(root: &Dir, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
    let reading = io_error("reading the folder");
    let mut entries = Vec::new();
    for found in open_folder(root, folder)?.entries().map_err(&reading)? {
        let found = found.map_err(&reading)?;
        let name = found.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = match folder {
            Some(folder) => MediaPath::new(&format!("{folder}/{name}")),
            None => MediaPath::new(name),
        };
        let Ok(path) = path else { continue };
        let mut kind = found.file_type().map_err(&reading)?;
        if !kind.is_file() && !kind.is_dir() {
            // A link is judged by what it leads to beneath the root; the rest is what it is.
            let Ok(metadata) = root.metadata(path.as_str()) else { continue };
            kind = metadata.file_type();
        }
        if kind.is_file() || kind.is_dir() {
            entries.push(Entry { path, is_folder: kind.is_dir() });
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Opens a folder, the root itself if `None`.
pub(super) fn open_folder(root: &Dir, folder: Option<&MediaPath>) -> Result<Dir, StorageError> {
    root.open_dir(folder.map_or(".", MediaPath::as_str)).map_err(unreachable)
}

/// Opens a folder, and makes what is missing of it; `made` takes the paths of those that this call made, parents first.
///
/// Each new name is made durable at once, for whoever stores something below it before this save ends.
pub(super) fn make_folder(
    root: &Dir,
    folder: Option<&MediaPath>,
    how: How,
    made: &mut Vec<MediaPath>,
) -> Result<Dir, StorageError> {
    let making = io_error("making the folder");
    let Some(folder) = folder else { return root.try_clone().map_err(&making) };
    match root.open_dir(folder.as_str()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        result => return result.map_err(&making),
    }
    let mut builder = DirBuilder::new();
    builder.mode(how.dir_mode);
    let above: Vec<MediaPath> = std::iter::successors(Some(folder.clone()), MediaPath::parent).collect();
    for path in above.iter().rev() {
        match root.create_dir_with(path.as_str(), &builder) {
            Ok(()) => made.push(path.clone()),
            // It was there, or another save was faster. If it is no folder, the next step says so.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => continue,
            Err(error) => return Err(making(error)),
        }
        if how.exact_dir_mode {
            let made = open_folder(root, Some(path))?;
            rustix::fs::openat(&made, ".", OPEN_FOLDER, Mode::empty())
                .and_then(|made| rustix::fs::fchmod(made, Mode::from_raw_mode(how.dir_mode)))
                .map_err(|error| making(error.into()))?;
        }
        if how.durable {
            sync(&open_folder(root, path.parent().as_ref())?)?;
        }
    }
    root.open_dir(folder.as_str()).map_err(&making)
}

/// Makes the names in a folder durable.
pub(super) fn sync(folder: &Dir) -> Result<(), StorageError> {
    rustix::fs::openat(folder, ".", OPEN_FOLDER, Mode::empty())
        .and_then(rustix::fs::fsync)
        .map_err(|error| io_error("making the folder durable")(error.into()))
}

/// Why a name led to nothing that may be served; what is the machine's fault stays an error.
pub(super) fn unreachable(error: io::Error) -> StorageError {
    let errno = Errno::from_io_error(&error);
    match errno {
        Some(Errno::NFILE | Errno::MFILE | Errno::IO | Errno::NOMEM | Errno::STALE | Errno::AGAIN) => {
            io_error("opening beneath the root")(error)
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
        // cap-std's own refusal of a path that leads out has no number.
        None if error.kind() == io::ErrorKind::PermissionDenied => StorageError::not_found(error),
        _ => io_error("opening beneath the root")(error),
    }
}

/// Turns an error into [`StorageError::Full`] if it is one of space, else into [`StorageError::Io`].
pub(super) fn io_error(doing: &'static str) -> impl Fn(io::Error) -> StorageError {
    move |source| match Errno::from_io_error(&source) {
        Some(Errno::NOSPC | Errno::DQUOT) => StorageError::Full,
        _ => StorageError::Io { doing, source },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_and_what_the_machine_cannot() {
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
}
