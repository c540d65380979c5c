//! Errors of the setup.

use std::fmt;

/// An error in the secret keys or the database, and how to fix it. It contains neither a key nor a password.
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
