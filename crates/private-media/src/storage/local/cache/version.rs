//! Detects whether a file has changed.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, SystemTime};

/// The identity and the last change of a file. It changes with the content, except for writes through a shared mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::storage::local) struct FileVersion {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    /// The change time of the inode, which programs cannot set.
    changed: (i64, i64),
}

impl FileVersion {
    /// Returns the present version of an open file.
    pub(super) fn of(file: &File) -> io::Result<Self> {
        Ok(Self::from(&file.metadata()?))
    }

    /// Returns whether another change would have another time. The resolution of file times is up to 10 ms, or 1 to 2 s on file systems
    /// without fractions of a second.
    pub(super) fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let resolution = Duration::from_millis(if nanoseconds == 0 { 2_100 } else { 100 });
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
        now.duration_since(changed).is_ok_and(|since| since > resolution)
    }
}

impl From<&Metadata> for FileVersion {
    fn from(metadata: &Metadata) -> Self {
        Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}
