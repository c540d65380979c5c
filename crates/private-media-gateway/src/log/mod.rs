//! The log on standard error, as text or JSON.
//!
//! Logging never waits for the reader of standard error. Lines go into a bounded queue, and a separate thread writes them.

mod filter;
mod json;
mod queue;
mod text;
mod units;
mod writer;

use std::backtrace::{Backtrace, BacktraceStatus};
use std::error::Error;
use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::panic::PanicHookInfo;
use std::str::FromStr;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tracing_subscriber::EnvFilter;
use tracing_subscriber::filter::LevelFilter;
use tracing_subscriber::fmt::MakeWriter;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use filter::LiveFilter;
use json::JsonLine;
use queue::Report;
use text::TextLine;

pub(crate) use json::{write_text as write_json_text, write_thousandths, write_value as write_json_field};
pub(crate) use queue::Queue;
pub(crate) use units::UrlPath;

/// The capacity of the queue, in bytes. At 20,000 requests a second, it holds the lines of half a second.
const CAPACITY: usize = 4 << 20;

/// The longest wait for the last lines to be written when the process ends.
pub(crate) const FLUSH_TIMEOUT: Duration = Duration::from_secs(1);

/// The queue of this process, after the log has been started.
static QUEUE: OnceLock<Arc<Queue>> = OnceLock::new();

/// The format of the lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    /// Text at a terminal, JSON elsewhere.
    Auto,
    Text,
    Json,
}

impl FromStr for Format {
    type Err = ();

    fn from_str(value: &str) -> Result<Self, ()> {
        Ok(match value {
            "auto" => Self::Auto,
            "text" => Self::Text,
            "json" => Self::Json,
            _ => return Err(()),
        })
    }
}

/// Starts the log on standard error: text at a terminal, JSON elsewhere. A log that the process already has is not replaced.
///
/// The filter is `error`, `warn`, `info`, `debug` or `trace`, or a filter of [`EnvFilter`]. The level `info` logs each request.
pub fn to_stderr(filter: &str) -> Result<(), LogError> {
    start(filter, Format::Auto)
}

/// Starts the log on standard error. A log that the process already has is not replaced.
pub(crate) fn start(filter: &str, format: Format) -> Result<(), LogError> {
    let filter = LiveFilter::new(env_filter(filter)?);
    let is_terminal = io::stderr().is_terminal();
    let is_text = format == Format::Text || (format == Format::Auto && is_terminal);
    let report: Report = if is_text { text::dropped_report } else { json::dropped_report };
    let queue = Arc::new(Queue::new(CAPACITY, report));
    let log = tracing_subscriber::fmt()
        .with_max_level(LevelFilter::TRACE)
        .with_writer(QueueWriter(Arc::clone(&queue)))
        // These errors would go directly to standard error and could block.
        .log_internal_errors(false);
    let installed = if is_text {
        let format = TextLine { has_colors: is_terminal && wants_colors() };
        log.event_format(format).finish().with(filter.clone()).try_init()
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

/// Returns whether a terminal should get colors: by the conventions of <https://no-color.org> and of terminals without any.
fn wants_colors() -> bool {
    let is_set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    !is_set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|terminal| terminal != "dumb")
}

/// Returns the number of lines that were dropped since the start, because they could not be written.
pub(crate) fn dropped() -> u64 {
    QUEUE.get().map_or(0, |queue| queue.dropped())
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

#[cfg(test)]
mod tests {
    use std::path::Path;
    use std::sync::Mutex;

    use tracing_subscriber::Registry;
    use tracing_subscriber::fmt::FormatEvent;
    use tracing_subscriber::fmt::format::DefaultFields;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap().extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;

        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// Returns what a format writes for an event.
    pub(super) fn formatted<F>(format: F, event: impl FnOnce()) -> String
    where
        F: FormatEvent<Registry, DefaultFields> + Send + Sync + 'static,
    {
        let written = Written::default();
        let log =
            tracing_subscriber::fmt().with_max_level(tracing::Level::DEBUG).with_writer(written.clone());
        tracing::subscriber::with_default(log.event_format(format).finish(), event);
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes).unwrap()
    }

    /// Returns the Rust files below a folder.
    fn sources(folder: &Path) -> Vec<String> {
        let mut files = Vec::new();
        for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
            if entry.path().is_dir() {
                files.extend(sources(&entry.path()));
            } else if entry.path().extension().is_some_and(|extension| extension == "rs") {
                files.push(std::fs::read_to_string(entry.path()).unwrap());
            }
        }
        files
    }

    /// Readers of the log do not know Rust: `?value` in an event would write `Some("…")`.
    #[test]
    fn no_event_has_a_debug_format() {
        let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
        let events: Vec<String> = sources(&crates)
            .iter()
            .filter_map(|source| source.split("#[cfg(test)]\nmod tests {").next())
            .flat_map(|source| source.split("tracing::").skip(1))
            .filter(|event| {
                ["error!(", "warn!(", "info!(", "debug!("].iter().any(|level| event.starts_with(level))
            })
            .filter_map(|event| event.split_once(");").map(|(event, _)| event.to_owned()))
            .collect();
        assert!(events.len() > 40, "{}", events.len());
        for event in events {
            let has_debug = ["(?", " ?", "{:?}", ":?}"].iter().any(|debug| event.contains(debug));
            assert!(!has_debug, "{event}");
        }
    }
}
