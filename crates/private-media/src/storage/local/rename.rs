//! Moves files of one storage to another on the same file system.

use std::io;

use cap_std::fs::Dir;
use rustix::fs::AtFlags;
use rustix::io::Errno;

use super::super::StorageError;
use super::error::io_error;
use super::folder::sync;
use super::resolve::{Resolver, unreachable};
use super::save::CreatedFolders;
use super::write_options::WriteOptions;
use crate::request::MediaPath;

/// Moves a regular file to a free name. It is at one of both paths at any time, or for a moment at both.
pub(super) fn rename(
    to: Resolver,
    write: WriteOptions,
    path: &MediaPath,
    from: &Resolver,
    source: &MediaPath,
) -> Result<(), StorageError> {
    let source_folder = from.open_folder(source.parent().as_ref())?;
    let found = source_folder.symlink_metadata(source.file_name()).map_err(unreachable)?;
    if !found.is_file() {
        return Err(StorageError::not_found("not a regular file"));
    }
    let mut folders = CreatedFolders { resolver: to, paths: Vec::new() };
    let folder = folders.create(path, write)?;
    match rename_to_free(&source_folder, source.file_name(), &folder, path.file_name()) {
        Ok(()) => folders.paths.clear(),
        Err(Errno::EXIST) => return Err(StorageError::Exists),
        Err(error) => return Err(io_error("moving the file")(io::Error::from(error))),
    }
    if write.durable {
        sync(&folder)?;
        sync(&source_folder)?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn rename_to_free(from: &Dir, name: &str, to: &Dir, new: &str) -> Result<(), Errno> {
    match rustix::fs::renameat_with(from, name, to, new, rustix::fs::RenameFlags::NOREPLACE) {
        // The file system or the kernel cannot rename without replacing.
        Err(Errno::INVAL | Errno::NOSYS) => link_and_remove(from, name, to, new),
        result => result,
    }
}

#[cfg(not(target_os = "linux"))]
fn rename_to_free(from: &Dir, name: &str, to: &Dir, new: &str) -> Result<(), Errno> {
    link_and_remove(from, name, to, new)
}

fn link_and_remove(from: &Dir, name: &str, to: &Dir, new: &str) -> Result<(), Errno> {
    rustix::fs::linkat(from, name, to, new, AtFlags::empty())?;
    rustix::fs::unlinkat(from, name, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use crate::permission::Permit;
    use crate::request::MediaPath;
    use crate::storage::{LocalStorage, StorageError};

    use super::*;

    #[test]
    fn files_move_to_free_names_only() {
        let (public, private) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let put = |name: &str, text: &str| {
            std::fs::create_dir_all(public.path().join(name).parent().unwrap()).unwrap();
            std::fs::write(public.path().join(name), text).unwrap();
        };
        put("cars/7/photo.jpg", "photo");
        put("cars/7/taken.jpg", "new");
        std::os::unix::fs::symlink("photo.jpg", public.path().join("cars/7/link.jpg")).unwrap();
        std::fs::create_dir_all(private.path().join("cars/7")).unwrap();
        std::fs::write(private.path().join("cars/7/taken.jpg"), "old").unwrap();
        let (from, to) =
            (LocalStorage::open_root(&public).unwrap(), LocalStorage::open_root(&private).unwrap());
        let rename = |name: &str, new: &str| {
            let path = |name| MediaPath::new(name).unwrap();
            to.rename_from(&Permit::trusted(path(new)), &from, &Permit::trusted(path(name)))
        };
        rename("cars/7/photo.jpg", "cars/7/photo.jpg").unwrap();
        assert_eq!(std::fs::read(private.path().join("cars/7/photo.jpg")).unwrap(), b"photo");
        assert!(!public.path().join("cars/7/photo.jpg").exists());
        assert!(matches!(rename("cars/7/taken.jpg", "cars/7/taken.jpg"), Err(StorageError::Exists)));
        assert_eq!(std::fs::read(private.path().join("cars/7/taken.jpg")).unwrap(), b"old");
        for name in ["cars/7", "cars/7/link.jpg", "cars/7/none.jpg", "none/a.jpg"] {
            let renamed = rename(name, "new/folder/a.jpg");
            assert!(matches!(renamed, Err(StorageError::NotFound { .. })), "{name}: {renamed:?}");
        }
        assert!(!private.path().join("new").exists(), "a failed move leaves no folder");
        // Without RENAME_NOREPLACE.
        let dir = |folder: &tempfile::TempDir| {
            Dir::open_ambient_dir(folder.path(), cap_std::ambient_authority()).unwrap()
        };
        let (public_dir, private_dir) = (dir(&public), dir(&private));
        put("a", "a");
        assert_eq!(link_and_remove(&public_dir, "a", &private_dir, "a"), Ok(()));
        put("a", "b");
        assert_eq!(link_and_remove(&public_dir, "a", &private_dir, "a"), Err(Errno::EXIST));
        assert_eq!(std::fs::read(private.path().join("a")).unwrap(), b"a");
    }
}
