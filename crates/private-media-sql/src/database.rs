//! Databases: connections that never write.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use sqlx::mysql::{MySqlPoolOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, FromRow, MySqlPool, PgPool};

use crate::error::DatabaseError;
use crate::pool::{CONNECT_TIMEOUT, pool};
use crate::query_error::QueryError;
use crate::sqlite::SqliteFile;
use crate::url::{DatabaseUrl, Options};

/// How long a query may take, including the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// A database of an application: SQLite, PostgreSQL, or MySQL or MariaDB.
///
/// It never writes: SQLite is opened read-only, and connections to the other databases are set to read-only. It has at most eight
/// connections, and a query times out after five seconds. A replaced SQLite file is used from the next query on; while the file is
/// missing, each query is an error. Cheap to clone; all clones share the connections. It needs a Tokio runtime.
///
/// ```no_run
/// # async fn open() -> Result<(), private_media_sql::DatabaseError> {
/// use private_media_sql::Database;
///
/// let database = Database::connect(&"postgres://reader@localhost/shop".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database(Connections);

#[derive(Clone)]
pub(crate) enum Connections {
    Sqlite(Arc<SqliteFile>),
    Postgres(PgPool),
    MySql(MySqlPool),
}

/// A statement with one parameter, in the dialect of each database.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// For SQLite, with the parameter `?`.
    pub sqlite: &'static str,
    /// For PostgreSQL, with the parameter `$1`.
    pub postgres: &'static str,
    /// For MySQL and MariaDB, with the parameter `?`.
    pub mysql: &'static str,
}

impl Database {
    /// Connects to a database.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, DatabaseError> {
        Ok(Self(match url.options().clone() {
            Options::Sqlite(options) => {
                let path = options.get_filename().to_owned();
                let options = read_only(options);
                test_connection(&options).await?;
                Connections::Sqlite(Arc::new(SqliteFile::new(path, options)))
            }
            Options::Postgres(options) => {
                let options = postgres(options);
                test_connection(&options).await?;
                Connections::Postgres(pool().connect_lazy_with(options))
            }
            Options::MySql(options) => {
                let options = options.disable_statement_logging();
                test_connection(&options).await?;
                Connections::MySql(mysql_pool().connect_lazy_with(options))
            }
        }))
    }

    pub(crate) fn connections(&self) -> &Connections {
        &self.0
    }

    /// Returns all rows of a statement.
    pub async fn rows<R>(&self, statement: &Statement, value: &str) -> Result<Vec<R>, QueryError>
    where
        R: for<'r> FromRow<'r, SqliteRow>
            + for<'r> FromRow<'r, PgRow>
            + for<'r> FromRow<'r, MySqlRow>
            + Send
            + Unpin,
    {
        with_timeout(async {
            Ok(match &self.0 {
                Connections::Sqlite(file) => {
                    let mut connection = file.connection().await?;
                    let rows =
                        sqlx::query_as(statement.sqlite).bind(value).fetch_all(connection.get()).await?;
                    connection.keep();
                    rows
                }
                Connections::Postgres(pool) => {
                    sqlx::query_as(statement.postgres).bind(value).fetch_all(pool).await?
                }
                Connections::MySql(pool) => {
                    sqlx::query_as(statement.mysql).bind(value).fetch_all(pool).await?
                }
            })
        })
        .await
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Connections::Sqlite(_) => "Database(SQLite)",
            Connections::Postgres(_) => "Database(PostgreSQL)",
            Connections::MySql(_) => "Database(MySQL)",
        })
    }
}

/// Awaits a query for a limited time.
pub(crate) async fn with_timeout<T>(
    query: impl Future<Output = Result<T, QueryError>>,
) -> Result<T, QueryError> {
    tokio::time::timeout(QUERY_TIMEOUT, query).await.unwrap_or(Err(QueryError::TimedOut))
}

fn read_only(options: SqliteConnectOptions) -> SqliteConnectOptions {
    options.read_only(true).busy_timeout(CONNECT_TIMEOUT).disable_statement_logging()
}

fn postgres(options: PgConnectOptions) -> PgConnectOptions {
    let timeout = QUERY_TIMEOUT.as_millis().to_string();
    options
        .application_name("private-media")
        .options([("default_transaction_read_only", "on"), ("statement_timeout", &timeout)])
        .disable_statement_logging()
}

fn mysql_pool() -> MySqlPoolOptions {
    pool().after_connect(|connection, _| {
        Box::pin(async move {
            sqlx::query("SET SESSION TRANSACTION READ ONLY").execute(connection).await?;
            Ok(())
        })
    })
}

/// Connects once, for its error: a pool retries until its timeout and loses the error.
async fn test_connection<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<(), DatabaseError> {
    let connected = match tokio::time::timeout(CONNECT_TIMEOUT, options.connect()).await {
        Ok(connected) => connected.map_err(QueryError::Sql),
        Err(_) => Err(QueryError::TimedOut),
    };
    match connected {
        Ok(connection) => {
            // The connection was only a test, so an error while closing it does not matter.
            let _ = connection.close().await;
            Ok(())
        }
        Err(error) => Err(DatabaseError::new(format!(
            "cannot connect to the database: {error}; check that it runs and that its user may read it"
        ))),
    }
}
