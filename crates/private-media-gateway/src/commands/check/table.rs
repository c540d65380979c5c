//! The table of `check --table`.

use std::path::Path;

use serde::Deserialize;
use toml::Spanned;

use super::case::Case;
use super::subject::Subject;
use crate::config::{Config, ConfigError};

/// The file.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    case: Vec<Spanned<CaseTable>>,
}

/// A `[[case]]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct CaseTable {
    user: Subject,
    path: String,
    #[serde(default = "read")]
    action: String,
    expected: Expected,
}

fn read() -> String {
    "read".into()
}

/// The decision that a case expects.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Expected {
    Allowed,
    Denied,
}

/// A case of a table.
pub(super) struct Row {
    pub(super) case: Case,
    pub(super) expected: Expected,
    /// The line of the file on which the case begins.
    pub(super) line: usize,
}

impl Row {
    /// Returns the error of a case that cannot be decided.
    pub(super) fn error(&self, file: &Path, problem: &ConfigError) -> ConfigError {
        ConfigError::new(format!("{}: line {}: {problem}", file.display(), self.line))
    }
}

/// Loads a table. An error names the file and the line.
pub(super) fn load(config: &Config, file: &Path) -> Result<Vec<Row>, ConfigError> {
    let error = |problem: String| ConfigError::new(format!("{}: {problem}", file.display()));
    let text = std::fs::read_to_string(file)
        .map_err(|cause| error(format!("cannot be read: {cause}; name a TOML file with [[case]] tables")))?;
    let line = |at: usize| text.get(..at).map_or(1, |before| before.matches('\n').count() + 1);
    let table: File = toml::from_str(&text).map_err(|cause: toml::de::Error| {
        let line = cause.span().map_or(1, |span| line(span.start));
        error(format!("line {line}: {}", cause.message()))
    })?;
    if table.case.is_empty() {
        return Err(error("no case; add [[case]] with user, path and expected".into()));
    }
    let rows = table.case.into_iter().map(|case| {
        let line = line(case.span().start);
        let CaseTable { user, path, action, expected } = case.into_inner();
        let case = Case::new(config, user, &path, &action)
            .map_err(|problem| error(format!("line {line}: {problem}")))?;
        Ok(Row { case, expected, line })
    });
    rows.collect()
}
