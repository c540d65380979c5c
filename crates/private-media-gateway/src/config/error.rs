//! What is wrong with a configuration.

use std::error::Error;
use std::fmt;

/// What is wrong with the configuration or the command: one line that names the setting, the value and the fix.
#[derive(Debug)]
pub(crate) struct ConfigError(String);

impl ConfigError {
    pub(crate) fn new(line: impl Into<String>) -> Self {
        Self(line.into())
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // A value may contain line breaks; the error stays one line.
        f.write_str(&self.0.replace(|c: char| c.is_control(), " "))
    }
}

impl Error for ConfigError {}
