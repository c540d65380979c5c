//! Removes files and folders that the doctor created, and no others: another user may have replaced them.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;

use cap_std::fs::Dir;
use private_media::MediaPath;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, Stat};
use rustix::io::Errno;

use super::canary;

/// How much of a file is compared with a canary, in bytes. Canaries are shorter.
const MAX_CANARY: u64 = 256;

/// Removes a file if name, content and number of names are those of a canary of this run.
///
/// Another user who replaces the file after the check could have deleted it as well.
pub(super) fn remove_canary(root: &Dir, nonce: &str, path: &MediaPath) -> io::Result<()> {
    let parent = open_parent(root, path)?;
    let file = open_regular(&parent, path.file_name())?;
    let mut content = Vec::new();
    (&file).take(MAX_CANARY).read_to_end(&mut content)?;
    if file.metadata()?.nlink() != 1 || !canary::is_canary(nonce, path.file_name(), &content) {
        return Ok(());
    }
    unlink_same(&parent, path.file_name(), &file)
}

/// Removes a folder if it is empty and has the inode of the folder that was created.
pub(super) fn remove_folder(root: &Dir, inode: u64, path: &MediaPath) -> io::Result<()> {
    let parent = open_parent(root, path)?;
    let found = rustix::fs::statat(&parent, path.file_name(), AtFlags::SYMLINK_NOFOLLOW)?;
    let device = rustix::fs::statat(root, ".", AtFlags::empty())?.st_dev;
    if kind(&found) != FileType::Directory || (found.st_dev, found.st_ino) != (device, inode) {
        return Ok(());
    }
    match rustix::fs::unlinkat(&parent, path.file_name(), AtFlags::REMOVEDIR) {
        Err(Errno::NOTEMPTY | Errno::EXIST) => Ok(()),
        result => Ok(result?),
    }
}

/// Opens the folder of a path.
pub(super) fn open_parent(root: &Dir, path: &MediaPath) -> io::Result<Dir> {
    root.open_dir(path.parent().as_ref().map_or(".", MediaPath::as_str))
}

/// Opens a regular file for reading. Links, devices and FIFOs are not found.
pub(super) fn open_regular(folder: &Dir, name: &str) -> io::Result<File> {
    let not_regular = || io::Error::from(io::ErrorKind::NotFound);
    let found = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
    if kind(&found) != FileType::RegularFile {
        return Err(not_regular());
    }
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let file = File::from(rustix::fs::openat(folder, name, flags, Mode::empty())?);
    // The name may belong to another file by now.
    if file.metadata()?.is_file() { Ok(file) } else { Err(not_regular()) }
}

/// Removes a name if it still belongs to this file.
pub(super) fn unlink_same(folder: &Dir, name: &str, file: &File) -> io::Result<()> {
    let (found, opened) =
        (rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?, rustix::fs::fstat(file)?);
    if (found.st_dev, found.st_ino) == (opened.st_dev, opened.st_ino) {
        rustix::fs::unlinkat(folder, name, AtFlags::empty())?;
    }
    Ok(())
}

fn kind(found: &Stat) -> FileType {
    FileType::from_raw_mode(found.st_mode)
}
