//! Log events as lines of JSON.

use std::cell::Cell;
use std::fmt::{self, Write as _};
use std::time::SystemTime;

use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// Formats an event as one line of JSON: the time, the level and the fields; and the target, if it is more than the module of the event.
/// It formats each request, so it avoids allocations.
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
        let (target, module) = (event.metadata().target(), event.metadata().module_path());
        if Some(target) != module {
            write_value(&mut line, "target", target);
        }
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

/// How the names of fields begin that only the text format has.
const TEXT_ONLY: &str = "text.";

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
    /// Writes a number with three digits after the point. It is a duration, so larger or negative ones do not occur.
    fn record_f64(&mut self, field: &Field, value: f64) {
        #[expect(clippy::cast_possible_truncation, reason = "the cast saturates")]
        let thousandths = (value * 1000.0).round() as i64;
        let thousandths = u64::try_from(thousandths).ok().filter(|_| value.is_finite());
        // JSON has no infinite numbers and no NaN.
        match thousandths {
            Some(thousandths) => {
                self.write_bare(field, itoa::Buffer::new().format(thousandths / 1000));
                write_thousandths(self.0, thousandths);
            }
            None => self.write_bare(field, "null"),
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
        if !field.name().starts_with(TEXT_ONLY) {
            write_value(self.0, field.name(), value);
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        write_value(self.0, field.name(), &format!("{value:?}"));
    }
}

/// Appends a text field. The name is an identifier.
pub(crate) fn write_value(line: &mut String, name: &str, value: &str) {
    line.push_str(",\"");
    line.push_str(name);
    write_text(line, "\":\"", value);
}

/// Appends the point and the three digits after it of a number of thousandths.
pub(crate) fn write_thousandths(line: &mut String, thousandths: u64) {
    line.push('.');
    // The last three digits of a number with four.
    line.push_str(itoa::Buffer::new().format(1000 + thousandths % 1000).get(1..).unwrap_or_default());
}

/// Appends what opens a text, such as `,"name":"`, then the escaped text (RFC 8259 section 7) and a quotation mark.
pub(crate) fn write_text(line: &mut String, opening: &str, value: &str) {
    line.reserve(opening.len() + value.len() + 1);
    line.push_str(opening);
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
    use std::time::Duration;

    use proptest::prelude::*;

    use super::super::tests::formatted;
    use super::*;

    fn logged(event: impl FnOnce()) -> serde_json::Value {
        let text = formatted(JsonLine, event);
        assert!(text.ends_with('\n') && text.matches('\n').count() == 1, "{text:?}");
        serde_json::from_str(&text).unwrap()
    }

    #[test]
    fn fields_of_each_type() {
        let none: Option<&str> = None;
        let line = logged(|| {
            tracing::info!(target: "access", user = "7", text.name = "alice", status = 200_u16, left = -1, took = 0.5, is = true, none, "said");
        });
        let mut line = line.as_object().unwrap().clone();
        let time = line.remove("timestamp").unwrap();
        assert!(humantime::parse_rfc3339(time.as_str().unwrap()).is_ok(), "{time}");
        let expected = serde_json::json!({
            "level": "INFO", "message": "said", "user": "7", "status": 200, "left": -1, "took": 0.5, "is": true, "target": "access",
        });
        assert_eq!(serde_json::Value::from(line), expected);
        assert!(logged(|| tracing::warn!(took = f64::NAN))["took"].is_null());
        assert_eq!(logged(|| tracing::warn!("said")).get("target"), None, "a module is no target");
    }

    #[test]
    fn numbers_have_three_digits_after_the_point() {
        for (value, expected) in [
            (0.0, "0.000"),
            (0.0004, "0.000"),
            (0.0306, "0.031"),
            (12.0, "12.000"),
            (1_234.567_89, "1234.568"),
            (-1.0, "null"),
            (f64::INFINITY, "null"),
        ] {
            let line = formatted(JsonLine, || tracing::info!(milliseconds = value));
            assert!(line.contains(&format!(",\"milliseconds\":{expected}}}")), "{line}");
        }
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
