//! What happened to each file: counts, messages, and a file of JSON lines.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;
use std::process::ExitCode;
use std::sync::{Mutex, MutexGuard, PoisonError};

use serde_json::json;

use crate::config::ConfigError;
use crate::log;
use crate::output;

/// What happened to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Moved {
        bytes: u64,
    },
    /// The same file was at the new path.
    AlreadyThere,
    /// Another file was at the new path.
    Conflict(String),
    /// It cannot be served.
    Skipped(String),
    Failed(String),
}

/// How many messages about files are printed. The report has all.
const SHOWN: u64 = 100;

/// Counts outcomes, and writes them to a file.
pub(super) struct Report {
    state: Mutex<State>,
    dry_run: bool,
}

#[derive(Default)]
struct State {
    file: Option<BufWriter<File>>,
    moved: u64,
    bytes: u64,
    already_there: u64,
    conflicts: u64,
    skipped: u64,
    failed: u64,
    is_interrupted: bool,
    /// The first error of writing the file.
    broken: Option<io::Error>,
}

impl Report {
    /// Creates the file, which must not exist.
    pub(super) fn create(path: Option<&Path>, dry_run: bool) -> Result<Self, ConfigError> {
        let create = |path: &Path| {
            File::create_new(path).map_err(|error| {
                ConfigError::new(format!("--report {}: {error}; name a new file", path.display()))
            })
        };
        let file = path.map(create).transpose()?.map(BufWriter::new);
        Ok(Self { state: Mutex::new(State { file, ..State::default() }), dry_run })
    }

    /// Adds an outcome. Returns the message to print about it, if any.
    pub(super) fn add(&self, path: &str, outcome: &Outcome) -> Option<String> {
        let mut state = self.lock();
        let (name, reason) = match outcome {
            Outcome::Moved { bytes } => {
                state.moved += 1;
                state.bytes = state.bytes.saturating_add(*bytes);
                ("moved", None)
            }
            Outcome::AlreadyThere => {
                state.already_there += 1;
                ("already there", None)
            }
            Outcome::Conflict(reason) => {
                state.conflicts += 1;
                ("conflict", Some(reason))
            }
            Outcome::Skipped(reason) => {
                state.skipped += 1;
                ("skipped", Some(reason))
            }
            Outcome::Failed(reason) => {
                state.failed += 1;
                ("failed", Some(reason))
            }
        };
        state.write(&match reason {
            Some(reason) => json!({"path": path, "result": name, "reason": reason}),
            None => json!({"path": path, "result": name}),
        });
        let problems = state.problems();
        drop(state);
        let reason = reason.filter(|_| problems <= SHOWN)?;
        let further =
            if problems == SHOWN { "\nfurther problems are only counted; --report lists all" } else { "" };
        Some(format!("{name}: {}: {reason}{further}", path.escape_debug()))
    }

    pub(super) fn interrupted(&self) {
        self.lock().is_interrupted = true;
    }

    /// Prints the summary, and returns the exit code.
    pub(super) fn conclude(&self) -> ExitCode {
        let mut state = self.lock();
        let State { moved, bytes, already_there, conflicts, skipped, failed, is_interrupted, .. } = *state;
        let counts = [
            ("already there", already_there),
            ("conflicts", conflicts),
            ("skipped", skipped),
            ("failed", failed),
        ];
        state.write(&json!({
            "dry_run": self.dry_run, "interrupted": is_interrupted, "moved": moved, "bytes": bytes,
            "already_there": already_there, "conflicts": conflicts, "skipped": skipped, "failed": failed,
        }));
        if let Some(file) = state.file.take()
            && let Err(error) =
                file.into_inner().map_err(io::IntoInnerError::into_error).and_then(|file| file.sync_all())
        {
            state.broken.get_or_insert(error);
        }
        let (verb, size) = (if self.dry_run { "would move" } else { "moved" }, indicatif::HumanBytes(bytes));
        let others =
            counts.iter().filter(|(_, count)| *count > 0).map(|(name, count)| format!("; {name}: {count}"));
        let others: String = others.collect();
        // The exit code says it, too.
        let _ = output::line(format_args!("{verb} {moved} files, {size}{others}"));
        if is_interrupted {
            log::print(format_args!("private-media: interrupted; run the same command again to go on"));
        }
        if let Some(error) = &state.broken {
            log::print(format_args!("private-media: --report: {error}; the report is incomplete"));
        }
        let is_complete = state.problems() == 0 && !is_interrupted && state.broken.is_none();
        if is_complete { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn problems(&self) -> u64 {
        self.conflicts + self.skipped + self.failed
    }

    /// Writes a line. After an error, files are still moved.
    fn write(&mut self, line: &serde_json::Value) {
        if let Some(file) = &mut self.file
            && let Err(error) = writeln!(file, "{line}")
        {
            self.broken.get_or_insert(error);
        }
    }
}
