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
    /// The query has timed out.
    Timeout,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Self::Sql(error) => error.fmt(f),
            Self::File(error) => write!(f, "the database's file cannot be read: {error}"),
            Self::Timeout => f.write_str("it did not answer in time"),
        }
    }
}

impl std::error::Error for QueryError {}

impl From<sqlx::Error> for QueryError {
    fn from(error: sqlx::Error) -> Self {
        Self::Sql(error)
    }
}
