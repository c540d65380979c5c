//! The report of the doctor: findings, as text or JSON.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

/// The result of one check of one thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Problem,
    /// Something to decide about, which does not fail the doctor.
    Warning,
    /// Not checked.
    Note,
}

/// One thing that was checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    /// The thing, and the value that was found.
    pub(super) message: String,
    pub(super) fix: Option<String>,
}

pub(super) type Findings = Vec<Finding>;

impl Finding {
    pub(super) fn ok(message: impl Into<String>) -> Self {
        Self { status: Status::Ok, message: message.into(), fix: None }
    }

    pub(super) fn problem(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Problem, message: message.into(), fix: Some(fix.into()) }
    }

    pub(super) fn warning(message: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { status: Status::Warning, message: message.into(), fix: Some(fix.into()) }
    }

    /// Returns a note about something that could not be checked.
    pub(super) fn note(message: impl Into<String>) -> Self {
        Self { status: Status::Note, message: message.into(), fix: None }
    }
}

/// Returns the problems or, if there are none, that everything is correct.
pub(super) fn or_ok(problems: Findings, ok: impl Into<String>) -> Findings {
    if problems.is_empty() { vec![Finding::ok(ok)] } else { problems }
}

/// All findings. Text is printed as they come, JSON at the end.
#[derive(Debug)]
pub(super) struct Report {
    json: bool,
    lines: Vec<Line>,
}

#[derive(Debug, Serialize)]
struct Line {
    check: &'static str,
    status: Status,
    message: String,
    fix: Option<String>,
}

impl Report {
    pub(super) fn new(json: bool) -> Self {
        Self { json, lines: Vec::new() }
    }

    pub(super) fn add(&mut self, check: &'static str, findings: Findings) {
        for Finding { status, message, fix } in findings {
            let line =
                Line { check, status, message: printable(&message), fix: fix.map(|fix| printable(&fix)) };
            if !self.json {
                print(&line.to_text());
            }
            self.lines.push(line);
        }
    }

    /// Prints the JSON, if that was asked for.
    pub(super) fn end(&self) {
        if self.json {
            print(&serde_json::to_string_pretty(&self.lines).unwrap_or_default());
        }
    }

    pub(super) fn has_no_problem(&self) -> bool {
        self.lines.iter().all(|line| line.status != Status::Problem)
    }
}

impl Line {
    fn to_text(&self) -> String {
        let Self { check, message, .. } = self;
        let word = match self.status {
            Status::Ok => "ok",
            Status::Problem => "problem",
            Status::Warning => "warning",
            Status::Note => "note",
        };
        match &self.fix {
            Some(fix) => format!("{word:<8} {check}: {message}\n{:<8} {fix}", "fix"),
            None => format!("{word:<8} {check}: {message}"),
        }
    }
}

/// Prints a line. A closed stdout is not an error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// Escapes control characters, which a response may contain.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// Quotes a path for a shell, so that a fix can be copied and pasted.
pub(super) fn quoted(path: impl AsRef<Path>) -> String {
    let path = path.as_ref().display().to_string();
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "/._-+@:".contains(c);
    if !path.starts_with('-') && path.chars().all(is_plain) {
        path
    } else {
        format!("'{}'", path.replace('\'', r"'\''"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_quoted_for_a_shell() {
        for (path, text) in [
            ("/srv/private", "/srv/private"),
            ("my files", "'my files'"),
            ("x;touch pwn", "'x;touch pwn'"),
            ("$(id)", "'$(id)'"),
            ("it's", r"'it'\''s'"),
            ("-rf", "'-rf'"),
        ] {
            assert_eq!(quoted(path), text);
        }
    }

    #[test]
    fn findings_are_one_line_each() {
        let mut report = Report::new(true);
        report.add("root", vec![Finding::ok("a folder")]);
        report.add("cache", vec![Finding::problem("it stores\u{1b}[2J\nresponses", "proxy_cache off;")]);
        report.add("outside", vec![Finding::note("not checked")]);
        let lines: Vec<_> = report.lines.iter().map(Line::to_text).collect();
        assert_eq!(
            lines,
            [
                "ok       root: a folder",
                "problem  cache: it stores\\u{1b}[2J\\nresponses\nfix      proxy_cache off;",
                "note     outside: not checked",
            ]
        );
        assert!(!report.has_no_problem());
        assert_eq!(
            serde_json::to_value(&report.lines[1]).unwrap(),
            serde_json::json!({
                "check": "cache",
                "status": "problem",
                "message": "it stores\\u{1b}[2J\\nresponses",
                "fix": "proxy_cache off;",
            })
        );
    }
}
