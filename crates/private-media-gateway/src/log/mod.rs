//! The log on standard error: text at a terminal, JSON elsewhere.
//!
//! Logging never waits for the reader of standard error. Lines go into a bounded queue, and a separate thread writes them.

mod filter;
mod json;
mod queue;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use filter::LiveFilter;
use json::JsonLine;
pub(crate) use json::write_value as write_json_text;
pub(crate) use queue::Queue;
use queue::Report;

/// The capacity of the queue, in bytes. At 20,000 requests a second, it holds the lines of half a second.
const CAPACITY: usize = 4 << 20;

/// The longest wait for the last lines to be written when the process ends.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process, after the log has been started.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// Starts the log on standard error: text at a terminal, JSON elsewhere. A log that the process already has is not replaced.
///
/// The filter is `error`, `warn`, `info`, `debug` or `trace`, or a filter of [`EnvFilter`]. The level `info` logs each request.
pub fn to_stderr(filter: &str) -> Result<(), LogError> {
    let filter = LiveFilter::new(env_filter(filter)?);
    let is_terminal = io::stderr().is_terminal();
    let report: Report = if is_terminal { text_report } else { json::dropped_report };
    let queue = Arc::new(Queue::new(CAPACITY, report));
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(QueueWriter(Arc::clone(&queue)))
        // These errors would go directly to standard error and could block.
        .log_internal_errors(false);
    let installed = if is_terminal {
        log.with_target(false).finish().with(filter.clone()).try_init()
    } else {
        log.event_format(JsonLine).finish().with(filter.clone()).try_init()
    };
    if installed.is_ok() {
        filter.install();
        writer::spawn(Arc::clone(&queue)).map_err(LogError::Start)?;
        let _ = QUEUE.set(queue);
        // The default hook prints several lines between the others, and blocks while the reader is stalled.
        std::panic::set_hook(Box::new(log_panic));
    }
    Ok(())
}

/// Replaces the filter of a log that [`to_stderr`] has started.
pub(crate) fn set_filter(filter: &str) -> Result<(), LogError> {
    filter::replace(env_filter(filter)?);
    Ok(())
}

fn env_filter(filter: &str) -> Result<EnvFilter, LogError> {
    EnvFilter::try_new(check_filter(filter)?).map_err(|_| LogError::Filter)
}

/// Waits until all queued lines are written, up to `timeout`. Returns early if a write fails.
pub(crate) fn flush(timeout: Duration) {
    if let Some(queue) = QUEUE.get() {
        queue.flush(timeout);
    }
}

/// Prints a line to standard error, after the lines of the log. An error is ignored, because it cannot be reported elsewhere.
pub(crate) fn print(line: fmt::Arguments) {
    match QUEUE.get() {
        Some(queue) => {
            queue.push(format!("{line}\n").as_bytes());
            queue.flush(FLUSH_TIMEOUT);
        }
        None => drop(writeln!(io::stderr().lock(), "{line}")),
    }
}

/// Checks a log filter.
pub(crate) fn check_filter(filter: &str) -> Result<String, LogError> {
    // `EnvFilter` treats an unknown word as a module name and disables all other events.
    let is_valid = filter.parse::<LevelFilter>().is_ok()
        || (filter.contains('=') && filter.parse::<EnvFilter>().is_ok());
    if is_valid { Ok(filter.to_owned()) } else { Err(LogError::Filter) }
}

/// An error of starting the log.
#[derive(Debug)]
#[non_exhaustive]
pub enum LogError {
    /// The filter is invalid.
    Filter,
    /// The thread that writes the log cannot be started.
    Start(io::Error),
}

impl fmt::Display for LogError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Filter => f.write_str("invalid log filter; expected error, warn, info, debug or trace"),
            Self::Start(error) => write!(f, "cannot start the thread that writes the log: {error}"),
        }
    }
}

impl Error for LogError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Filter => None,
            Self::Start(error) => Some(error),
        }
    }
}

fn log_panic(panic: &PanicHookInfo) {
    let thread = std::thread::current();
    let message = panic.payload_as_str().unwrap_or("the payload is not text");
    let location = panic.location().map(tracing::field::display);
    let backtrace = Backtrace::capture();
    let backtrace = (backtrace.status() == BacktraceStatus::Captured).then(|| backtrace.to_string());
    tracing::error!(thread = thread.name(), location, backtrace, "panic: {message}");
}

/// Appends the report of dropped lines as text, for a terminal.
fn text_report(batch: &mut Vec<u8>, dropped: u64, reason: &str) {
    let time = humantime::format_rfc3339_micros(SystemTime::now());
    // Writing to a vector cannot fail.
    let _ = writeln!(batch, "{time}  WARN dropped {dropped} log lines: {reason}");
}

/// Adds events to the queue. The subscriber writes each event with one call.
struct QueueWriter(Arc<Queue>);

impl<'a> MakeWriter<'a> for QueueWriter {
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
