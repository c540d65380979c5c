//! Reads Django's tables with SQL.

mod pool;
mod query_error;
mod sqlite;
mod statements;
mod url;

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use private_media::IdentifyError;
use sqlx::mysql::{MySqlPoolOptions, MySqlRow};
use sqlx::postgres::{PgConnectOptions, PgRow};
use sqlx::sqlite::{SqliteConnectOptions, SqliteRow};
use sqlx::{ConnectOptions, Connection, FromRow, MySqlPool, PgPool};

use crate::error::DjangoError;
use crate::source::{DjangoSource, SessionRow, UserKey, UserRow};
use pool::{CONNECT_TIMEOUT, pool};
use query_error::QueryError;
use sqlite::SqliteFile;
use statements::{SESSION, SessionTuple, Statement, USER_BY_ID, USER_BY_NAME, UserTuple};
pub use url::DatabaseUrl;
use url::Options;

/// How long a query may take, including the wait for a connection.
const QUERY_TIMEOUT: Duration = Duration::from_secs(5);

/// The database of a Django project: its tables `django_session`, `auth_user`, `auth_user_groups` and `auth_group`, in SQLite,
/// PostgreSQL, or MySQL or MariaDB.
///
/// It never writes: SQLite is opened read-only, and connections to the other databases are set to read-only. It has at most eight
/// connections, and a query times out after five seconds. A replaced SQLite file is used from the next query on; while the file is
/// missing, each query is an error. Cheap to clone; all clones share the connections. It needs a Tokio runtime.
///
/// ```no_run
/// use private_media_django::Database;
///
/// # async fn open() -> Result<(), Box<dyn std::error::Error>> {
/// let database = Database::connect(&"postgres://reader@localhost/shop".parse()?).await?;
/// database.check_sessions().await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Database(Pool);

#[derive(Clone)]
enum Pool {
    Sqlite(Arc<SqliteFile>),
    Postgres(PgPool),
    MySql(MySqlPool),
}

impl Database {
    /// Connects, and checks that the tables of users exist.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, DjangoError> {
        let pool = match url.options().clone() {
            Options::Sqlite(options) => {
                let path = options.get_filename().to_owned();
                let options = read_only(options);
                test_connection(&options).await?;
                Pool::Sqlite(Arc::new(SqliteFile::new(path, options)))
            }
            Options::Postgres(options) => {
                let options = postgres(options);
                test_connection(&options).await?;
                Pool::Postgres(pool().connect_lazy_with(options))
            }
            Options::MySql(options) => {
                let options = options.disable_statement_logging();
                test_connection(&options).await?;
                Pool::MySql(mysql_pool().connect_lazy_with(options))
            }
        };
        let database = Self(pool);
        let users = database.rows::<UserTuple>(&USER_BY_NAME, "").await;
        users.map_err(|error| no_table("auth_user, auth_user_groups and auth_group", &error))?;
        Ok(database)
    }

    /// Checks that the table of sessions exists. Sessions in signed cookies do not need it.
    pub async fn check_sessions(&self) -> Result<(), DjangoError> {
        let sessions = self.rows::<SessionTuple>(&SESSION, "").await;
        sessions.map(drop).map_err(|error| no_table("django_session", &error))
    }

    /// Returns the rows of a statement with one parameter.
    async fn rows<R>(&self, statement: &Statement, value: &str) -> Result<Vec<R>, QueryError>
    where
        R: for<'r> FromRow<'r, SqliteRow>
            + for<'r> FromRow<'r, PgRow>
            + for<'r> FromRow<'r, MySqlRow>
            + Send
            + Unpin,
    {
        let query = async {
            match &self.0 {
                Pool::Sqlite(file) => {
                    let pool = file.pool().await?;
                    sqlx::query_as(statement.sqlite).bind(value).fetch_all(&pool).await
                }
                Pool::Postgres(pool) => sqlx::query_as(statement.postgres).bind(value).fetch_all(pool).await,
                Pool::MySql(pool) => sqlx::query_as(statement.mysql).bind(value).fetch_all(pool).await,
            }
            .map_err(QueryError::Sql)
        };
        tokio::time::timeout(QUERY_TIMEOUT, query).await.unwrap_or(Err(QueryError::TimedOut))
    }
}

impl DjangoSource for Database {
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
        Box::pin(async move {
            let rows = self.rows::<SessionTuple>(&SESSION, key).await.map_err(IdentifyError::new)?;
            // MySQL ignores case and trailing spaces.
            let row = rows.into_iter().find(|(found, ..)| found == key);
            Ok(row.map(|(_, data, expires)| SessionRow::new(data, unix_time(expires))))
        })
    }

    fn user<'a>(&'a self, key: UserKey<'a>) -> BoxFuture<'a, Result<Option<UserRow>, IdentifyError>> {
        Box::pin(async move {
            let rows = match key {
                // Only a number in Django's format is looked up.
                UserKey::Id(id) if !id.parse::<i64>().is_ok_and(|number| number.to_string() == id) => vec![],
                UserKey::Id(id) => self.rows(&USER_BY_ID, id).await.map_err(IdentifyError::new)?,
                UserKey::Name(name) => self.rows(&USER_BY_NAME, name).await.map_err(IdentifyError::new)?,
            };
            Ok(user(rows, key))
        })
    }
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match &self.0 {
            Pool::Sqlite(_) => "Database(SQLite)",
            Pool::Postgres(_) => "Database(PostgreSQL)",
            Pool::MySql(_) => "Database(MySQL)",
        })
    }
}

/// Collects a user from rows with one group each.
fn user(rows: Vec<UserTuple>, key: UserKey<'_>) -> Option<UserRow> {
    let mut user: Option<UserRow> = None;
    for (id, name, password, is_active, is_staff, is_superuser, group) in rows {
        let id = id.to_string();
        // MySQL ignores case and trailing spaces.
        let matches = match key {
            UserKey::Id(wanted) => wanted == id,
            UserKey::Name(wanted) => wanted == name,
        };
        if matches {
            let groups = vec![];
            let row = UserRow { id, name, password, is_active, is_staff, is_superuser, groups };
            user.get_or_insert(row).groups.extend(group);
        }
    }
    user
}

/// Returns the time of a Unix timestamp. One that `SystemTime` cannot represent is in the past, so the session has expired.
fn unix_time(seconds: i64) -> SystemTime {
    let since = Duration::from_secs(u64::try_from(seconds).unwrap_or_default());
    SystemTime::UNIX_EPOCH.checked_add(since).unwrap_or(SystemTime::UNIX_EPOCH)
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
async fn test_connection<O: ConnectOptions<Connection: Sized>>(options: &O) -> Result<(), DjangoError> {
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
        Err(error) => Err(DjangoError::new(format!(
            "cannot connect to the database: {error}; check that it runs and that its user may read it"
        ))),
    }
}

fn no_table(tables: &str, error: &QueryError) -> DjangoError {
    DjangoError::new(format!(
        "cannot read {tables}: {error}; use the database of the Django project, and run its manage.py migrate"
    ))
}
