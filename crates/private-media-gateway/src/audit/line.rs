//! Lines of an audit file: the fields around a record that make the chain.
//!
//! ```json
//! {"sequence":7,"time":"2026-11-29T18:20:40.123Z",…,"previous":"…","hash":"…"}
//! ```
//!
//! The hash is that of all bytes of the line before `,"hash":`, so standard tools can check it.

use std::io::{self, BufRead, Read as _};
use std::time::{Duration, SystemTime};

use super::seal::{Hex, NOTHING, Seal};

/// The longest line, in bytes. The texts of a record are bounded far below.
const MAX_LINE: u64 = 128 << 10;

/// More than the length of the fields around a body, in bytes.
const FIELDS: usize = 320;

/// The end of a chain: the last record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chain {
    pub(crate) sequence: u64,
    pub(crate) hash: Hex,
}

impl Default for Chain {
    fn default() -> Self {
        Self { sequence: 0, hash: NOTHING }
    }
}

impl Chain {
    /// Appends the line of a record to `lines`. The body is what is between the time and the previous hash.
    pub(super) fn append(&mut self, time: &str, body: &[u8], seal: &Seal, lines: &mut Vec<u8>) {
        let start = lines.len();
        lines.reserve(body.len() + FIELDS);
        self.sequence = self.sequence.saturating_add(1);
        let mut number = itoa::Buffer::new();
        for part in [
            &b"{\"sequence\":"[..],
            number.format(self.sequence).as_bytes(),
            b",\"time\":\"",
            time.as_bytes(),
            b"\",",
            body,
            b",\"previous\":\"",
            &self.hash,
            b"\"",
        ] {
            lines.extend_from_slice(part);
        }
        self.hash = seal.of(lines.get(start..).unwrap_or_default());
        for part in [&b",\"hash\":\""[..], &self.hash, b"\"}\n"] {
            lines.extend_from_slice(part);
        }
    }

    /// Returns whether a line is the next one. Without a seal, its own hash is not checked.
    pub(super) fn is_next(&self, line: &Line<'_>, seal: Option<&Seal>) -> bool {
        line.sequence == self.sequence.saturating_add(1)
            && line.previous == self.hash
            && seal.is_none_or(|seal| seal.of(line.sealed) == line.hash)
    }
}

/// A line of an audit file, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    pub(super) previous: Hex,
    pub(super) hash: Hex,
    /// The bytes that the hash belongs to.
    pub(super) sealed: &'a [u8],
}

impl<'a> Line<'a> {
    /// Parses a line; `None` if it is not that of a record. The hash is not checked.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (sealed, hash) = split_hash(line.strip_suffix(b"}")?, b",\"hash\":\"")?;
        let (before, previous) = split_hash(sealed, b",\"previous\":\"")?;
        let digits = before.strip_prefix(b"{\"sequence\":")?;
        let digits = digits.get(..memchr::memchr(b',', digits)?)?;
        // One number has one text.
        let sequence = str::from_utf8(digits).ok()?.parse().ok().filter(|number: &u64| *number > 0)?;
        (itoa::Buffer::new().format(sequence).as_bytes() == digits).then_some(Self {
            sequence,
            previous,
            hash,
            sealed,
        })
    }

    /// Returns the chain before the record.
    pub(super) fn before(&self) -> Chain {
        Chain { sequence: self.sequence.saturating_sub(1), hash: self.previous }
    }

    /// Returns the chain after the record.
    pub(super) fn end(&self) -> Chain {
        Chain { sequence: self.sequence, hash: self.hash }
    }
}

/// Splits `…NAME<hash>"` before the name.
fn split_hash<'a>(text: &'a [u8], name: &[u8]) -> Option<(&'a [u8], Hex)> {
    let (before, field) = text.split_at_checked(text.len().checked_sub(name.len() + NOTHING.len() + 1)?)?;
    let hash = field.strip_prefix(name)?.strip_suffix(b"\"")?.try_into().ok()?;
    Some((before, hash))
}

/// The way in which a line ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum LineEnd {
    /// At a line feed.
    Complete,
    /// At the end of the file.
    Torn,
}

/// Reads a line into `line`, without its line end; `None` at the end of the file. Of a line that is too long, only the beginning is kept.
pub(super) fn read_line(reader: &mut impl BufRead, line: &mut Vec<u8>) -> io::Result<Option<LineEnd>> {
    line.clear();
    if reader.by_ref().take(MAX_LINE).read_until(b'\n', line)? == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_some() {
        return Ok(Some(LineEnd::Complete));
    }
    if (line.len() as u64) < MAX_LINE {
        return Ok(Some(LineEnd::Torn));
    }
    let mut rest = Vec::new();
    loop {
        rest.clear();
        let read = reader.by_ref().take(MAX_LINE).read_until(b'\n', &mut rest)?;
        match rest.last() {
            Some(b'\n') => return Ok(Some(LineEnd::Complete)),
            _ if (read as u64) < MAX_LINE => return Ok(Some(LineEnd::Torn)),
            _ => {}
        }
    }
}

/// Formats times with milliseconds. The part above the milliseconds is formatted once a second.
#[derive(Debug, Default)]
pub(super) struct Times {
    second: Option<u64>,
    /// The text of the second, without its `Z`.
    prefix: String,
    text: String,
}

/// The last second of the year 9999. RFC 3339 has no later one.
const LAST_SECOND: u64 = 253_402_300_799;

impl Times {
    /// Returns the text of a time in milliseconds since 1970.
    pub(super) fn text(&mut self, milliseconds: u64) -> &str {
        let second = (milliseconds / 1000).min(LAST_SECOND);
        if self.second != Some(second) {
            let time = SystemTime::UNIX_EPOCH.checked_add(Duration::from_secs(second));
            self.prefix =
                time.map_or(String::new(), |time| humantime::format_rfc3339_seconds(time).to_string());
            self.prefix.pop();
            self.second = Some(second);
        }
        self.text.clear();
        self.text.push_str(&self.prefix);
        self.text.push('.');
        // The last three digits of a number with four.
        self.text
            .push_str(itoa::Buffer::new().format(1000 + milliseconds % 1000).get(1..).unwrap_or_default());
        self.text.push('Z');
        &self.text
    }
}

/// Returns the time in milliseconds since 1970.
pub(super) fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use std::io::BufReader;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_line_parses_as_what_was_appended() {
        let seal = Seal::default();
        let (mut chain, mut lines) = (Chain::default(), Vec::new());
        for body in ["\"action\":\"read\"", "\"path\":\",\\\"hash\\\":\\\"x\""] {
            let before = chain;
            lines.clear();
            chain.append("2026-11-29T18:20:40.123Z", body.as_bytes(), &seal, &mut lines);
            serde_json::from_slice::<serde_json::Value>(&lines).unwrap();
            let line = Line::parse(lines.strip_suffix(b"\n").unwrap()).unwrap();
            assert_eq!(line.end(), chain);
            assert!(before.is_next(&line, Some(&seal)) && !chain.is_next(&line, Some(&seal)));
            assert!(!before.is_next(&line, Some(&Seal::with_key(b"another"))) && before.is_next(&line, None));
        }
        assert_eq!(chain.sequence, 2);
    }

    #[test]
    fn other_lines_are_rejected() {
        let mut lines = Vec::new();
        Chain::default().append("t", b"\"a\":1", &Seal::default(), &mut lines);
        let text = String::from_utf8(lines).unwrap().trim_end().to_owned();
        assert!(Line::parse(text.as_bytes()).is_some());
        for other in [
            "",
            "{}",
            "}",
            &text[1..],
            &text[..text.len() - 1],
            &format!("{text} "),
            &text.replace("\"sequence\":1", "\"sequence\":01"),
            &text.replace("\"sequence\":1", "\"sequence\":0"),
            &text.replace("\"sequence\":1", "\"sequence\":-1"),
            &text.replace("previous", "Previous"),
        ] {
            assert_eq!(Line::parse(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn lines_are_read_with_bounded_memory() {
        let long = vec![b'x'; 3 * usize::try_from(MAX_LINE).unwrap() + 5];
        let text = [b"a\n\n".as_slice(), &long, b"\nb\nend"].concat();
        let (mut reader, mut line) = (BufReader::new(text.as_slice()), Vec::new());
        let mut read = vec![];
        while let Some(end) = read_line(&mut reader, &mut line).unwrap() {
            read.push((line.len(), end));
        }
        let max = usize::try_from(MAX_LINE).unwrap();
        let complete = LineEnd::Complete;
        assert_eq!(read, [(1, complete), (0, complete), (max, complete), (1, complete), (3, LineEnd::Torn)]);
    }

    proptest! {
        #[test]
        fn times_equal_those_of_humantime(times in prop::collection::vec(0_u64..4_000_000_000_000, 1..4)) {
            let mut text = Times::default();
            for time in times {
                let expected = SystemTime::UNIX_EPOCH + Duration::from_millis(time);
                prop_assert_eq!(text.text(time), humantime::format_rfc3339_millis(expected).to_string());
            }
        }
    }
}
