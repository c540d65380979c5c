//! The lookup by SQL.

use std::fmt;
use std::sync::Arc;

use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::TryStreamExt;
use private_media::MediaPath;
use private_media::lookup::{Attributes, Lookup, LookupError};
use private_media::permission::{Captures, Template};
use sqlx::mysql::{MySqlArguments, MySqlRow};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::sqlite::{SqliteArguments, SqliteRow};
use sqlx::{
    Arguments, AssertSqlSafe, Column as _, Either, Executor, IntoArguments, Pool, SqlSafeStr, Statement,
    TypeInfo,
};

use crate::column::Column;
use crate::database::{Connections, Database, with_timeout};
use crate::error::DatabaseError;
use crate::parameter::{Parameter, ParameterType};
use crate::query::{Dialect, Query};
use crate::query_error::QueryError;
use crate::row;
use crate::value::{ReadValue, Value};

/// The most rows that are read: rows of other paths may be among them.
const MAX_ROWS: usize = 100;

/// Looks up attributes by one query of an application's database.
///
/// `{variable}` in the query is a variable of the path template. Variables are bound as parameters of a prepared statement and never
/// spliced. The columns are attributes of the file, by their names:
///
/// | column | types | attribute |
/// |---|---|---|
/// | `owner` | integer, text, uuid | The id of the owner. Null: nobody is the owner |
/// | `group` | integer, text, uuid | The group whose members the grantee `group` means |
/// | `name` | text | The name under which browsers save the file |
/// | `content_type` | text | The media type. Active content remains a sandboxed attachment |
/// | `public` | boolean, 0 or 1 | Whether everyone may read the file |
/// | `not_before`, `not_after` | timestamp in UTC, or seconds since 1970 | When the file may be read |
///
/// A column that is named as a variable has to be the same text as that variable, or the file is not found. That makes comparisons exact
/// where a database ignores case or trailing spaces, as MySQL does.
///
/// No row means that the file is not found. Several rows are an error, and access is denied.
pub struct SqlLookup {
    database: Database,
    path: Template,
    sql: Arc<str>,
    parameters: Vec<Parameter>,
    columns: Vec<Column>,
}

impl SqlLookup {
    /// Prepares the query of a lookup, and checks its parameters and columns. An error says what to write.
    pub async fn open(database: Database, path: Template, query: &str) -> Result<Self, DatabaseError> {
        let error = |problem: &dyn fmt::Display| DatabaseError::new(format!("invalid query: {problem}"));
        let dialect = match database.connections() {
            Connections::Sqlite(_) => Dialect::Sqlite,
            Connections::Postgres(_) => Dialect::Postgres,
            Connections::MySql(_) => Dialect::MySql,
        };
        let Query { sql, parameters } =
            Query::parse(query, &path, dialect).map_err(|problem| error(&problem))?;
        let sql: Arc<str> = sql.into();
        let prepared = with_timeout(prepare(&database, &sql)).await.map_err(|problem| error(&problem))?;
        if prepared.parameter_count != parameters.len() {
            return Err(error(&format_args!(
                "it has {} parameters, and {} of them are variables of the path; write them as {{key}}",
                prepared.parameter_count,
                parameters.len()
            )));
        }
        let names = prepared.columns.iter().map(|(name, ..)| name.as_str());
        let columns = Column::parse_all(names, &path).map_err(|problem| error(&problem))?;
        for (column, (_, type_name, kind)) in columns.iter().zip(&prepared.columns) {
            if kind.is_some_and(|kind| !column.accepts(kind)) {
                return Err(error(&column.type_error(type_name)));
            }
        }
        let mut types = prepared.parameter_types.into_iter();
        let parameter = |variable: String| match types.next() {
            None => Ok(Parameter { variable, kind: ParameterType::Text }),
            Some(name) => match ParameterType::postgres(&name) {
                Some(kind) => Ok(Parameter { variable, kind }),
                None => Err(error(&format_args!(
                    "{{{variable}}} has the type {name}; write e.g. {{{variable}}}::bigint"
                ))),
            },
        };
        let parameters = parameters.into_iter().map(parameter).collect::<Result<_, _>>()?;
        Ok(Self { database, path, sql, parameters, columns })
    }

    /// Returns the values of the only row of a path; `None` if there is none.
    async fn row(&self, captures: &Captures<'_>) -> Result<Option<Vec<Value>>, Failure> {
        let sql = AssertSqlSafe(Arc::clone(&self.sql));
        let texts = self.parameters.iter().map(|own| captures.get(&own.variable).unwrap_or_default());
        match self.database.connections() {
            Connections::Sqlite(file) => {
                let mut arguments = SqliteArguments::default();
                for text in texts {
                    arguments.add(text).map_err(sqlx::Error::Encode)?;
                }
                let mut connection = file.connection().await?;
                let rows = sqlx::query_with(sql, arguments).fetch(connection.get());
                let row = self.only(captures, rows).await?;
                connection.keep();
                Ok(row)
            }
            Connections::Postgres(pool) => {
                let mut arguments = PgArguments::default();
                for (parameter, text) in self.parameters.iter().zip(texts) {
                    if !parameter.kind.add(text, &mut arguments).map_err(sqlx::Error::Encode)? {
                        return Ok(None);
                    }
                }
                self.only_in_pool(captures, pool, sql, arguments).await
            }
            Connections::MySql(pool) => {
                let mut arguments = MySqlArguments::default();
                for text in texts {
                    arguments.add(text).map_err(sqlx::Error::Encode)?;
                }
                self.only_in_pool(captures, pool, sql, arguments).await
            }
        }
    }

    /// Returns the only row of a path, from a server. A connection whose query failed is closed, because what it has prepared may be out
    /// of date.
    async fn only_in_pool<DB, A>(
        &self,
        captures: &Captures<'_>,
        pool: &Pool<DB>,
        sql: AssertSqlSafe<Arc<str>>,
        arguments: A,
    ) -> Result<Option<Vec<Value>>, Failure>
    where
        DB: sqlx::Database<Row: ReadValue>,
        A: IntoArguments<DB> + Send + 'static,
        for<'c> &'c mut DB::Connection: Executor<'c, Database = DB>,
    {
        let mut connection = pool.acquire().await?;
        let rows = sqlx::query_with(sql, arguments).fetch(&mut *connection);
        let row = self.only(captures, rows).await;
        if let Err(Failure::Query(_)) = row {
            connection.close_on_drop();
        }
        row
    }

    /// Returns the only row of a path. Rows of other paths are skipped, up to a number.
    async fn only<R: ReadValue>(
        &self,
        captures: &Captures<'_>,
        mut rows: BoxStream<'_, Result<R, sqlx::Error>>,
    ) -> Result<Option<Vec<Value>>, Failure> {
        let (mut only, mut count) = (None, 0);
        while let Some(row) = rows.try_next().await? {
            let values = self.values(&row)?;
            let is_of_path = row::is_of_path(&self.columns, &values, |name| captures.get(name));
            count += 1;
            if is_of_path.map_err(Failure::Row)? && only.replace(values).is_some() || count > MAX_ROWS {
                return Err(Failure::SeveralRows);
            }
        }
        Ok(only)
    }

    /// Reads the columns of a row. They are compared once more, because a view may have changed since the start.
    fn values<R: ReadValue>(&self, row: &R) -> Result<Vec<Value>, Failure> {
        let names = row.columns().iter().map(sqlx::Column::name);
        if !self.columns.iter().map(Column::name).eq(names) {
            return Err(Failure::Row("the columns have changed since the start; restart".into()));
        }
        let value = |index| row.value(index).map_err(Failure::from);
        (0..self.columns.len()).map(value).collect()
    }

    async fn attributes(&self, path: &MediaPath) -> Result<Option<Attributes>, Failure> {
        let Some(captures) = self.path.captures(path) else { return Ok(None) };
        let row = async { Ok(self.row(&captures).await) };
        let Some(values) = with_timeout(row).await?? else { return Ok(None) };
        row::attributes(&self.columns, values).map(Some).map_err(Failure::Row)
    }
}

impl Lookup for SqlLookup {
    fn covers(&self, path: &MediaPath) -> bool {
        self.path.captures(path).is_some()
    }

    fn look_up<'a>(&'a self, path: &'a MediaPath) -> BoxFuture<'a, Result<Attributes, LookupError>> {
        Box::pin(async move {
            match self.attributes(path).await {
                Ok(attributes) => attributes.ok_or(LookupError::NotFound),
                Err(failure) => Err(LookupError::failed(format!("{}: {failure}", self.path))),
            }
        })
    }
}

impl fmt::Debug for SqlLookup {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { database, path, sql, .. } = self;
        f.debug_struct("SqlLookup")
            .field("database", database)
            .field("path", path)
            .field("sql", sql)
            .finish_non_exhaustive()
    }
}

/// Why a lookup failed.
#[derive(Debug)]
enum Failure {
    Query(QueryError),
    SeveralRows,
    /// The row is invalid.
    Row(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Query(error) => error.fmt(f),
            Self::SeveralRows => f.write_str("the query has several rows for this path; expected one"),
            Self::Row(problem) => f.write_str(problem),
        }
    }
}

impl From<QueryError> for Failure {
    fn from(error: QueryError) -> Self {
        Self::Query(error)
    }
}

impl From<sqlx::Error> for Failure {
    fn from(error: sqlx::Error) -> Self {
        Self::Query(QueryError::Sql(error))
    }
}

/// What a database says about a statement.
struct Prepared {
    parameter_count: usize,
    /// PostgreSQL's names of the parameters' types; empty with other databases.
    parameter_types: Vec<String>,
    /// The name and type of each column, and its kind, if that is known before there is a row.
    columns: Vec<(String, String, Option<crate::column::Kind>)>,
}

async fn prepare(database: &Database, sql: &Arc<str>) -> Result<Prepared, QueryError> {
    let sql = AssertSqlSafe(Arc::clone(sql)).into_sql_str();
    Ok(match database.connections() {
        Connections::Sqlite(file) => {
            let mut connection = file.connection().await?;
            let statement = connection.get().prepare(sql).await?;
            connection.keep();
            describe::<SqliteRow, _>(&statement)
        }
        Connections::Postgres(pool) => describe::<PgRow, _>(&pool.acquire().await?.prepare(sql).await?),
        Connections::MySql(pool) => describe::<MySqlRow, _>(&pool.acquire().await?.prepare(sql).await?),
    })
}

fn describe<R, S>(statement: &S) -> Prepared
where
    R: ReadValue,
    S: Statement<Database = R::Database>,
{
    let (parameter_count, parameter_types) = match statement.parameters() {
        Some(Either::Left(types)) => (types.len(), types.iter().map(|own| own.name().to_owned()).collect()),
        Some(Either::Right(count)) => (count, vec![]),
        None => (0, vec![]),
    };
    let columns = statement.columns().iter().map(|column| {
        let type_name = column.type_info().name();
        (column.name().to_owned(), type_name.to_owned(), R::kind(type_name))
    });
    Prepared { parameter_count, parameter_types, columns: columns.collect() }
}
