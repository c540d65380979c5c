//! Lists and creates folders, and removes entries.

use std::io;
use std::path::Path;

use cap_std::fs::{Dir, DirEntry};
use rustix::fs::Mode;
use rustix::io::Errno;

use super::super::{Entry, StorageError};
use super::error::io_error;
use super::resolve::{Resolver, is_link, link_refused, unreachable};
use super::root::READ_FOLDER;
use super::temporary::UPLOADS;
use super::write_options::WriteOptions;
use crate::request::MediaPath;

/// Deletes a file, or a link (not its target) if links are followed.
pub(super) fn delete(resolver: &Resolver, path: &MediaPath, durable: bool) -> Result<(), StorageError> {
    let folder = resolver.open_folder(path.parent().as_ref())?;
    let name = path.file_name();
    let found = folder.symlink_metadata(name).map_err(unreachable)?;
    if found.is_dir() {
        return Err(StorageError::not_found_as("a folder, not a file", Errno::ISDIR));
    }
    if found.is_symlink() && !resolver.follows_links() {
        return Err(link_refused(path.as_str().as_ref()));
    }
    folder.remove_file(name).map_err(unreachable)?;
    if durable { sync(&folder) } else { Ok(()) }
}

/// Returns the files and folders in a folder that can be served, sorted by name.
pub(super) fn list(resolver: &Resolver, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
    let reading = io_error("reading the folder");
    let mut entries = Vec::new();
    for found in resolver.open_folder(folder)?.entries().map_err(&reading)? {
        let found = found.map_err(&reading)?;
        let name = found.file_name();
        let Some(name) = name.to_str() else { continue };
        let path = match folder {
            Some(folder) => MediaPath::new(&format!("{folder}/{name}")),
            None => MediaPath::new(name),
        };
        let Ok(path) = path else { continue };
        if let Some(is_folder) = is_folder(resolver, &found, &path)? {
            entries.push(Entry { path, is_folder });
        }
    }
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(entries)
}

/// Returns whether an entry is a folder or, if `false`, a regular file; `None` if it cannot be served.
fn is_folder(resolver: &Resolver, entry: &DirEntry, path: &MediaPath) -> Result<Option<bool>, StorageError> {
    let kind = entry.file_type().map_err(io_error("reading the folder"))?;
    if kind.is_file() || kind.is_dir() {
        return Ok(Some(kind.is_dir()));
    }
    // The entry is a link, or the file system does not report types.
    Ok(resolver.stat(path.as_str().as_ref()).ok().map(|found| found.is_dir()))
}

const CREATING: &str = "creating the folder";

/// Opens a folder, and creates it and its parents if they are missing. The paths of new folders are added to `created`, parents first.
///
/// Each new folder is durable before anything is stored in it, because another save may use it first.
pub(super) fn create(
    resolver: &Resolver,
    folder: Option<&MediaPath>,
    options: WriteOptions,
    created: &mut Vec<MediaPath>,
) -> Result<Dir, StorageError> {
    match resolver.open_folder(folder) {
        Err(StorageError::NotFound { source: Some(error), .. })
            if error.kind() == io::ErrorKind::NotFound => {}
        Err(StorageError::NotFound { source: Some(error), .. }) => return Err(io_error(CREATING)(error)),
        result => return result,
    }
    let failed = |error: Errno| io_error(CREATING)(error.into());
    let paths: Vec<MediaPath> = std::iter::successors(folder.cloned(), MediaPath::parent).collect();
    let mut opened = resolver.open_folder(None)?;
    for path in paths.iter().rev() {
        let parent = opened;
        match rustix::fs::mkdirat(&parent, path.file_name(), Mode::from_raw_mode(options.dir_mode)) {
            // It exists, or another save has created it meanwhile. If it is not a folder, opening it fails.
            Err(Errno::EXIST) => opened = resolver.open_folder(Some(path))?,
            Err(error) => return Err(failed(error)),
            Ok(()) => {
                created.push(path.clone());
                opened = resolver.open_folder(Some(path))?;
                if options.exact_dir_mode {
                    rustix::fs::openat(&opened, ".", READ_FOLDER, Mode::empty())
                        .and_then(|folder| rustix::fs::fchmod(folder, Mode::from_raw_mode(options.dir_mode)))
                        .map_err(failed)?;
                }
                if options.durable {
                    sync(&parent)?;
                }
            }
        }
    }
    Ok(opened)
}

/// Removes an empty folder.
pub(super) fn remove_folder(
    resolver: &Resolver,
    path: &MediaPath,
    durable: bool,
) -> Result<(), StorageError> {
    let parent = resolver.open_folder(path.parent().as_ref())?;
    if !resolver.follows_links() && is_link(&parent, path.file_name()) {
        return Err(link_refused(path.as_str().as_ref()));
    }
    parent.remove_dir(path.file_name()).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unreachable(error),
        _ => io_error("removing the folder")(error),
    })?;
    if durable { sync(&parent) } else { Ok(()) }
}

/// Removes a file, an empty folder or a link (not its target), by any name. If links are not followed, none of its parents is a link.
pub(super) fn remove(resolver: &Resolver, name: &Path, durable: bool) -> Result<(), StorageError> {
    let missing = || StorageError::not_found_as("no such file or folder", Errno::NOENT);
    // The temporary files of running saves are in this folder.
    if name.components().any(|part| part.as_os_str() == UPLOADS) {
        return Err(missing());
    }
    let last = name.file_name().ok_or_else(missing)?;
    let folder = name.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = resolver.open_folder_named(folder.unwrap_or(Path::new(".")))?;
    let is_folder = folder.symlink_metadata(last).map_err(unreachable)?.is_dir();
    let removed = if is_folder { folder.remove_dir(last) } else { folder.remove_file(last) };
    removed.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => unreachable(error),
        _ => io_error("removing the entry")(error),
    })?;
    if durable { sync(&folder) } else { Ok(()) }
}

/// Makes the entries of a folder durable.
pub(super) fn sync(folder: &Dir) -> Result<(), StorageError> {
    rustix::fs::openat(folder, ".", READ_FOLDER, Mode::empty())
        .and_then(rustix::fs::fsync)
        .map_err(|error| io_error("syncing the folder")(error.into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn entries_with_any_name_are_removed_but_none_outside() {
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
        let resolver = Resolver::for_test(folder.path(), true);
        for name in [".hidden", ".git/config", ".git", "a\\b", "a\nb", "link", "full/file", "full", "empty"] {
            assert!(remove(&resolver, Path::new(name), true).is_ok(), "{name:?}");
            assert!(std::fs::symlink_metadata(folder.path().join(name)).is_err(), "{name:?} was removed");
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
            let removed = remove(&resolver, Path::new(name), true);
            assert!(matches!(removed, Err(StorageError::NotFound { .. })), "{name:?}: {removed:?}");
        }
        assert!(folder.path().join(".private-media-uploads/half").exists());
        assert_eq!(std::fs::read(outside.path().join("file")).unwrap(), b"kept");
    }
}
