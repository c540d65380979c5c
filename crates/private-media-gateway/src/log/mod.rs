//! The log on standard error: text at a terminal, JSON elsewhere.
//!
//! Logging never waits for the log's reader. Each line goes into a bounded queue, and a thread of its own writes it.

mod json;
mod queue;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use json::JsonLine;
use queue::{Queue, Report};

/// The most bytes of lines that wait to be written. At 20,000 requests a second, it holds the lines of half a second.
const CAPACITY: usize = 4 << 20;

/// How long the end of the process waits for the last lines to be written.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process, once there is a log.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// Writes events and panics to standard error from now on. If the process has a log already, it stays.
pub(crate) fn to_stderr(filter: &str) -> io::Result<()> {
    let is_terminal = io::stderr().is_terminal();
    let report: Report = if is_terminal { text_report } else { json::dropped_report };
    let queue = Arc::new(Queue::new(CAPACITY, report));
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter_of(filter))
        .with_writer(Lines(Arc::clone(&queue)))
        // It would print to standard error by itself.
        .log_internal_errors(false);
    let installed =
        if is_terminal { log.with_target(false).try_init() } else { log.event_format(JsonLine).try_init() };
    if installed.is_ok() {
        writer::spawn(Arc::clone(&queue))?;
        let _ = QUEUE.set(queue);
        // The default hook prints: several lines of text between others, and it waits for a reader that stands still.
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

/// Waits until the lines so far are written, up to `limit`. Returns at once if they cannot be written.
pub(crate) fn flush(limit: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(limit);
    }
}

/// Prints a line to standard error, after the lines of the log. An error is ignored: there is nowhere else to report it.
pub(crate) fn print(line: fmt::Arguments) {
    match QUEUE.get() {
        Some(queue) => {
            queue.push(format!("{line}\n").as_bytes());
            queue.flush(FLUSH_TIMEOUT);
        }
        None => drop(writeln!(io::stderr().lock(), "{line}")),
    }
}

fn filter_of(filter: &str) -> EnvFilter {
    EnvFilter::try_new(filter).unwrap_or_default()
}

fn log_panic(panic: &PanicHookInfo) {
    let thread = std::thread::current();
    let message = panic.payload_as_str().unwrap_or("of another type than text");
    let location = panic.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(thread = thread.name(), location, backtrace, "panic: {message}");
}

/// The report of dropped lines at a terminal.
fn text_report(batch: &mut Vec<u8>, dropped: u64, reason: &str) {
    let time = humantime::format_rfc3339_micros(SystemTime::now());
    // Writing to a vector cannot fail.
    let _ = writeln!(batch, "{time}  WARN dropped {dropped} log lines: {reason}");
}

/// Puts each event into the queue. The subscriber writes each in one piece.
struct Lines(Arc<Queue>);

impl<'a> MakeWriter<'a> for Lines {
    type Writer = &'a Queue;

    fn make_writer(&'a self) -> &'a Queue {
        &self.0
    }
}

impl Write for &Queue {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.push(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
