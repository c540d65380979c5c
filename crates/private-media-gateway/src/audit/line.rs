//! Lines of an audit file: the fields around a record that make the chain.
//!
//! ```json
//! {"sequence":7,"time":"2026-11-29T18:20:40.123Z",…}
//! {"sequence":8,"time":"2026-11-29T18:20:40.125Z",…,"previous":"…","hash":"…"}
//! ```
//!
//! Records that are written together form a group (`group.rs`), and only the last one is sealed with a hash.

use std::io::{self, BufRead, Read as _};
use std::time::{Duration, SystemTime};

use super::seal::{Hex, NOTHING};
use crate::log::write_thousandths;

/// The longest line, in bytes. The texts of a record are bounded far below.
const MAX_LINE: u64 = 128 << 10;

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

/// A sealed line of an audit file, without its line end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Line<'a> {
    pub(super) sequence: u64,
    /// The hash of the sealed line before.
    pub(super) previous: Hex,
    pub(super) hash: Hex,
    /// The bytes of this line that the hash covers.
    pub(super) sealed: &'a [u8],
}

impl<'a> Line<'a> {
    /// Parses a line; `None` if it is not a sealed one. The hash is not checked.
    pub(super) fn parse(line: &'a [u8]) -> Option<Self> {
        let (sealed, hash) = split_hash(line.strip_suffix(b"}")?, b",\"hash\":\"")?;
        let (before, previous) = split_hash(sealed, b",\"previous\":\"")?;
        Some(Self { sequence: sequence(before)?, previous, hash, sealed })
    }

    /// Returns the chain after the record.
    pub(super) fn end(&self) -> Chain {
        Chain { sequence: self.sequence, hash: self.hash }
    }
}

/// Returns the number of a record, sealed or not; `None` if the line is not a record.
pub(super) fn record_sequence(line: &[u8]) -> Option<u64> {
    sequence(line.strip_suffix(b"}")?)
}

/// Returns the number at the beginning of a record. One number has one text.
fn sequence(record: &[u8]) -> Option<u64> {
    let digits = record.strip_prefix(b"{\"sequence\":")?;
    let digits = digits.get(..memchr::memchr(b',', digits)?)?;
    let sequence = str::from_utf8(digits).ok()?.parse().ok().filter(|number: &u64| *number > 0)?;
    (itoa::Buffer::new().format(sequence).as_bytes() == digits).then_some(sequence)
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
        write_thousandths(&mut self.text, milliseconds);
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
    use crate::audit::group::sealed_line;
    use crate::audit::seal::Seal;

    #[test]
    fn other_lines_are_rejected() {
        let text =
            String::from_utf8(sealed_line(&mut Chain::default(), b"\"a\":1", &Seal::default())).unwrap();
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
        for (text, expected) in [
            ("{\"sequence\":12,\"a\":1}", Some(12)),
            ("{\"sequence\":12,\"a\":1", None),
            ("{\"sequence\":012,\"a\":1}", None),
            ("{\"sequence\":12}", None),
            ("", None),
        ] {
            assert_eq!(record_sequence(text.as_bytes()), expected, "{text}");
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
