//! Reads the end of an audit file, to continue its chain.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};

use super::group::Group;
use super::line::{Chain, Line, LineEnd, read_line};
use super::seal::Seal;

/// What follows a place in an audit file.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The last sealed record.
    pub(super) chain: Chain,
    /// Where its line ends.
    pub(super) end: u64,
    /// Whether only its line end is missing.
    pub(super) lacks_line_end: bool,
    /// The bytes after it: those of a group that was not written completely.
    pub(super) torn: Vec<u8>,
    /// How many groups and lines do not continue the chain.
    pub(super) faults: u64,
}

/// Reads the lines from `offset`, where the record of `chain` ends; `None` is the chain of the first line. Without a seal, hashes are not
/// computed.
pub(super) fn scan(
    mut file: &File,
    offset: u64,
    chain: Option<Chain>,
    seal: Option<&Seal>,
) -> io::Result<Scan> {
    file.seek(SeekFrom::Start(offset))?;
    let mut reader = BufReader::with_capacity(64 << 10, file);
    let mut scan = Scan { chain: chain.unwrap_or_default(), end: offset, ..Scan::default() };
    let mut is_known = chain.is_some();
    let (mut group, mut text, mut tail, mut place) = (Group::default(), Vec::new(), Vec::new(), offset);
    while let Some(end) = read_line(&mut reader, &mut text)? {
        let line = Line::parse(&text);
        if let (Some(line), false) = (line, is_known) {
            let first = group.first(&line).unwrap_or(line.sequence);
            scan.chain = Chain { sequence: first - 1, hash: line.previous };
            is_known = true;
        }
        if end == LineEnd::Torn {
            let complete = line.filter(|line| group.continues(&scan.chain, line, seal));
            if let Some(line) = complete {
                scan.chain = line.end();
                scan.end = place + text.len() as u64;
                scan.lacks_line_end = true;
                return Ok(scan);
            }
            tail = text;
            break;
        }
        place = place.saturating_add(text.len() as u64 + 1);
        let Some(line) = line else {
            group.push(&text);
            continue;
        };
        let is_next = group.continues(&scan.chain, &line, seal);
        scan.faults += u64::from(!is_next);
        // The next record follows the newest one, whatever is wrong between.
        if is_next || line.sequence > scan.chain.sequence {
            scan.chain = line.end();
        }
        scan.end = place;
        group.clear();
    }
    let unreadable = group.sequences().iter().filter(|sequence| sequence.is_none()).count();
    if unreadable > 0 {
        // No gateway has written these lines. They are evidence.
        scan.faults += unreadable as u64;
        scan.end = place;
        group.clear();
    }
    scan.torn = group.take_text();
    scan.torn.extend_from_slice(&tail);
    Ok(scan)
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;
    use crate::audit::group::GroupWriter;

    #[test]
    fn the_end_is_found_from_each_group_on() {
        let seal = Seal::default();
        let (mut chain, mut bytes, mut ends) = (Chain::default(), vec![], vec![(0, Chain::default())]);
        for number in 0..5 {
            let mut group = GroupWriter::new(chain, &seal, &mut bytes);
            for _ in 0..=number {
                group.append("t", format!("\"n\":{number}").as_bytes());
            }
            chain = group.end();
            ends.push((bytes.len() as u64, chain));
        }
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let torn = b"{\"sequence\":16,\"a\":1}\n{\"sequence\":17";
        file.write_all(torn).unwrap();
        for (offset, from) in ends {
            let found = scan(&file, offset, Some(from), Some(&seal)).unwrap();
            assert_eq!((found.chain, found.end, found.faults), (chain, bytes.len() as u64, 0));
            assert_eq!(found.torn, torn);
        }
        let found = scan(&file, 0, None, Some(&seal)).unwrap();
        assert_eq!((found.chain, found.faults), (chain, 0));
        // From another place, the lines do not continue the chain.
        assert!(scan(&file, 3, Some(Chain::default()), Some(&seal)).unwrap().faults > 0);
        // Text that no gateway has written is not removed.
        file.write_all(b"\nother\n").unwrap();
        let found = scan(&file, 0, None, Some(&seal)).unwrap();
        assert_eq!((found.end, found.faults, found.torn), (file.metadata().unwrap().len(), 2, vec![]));
    }

    #[test]
    fn a_line_end_may_be_missing() {
        let seal = Seal::default();
        let mut bytes = vec![];
        let mut group = GroupWriter::new(Chain::default(), &seal, &mut bytes);
        group.append("t", b"\"a\":1");
        group.append("t", b"\"a\":2");
        let chain = group.end();
        bytes.pop();
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        let found = scan(&file, 0, None, Some(&seal)).unwrap();
        assert!(found.lacks_line_end && found.torn.is_empty());
        assert_eq!((found.chain, found.end, found.faults), (chain, bytes.len() as u64, 0));
    }
}
