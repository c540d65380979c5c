//! What was found, line by line.

use std::io::Write;
use std::path::Path;

use serde::Serialize;

/// What a check says of a thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
    Ok,
    Problem,
    /// Something to decide about, which does not fail the doctor.
    Warning,
    /// It could not be looked at.
    Note,
}

/// One thing that a check has looked at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) status: Status,
    /// The thing and the value seen.
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

    /// What could not be looked at, and why.
    pub(super) fn note(message: impl Into<String>) -> Self {
        Self { status: Status::Note, message: message.into(), fix: None }
    }
}

/// The problems, or that all is well if there is none.
pub(super) fn unless_ok(problems: Findings, ok: impl Into<String>) -> Findings {
    if problems.is_empty() { vec![Finding::ok(ok)] } else { problems }
}

/// All findings; printed as they come, or as JSON when they are all there.
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

    /// Nothing more comes.
    pub(super) fn end(&self) {
        if self.json {
            print(&serde_json::to_string_pretty(&self.lines).unwrap_or_default());
        }
    }

    /// Whether there is no problem.
    pub(super) fn is_well(&self) -> bool {
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

/// Whoever reads stdout may have seen enough, which is no error.
fn print(text: &str) {
    let _ = writeln!(std::io::stdout().lock(), "{text}");
}

/// What a server answers may hold anything, and stays one line on a terminal.
fn printable(text: &str) -> String {
    text.chars().flat_map(|c| if c.is_control() { c.escape_default().collect() } else { vec![c] }).collect()
}

/// A path as a shell takes it: what is to be done about something may be pasted.
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
    fn what_a_shell_takes() {
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
    fn lines() {
        let mut report = Report::new(true);
        report.add("root", vec![Finding::ok("a folder")]);
        report.add("cache", vec![Finding::problem("it keeps\u{1b}[2J\nanswers", "proxy_cache off;")]);
        report.add("outside", vec![Finding::note("not looked at")]);
        let lines: Vec<_> = report.lines.iter().map(Line::to_text).collect();
        assert_eq!(
            lines,
            [
                "ok       root: a folder",
                "problem  cache: it keeps\\u{1b}[2J\\nanswers\nfix      proxy_cache off;",
                "note     outside: not looked at",
            ]
        );
        assert!(!report.is_well());
        assert_eq!(
            serde_json::to_value(&report.lines[1]).unwrap(),
            serde_json::json!({
                "check": "cache",
                "status": "problem",
                "message": "it keeps\\u{1b}[2J\\nanswers",
                "fix": "proxy_cache off;",
            })
        );
    }
}
