//! The output of `check`, as text or JSON.

use std::fmt::Write;
use std::path::Path;

use private_media::Decision;
use serde::Serialize;

use super::case::Case;
use super::table::{Expected, Row};
use crate::config::ConfigError;
use crate::output;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Format {
    Text,
    Json,
}

/// The decision about a case.
#[derive(Debug, Serialize)]
pub(super) struct Outcome {
    #[serde(skip_serializing_if = "Option::is_none")]
    line: Option<usize>,
    user: String,
    path: String,
    action: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    expected: Option<&'static str>,
    decision: &'static str,
    reason: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    row: Option<String>,
}

impl Outcome {
    pub(super) fn new(case: &Case, decision: &Decision) -> Self {
        Self {
            line: None,
            user: case.subject.to_string(),
            path: case.target.to_string(),
            action: case.action.to_string(),
            expected: None,
            decision: if decision.is_allowed() { "allowed" } else { "denied" },
            reason: decision.reason().to_owned(),
            row: None,
        }
    }

    /// Adds the row that the lookup of the path found.
    pub(super) fn with_row(mut self, row: Option<String>) -> Self {
        self.row = row;
        self
    }

    /// Adds what a table expects.
    pub(super) fn compared(mut self, row: &Row) -> Self {
        self.line = Some(row.line);
        self.expected = Some(match row.expected {
            Expected::Allowed => "allowed",
            Expected::Denied => "denied",
        });
        self
    }

    pub(super) fn is_allowed(&self) -> bool {
        self.decision == "allowed"
    }

    pub(super) fn is_as_expected(&self) -> bool {
        self.expected.is_none_or(|expected| expected == self.decision)
    }
}

/// Prints the decision about one case.
pub(super) fn one(outcome: &Outcome, format: Format) -> Result<(), ConfigError> {
    match format {
        Format::Text => {
            let row = outcome.row.iter().map(|row| format!("\n{row}")).collect::<String>();
            output::line(format_args!("{}: {}{row}", outcome.decision, outcome.reason))
        }
        Format::Json => json(outcome),
    }
}

/// Prints the differences of a table and their number.
pub(super) fn table(file: &Path, outcomes: &[Outcome], format: Format) -> Result<(), ConfigError> {
    match format {
        Format::Text => output::text(format_args!("{}", differences(file, outcomes))),
        Format::Json => json(&outcomes),
    }
}

fn differences(file: &Path, outcomes: &[Outcome]) -> String {
    let mut text = String::new();
    let file = file.display();
    let different = outcomes.iter().filter(|outcome| !outcome.is_as_expected());
    for Outcome { line, user, path, action, expected, decision, reason, .. } in different.clone() {
        let (line, expected) = (line.unwrap_or_default(), expected.unwrap_or_default());
        // Writing to a String cannot fail.
        let _ =
            write!(text, "{file}:{line}: {user}, {action} {path}\n- {expected}\n+ {decision}: {reason}\n\n");
    }
    let (all, different) = (outcomes.len(), different.count());
    let _ = match different {
        0 => writeln!(text, "{all} of {all} cases as expected"),
        _ => writeln!(text, "{different} of {all} cases differ"),
    };
    text
}

fn json(value: &impl Serialize) -> Result<(), ConfigError> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| ConfigError::new(format!("cannot write JSON: {error}")))?;
    output::line(format_args!("{text}"))
}
