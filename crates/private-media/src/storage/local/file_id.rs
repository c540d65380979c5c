//! Identifies files and folders independently of their names.

use std::fmt;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{Stat, fstat, major, minor, stat};

/// The device and inode of a file or folder.
///
/// Inode numbers are reused after a file has neither names nor handles, so compare only with an open file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct FileId {
    device: rustix::fs::Dev,
    inode: u64,
}

impl FileId {
    /// Identifies the file at a path, following links. May wait for the disk.
    pub(super) fn at(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::from_stat(&stat(path.as_ref())?))
    }

    /// Identifies an open file.
    pub(super) fn of(file: impl AsFd) -> io::Result<Self> {
        Ok(Self::from_stat(&fstat(file)?))
    }

    /// Returns whether both are on the same device, and thus on the same file system.
    pub(super) fn is_on_device_of(&self, other: &Self) -> bool {
        self.device == other.device
    }

    #[cfg(test)]
    pub(super) fn for_test(device: rustix::fs::Dev, inode: u64) -> Self {
        Self { device, inode }
    }

    pub(super) fn from_stat(found: &Stat) -> Self {
        Self { device: found.st_dev, inode: found.st_ino }
    }
}

impl fmt::Display for FileId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "inode {} on device {}:{}", self.inode, major(self.device), minor(self.device))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_replaced_file_has_another_id() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.db");
        std::fs::write(&path, "old").unwrap();
        let opened = std::fs::File::open(&path).unwrap();
        assert_eq!(FileId::of(&opened).unwrap(), FileId::at(&path).unwrap());
        std::fs::write(folder.path().join("new.db"), "new").unwrap();
        std::fs::rename(folder.path().join("new.db"), &path).unwrap();
        assert_ne!(FileId::of(&opened).unwrap(), FileId::at(&path).unwrap());
    }
}
