//! Checks the lines of an audit one after another, and tells which kind of fault each deviation is.

use super::event::{FirstLine, expired_end};
use super::fault::{Fault, FaultKind, Place, records};
use super::line::{Chain, Line};
use super::seal::{NOTHING, Seal};

/// The most faults that are described. Others are counted.
const MAX_FAULTS: usize = 1000;

/// Checks lines.
#[derive(Debug)]
pub(super) struct Checker {
    keys: Keys,
    /// The seal of the current file; `None` if its key is unknown.
    seal: Option<Seal>,
    /// The last line that is in its place.
    last: Option<Last>,
    /// The previous hash of the first record.
    begin: Option<(Chain, Place)>,
    /// Records that were skipped, and may still come.
    gaps: Vec<Gap>,
    /// The newest end of a file that was deleted because of `audit.keep`.
    expired: Chain,
    place: Place,
    records: u64,
    faults: Vec<Fault>,
    fault_count: u64,
}

/// The keys that files may be sealed with.
#[derive(Debug, Clone, Default)]
pub(crate) struct Keys {
    /// The key of the newest records; `None` if none is required.
    pub(crate) current: Option<Seal>,
    /// Keys of older records.
    pub(crate) old: Vec<Seal>,
}

#[derive(Debug, Clone, Copy)]
struct Last {
    chain: Chain,
    place: Place,
    /// Whether the line itself is faulty, so that its number and hash may be, too.
    is_faulty: bool,
}

#[derive(Debug, Clone, Copy)]
struct Gap {
    from: u64,
    to: u64,
    place: Place,
}

/// What was found.
#[derive(Debug, Default)]
pub(crate) struct Findings {
    /// The number of intact records that are in their place.
    pub(crate) records: u64,
    /// The last record.
    pub(crate) end: Chain,
    /// The faults, by place. There may be more than these.
    pub(crate) faults: Vec<Fault>,
    /// The number of all faults.
    pub(crate) fault_count: u64,
}

impl Keys {
    fn find(&self, id: &str) -> Option<Seal> {
        self.current.iter().chain(&self.old).find(|seal| seal.key_id() == Some(id)).cloned()
    }
}

impl Checker {
    pub(super) fn new(keys: Keys) -> Self {
        Self {
            keys,
            seal: Some(Seal::default()),
            last: None,
            begin: None,
            gaps: Vec::new(),
            expired: Chain::default(),
            place: Place { file: 0, line: 0 },
            records: 0,
            faults: Vec::new(),
            fault_count: 0,
        }
    }

    /// Begins a file, with its first line.
    pub(super) fn file(&mut self, file: usize, first_line: &[u8]) {
        self.place = Place { file, line: 0 };
        // A first line that is no record says nothing about the key.
        if Line::parse(first_line).is_none() {
            return;
        }
        let was_keyed = self.seal.as_ref().is_none_or(|seal| seal.key_id().is_some());
        let has_last = self.last.is_some();
        if let Some(id) = FirstLine::parse(first_line).key {
            self.seal = self.keys.find(&id);
            if self.seal.is_none() {
                let fix = "give its file with --audit-key-file or --old-key-file";
                self.fault(FaultKind::UnknownKey, self.place, format!("sealed with the key {id}; {fix}"));
            }
            return;
        }
        self.seal = Some(Seal::default());
        if was_keyed && has_last {
            let detail = "not sealed with a key, but the file before is".to_owned();
            self.fault(FaultKind::Unsealed, self.place, detail);
        }
    }

    /// Checks a line of the file.
    pub(super) fn line(&mut self, text: &[u8]) {
        self.place.line += 1;
        let place = self.place;
        let Some(line) = Line::parse(text) else {
            self.fault(FaultKind::Unreadable, place, "not a record".to_owned());
            return self.assume(None);
        };
        if self.seal.as_ref().is_some_and(|seal| seal.of(line.sealed) != line.hash) {
            let expected = self.last.map_or(line.sequence, |last| last.chain.sequence + 1);
            self.fault(FaultKind::Changed, place, format!("record {expected} is not what was written"));
            return self.assume(Some(line));
        }
        let Some(last) = self.last else {
            self.begin = Some((line.before(), place));
            return self.accept(&line, text);
        };
        let expected = last.chain.sequence.saturating_add(1);
        if line.sequence == expected {
            if line.previous != last.chain.hash && !last.is_faulty {
                let number = last.chain.sequence;
                self.fault(
                    FaultKind::Changed,
                    last.place,
                    format!("record {number} is not the one that record {expected} follows"),
                );
            }
            return self.accept(&line, text);
        }
        if line.sequence > expected {
            self.gaps.push(Gap { from: expected, to: line.sequence - 1, place });
            return self.accept(&line, text);
        }
        if last.is_faulty && line.sequence == last.chain.sequence {
            // The faulty line was inserted, and stands for no record.
            return self.accept(&line, text);
        }
        if self.fill_gap(&line) {
            let detail = format!("record {} follows record {}", line.sequence, last.chain.sequence);
            self.fault(FaultKind::Reordered, place, detail);
        } else {
            self.fault(FaultKind::Doubled, place, format!("record {} is there already", line.sequence));
        }
    }

    /// Continues after a line that is intact and in its place.
    fn accept(&mut self, line: &Line<'_>, text: &[u8]) {
        if let Some(end) = expired_end(text)
            && end.sequence > self.expired.sequence
        {
            self.expired = end;
        }
        self.records += 1;
        self.last = Some(Last { chain: line.end(), place: self.place, is_faulty: false });
    }

    /// Continues after a faulty line, as if it were the next record. Before the first record, it says nothing.
    fn assume(&mut self, line: Option<Line<'_>>) {
        let Some(last) = self.last else { return };
        let sequence = last.chain.sequence.saturating_add(1);
        let hash = line.map_or(NOTHING, |line| line.hash);
        self.last = Some(Last { chain: Chain { sequence, hash }, place: self.place, is_faulty: true });
    }

    /// Takes a record that comes late out of those that are missing. Returns whether it was one.
    fn fill_gap(&mut self, line: &Line<'_>) -> bool {
        if let Some((begin, _)) = &mut self.begin
            && *begin == line.end()
        {
            *begin = line.before();
            return true;
        }
        let sequence = line.sequence;
        let Some(at) = self.gaps.iter().position(|gap| (gap.from..=gap.to).contains(&sequence)) else {
            return false;
        };
        let gap = self.gaps.swap_remove(at);
        if gap.from < sequence {
            self.gaps.push(Gap { to: sequence - 1, ..gap });
        }
        if sequence < gap.to {
            self.gaps.push(Gap { from: sequence + 1, ..gap });
        }
        true
    }

    fn fault(&mut self, kind: FaultKind, place: Place, detail: String) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { place, kind, detail });
        }
    }

    /// Ends with the head, and the bytes after the last line end.
    pub(super) fn end(mut self, head: Option<Chain>, torn: usize) -> Findings {
        for Gap { from, to, place } in std::mem::take(&mut self.gaps) {
            self.fault(FaultKind::Removed, place, format!("{} missing before this line", missing(from, to)));
        }
        self.check_begin();
        let end = self.last.map_or(Chain::default(), |last| last.chain);
        let is_faulty = self.last.is_some_and(|last| last.is_faulty);
        let place = Place { line: self.place.line + u64::from(torn > 0), ..self.place };
        if let Some(head) = head.filter(|head| head.sequence > end.sequence) {
            let detail = format!("{} missing at the end", missing(end.sequence + 1, head.sequence));
            self.fault(FaultKind::Truncated, place, detail);
        } else {
            if torn > 0 {
                let detail =
                    format!("{torn} bytes without a line end; the next start removes and records them");
                self.fault(FaultKind::Torn, place, detail);
            }
            if head.is_some_and(|head| head.sequence == end.sequence && head.hash != end.hash) && !is_faulty {
                let detail = format!("record {} is not the one that the head names", end.sequence);
                self.fault(FaultKind::Changed, place, detail);
            }
        }
        if let (Some(_), Some(seal)) = (&self.keys.current, &self.seal)
            && seal.key_id().is_none()
            && self.last.is_some()
        {
            let detail = "the newest records are not sealed with the key".to_owned();
            self.fault(FaultKind::Unsealed, Place { line: 0, ..self.place }, detail);
        }
        self.faults.sort();
        Findings { records: self.records, end, faults: self.faults, fault_count: self.fault_count }
    }

    /// Checks that the files before the first one were deleted by the gateway, not by others.
    fn check_begin(&mut self) {
        let Some((begin, place)) = self.begin else { return };
        let is_begin = begin == Chain::default();
        let is_expired = begin.sequence < self.expired.sequence || begin == self.expired;
        if begin.sequence == 0 && !is_begin {
            self.fault(FaultKind::Changed, place, "the first record follows another".to_owned());
        } else if !is_begin && !is_expired {
            let detail = format!("{} missing before this line", missing(1, begin.sequence));
            self.fault(FaultKind::Removed, place, detail);
        }
    }
}

fn missing(from: u64, to: u64) -> String {
    let verb = if from == to { "is" } else { "are" };
    format!("{} {verb}", records(from, to))
}

#[cfg(test)]
mod tests;
