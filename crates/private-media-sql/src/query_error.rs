//! Errors of queries.

use std::fmt;
use std::io;

/// Why a query failed. The text goes to the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum QueryError {
    /// The database reports an error, or the connection is lost.
    Sql(sqlx::Error),
    /// The SQLite file cannot be read.
    File(io::Error),
    /// The query timed out.
    TimedOut,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Self::Sql(error) => error.fmt(f),
            Self::File(error) => write!(f, "cannot read the database file: {error}"),
            Self::TimedOut => f.write_str("timed out"),
        }
    }
}

/// The text includes the cause, so there is no source.
impl std::error::Error for QueryError {}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}
