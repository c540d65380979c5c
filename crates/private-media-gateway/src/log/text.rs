//! Log events as short lines of text, for people.

use std::fmt::{self, Write as _};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

use super::{ACCESS, units};

/// Formats an event as one line of text. A request is `200 alice cars/7/photo.jpg owner 0.3ms 119 kB`.
pub(super) struct TextLine {
    pub(super) has_colors: bool,
}

impl<S, N> FormatEvent<S, N> for TextLine
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
        let mut line = Line { text: String::new(), has_colors: self.has_colors };
        if event.metadata().target() == ACCESS {
            let mut request = Request::default();
            event.record(&mut request);
            request.write(&mut line);
        } else {
            let mut message = Message::default();
            event.record(&mut message);
            message.write(*event.metadata().level(), &mut line);
        }
        line.text.push('\n');
        writer.write_str(&line.text)
    }
}

/// Appends the report of dropped lines, without colors.
pub(super) fn dropped_report(batch: &mut Vec<u8>, dropped: u64, reason: &str) {
    batch.extend_from_slice(format!("warning: dropped {dropped} log lines: {reason}\n").as_bytes());
}

/// A line that is being written.
struct Line {
    text: String,
    has_colors: bool,
}

/// The SGR codes of ECMA-48.
#[derive(Debug, Clone, Copy)]
enum Style {
    Plain,
    Dim,
    Red,
    Green,
    Yellow,
    Cyan,
}

impl Line {
    fn push(&mut self, style: Style, text: &str) {
        let code = match style {
            Style::Dim => "2",
            Style::Red => "31",
            Style::Green => "32",
            Style::Yellow => "33",
            Style::Cyan => "36",
            Style::Plain => "",
        };
        let has_code = self.has_colors && !code.is_empty();
        if has_code {
            self.text.extend(["\x1b[", code, "m"]);
        }
        // A control character of a client could change the terminal, or begin a line.
        for character in text.chars() {
            if units::is_printable(character) {
                self.text.push(character);
            } else {
                // Writing to a String cannot fail.
                let _ = write!(self.text, "<{:02X}>", u32::from(character));
            }
        }
        if has_code {
            self.text.push_str("\x1b[0m");
        }
    }
}

/// The fields of a line of the access log.
#[derive(Default)]
struct Request {
    status: u64,
    bytes: u64,
    milliseconds: f64,
    method: String,
    path: String,
    user: String,
    name: String,
    decision: String,
    grant: String,
    reason: String,
}

impl Request {
    fn write(&self, line: &mut Line) {
        let style = match self.status {
            200..300 => Style::Green,
            300..400 => Style::Cyan,
            500.. => Style::Red,
            _ => Style::Yellow,
        };
        line.push(style, &self.status.to_string());
        let user = [&self.name, &self.user].into_iter().find(|name| !name.is_empty());
        let method = Some(&self.method).filter(|method| *method != "GET");
        // A decision by grants is the grantee, then the grant.
        let grantee = self.grant.split_once(", by grant ").map_or(&*self.grant, |(grantee, _)| grantee);
        let decision = if self.decision == "denied" { "denied" } else { grantee };
        let decision = Some(decision).filter(|decision| !["", "-"].contains(decision));
        let words =
            [Some(user.map_or("-", |user| user)), method.map(String::as_str), Some(&self.path), decision];
        for word in words.into_iter().flatten() {
            line.push(Style::Plain, " ");
            line.push(Style::Plain, word);
        }
        line.push(
            Style::Dim,
            &format!(" {} {}", units::duration(self.milliseconds), units::bytes(self.bytes)),
        );
        if !self.reason.is_empty() {
            line.push(Style::Plain, ": ");
            line.push(Style::Plain, &self.reason);
        }
    }

    fn text(&mut self, field: &Field, value: &str) {
        let to = match field.name() {
            "method" => &mut self.method,
            "path" => &mut self.path,
            "user" => &mut self.user,
            "text.name" => &mut self.name,
            "decision" => &mut self.decision,
            "grant" => &mut self.grant,
            "refused" => &mut self.reason,
            _ => return,
        };
        value.clone_into(to);
    }
}

impl Visit for Request {
    fn record_f64(&mut self, field: &Field, value: f64) {
        if field.name() == "milliseconds" {
            self.milliseconds = value;
        }
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match field.name() {
            "status" => self.status = value,
            "bytes" => self.bytes = value,
            _ => {}
        }
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.text(field, &format!("{value:?}"));
    }
}

/// The fields of any other event.
#[derive(Default)]
struct Message {
    message: String,
    /// The other fields: `account: alice, from: 192.0.2.1`.
    fields: String,
}

impl Message {
    /// Writes `warning: a sign-in was refused (account: alice, from: 192.0.2.1)`.
    fn write(&self, level: Level, line: &mut Line) {
        let (style, level) = match level {
            Level::ERROR => (Style::Red, "error: "),
            Level::WARN => (Style::Yellow, "warning: "),
            Level::INFO => (Style::Plain, ""),
            Level::DEBUG => (Style::Dim, "debug: "),
            Level::TRACE => (Style::Dim, "trace: "),
        };
        line.push(style, level);
        line.push(Style::Plain, &self.message);
        if !self.fields.is_empty() {
            let space = if self.message.is_empty() { "" } else { " " };
            line.push(Style::Dim, &format!("{space}({})", self.fields));
        }
    }

    fn field(&mut self, field: &Field, value: &dyn fmt::Display) {
        if field.name() == "message" {
            self.message = value.to_string();
            return;
        }
        let comma = if self.fields.is_empty() { "" } else { ", " };
        // Writing to a String cannot fail.
        let _ = write!(self.fields, "{comma}{}: {value}", field.name().replace('_', " "));
    }
}

impl Visit for Message {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.field(field, &value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.field(field, &value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.field(field, &value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.field(field, &value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.field(field, &value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.field(field, &format_args!("{value:?}"));
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::formatted;
    use super::*;

    fn line(has_colors: bool, event: impl FnOnce()) -> String {
        formatted(TextLine { has_colors }, event)
    }

    #[test]
    fn requests_are_one_short_line() {
        let none: Option<&str> = None;
        let some = Some("the folder was removed");
        let events: [(fn(), &str); 5] = [
            (
                || {
                    tracing::info!(target: ACCESS, id = "1f", client = %"192.0.2.1", user = "7", text.name = "alice", method = "GET", path = "cars/7/photo.jpg", decision = "allowed", grant = "owner, by grant cars/{owner}/{*file}", status = 200_u16, bytes = 119_000_u64, milliseconds = 0.312);
                },
                "200 alice cars/7/photo.jpg owner 0.3ms 119 kB\n",
            ),
            (
                || {
                    tracing::info!(target: ACCESS, user = "-", method = "HEAD", path = "cars/7/photo.jpg", decision = "denied", grant = "-", refused = "anonymous is not staff", status = 404_u16, bytes = 10_u64, milliseconds = 12.0);
                },
                "404 - HEAD cars/7/photo.jpg denied 12ms 10 B: anonymous is not staff\n",
            ),
            (
                || {
                    tracing::info!(target: ACCESS, method = "POST", path = "/private/-/sign-in", status = 303_u16, bytes = 0_u64, milliseconds = 31.4);
                },
                "303 - POST /private/-/sign-in 31ms 0 B\n",
            ),
            (
                || {
                    tracing::info!(target: ACCESS, user = "9", text.name = "a\x1b[2Jb\n", method = "GET", path = "x", status = 200_u16, bytes = 1_u64, milliseconds = 1.0);
                },
                "200 a<1B>[2Jb<0A> x 1.0ms 1 B\n",
            ),
            (
                || {
                    tracing::info!(target: ACCESS, user = "9", method = "GET", path = "x", decision = "allowed", grant = "the application", status = 500_u16, bytes = 1_u64, milliseconds = 1.0);
                },
                "500 9 x the application 1.0ms 1 B\n",
            ),
        ];
        for (event, expected) in events {
            assert_eq!(line(false, event), expected);
        }
        let other = line(false, || tracing::error!(component = "root", none, problem = some, "not ready"));
        assert_eq!(other, "error: not ready (component: root, problem: the folder was removed)\n");
        assert_eq!(line(false, || tracing::info!("stopped")), "stopped\n");
        assert_eq!(line(false, || tracing::debug!(fast_requests = 7)), "debug: (fast requests: 7)\n");
    }

    #[test]
    fn colors_are_balanced_and_can_be_left_out() {
        let event = || tracing::warn!(account = "alice\x1b[31m", "a sign-in was refused");
        assert_eq!(line(false, event), "warning: a sign-in was refused (account: alice<1B>[31m)\n");
        let colored =
            "\x1b[33mwarning: \x1b[0ma sign-in was refused\x1b[2m (account: alice<1B>[31m)\x1b[0m\n";
        assert_eq!(line(true, event), colored);
    }
}
