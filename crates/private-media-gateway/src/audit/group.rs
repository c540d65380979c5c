//! Groups of records that are written together: one hash covers all lines of a group, so it costs a record little.
//!
//! The hash is that of the bytes after the line of the previous hash, up to `,"hash":` of the last line, so standard tools can check it. It
//! covers the previous hash, too.

use super::line::{Chain, Line, record_sequence};
use super::seal::{Hex, Seal};

/// The length from which a group is sealed, in bytes. A fault inside a group may be reported for the whole group.
const GROUP: usize = 32 << 10;
/// The longest group that is checked, in bytes. A longer one was not written by a gateway, and its other lines are ignored.
const MAX_GROUP: usize = 4 << 20;
/// More than the length of the fields around a body, in bytes.
const FIELDS: usize = 320;

/// Appends records to lines, and seals them.
pub(super) struct GroupWriter<'a> {
    chain: Chain,
    seal: &'a Seal,
    lines: &'a mut Vec<u8>,
    /// Where the group begins.
    start: usize,
    /// Whether the last line has no end yet.
    is_open: bool,
}

impl<'a> GroupWriter<'a> {
    pub(super) fn new(chain: Chain, seal: &'a Seal, lines: &'a mut Vec<u8>) -> Self {
        let start = lines.len();
        Self { chain, seal, lines, start, is_open: false }
    }

    /// Appends a record. The body is what follows the time.
    pub(super) fn append(&mut self, time: &str, body: &[u8]) {
        if self.is_open {
            if self.lines.len() - self.start < GROUP {
                self.lines.extend_from_slice(b"}\n");
            } else {
                self.seal();
            }
        }
        self.is_open = true;
        self.lines.reserve(body.len() + FIELDS);
        self.chain.sequence = self.chain.sequence.saturating_add(1);
        let mut number = itoa::Buffer::new();
        let number = number.format(self.chain.sequence).as_bytes();
        for part in [b"{\"sequence\":", number, b",\"time\":\"", time.as_bytes(), b"\",", body] {
            self.lines.extend_from_slice(part);
        }
    }

    /// Ends the last group, and returns the new end of the chain.
    pub(super) fn end(mut self) -> Chain {
        if self.is_open {
            self.seal();
        }
        self.chain
    }

    fn seal(&mut self) {
        for part in [b",\"previous\":\"", &self.chain.hash[..], b"\""] {
            self.lines.extend_from_slice(part);
        }
        self.chain.hash = self.seal.of(self.lines.get(self.start..).unwrap_or_default());
        for part in [b",\"hash\":\"", &self.chain.hash[..], b"\"}\n"] {
            self.lines.extend_from_slice(part);
        }
        self.start = self.lines.len();
        self.is_open = false;
    }
}

/// The lines after a sealed line, up to the next one.
#[derive(Debug, Default)]
pub(super) struct Group {
    text: Vec<u8>,
    /// The number of each line; `None` if it is not a record.
    sequences: Vec<Option<u64>>,
}

impl Group {
    /// Adds a line that is not sealed.
    pub(super) fn push(&mut self, line: &[u8]) {
        if self.text.len() <= MAX_GROUP {
            self.sequences.push(record_sequence(line));
            self.text.extend_from_slice(line);
            self.text.push(b'\n');
        }
    }

    /// Returns the numbers of the lines that are not sealed; `None` if one is not a record.
    pub(super) fn sequences(&self) -> &[Option<u64>] {
        &self.sequences
    }

    /// Returns the hash of the group that ends with this line.
    pub(super) fn hash(&mut self, seal: &Seal, line: &Line<'_>) -> Hex {
        let len = self.text.len();
        self.text.extend_from_slice(line.sealed);
        let hash = seal.of(&self.text);
        self.text.truncate(len);
        hash
    }

    /// Returns the number of the first record, if the numbers of all lines up to that of the sealed one follow each other.
    pub(super) fn first(&self, line: &Line<'_>) -> Option<u64> {
        let first = line.sequence.checked_sub(self.sequences.len() as u64).filter(|first| *first > 0)?;
        let is_gapless = self.sequences.iter().zip(first..).all(|(found, expected)| *found == Some(expected));
        is_gapless.then_some(first)
    }

    /// Returns whether the group that ends with this line continues the chain. Without a seal, its own hash is not checked.
    pub(super) fn continues(&mut self, chain: &Chain, line: &Line<'_>, seal: Option<&Seal>) -> bool {
        self.first(line) == Some(chain.sequence.saturating_add(1))
            && line.previous == chain.hash
            && seal.is_none_or(|seal| self.hash(seal, line) == line.hash)
    }

    /// Removes all lines.
    pub(super) fn clear(&mut self) {
        self.text.clear();
        self.sequences.clear();
    }

    /// Returns the numbers of the lines, and removes them.
    pub(super) fn take_sequences(&mut self) -> Vec<Option<u64>> {
        self.text.clear();
        std::mem::take(&mut self.sequences)
    }

    /// Returns the bytes of the lines, and removes them.
    pub(super) fn take_text(&mut self) -> Vec<u8> {
        self.sequences.clear();
        std::mem::take(&mut self.text)
    }
}

/// Appends one record as a group of its own. Returns its line, without the line end.
#[cfg(test)]
pub(super) fn sealed_line(chain: &mut Chain, body: &[u8], seal: &Seal) -> Vec<u8> {
    let mut lines = Vec::new();
    let mut group = GroupWriter::new(*chain, seal, &mut lines);
    group.append("2026-11-29T18:20:40.123Z", body);
    *chain = group.end();
    assert_eq!(lines.pop(), Some(b'\n'));
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_is_read_as_it_was_written() {
        let (seal, other) = (Seal::default(), Seal::with_key(b"another"));
        let start = Chain::default();
        let mut lines = Vec::new();
        let mut writer = GroupWriter::new(start, &seal, &mut lines);
        let bodies = ["\"action\":\"read\"", "\"path\":\",\\\"hash\\\":\\\"x\"", "\"n\":1"];
        for body in bodies {
            writer.append("t", body.as_bytes());
        }
        let end = writer.end();
        assert_eq!(end.sequence, 3);
        let mut group = Group::default();
        let lines: Vec<_> = lines.split(|byte| *byte == b'\n').collect();
        let [one, two, three, []] = lines.as_slice() else { panic!("{lines:?}") };
        for line in [one, two, three] {
            serde_json::from_slice::<serde_json::Value>(line).unwrap();
        }
        assert_eq!((Line::parse(one), Line::parse(two)), (None, None));
        group.push(one);
        group.push(two);
        let line = Line::parse(three).unwrap();
        assert_eq!((line.end(), group.first(&line)), (end, Some(1)));
        assert!(group.continues(&start, &line, Some(&seal)) && group.continues(&start, &line, None));
        assert!(!group.continues(&start, &line, Some(&other)) && !group.continues(&end, &line, Some(&seal)));
        group.push(one);
        assert!(!group.continues(&start, &line, None), "a line too many");
    }

    #[test]
    fn long_groups_are_split() {
        let seal = Seal::default();
        let mut lines = Vec::new();
        let mut writer = GroupWriter::new(Chain::default(), &seal, &mut lines);
        for _ in 0..1000 {
            writer.append("t", format!("\"path\":\"{}\"", "x".repeat(300)).as_bytes());
        }
        let end = writer.end();
        let (mut chain, mut group, mut sealed) = (Chain::default(), Group::default(), 0);
        for text in lines.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
            match Line::parse(text) {
                None => group.push(text),
                Some(line) => {
                    assert!(group.continues(&chain, &line, Some(&seal)));
                    chain = line.end();
                    group.clear();
                    sealed += 1;
                }
            }
        }
        assert_eq!((chain, end.sequence), (end, 1000));
        assert!((8..20).contains(&sealed), "{sealed}");
    }
}
