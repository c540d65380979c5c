//! A SQLite file, which a deployment or a restore may replace at any time.

use std::fs::Metadata;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, SqliteConnection};
use tokio::sync::{Semaphore, SemaphorePermit};

use crate::pool::{CONNECT_TIMEOUT, MAX_CONNECTIONS};
use crate::query_error::QueryError;

/// The file of a database and the connections to it.
///
/// A connection reads the file that it opened, even after a rename. So each query first checks that the path still leads to the same
/// unchanged file. Otherwise the connections are closed, and new ones are opened.
///
/// This replaces sqlx's pool, which pings a connection before and after each query. With SQLite, a ping is a message to another thread and
/// back.
pub(crate) struct SqliteFile {
    path: Arc<Path>,
    options: SqliteConnectOptions,
    state: Mutex<State>,
    limit: Semaphore,
}

#[derive(Default)]
struct State {
    /// `None` while the file is missing.
    open: Option<Open>,
    /// Whether the missing file was logged.
    is_missing: bool,
}

struct Open {
    version: FileVersion,
    idle: Vec<SqliteConnection>,
}

/// A connection that is in use. It is closed when this is dropped, because its query may not have ended, unless it is
/// [kept](Self::keep).
pub(crate) struct InUse<'a> {
    file: &'a SqliteFile,
    version: FileVersion,
    connection: SqliteConnection,
    permit: SemaphorePermit<'a>,
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
    pub(crate) fn new(path: PathBuf, options: SqliteConnectOptions) -> Self {
        let limit = Semaphore::new(MAX_CONNECTIONS as usize);
        Self { path: path.into(), options, state: Mutex::default(), limit }
    }

    /// Returns a connection to the present file; an error if it is missing.
    pub(crate) async fn connection(&self) -> Result<InUse<'_>, QueryError> {
        let permit = tokio::time::timeout(CONNECT_TIMEOUT, self.limit.acquire()).await;
        let permit = permit.map_err(|_| QueryError::TimedOut)?.map_err(|_| QueryError::TimedOut)?;
        let version = match FileVersion::of(&self.path).await {
            Ok(version) => version,
            Err(error) => {
                self.close(&error);
                return Err(QueryError::File(error));
            }
        };
        let connection = match self.idle(version) {
            Some(connection) => connection,
            None => self.options.connect().await?,
        };
        Ok(InUse { file: self, version, connection, permit })
    }

    /// Returns an idle connection to the file of this version, and closes those to another.
    fn idle(&self, version: FileVersion) -> Option<SqliteConnection> {
        let mut state = self.state();
        if let Some(open) = state.open.as_mut().filter(|open| open.version == version) {
            return open.idle.pop();
        }
        let before = state.open.replace(Open { version, idle: vec![] });
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
        None
    }

    fn close(&self, error: &io::Error) {
        let mut state = self.state();
        if state.open.take().is_some() {
            state.is_missing = true;
            tracing::error!(
                database = %self.path.display(), %error,
                "cannot read the database; requests that need it are denied until it can be read"
            );
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No panic leaves the state inconsistent, so a poisoned lock is usable.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl InUse<'_> {
    pub(crate) fn get(&mut self) -> &mut SqliteConnection {
        &mut self.connection
    }

    /// Keeps the connection for other queries. Its query must have ended.
    pub(crate) fn keep(self) {
        let Self { file, version, connection, permit } = self;
        if let Some(open) = file.state().open.as_mut().filter(|open| open.version == version) {
            open.idle.push(connection);
        }
        // Only now may another query look for an idle connection.
        drop(permit);
    }
}

impl FileVersion {
    /// Returns the version of the file at a path. It does not wait for the disk on this thread.
    async fn of(path: &Arc<Path>) -> io::Result<Self> {
        if let Some(cached) = cached_metadata(path) {
            return Ok(cached.into());
        }
        let path = Arc::clone(path);
        let metadata = tokio::task::spawn_blocking(move || std::fs::metadata(path)).await;
        metadata.map_err(io::Error::other).flatten().map(Self::from)
    }

    fn is_same_file(&self, other: &Self) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

impl From<Metadata> for FileVersion {
    fn from(found: Metadata) -> Self {
        Self {
            device: found.dev(),
            inode: found.ino(),
            len: found.len(),
            modified: (found.mtime(), found.mtime_nsec()),
            changed: (found.ctime(), found.ctime_nsec()),
        }
    }
}

/// Returns the metadata of a file if the kernel has its path in memory. `O_PATH` matters: closing another descriptor would release the
/// locks of SQLite's own (fcntl(2)).
#[cfg(target_os = "linux")]
fn cached_metadata(path: &Path) -> Option<Metadata> {
    use rustix::fs::{CWD, Mode, OFlags, ResolveFlags, openat2};

    let flags = OFlags::PATH | OFlags::CLOEXEC;
    let file = openat2(CWD, path, flags, Mode::empty(), ResolveFlags::CACHED).ok()?;
    std::fs::File::from(file).metadata().ok()
}

#[cfg(not(target_os = "linux"))]
fn cached_metadata(_: &Path) -> Option<Metadata> {
    None
}
