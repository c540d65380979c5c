//! The progress: a bar on a terminal, lines elsewhere.

use std::io::{self, IsTerminal};
use std::sync::Mutex;
use std::sync::PoisonError;
use std::time::{Duration, Instant};

use indicatif::{HumanBytes, HumanDuration, ProgressBar, ProgressStyle};

use super::report::Outcome;
use crate::log;

/// The pause between two lines.
const INTERVAL: Duration = Duration::from_secs(10);

/// Shows how many files are done, how fast, and on a terminal how long it will take.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    lines: Mutex<Lines>,
}

struct Lines {
    start: Instant,
    last: Instant,
    files: u64,
    bytes: u64,
}

impl Progress {
    /// `count` returns the number of files. It is called for a terminal, where the rest of the time is shown.
    pub(super) fn start(count: impl FnOnce() -> usize) -> Self {
        let bar = io::stderr().is_terminal().then(|| {
            let bar = ProgressBar::new(count() as u64);
            let style = "{bar:30} {human_pos} of {human_len} files, {per_sec}, {eta} left";
            // The template is valid; the default one would do, too.
            bar.set_style(
                ProgressStyle::with_template(style).unwrap_or_else(|_| ProgressStyle::default_bar()),
            );
            bar
        });
        let now = Instant::now();
        Self { bar, lines: Mutex::new(Lines { start: now, last: now, files: 0, bytes: 0 }) }
    }

    pub(super) fn add(&self, outcome: &Outcome) {
        if let Some(bar) = &self.bar {
            bar.inc(1);
            return;
        }
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        lines.files += 1;
        if let Outcome::Moved { bytes } = outcome {
            lines.bytes = lines.bytes.saturating_add(*bytes);
        }
        if lines.last.elapsed() >= INTERVAL {
            lines.last = Instant::now();
            let (files, bytes) = (lines.files, HumanBytes(lines.bytes));
            log::print(format_args!("{files} files, {bytes}, {}", HumanDuration(lines.start.elapsed())));
        }
    }

    /// Prints a message, above the bar.
    pub(super) fn print(&self, message: &str) {
        match &self.bar {
            Some(bar) => bar.suspend(|| log::print(format_args!("{message}"))),
            None => log::print(format_args!("{message}")),
        }
    }

    pub(super) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}
