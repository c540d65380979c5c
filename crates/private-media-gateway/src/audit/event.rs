//! Records about the audit itself: what happened to its files, and what could not be recorded.

use std::fmt::{Display, Write as _};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;

use super::line::Chain;
use crate::log::write_json_field;

/// The longest part of a torn line that is kept, in characters.
const MAX_TORN: usize = 4096;

/// The action of these records.
pub(crate) const ACTION: &str = "audit";

/// The fields of a record about the audit itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event(String);

impl Event {
    fn new(name: &str) -> Self {
        Self(format!("\"action\":\"{ACTION}\",\"event\":\"{name}\""))
    }

    fn text(mut self, field: &str, value: &str) -> Self {
        write_json_field(&mut self.0, field, value);
        self
    }

    fn number(mut self, field: &str, value: impl Display) -> Self {
        // Writing to a string cannot fail.
        let _ = write!(self.0, ",\"{field}\":{value}");
        self
    }

    pub(super) fn body(&self) -> &[u8] {
        self.0.as_bytes()
    }
}

/// The first record of each file.
pub(super) fn opened(key: Option<&str>) -> Event {
    let event = Event::new("opened").text("version", env!("CARGO_PKG_VERSION"));
    match key {
        Some(key) => event.text("key", key),
        None => event,
    }
}

/// A gateway has started.
pub(super) fn started() -> Event {
    Event::new("started").number("process", std::process::id())
}

/// A gateway has stopped.
pub(super) fn stopped() -> Event {
    Event::new("stopped").number("process", std::process::id())
}

/// Records did not fit into the queue.
pub(super) fn dropped(count: u64, reason: &str) -> Event {
    Event::new("dropped").number("records", count).text("reason", reason)
}

/// Requests were refused because they could not be recorded.
pub(super) fn refused(count: u64) -> Event {
    Event::new("refused").number("requests", count)
}

/// An incomplete last line was removed.
pub(super) fn repaired(torn: &[u8]) -> Event {
    let text: String = String::from_utf8_lossy(torn).chars().take(MAX_TORN).collect();
    Event::new("repaired").number("bytes", torn.len()).text("removed", &text)
}

/// Records at the end of a file were missing.
pub(super) fn missing(from: u64, to: u64) -> Event {
    Event::new("missing").number("from", from).number("to", to)
}

/// The file was removed while a gateway wrote to it.
pub(super) fn removed(newest: u64) -> Event {
    Event::new("removed").number("newest", newest)
}

/// Something else is wrong with the files.
pub(super) fn fault(problem: &str) -> Event {
    Event::new("fault").text("problem", problem)
}

/// A file is deleted because of `audit.keep`.
pub(super) fn expired(file: &Path, end: Chain) -> Event {
    let name = file.file_name().unwrap_or_default().to_string_lossy();
    let hash = String::from_utf8_lossy(&end.hash).into_owned();
    Event::new("expired").text("file", &name).number("through", end.sequence).text("last_hash", &hash)
}

/// What the first line of a file says.
#[derive(Debug, Default)]
pub(super) struct FirstLine {
    pub(super) time: Option<SystemTime>,
    pub(super) key: Option<String>,
}

impl FirstLine {
    pub(super) fn parse(line: &[u8]) -> Self {
        #[derive(Deserialize)]
        struct Fields {
            time: String,
            #[serde(default)]
            event: String,
            key: Option<String>,
        }

        let Ok(fields) = serde_json::from_slice::<Fields>(line) else { return Self::default() };
        let key = fields.key.filter(|_| fields.event == "opened");
        Self { time: humantime::parse_rfc3339(&fields.time).ok(), key }
    }
}

/// Returns the end of a deleted file, if a line says that one was.
pub(super) fn expired_end(line: &[u8]) -> Option<Chain> {
    #[derive(Deserialize)]
    struct Fields {
        action: String,
        event: String,
        through: u64,
        last_hash: String,
    }

    memchr::memmem::find(line, b"\"event\":\"expired\"")?;
    let fields: Fields = serde_json::from_slice(line).ok()?;
    let hash = fields.last_hash.as_bytes().try_into().ok()?;
    (fields.action == ACTION && fields.event == "expired").then_some(Chain { sequence: fields.through, hash })
}
