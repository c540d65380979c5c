//! Folders, compared by device and inode: neither spelling nor links deceive.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Component, Path, PathBuf};

/// Returns a folder's absolute path. Symbolic links in it stay; `..` is resolved by the kernel.
pub(crate) fn absolute(path: &Path) -> io::Result<PathBuf> {
    let absolute = std::path::absolute(path)?.components().collect::<PathBuf>();
    if absolute.components().any(|part| part == Component::ParentDir) {
        let folder = File::open(&absolute)?;
        return std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd()));
    }
    Ok(absolute)
}

/// Returns the folder that holds a file.
pub(crate) fn parent(file: &Path) -> &Path {
    file.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."))
}

/// Returns whether a path is inside a folder. A path that does not exist is inside none.
pub(crate) fn is_inside(path: &Path, folder: &Path) -> bool {
    let is_folder = dev_ino(path).is_ok_and(|id| id.is_some());
    let Ok(Some(folder)) = dev_ino(folder) else { return false };
    ancestors(if is_folder { path } else { parent(path) }).any(|id| id == folder)
}

/// Returns a folder's device and inode; `None` if the path is no folder.
pub(crate) fn dev_ino(path: &Path) -> io::Result<Option<(u64, u64)>> {
    let metadata = std::fs::metadata(path)?;
    Ok(metadata.is_dir().then(|| (metadata.dev(), metadata.ino())))
}

/// Returns a folder and its ancestors up to `/`. The kernel resolves each `..`.
pub(crate) fn ancestors(folder: &Path) -> impl Iterator<Item = (u64, u64)> {
    let mut path = folder.to_path_buf();
    let mut last = None;
    std::iter::from_fn(move || {
        let id = dev_ino(&path).ok().flatten().filter(|id| Some(*id) != last)?;
        last = Some(id);
        path.push("..");
        Some(id)
    })
}
