//! A SQLite file, which a deployment or a restore may replace at any time.

use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use sqlx::SqlitePool;
use sqlx::sqlite::SqliteConnectOptions;

use super::pool::pool;
use super::query_error::QueryError;

/// The file of a database and the connections to it.
///
/// A connection reads the file that it opened, even after a rename. So each query first checks that the path still leads to the same
/// unchanged file. Otherwise the connections are closed, and new ones are opened.
pub(super) struct SqliteFile {
    path: Arc<Path>,
    options: SqliteConnectOptions,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// `None` while the file is missing.
    open: Option<Open>,
    /// Whether the missing file was logged.
    is_missing: bool,
}

#[derive(Clone)]
struct Open {
    version: FileVersion,
    pool: SqlitePool,
}

/// The identity and the last change of the file.
///
/// SQLite detects changes of other processes by a counter in the file. A copy that is written over the file in place may have the same
/// counter and other rows, so connections are used for one version only. In WAL mode, the file changes at each checkpoint.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct FileVersion {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl SqliteFile {
    pub(super) fn new(path: PathBuf, options: SqliteConnectOptions) -> Self {
        Self { path: path.into(), options, state: Mutex::default() }
    }

    /// Returns the connections to the file that the path leads to now; an error if it is missing.
    pub(super) async fn pool(&self) -> Result<SqlitePool, QueryError> {
        let path = Arc::clone(&self.path);
        let version = tokio::task::spawn_blocking(move || FileVersion::at(&path)).await;
        match version.map_err(io::Error::other).flatten() {
            Ok(version) => Ok(self.pool_for(version)),
            Err(error) => {
                self.close(&error);
                Err(QueryError::File(error))
            }
        }
    }

    fn pool_for(&self, version: FileVersion) -> SqlitePool {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(open) = state.open.as_ref().filter(|open| open.version == version) {
            return open.pool.clone();
        }
        let pool = pool().connect_lazy_with(self.options.clone());
        let before = state.open.replace(Open { version, pool: pool.clone() });
        match before {
            Some(before) if !before.version.is_same_file(&version) => tracing::warn!(
                database = %self.path.display(), from_inode = before.version.inode, to_inode = version.inode,
                "the database was replaced; reading the new file"
            ),
            None if std::mem::take(&mut state.is_missing) => {
                tracing::info!(database = %self.path.display(), "the database can be read again");
            }
            _ => {}
        }
        // The old pool closes after its last query.
        pool
    }

    fn close(&self, error: &io::Error) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.open.take().is_some() {
            state.is_missing = true;
            tracing::error!(
                database = %self.path.display(), %error,
                "cannot read the database; requests with a session are denied until it can be read"
            );
        }
    }
}

impl FileVersion {
    /// Returns the version of the file at a path; may wait for the disk. The file is not opened, because closing it would release the
    /// locks of SQLite's own handles (fcntl(2)).
    fn at(path: &Path) -> io::Result<Self> {
        let found = std::fs::metadata(path)?;
        Ok(Self {
            device: found.dev(),
            inode: found.ino(),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        })
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}
