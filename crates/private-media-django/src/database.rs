//! Reads Django's tables with SQL.

mod statements;

use std::time::{Duration, SystemTime};

use futures_core::future::BoxFuture;
use private_media::IdentifyError;
use private_media_sql::{DatabaseUrl, QueryError};

use crate::error::DjangoError;
use crate::source::{DjangoSource, SessionRow, UserKey, UserRow};
use statements::{SESSION, SessionTuple, USER_BY_ID, USER_BY_NAME, UserTuple};

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
#[derive(Debug, Clone)]
pub struct Database(private_media_sql::Database);

impl Database {
    /// Connects, and checks that the tables of users exist.
    pub async fn connect(url: &DatabaseUrl) -> Result<Self, DjangoError> {
        let database = private_media_sql::Database::connect(url).await;
        let database = database.map_err(|error| DjangoError::new(error.to_string()))?;
        let users = database.rows::<UserTuple>(&USER_BY_NAME, "").await;
        users.map_err(|error| no_table("auth_user, auth_user_groups and auth_group", &error))?;
        Ok(Self(database))
    }

    /// Checks that the table of sessions exists. Sessions in signed cookies do not need it.
    pub async fn check_sessions(&self) -> Result<(), DjangoError> {
        let sessions = self.0.rows::<SessionTuple>(&SESSION, "").await;
        sessions.map(drop).map_err(|error| no_table("django_session", &error))
    }
}

impl DjangoSource for Database {
    fn session<'a>(&'a self, key: &'a str) -> BoxFuture<'a, Result<Option<SessionRow>, IdentifyError>> {
        Box::pin(async move {
            let rows = self.0.rows::<SessionTuple>(&SESSION, key).await.map_err(IdentifyError::new)?;
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
                UserKey::Id(id) => self.0.rows(&USER_BY_ID, id).await.map_err(IdentifyError::new)?,
                UserKey::Name(name) => self.0.rows(&USER_BY_NAME, name).await.map_err(IdentifyError::new)?,
            };
            Ok(user(rows, key))
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

fn no_table(tables: &str, error: &QueryError) -> DjangoError {
    DjangoError::new(format!(
        "cannot read {tables}: {error}; use the database of the Django project, and run its manage.py migrate"
    ))
}
