//! Errors of queries.

use std::fmt;
use std::io;

/// A failed query.
#[derive(Debug)]
pub(super) enum QueryError {
    Sql(sqlx::Error),
    /// The SQLite file cannot be read.
    File(io::Error),
    /// The query has timed out.
    Late,
}

impl fmt::Display for QueryError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Sql(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Self::Sql(error) => error.fmt(f),
            Self::File(error) => write!(f, "the database's file cannot be read: {error}"),
            Self::Late => f.write_str("it did not answer in time"),
        }
    }
}

impl std::error::Error for QueryError {}
