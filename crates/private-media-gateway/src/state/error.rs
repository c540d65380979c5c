//! Errors of the state store.

use std::fmt;
use std::io;

/// An error of the state store.
#[derive(Debug)]
pub(crate) enum StateError {
    Io(io::Error),
    Sql(sqlx::Error),
    Timeout,
    /// The SQLite file was removed or replaced while it was open.
    Replaced,
    /// SQLite reports that the file is damaged.
    Damaged(String),
    /// The schema is newer than this program.
    Newer {
        found: i64,
        supported: i64,
    },
}

impl fmt::Display for StateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Io(error) => error.fmt(f),
            Self::Sql(sqlx::Error::Database(error)) => f.write_str(error.message()),
            Self::Sql(sqlx::Error::PoolTimedOut) => f.write_str("no connection in time"),
            Self::Sql(error) => error.fmt(f),
            Self::Timeout => f.write_str("no response in time"),
            Self::Replaced => f.write_str("the file was removed or replaced"),
            Self::Damaged(problem) => write!(f, "the file is damaged: {problem}"),
            Self::Newer { found, supported } => {
                write!(f, "its schema version is {found}, and this program knows versions up to {supported}")
            }
        }
    }
}

impl StateError {
    /// Returns what to do, if the error alone determines it.
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
            Self::Newer { .. } => Some("update this program, or name another database"),
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
