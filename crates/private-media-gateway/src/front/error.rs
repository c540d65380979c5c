//! Why a front server's configuration cannot be printed.

use std::fmt;

use super::config::FrontField;

/// A value of a [`FrontConfig`](super::FrontConfig) that the front server cannot use.
#[derive(Debug)]
pub struct FrontError {
    field: FrontField,
    problem: String,
    fix: Fix,
}

#[derive(Debug)]
enum Fix {
    Text(String),
    /// Use one of these send modes: `direct`, `nginx` or `apache`.
    SendModes(&'static [&'static str]),
}

impl FrontError {
    pub(super) fn new(field: FrontField, problem: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { field, problem: problem.into(), fix: Fix::Text(fix.into()) }
    }

    pub(super) fn send_mode(problem: &str, supported: &'static [&'static str]) -> Self {
        Self { field: FrontField::SendMode, problem: problem.into(), fix: Fix::SendModes(supported) }
    }

    /// Returns the field with the wrong value.
    #[must_use]
    pub fn field(&self) -> FrontField {
        self.field
    }

    /// Returns what is wrong and what to do. `name_of` translates a send mode (`direct`, `nginx` or `apache`) into the caller's settings.
    #[must_use]
    pub fn problem_and_fix(&self, name_of: impl Fn(&'static str) -> &'static str) -> String {
        let fix = match &self.fix {
            Fix::Text(fix) => fix.clone(),
            Fix::SendModes(modes) => {
                let names: Vec<_> = modes.iter().map(|mode| name_of(mode)).collect();
                format!("use {}", names.join(" or "))
            }
        };
        format!("{}; {fix}", self.problem)
    }
}

impl fmt::Display for FrontError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}: {}", self.field, self.problem_and_fix(|name| name))
    }
}

impl std::error::Error for FrontError {}
