//! The error of an invalid setup.

use std::fmt;

/// A problem with the secret keys or the database, and its fix, in one line. It contains neither a key nor a password.
#[derive(Debug)]
pub struct DjangoError(String);

impl DjangoError {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

impl fmt::Display for DjangoError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for DjangoError {}
