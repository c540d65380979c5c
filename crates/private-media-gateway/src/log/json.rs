//! Log events as lines of JSON.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as one line of JSON: the time, level, fields and target. It formats each request, so it avoids allocations.
pub(super) struct JsonLine;

impl<S, N> FormatEvent<S, N> for JsonLine
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut line = SCRATCH.take();
        line.clear();
        begin(&mut line, event.metadata().level().as_str());
        event.record(&mut Fields(&mut line));
        write_value(&mut line, "target", event.metadata().target());
        line.push_str("}\n");
        let written = writer.write_str(&line);
        SCRATCH.set(line);
        written
    }
}

/// Appends the report of dropped lines in the format of an event.
pub(super) fn dropped_report(batch: &mut Vec<u8>, dropped: u64, reason: &str) {
    let mut line = String::new();
    begin(&mut line, "WARN");
    write_value(&mut line, "message", &format!("dropped {dropped} log lines: {reason}"));
    let _ = write!(line, ",\"dropped\":{dropped}");
    write_value(&mut line, "target", module_path!());
    line.push_str("}\n");
    batch.extend_from_slice(line.as_bytes());
}

/// Appends the beginning of a line: the time and the level.
fn begin(line: &mut String, level: &str) {
    line.push_str("{\"timestamp\":\"");
    write_time(line, SystemTime::now());
    line.push('"');
    write_value(line, "level", level);
}

thread_local! {
    /// A reused buffer for one line.
    static SCRATCH: Cell<String> = const { Cell::new(String::new()) };
    /// The last second that was formatted, and its text.
    static SECOND: Cell<(u64, String)> = const { Cell::new((0, String::new())) };
}

/// Appends a UTC time with microseconds (RFC 3339). The part above the microseconds is formatted once a second.
fn write_time(line: &mut String, time: SystemTime) {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let (second, mut text) = SECOND.take();
    if second != since.as_secs() || text.is_empty() {
        text = humantime::format_rfc3339_seconds(time).to_string();
    }
    line.push_str(text.trim_end_matches('Z'));
    // Writing to a String cannot fail.
    let _ = write!(line, ".{:06}Z", since.subsec_micros());
    SECOND.set((since.as_secs(), text));
}

/// Appends fields, each after a comma.
struct Fields<'a>(&'a mut String);

impl Fields<'_> {
    fn write_bare(&mut self, field: &Field, value: &str) {
        for part in [",\"", field.name(), "\":", value] {
            self.0.push_str(part);
        }
    }
}

impl Visit for Fields<'_> {
    fn record_f64(&mut self, field: &Field, value: f64) {
        // JSON has no infinite numbers and no NaN.
        if value.is_finite() {
            self.write_bare(field, &value.to_string());
        } else {
            self.write_bare(field, "null");
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.write_bare(field, itoa::Buffer::new().format(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.write_bare(field, itoa::Buffer::new().format(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.write_bare(field, if value { "true" } else { "false" });
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        write_value(self.0, field.name(), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write_value(self.0, field.name(), &format!("{value:?}"));
    }
}

/// Appends a text field. The name is an identifier; the value is escaped (RFC 8259 section 7).
pub(crate) fn write_value(line: &mut String, name: &str, value: &str) {
    line.push_str(",\"");
    line.push_str(name);
    line.push_str("\":\"");
    // A search without an early exit is vectorized.
    let needs_escape = |byte: u8| byte < b' ' || byte == b'"' || byte == b'\\';
    if value.bytes().fold(false, |any, byte| any | needs_escape(byte)) {
        for character in value.chars() {
            match character {
                '"' | '\\' => line.extend(['\\', character]),
                character if character < ' ' => {
                    let _ = write!(line, "\\u{:04x}", u32::from(character));
                }
                character => line.push(character),
            }
        }
    } else {
        line.push_str(value);
    }
    line.push('"');
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};
    use std::time::Duration;

    use proptest::prelude::*;
    use tracing_subscriber::fmt::MakeWriter;

    use super::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
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

    fn logged(event: impl FnOnce()) -> serde_json::Value {
        let written = Written::default();
        let log = tracing_subscriber::fmt().with_env_filter("info").with_writer(written.clone());
        tracing::subscriber::with_default(log.event_format(JsonLine).finish(), event);
        let bytes = written.0.lock().unwrap().clone();
        let text = String::from_utf8(bytes).unwrap();
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn fields_of_each_type() {
        let none: Option<&str> = None;
        let line = logged(|| {
            tracing::info!(target: "access", user = "7", status = 200_u16, left = -1, took = 0.5, is = true, none, "said");
        });
        let mut line = line.as_object().unwrap().clone();
        let time = line.remove("timestamp").unwrap();
        assert!(humantime::parse_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
        let expected = serde_json::json!({
            "level": "INFO", "message": "said", "user": "7", "status": 200, "left": -1, "took": 0.5, "is": true, "target": "access",
        });
        assert_eq!(serde_json::Value::from(line), expected);
        assert!(logged(|| tracing::warn!(took = f64::NAN))["took"].is_null());
    }

    proptest! {
        #[test]
        fn times_equal_those_of_humantime(seconds in 0_u64..4_000_000_000, again: bool, nanoseconds in 0_u32..1_000_000_000) {
            let time = SystemTime::UNIX_EPOCH + Duration::new(seconds, nanoseconds);
            let mut line = String::new();
            if again {
                write_time(&mut line, time);
                line.clear();
            }
            write_time(&mut line, time);
            prop_assert_eq!(line, humantime::format_rfc3339_micros(time).to_string());
        }

        /// No text can end its line or its field.
        #[test]
        fn any_text_is_escaped(text in "\\PC{0,40}|[\u{0}-\u{ff}]{0,20}") {
            let line = logged(|| tracing::error!(same = ?text, text, "{text}"));
            prop_assert_eq!(line["message"].as_str(), Some(&*text));
            prop_assert_eq!(line["text"].as_str(), Some(&*text));
            prop_assert_eq!(line["same"].as_str(), Some(&*format!("{text:?}")));
        }
    }
}
