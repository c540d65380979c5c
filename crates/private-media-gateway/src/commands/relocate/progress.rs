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
const OF_FILES: &str = "{bar:30} {human_pos} of {human_len} files, {per_sec}, {eta} left";
#[cfg(feature = "buckets")]
const UNCOUNTED: &str = "{spinner} {msg} files, {binary_bytes}, {binary_bytes_per_sec}";
#[cfg(feature = "buckets")]
const OF_BYTES: &str =
    "{bar:30} {msg}, {binary_bytes} of {binary_total_bytes}, {binary_bytes_per_sec}, {eta} left";

/// What the bar counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Files,
    #[cfg(feature = "buckets")]
    Bytes,
}

/// Shows how much is done, how fast, and on a terminal how long it will take.
pub(super) struct Progress {
    bar: Option<ProgressBar>,
    unit: Unit,
    done: Mutex<Done>,
}

struct Done {
    start: Instant,
    last_line: Instant,
    files: u64,
    bytes: u64,
    /// The number of all files, once they are counted.
    #[cfg_attr(not(feature = "buckets"), expect(dead_code, reason = "without buckets, the bar has it"))]
    all_files: Option<u64>,
}

impl Progress {
    /// `count` returns the number of files. It is called for a terminal, where the rest of the time is shown.
    pub(super) fn start(count: impl FnOnce() -> usize) -> Self {
        Self::new(Unit::Files, || ProgressBar::new(count() as u64).with_style(style(OF_FILES)))
    }

    /// Counts bytes. [`set_total`](Self::set_total) says later how many there are.
    #[cfg(feature = "buckets")]
    pub(super) fn start_bytes() -> Self {
        Self::new(Unit::Bytes, || ProgressBar::no_length().with_style(style(UNCOUNTED)).with_message("0"))
    }

    fn new(unit: Unit, bar: impl FnOnce() -> ProgressBar) -> Self {
        let bar = io::stderr().is_terminal().then(bar);
        let now = Instant::now();
        let done = Done { start: now, last_line: now, files: 0, bytes: 0, all_files: None };
        Self { bar, unit, done: Mutex::new(done) }
    }

    /// Returns whether there is a bar, which needs a total.
    #[cfg(feature = "buckets")]
    pub(super) fn needs_total(&self) -> bool {
        self.bar.is_some()
    }

    #[cfg(feature = "buckets")]
    pub(super) fn set_total(&self, files: u64, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.all_files = Some(files);
        if let Some(bar) = &self.bar {
            bar.set_style(style(OF_BYTES));
            bar.set_message(done.message());
            bar.set_length(bytes);
        }
    }

    /// Adds a file, which was not added in parts.
    pub(super) fn add(&self, outcome: &Outcome) {
        let bytes = if let Outcome::Moved { bytes } = outcome { *bytes } else { 0 };
        self.advance(1, bytes);
    }

    /// Adds files that are done, and bytes.
    pub(super) fn advance(&self, files: u64, bytes: u64) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.files = done.files.saturating_add(files);
        done.bytes = done.bytes.saturating_add(bytes);
        if let Some(bar) = &self.bar {
            match self.unit {
                Unit::Files => bar.inc(files),
                #[cfg(feature = "buckets")]
                Unit::Bytes => {
                    bar.inc(bytes);
                    if files > 0 {
                        bar.set_message(done.message());
                    }
                }
            }
        } else if done.last_line.elapsed() >= INTERVAL {
            done.last_line = Instant::now();
            log::print(format_args!("{}", done.line()));
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

impl Done {
    /// Returns the files for the bar.
    #[cfg(feature = "buckets")]
    fn message(&self) -> String {
        match self.all_files {
            Some(all) => format!("{} of {all} files", self.files),
            None => self.files.to_string(),
        }
    }

    fn line(&self) -> String {
        let elapsed = self.start.elapsed();
        let rate = u128::from(self.bytes).saturating_mul(1000).checked_div(elapsed.as_millis()).unwrap_or(0);
        let (bytes, rate) = (HumanBytes(self.bytes), HumanBytes(u64::try_from(rate).unwrap_or(u64::MAX)));
        format!("{} files, {bytes}, {rate}/s, {}", self.files, HumanDuration(elapsed))
    }
}

/// Returns the style of a valid template; the default one would do, too.
fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template).unwrap_or_else(|_| ProgressStyle::default_bar())
}

#[cfg(all(test, feature = "buckets"))]
mod tests {
    use super::*;

    #[test]
    fn templates_are_valid() {
        for template in [OF_FILES, UNCOUNTED, OF_BYTES] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }

    #[test]
    fn lines_have_a_rate() {
        let now = Instant::now();
        let start = now.checked_sub(Duration::from_secs(10)).unwrap();
        let done = Done { start, last_line: now, files: 7, bytes: 20 << 20, all_files: Some(9) };
        let line = done.line();
        assert!(line.starts_with("7 files, 20.00 MiB, ") && line.contains("iB/s, "), "{line}");
        assert_eq!(done.message(), "7 of 9 files");
    }
}
