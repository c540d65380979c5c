//! The settings of the audit.

use std::fmt;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::folders::parent;

/// The settings of the audit.
#[derive(Debug, Clone)]
pub(crate) struct AuditOptions {
    pub(crate) path: PathBuf,
    /// The size at which a file is rotated, in bytes.
    pub(crate) rotate_size: u64,
    /// The age at which a file is rotated; zero is never.
    pub(crate) rotate_age: Duration,
    /// How many rotated files are kept; 0 keeps all.
    pub(crate) keep: usize,
    pub(crate) overflow: Overflow,
    /// How long the ranges of a view are summed before the sum is written; zero records each range.
    pub(crate) fold: Duration,
    /// The longest time between two fsyncs.
    pub(crate) sync: Duration,
    pub(crate) key_file: Option<PathBuf>,
}

/// What happens if requests cannot be recorded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Overflow {
    /// They are served, and the audit says how many records are missing.
    Drop,
    /// Requests for files get 503.
    Deny,
}

/// Why the audit file cannot be used, and the fix.
#[derive(Debug)]
pub(crate) struct Problem {
    /// Whether it is about the key, not about the file.
    pub(crate) is_key: bool,
    pub(crate) what: String,
    pub(crate) fix: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; {}", self.what, self.fix)
    }
}

impl Problem {
    /// Explains an error of the audit file at this path.
    pub(super) fn new(path: &Path, error: &io::Error) -> Self {
        let folder = parent(path).display();
        let (problem, fix) = match error.kind() {
            ErrorKind::NotFound if !parent(path).exists() => (
                format!("no such folder: {folder}"),
                format!("create it for the user of the gateway, e.g. with: install -d -m 750 {folder}"),
            ),
            ErrorKind::PermissionDenied => {
                (format!("cannot be written by user {}", rustix::process::geteuid().as_raw()), owner(path))
            }
            ErrorKind::ReadOnlyFilesystem => (
                "the file system is read-only".to_owned(),
                format!("remount it with: mount -o remount,rw …, or name a file elsewhere than in {folder}"),
            ),
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
                (format!("no space left: {error}"), format!("free space in {folder}, or set audit.keep"))
            }
            ErrorKind::IsADirectory => ("not a regular file".to_owned(), "name a file".to_owned()),
            _ => (error.to_string(), "name a file in a folder that this user can write to".to_owned()),
        };
        Self { is_key: false, what: problem, fix }
    }
}

/// Returns the fix of a file that this user may not write: a command for the first one that belongs to someone else.
fn owner(path: &Path) -> String {
    use std::os::unix::fs::MetadataExt;

    let user = rustix::process::geteuid().as_raw();
    let head = super::head::path_of(path);
    for file in [path, head.as_path(), parent(path)] {
        if let Ok(metadata) = file.metadata()
            && metadata.uid() != user
        {
            let (file, owner) = (file.display(), metadata.uid());
            return format!("{file} belongs to user {owner}; run as root: chown {user} {file}");
        }
    }
    format!("give user {user} write permission to {} and the files in it", parent(path).display())
}

/// Returns an error unless this user can create files in the folder of the audit file, as a rotation does.
pub(super) fn check_folder(path: &Path) -> io::Result<()> {
    use rustix::fs::{Access, AtFlags, CWD, accessat};

    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(CWD, parent(path), access, AtFlags::EACCESS)?)
}
