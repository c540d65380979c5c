//! Selects and prints records: `private-media audit show`.

use std::fmt::Write as _;
use std::io::{self, Write};
use std::path::Path;
use std::time::SystemTime;

use serde::Deserialize;
use serde_json::Value;

use super::event;
use super::line::read_line;
use super::seal::Seal;
use super::verify::Snapshot;

/// Which records are shown.
#[derive(Debug, Default)]
pub(crate) struct Filter {
    /// The id or the name of a user.
    pub(crate) user: Option<String>,
    /// The path of a file; `*` stands for any text.
    pub(crate) path: Option<String>,
    pub(crate) since: Option<SystemTime>,
    pub(crate) until: Option<SystemTime>,
    /// Any action if empty.
    pub(crate) actions: Vec<String>,
}

/// A record, with the fields that are selected or printed.
#[derive(Debug, Deserialize)]
struct Record {
    sequence: u64,
    time: String,
    action: String,
    user: Option<String>,
    name: Option<String>,
    path: Option<String>,
    decision: Option<String>,
    by: Option<String>,
    reason: Option<String>,
    client: Option<String>,
    status: Option<u16>,
    bytes: Option<u64>,
    ranges: Option<u64>,
    #[serde(default)]
    handed_off: bool,
    event: Option<String>,
    // The fields of events differ.
    #[serde(flatten)]
    others: std::collections::BTreeMap<String, Value>,
}

impl Filter {
    fn selects(&self, record: &Record) -> bool {
        let Self { user, path, since, until, actions } = self;
        let is_user =
            |user: &String| [&record.user, &record.name].into_iter().flatten().any(|own| own == user);
        let is_path = |pattern: &String| record.path.as_ref().is_some_and(|path| matches(pattern, path));
        if !user.as_ref().is_none_or(is_user) || !path.as_ref().is_none_or(is_path) {
            return false;
        }
        if !actions.is_empty() && !actions.contains(&record.action) {
            return false;
        }
        if since.is_none() && until.is_none() {
            return true;
        }
        let time = humantime::parse_rfc3339(&record.time);
        time.is_ok_and(|time| {
            since.is_none_or(|since| time >= since) && until.is_none_or(|until| time < until)
        })
    }
}

/// Returns whether a path is that of a pattern, in which `*` stands for any text.
fn matches(pattern: &str, path: &str) -> bool {
    let mut parts = pattern.split('*');
    let Some(mut rest) = parts.next().and_then(|first| path.strip_prefix(first)) else { return false };
    let mut parts: Vec<&str> = parts.collect();
    let Some(last) = parts.pop() else { return rest.is_empty() };
    for part in parts {
        match rest.split_once(part) {
            Some((_, after)) => rest = after,
            None => return false,
        }
    }
    rest.ends_with(last)
}

/// The output format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Format {
    Text,
    /// The lines of the audit, as they are.
    Json,
}

/// Prints the selected records. Returns the number of lines that are no records.
pub(crate) fn show(audit: &Path, filter: &Filter, format: Format, to: &mut impl Write) -> io::Result<u64> {
    // Whether the records are genuine is the question of `verify`.
    let snapshot = Snapshot::open(audit, &Seal::default())?;
    let (mut line, mut text, mut unreadable) = (Vec::new(), String::new(), 0);
    for (number, (_, file)) in snapshot.files.iter().enumerate() {
        let mut reader = snapshot.reader(number, file)?;
        while read_line(&mut reader, &mut line)?.is_some() {
            let Ok(record) = serde_json::from_slice::<Record>(&line) else {
                unreadable += 1;
                continue;
            };
            if !filter.selects(&record) {
                continue;
            }
            if format == Format::Json {
                to.write_all(&line)?;
                to.write_all(b"\n")?;
            } else {
                text.clear();
                record.write_text(&mut text);
                to.write_all(text.as_bytes())?;
            }
        }
    }
    to.flush()?;
    Ok(unreadable)
}

impl Record {
    /// Appends one line. Writing to a string cannot fail.
    fn write_text(&self, text: &mut String) {
        let start = text.len();
        let _ = write!(text, "{} {:>6} {:<8}", self.time, self.sequence, self.action);
        if self.action == event::ACTION {
            let _ = write!(text, " {}", self.event.as_deref().unwrap_or("-"));
            let hidden = ["previous", "hash", "version"];
            for (name, value) in self.others.iter().filter(|(name, _)| !hidden.contains(&name.as_str())) {
                let _ = write!(text, " {name}={value}");
            }
            if let Some(reason) = &self.reason {
                let _ = write!(text, ": {reason}");
            }
        } else {
            let user = match (&self.name, &self.user) {
                (Some(name), Some(id)) if name != id => format!("{name} ({id})"),
                (_, Some(id)) => id.clone(),
                (Some(name), None) => name.clone(),
                (None, None) => "anonymous".to_owned(),
            };
            let _ = write!(text, " {:<7} {user:<16}", self.decision.as_deref().unwrap_or("-"));
            if let Some(path) = &self.path {
                let _ = write!(text, " {path}");
            }
            if let Some(status) = self.status {
                let _ = write!(text, " {status}");
            }
            if let Some(ranges) = self.ranges {
                let _ = write!(text, " and {ranges} more ranges");
            }
            if let Some(bytes) = self.bytes {
                let _ = write!(text, ", {bytes} bytes");
            }
            if self.handed_off {
                text.push_str(", handed off");
            }
            let _ = write!(text, ", from {}", self.client.as_deref().unwrap_or("-"));
            if let Some(reason) = self.by.as_ref().or(self.reason.as_ref()) {
                let _ = write!(text, ", {reason}");
            }
        }
        // A path has no control characters, but a name of another source may.
        if text.get(start..).is_some_and(|line| line.contains(char::is_control)) {
            let escaped = text.split_off(start).replace(char::is_control, " ");
            text.push_str(&escaped);
        }
        text.push('\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patterns() {
        for (pattern, path, expected) in [
            ("cars/7/a.jpg", "cars/7/a.jpg", true),
            ("cars/7/a.jpg", "cars/7/a.jpg2", false),
            ("cars/7/*", "cars/7/a/b.jpg", true),
            ("cars/7/*", "cars/77/a.jpg", false),
            ("*.jpg", "cars/7/a.jpg", true),
            ("*.jpg", "cars/7/a.jpeg", false),
            ("cars/*/a*.jpg", "cars/7/abc.jpg", true),
            ("cars/*/a*.jpg", "cars/7/bbc.png", false),
            ("a*a", "a", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
        ] {
            assert_eq!(matches(pattern, path), expected, "{pattern} {path}");
        }
    }

    #[test]
    fn records_are_selected_and_printed() {
        let line = r#"{"sequence":7,"time":"2026-11-29T18:20:40.123Z","action":"read","user":"7","name":"alice","source":"accounts","path":"cars/7/photo.jpg","decision":"allowed","by":"a grant","client":"192.0.2.1","request":"id","method":"GET","status":200,"bytes":13,"milliseconds":0.3}"#;
        let record: Record = serde_json::from_str(line).unwrap();
        let text = |record: &Record| {
            let mut text = String::new();
            record.write_text(&mut text);
            text
        };
        assert_eq!(
            text(&record),
            "2026-11-29T18:20:40.123Z      7 read     allowed alice (7)        cars/7/photo.jpg 200, 13 bytes, from 192.0.2.1, a grant\n"
        );
        let time = |text: &str| humantime::parse_rfc3339(text).ok();
        let of = |user: &str, path: &str| Filter {
            user: Some(user).filter(|user| !user.is_empty()).map(str::to_owned),
            path: Some(path).filter(|path| !path.is_empty()).map(str::to_owned),
            ..Filter::default()
        };
        for (filter, expected) in [
            (Filter::default(), true),
            (of("alice", ""), true),
            (of("7", "cars/7/*"), true),
            (of("8", ""), false),
            (of("", "cars/8/*"), false),
            (Filter { since: time("2026-11-29T18:20:40Z"), ..of("", "") }, true),
            (Filter { since: time("2026-11-29T18:20:41Z"), ..of("", "") }, false),
            (Filter { until: time("2026-11-29T18:20:41Z"), ..of("", "") }, true),
            (Filter { until: time("2026-11-29T18:20:40Z"), ..of("", "") }, false),
            (Filter { actions: vec!["read".into()], ..of("", "") }, true),
            (Filter { actions: vec!["sign-in".into()], ..of("", "") }, false),
        ] {
            assert_eq!(filter.selects(&record), expected, "{filter:?}");
        }
        let event = r#"{"sequence":8,"time":"t","action":"audit","event":"dropped","records":5,"reason":"a\nb","previous":"0","hash":"1"}"#;
        let event: Record = serde_json::from_str(event).unwrap();
        assert_eq!(text(&event), "t      8 audit    dropped records=5: a b\n");
    }
}
