//! Errors of the setup.

use std::fmt;

/// An error in a database URL, a connection or a query, and how to fix it. It contains no password.
#[derive(Debug)]
pub struct DatabaseError(String);

impl DatabaseError {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

impl fmt::Display for DatabaseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DatabaseError {}
