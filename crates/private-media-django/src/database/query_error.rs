//! Errors of queries.

use std::fmt;
use std::io;

/// A failed query.
#[derive(Debug)]
pub(super) enum QueryError {
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
