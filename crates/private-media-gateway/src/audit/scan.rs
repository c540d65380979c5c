//! Reads the end of an audit file, to continue its chain.

use std::fs::File;
use std::io::{self, BufReader, Seek, SeekFrom};

use super::line::{Chain, Line, LineEnd, read_line};
use super::seal::Seal;

/// What follows a place in an audit file.
#[derive(Debug, Default)]
pub(super) struct Scan {
    /// The last record.
    pub(super) chain: Chain,
    /// Where the last complete line ends.
    pub(super) end: u64,
    /// The bytes after it.
    pub(super) torn: Vec<u8>,
    /// How many lines do not continue the chain.
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
    let mut text = Vec::new();
    while let Some(end) = read_line(&mut reader, &mut text)? {
        let line = Line::parse(&text);
        if let (Some(line), false) = (line, is_known) {
            scan.chain = line.before();
            is_known = true;
        }
        if end == LineEnd::Torn {
            scan.torn = text;
            break;
        }
        scan.end = scan.end.saturating_add(text.len() as u64 + 1);
        match line {
            Some(line) if scan.chain.is_next(&line, seal) => scan.chain = line.end(),
            // The next record follows the newest one, whatever is wrong between.
            Some(line) => {
                scan.faults += 1;
                if line.sequence > scan.chain.sequence {
                    scan.chain = line.end();
                }
            }
            None => scan.faults += 1,
        }
    }
    Ok(scan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_found_from_each_line_on() {
        let seal = Seal::default();
        let (mut chain, mut bytes, mut ends) = (Chain::default(), vec![], vec![(0, Chain::default())]);
        for number in 0..5 {
            chain.append("t", format!("\"n\":{number}").as_bytes(), &seal, &mut bytes);
            ends.push((bytes.len() as u64, chain));
        }
        let mut file = tempfile::tempfile().unwrap();
        io::Write::write_all(&mut file, &bytes).unwrap();
        io::Write::write_all(&mut file, b"{\"sequence\":6").unwrap();
        for (offset, from) in ends {
            let found = scan(&file, offset, Some(from), Some(&seal)).unwrap();
            assert_eq!((found.chain, found.end, found.faults), (chain, bytes.len() as u64, 0));
            assert_eq!(found.torn, b"{\"sequence\":6");
        }
        let found = scan(&file, 0, None, Some(&seal)).unwrap();
        assert_eq!((found.chain, found.faults), (chain, 0));
        // From another place, the lines do not continue the chain.
        assert!(scan(&file, 3, Some(Chain::default()), Some(&seal)).unwrap().faults > 0);
    }
}
