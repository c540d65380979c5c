//! What the application itself does to a name, beneath the root's handle.

use std::fs::File;
use std::path::Path;

use cap_std::fs::{self as cap_fs, Dir, OpenOptionsExt};
use rustix::io::Errno;

use super::super::StorageError;
use super::resolve::{NO_WAIT, io_error, regular, sync, unreachable};
use super::temporary::UPLOADS;
use crate::request::MediaPath;

/// How [`LocalStorage::edit`](super::LocalStorage::edit) opens a file. It is always opened for writing.
#[derive(Debug, Clone, Copy, Default)]
#[expect(clippy::struct_excessive_bools, reason = "they are the flags of open(2), and each goes with each")]
pub struct OpenOptions {
    /// For reading, too.
    pub read: bool,
    /// Every write goes to the end.
    pub append: bool,
    /// What is in it goes first.
    pub truncate: bool,
    /// It is made if it is not there.
    pub create: bool,
    /// It is made, and is an error if it is there.
    pub create_new: bool,
}

pub(super) fn edit(root: &Dir, path: &MediaPath, edit: OpenOptions, mode: u32) -> Result<File, StorageError> {
    let mut options = cap_fs::OpenOptions::new();
    options.read(edit.read).append(edit.append).write(!edit.append);
    options.create(edit.create).create_new(edit.create_new).mode(mode);
    options.custom_flags(NO_WAIT.bits().cast_signed());
    let opened = root.open_with(path.as_str(), &options);
    let file = opened.map_err(|error| match error.kind() {
        std::io::ErrorKind::AlreadyExists => io_error("making the file")(error),
        _ => unreachable(error),
    })?;
    let file = regular(file.into_std())?;
    if edit.truncate {
        // Only now is it known to be a regular file.
        file.set_len(0).map_err(io_error("emptying the file"))?;
    }
    Ok(file)
}

pub(super) fn remove_folder(root: &Dir, path: &MediaPath, durable: bool) -> Result<(), StorageError> {
    let parent = super::resolve::open_folder(root, path.parent().as_ref())?;
    parent.remove_dir(path.file_name()).map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unreachable(error),
        _ => io_error("removing the folder")(error),
    })?;
    if durable { sync(&parent) } else { Ok(()) }
}

pub(super) fn remove(root: &Dir, name: &Path, durable: bool) -> Result<(), StorageError> {
    let missing = || StorageError::not_found_as("no such name", Errno::NOENT);
    // What an upload is writing to is not the application's to remove.
    if name.components().any(|part| part.as_os_str() == UPLOADS) {
        return Err(missing());
    }
    let last = name.file_name().ok_or_else(missing)?;
    let folder = match name.parent().filter(|folder| !folder.as_os_str().is_empty()) {
        Some(folder) => root.open_dir(folder).map_err(unreachable)?,
        None => root.try_clone().map_err(io_error("opening the root"))?,
    };
    let is_folder = folder.symlink_metadata(last).map_err(unreachable)?.is_dir();
    let removed = if is_folder { folder.remove_dir(last) } else { folder.remove_file(last) };
    removed.map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound => unreachable(error),
        _ => io_error("removing the name")(error),
    })?;
    if durable { sync(&folder) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use cap_std::ambient_authority;
    use rustix::fs::{CWD, FileType, Mode, mknodat};

    use super::*;

    #[test]
    fn nothing_outside_is_changed() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "kept").unwrap();
        std::fs::create_dir(outside.path().join("empty")).unwrap();
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), folder.path().join("link")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("new"), folder.path().join("dangling")).unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let all = OpenOptions { read: true, truncate: true, create: true, ..OpenOptions::default() };
        for name in ["out/file", "link", "out/new", "dangling"] {
            let path = MediaPath::new(name).unwrap();
            assert!(matches!(edit(&root, &path, all, 0o600), Err(StorageError::NotFound { .. })), "{name}");
        }
        assert!(remove_folder(&root, &MediaPath::new("out/empty").unwrap(), true).is_err());
        assert!(remove_folder(&root, &MediaPath::new("out").unwrap(), true).is_err());
        assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"kept");
        assert!(outside.path().join("empty").exists() && !outside.path().join("new").exists());
    }

    #[test]
    fn any_name_is_removed_and_none_outside() {
        let folder = tempfile::tempdir().unwrap();
        let outside = tempfile::tempdir().unwrap();
        std::fs::write(outside.path().join("file"), "kept").unwrap();
        for made in [".private-media-uploads", "full", "empty", ".git"] {
            std::fs::create_dir(folder.path().join(made)).unwrap();
        }
        for made in [".private-media-uploads/half", "full/file", ".hidden", ".git/config", "a\\b", "a\nb"] {
            std::fs::write(folder.path().join(made), "old").unwrap();
        }
        std::os::unix::fs::symlink(outside.path(), folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink(outside.path().join("file"), folder.path().join("link")).unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        for name in [".hidden", ".git/config", ".git", "a\\b", "a\nb", "link", "full/file", "full", "empty"] {
            assert!(remove(&root, Path::new(name), true).is_ok(), "{name:?}");
            assert!(std::fs::symlink_metadata(folder.path().join(name)).is_err(), "{name:?} is gone");
        }
        let half = ".private-media-uploads/half";
        for name in [
            "",
            ".",
            "..",
            "none",
            "out/file",
            half,
            "./.private-media-uploads/half",
            ".private-media-uploads",
        ] {
            let removed = remove(&root, Path::new(name), true);
            assert!(matches!(removed, Err(StorageError::NotFound { .. })), "{name:?}: {removed:?}");
        }
        assert!(folder.path().join(".private-media-uploads/half").exists());
        assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"kept");
    }

    #[test]
    fn folders_have_metadata_and_what_leads_out_has_none() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::create_dir(folder.path().join("cars")).unwrap();
        std::fs::write(folder.path().join("cars/.a"), "four").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", folder.path().join("out")).unwrap();
        std::os::unix::fs::symlink("cars", folder.path().join("in")).unwrap();
        let pipe = folder.path().join("pipe");
        mknodat(CWD, &pipe, FileType::Fifo, Mode::RUSR, 0).unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let stat = |name: &str| super::super::resolve::stat(&root, Path::new(name));
        assert!(
            stat(".").unwrap().is_dir() && stat("cars").unwrap().is_dir() && stat("in").unwrap().is_dir()
        );
        assert_eq!(stat("cars/.a").unwrap().len(), 4);
        for name in ["none", "out", "pipe", "cars/.a/b", "../x", "/etc/passwd"] {
            assert!(matches!(stat(name), Err(StorageError::NotFound { .. })), "{name}: {:?}", stat(name));
        }
    }

    #[test]
    fn as_open_does() {
        let folder = tempfile::tempdir().unwrap();
        let root = Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap();
        let path = MediaPath::new("a.txt").unwrap();
        let found = |how: OpenOptions| edit(&root, &path, how, 0o600);
        assert!(matches!(found(OpenOptions::default()), Err(StorageError::NotFound { .. })));
        found(OpenOptions { create_new: true, ..OpenOptions::default() }).unwrap().write_all(b"one").unwrap();
        assert!(matches!(
            found(OpenOptions { create_new: true, ..OpenOptions::default() }),
            Err(StorageError::Io { source, .. }) if source.kind() == std::io::ErrorKind::AlreadyExists
        ));
        found(OpenOptions { append: true, ..OpenOptions::default() }).unwrap().write_all(b" two").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"one two");
        found(OpenOptions { truncate: true, ..OpenOptions::default() }).unwrap().write_all(b"3").unwrap();
        assert_eq!(std::fs::read(folder.path().join("a.txt")).unwrap(), b"3");
    }
}
