//! The state store: what a gateway remembers across restarts and shares with other gateways, in SQLite or PostgreSQL.
//!
//! A request never waits for it, except a sign-out. Memory decides; `sync.rs` keeps memory and store alike.

mod gateways;
mod revocations;
mod schema;
mod sync;
mod url;

use std::fmt;
use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, SqlitePool};

pub(crate) use gateways::{Gateway, digest_text};
pub(crate) use sync::start;
pub(crate) use url::StateUrl;

/// Connections at a time: there is little to store.
const CONNECTIONS: u32 = 2;
/// How long to wait for a connection, and for SQLite's lock.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// How long an operation may take in all. Shorter than a sign-out waits, so that its error says why.
const TIMEOUT: Duration = Duration::from_secs(4);

/// An open state store. Cheap to clone; clones share their connections.
#[derive(Clone)]
pub(crate) struct State(Arc<Inner>);

struct Inner {
    url: StateUrl,
    pool: RwLock<Pool>,
}

#[derive(Clone)]
enum Pool {
    /// With the file that is open, by device and inode.
    Sqlite(SqlitePool, (u64, u64)),
    Postgres(PgPool),
}

/// Runs statements of both databases in a transaction, which writes.
macro_rules! transaction {
    ($pool:expr, $transaction:ident => $body:expr) => {
        match $pool {
            $crate::state::Pool::Sqlite(pool, _) => {
                // A deferred transaction that reads first could not wait for another writer.
                let mut $transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
            $crate::state::Pool::Postgres(pool) => {
                let mut $transaction = pool.begin().await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
        }
    };
}

/// Runs one statement of both databases.
macro_rules! on_pool {
    ($pool:expr, $connection:ident => $body:expr) => {
        match $pool {
            $crate::state::Pool::Sqlite($connection, _) => $body,
            $crate::state::Pool::Postgres($connection) => $body,
        }
    };
}
use {on_pool, transaction};

impl State {
    /// Opens the store, creates a missing SQLite file, and migrates an older schema. `None` if the setting keeps all in memory.
    pub(crate) async fn open(url: &StateUrl) -> Result<Option<Self>, StateError> {
        let Some(pool) = Pool::open(url).await? else { return Ok(None) };
        Ok(Some(Self(Arc::new(Inner { url: url.clone(), pool: RwLock::new(pool) }))))
    }

    /// Opens an existing store to read it. `None` if the setting keeps all in memory, or no gateway has made the store yet.
    pub(crate) async fn open_to_read(url: &StateUrl) -> Result<Option<Self>, StateError> {
        let pool = match url {
            StateUrl::Memory => return Ok(None),
            StateUrl::Sqlite(path) => {
                let Ok(file) = std::fs::metadata(path) else { return Ok(None) };
                Pool::Sqlite(sqlite_pool(sqlite(path).read_only(true)), (file.dev(), file.ino()))
            }
            StateUrl::Postgres(options) => Pool::Postgres(postgres_pool(options)),
        };
        if !within_timeout(Box::pin(schema::is_current(&pool))).await? {
            return Ok(None);
        }
        Ok(Some(Self(Arc::new(Inner { url: url.clone(), pool: RwLock::new(pool) }))))
    }

    /// Opens a SQLite file that was removed or replaced since it was opened. Returns whether it was.
    async fn reopen_if_replaced(&self) -> Result<bool, StateError> {
        if self.pool().is_ok() {
            return Ok(false);
        }
        if let Some(pool) = Pool::open(&self.0.url).await? {
            let old =
                std::mem::replace(&mut *self.0.pool.write().unwrap_or_else(PoisonError::into_inner), pool);
            old.close().await;
        }
        Ok(true)
    }

    /// The pool, if it has the file that is there now: what is written to a removed file is lost.
    fn pool(&self) -> Result<Pool, StateError> {
        let pool = self.0.pool.read().unwrap_or_else(PoisonError::into_inner).clone();
        if let (Pool::Sqlite(_, opened), StateUrl::Sqlite(path)) = (&pool, &self.0.url) {
            let file = std::fs::metadata(path);
            if !file.is_ok_and(|file| (file.dev(), file.ino()) == *opened) {
                return Err(StateError::Replaced);
            }
        }
        Ok(pool)
    }
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("State").field(&self.0.url).finish()
    }
}

impl Pool {
    async fn open(url: &StateUrl) -> Result<Option<Self>, StateError> {
        let pool = match url {
            StateUrl::Memory => return Ok(None),
            StateUrl::Sqlite(path) => {
                let file = create(path).map_err(StateError::Io)?;
                Self::Sqlite(sqlite_pool(sqlite(path)), file)
            }
            StateUrl::Postgres(options) => {
                // The pool would try again and again, and then not say what was wrong.
                let connect = Box::pin(async { Ok(postgres(options).connect().await?) });
                drop(within_timeout(connect).await?);
                Self::Postgres(postgres_pool(options))
            }
        };
        within_timeout(Box::pin(schema::migrate(&pool))).await?;
        Ok(Some(pool))
    }

    async fn close(self) {
        on_pool!(self, pool => pool.close().await);
    }
}

/// Creates the file that others may not read, or checks that of an existing one. Gives its device and inode.
fn create(path: &Path) -> io::Result<(u64, u64)> {
    let mut options = std::fs::OpenOptions::new();
    let file = options.read(true).write(true).create(true).truncate(false).mode(0o600).open(path)?;
    let metadata = file.metadata()?;
    if metadata.mode() & 0o077 != 0 {
        return Err(io::Error::other(format!(
            "its mode {:03o} lets others read or change it; run: chmod 600 {}",
            metadata.mode() & 0o777,
            path.display()
        )));
    }
    Ok((metadata.dev(), metadata.ino()))
}

/// A rollback journal rather than a write-ahead log: a copy of the one file is then a whole backup. `EXTRA` syncs the folder as well, so
/// that a commit survives a power failure.
fn sqlite(path: &Path) -> SqliteConnectOptions {
    SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Delete)
        .synchronous(SqliteSynchronous::Extra)
        .busy_timeout(CONNECT_TIMEOUT)
        .disable_statement_logging()
}

fn sqlite_pool(options: SqliteConnectOptions) -> SqlitePool {
    pool_options().connect_lazy_with(options)
}

fn postgres(options: &PgConnectOptions) -> PgConnectOptions {
    let timeout = TIMEOUT.as_millis().to_string();
    options
        .clone()
        .application_name("private-media")
        .options([
            ("statement_timeout", &*timeout),
            // A gateway that is stopped in a transaction holds up the others no longer than this.
            ("idle_in_transaction_session_timeout", &*timeout),
            ("synchronous_commit", "on"),
            ("client_min_messages", "warning"),
        ])
        .disable_statement_logging()
}

fn postgres_pool(options: &PgConnectOptions) -> PgPool {
    pool_options().connect_lazy_with(postgres(options))
}

fn pool_options<DB: sqlx::Database>() -> PoolOptions<DB> {
    PoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(CONNECT_TIMEOUT)
}

/// Boxed, as the compiler cannot prove of the futures of two drivers together that they are `Send`.
async fn within_timeout<T>(operation: BoxFuture<'_, Result<T, StateError>>) -> Result<T, StateError> {
    tokio::time::timeout(TIMEOUT, operation).await.unwrap_or(Err(StateError::Timeout))
}

/// Why the store cannot be used.
#[derive(Debug)]
pub(crate) enum StateError {
    Io(io::Error),
    Sql(sqlx::Error),
    Timeout,
    /// The SQLite file is another than the one that is open.
    Replaced,
    /// The file is damaged, by SQLite's own account.
    Damaged(String),
    /// The schema has this version, which this program does not know.
    Newer(i64),
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Sql(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Self::Sql(sqlx::Error::PoolTimedOut) => f.write_str("no connection in time"),
            Self::Sql(error) => error.fmt(f),
            Self::Timeout => f.write_str("no answer in time"),
            Self::Replaced => f.write_str("the file was removed or replaced"),
            Self::Damaged(problem) => write!(f, "the file is damaged: {problem}"),
            Self::Newer(version) => write!(
                f,
                "its schema version is {version}, and this program knows versions up to {}",
                schema::VERSION
            ),
        }
    }
}

impl StateError {
    /// What to do about it, where the error itself tells.
    pub(crate) fn fix(&self) -> Option<&'static str> {
        const DAMAGED: &str =
            "restore it from a backup, or remove it and with it the sign-outs that it holds";
        match self {
            Self::Damaged(_) => Some(DAMAGED),
            // SQLITE_CORRUPT and SQLITE_NOTADB.
            Self::Sql(sqlx::Error::Database(error))
                if matches!(error.code().as_deref(), Some("11" | "26")) =>
            {
                Some(DAMAGED)
            }
            Self::Newer(_) => Some("update this program, or name another database"),
            _ => None,
        }
    }
}

impl std::error::Error for StateError {}

impl From<sqlx::Error> for StateError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}

#[cfg(test)]
mod tests;
