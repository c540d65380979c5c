//! Connections to SQLite or PostgreSQL.

use std::io;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use sqlx::pool::PoolOptions;
use sqlx::postgres::PgConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, PgPool, SqlitePool};

use super::error::StateError;
use super::url::StateUrl;

/// The largest number of connections. A few are enough, because there is little to store.
pub(super) const CONNECTIONS: u32 = 2;
/// The longest wait for a connection, and for SQLite's lock.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);
/// The longest time of an operation. A sign-out waits longer, so that it fails with the error of the store.
const TIMEOUT: Duration = Duration::from_secs(4);

/// The connections to the database. Cheap to clone.
#[derive(Clone)]
pub(super) enum Pool {
    /// With the device and inode of the open file.
    Sqlite(SqlitePool, (u64, u64)),
    Postgres(PgPool),
}

/// Runs statements in a transaction that writes, in either database.
macro_rules! transaction {
    ($pool:expr, $transaction:ident => $body:expr) => {
        match $pool {
            $crate::state::pool::Pool::Sqlite(pool, _) => {
                // A deferred transaction that reads first fails at once if another connection writes.
                let mut $transaction = pool.begin_with("BEGIN IMMEDIATE").await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
            $crate::state::pool::Pool::Postgres(pool) => {
                let mut $transaction = pool.begin().await?;
                let value = $body;
                $transaction.commit().await?;
                value
            }
        }
    };
}

/// Runs statements outside a transaction, in either database.
macro_rules! on_pool {
    ($pool:expr, $connection:ident => $body:expr) => {
        match $pool {
            $crate::state::pool::Pool::Sqlite($connection, _) => $body,
            $crate::state::pool::Pool::Postgres($connection) => $body,
        }
    };
}
pub(super) use {on_pool, transaction};

impl Pool {
    /// Connects to the store and creates a missing SQLite file. `None` if the state is in memory.
    pub(super) async fn connect(url: &StateUrl) -> Result<Option<Self>, StateError> {
        Ok(Some(match url {
            StateUrl::Memory => return Ok(None),
            StateUrl::Sqlite(path) => {
                let file = create(path).map_err(StateError::Io)?;
                Self::Sqlite(sqlite_pool(sqlite(path)), file)
            }
            StateUrl::Postgres(options) => {
                // The pool would retry until its timeout, and hide the cause.
                let connect = Box::pin(async { Ok(postgres(options).connect().await?) });
                drop(within_timeout(connect).await?);
                Self::Postgres(postgres_pool(options))
            }
        }))
    }

    /// Connects to an existing store, only to read. `None` if the state is in memory, or the SQLite file does not exist.
    pub(super) fn connect_read_only(url: &StateUrl) -> Option<Self> {
        match url {
            StateUrl::Memory => None,
            StateUrl::Sqlite(path) => {
                let file = std::fs::metadata(path).ok()?;
                Some(Self::Sqlite(sqlite_pool(sqlite(path).read_only(true)), (file.dev(), file.ino())))
            }
            StateUrl::Postgres(options) => Some(Self::Postgres(postgres_pool(options))),
        }
    }

    pub(super) async fn close(self) {
        on_pool!(self, pool => pool.close().await);
    }
}

/// Opens the file, or creates it without permissions for other users. Returns its device and inode.
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

/// Returns the options of SQLite. With a rollback journal, unlike a write-ahead log, a copy of the file is a complete backup. `EXTRA`
/// also syncs the folder, so that a commit survives a power failure.
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
            // Limits how long a gateway that hangs in a transaction blocks the others.
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

/// Limits the time of an operation. It is boxed, because the compiler cannot prove that the futures of two drivers together are `Send`.
pub(super) async fn within_timeout<T>(
    operation: BoxFuture<'_, Result<T, StateError>>,
) -> Result<T, StateError> {
    tokio::time::timeout(TIMEOUT, operation).await.unwrap_or(Err(StateError::Timeout))
}
