//! Checks the lines of an audit one after another, and tells which kind of fault each deviation is.

mod forged;

use super::event::{FirstLine, expired_end};
use super::fault::{Fault, FaultKind, Place, records};
use super::group::Group;
use super::line::{Chain, Line, record_sequence};
use super::seal::Seal;

/// The most faults that are described. Others are counted.
const MAX_FAULTS: usize = 1000;

/// Checks lines.
#[derive(Debug)]
pub(super) struct Checker {
    keys: Keys,
    /// The seal of the current file; `None` if its key is unknown.
    seal: Option<Seal>,
    /// The lines after the last sealed one.
    group: Group,
    /// The place of the first of them.
    group_place: Place,
    /// The end of a deleted file, as one of these lines says.
    group_expired: Chain,
    /// The last sealed line that is in its place.
    last: Option<Last>,
    /// A sealed line that the next one explains.
    doubt: Option<Doubt>,
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

/// A sealed line whose hash does not match and whose number is too high: it was changed, or lines before it were removed.
#[derive(Debug, Clone, Copy)]
struct Doubt {
    expected: u64,
    sequence: u64,
    place: Place,
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
            group: Group::default(),
            group_place: Place { file: 0, line: 1 },
            group_expired: Chain::default(),
            last: None,
            doubt: None,
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
        let (unsealed, place) = self.end_unsealed();
        if unsealed > 0 {
            let detail = format!("{unsealed} records without a hash: the line that seals them is missing");
            self.fault(FaultKind::Truncated, place, detail);
        }
        self.place = Place { file, line: 0 };
        self.group_place = Place { file, line: 1 };
        // A first line that is no record says nothing about the key.
        if record_sequence(first_line).is_none() {
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
        if let Some(end) = expired_end(text)
            && end.sequence > self.group_expired.sequence
        {
            self.group_expired = end;
        }
        match Line::parse(text) {
            None => self.group.push(text),
            Some(line) => {
                self.sealed(&line);
                self.group.clear();
                self.group_place = Place { line: self.place.line + 1, ..self.place };
                self.group_expired = Chain::default();
            }
        }
    }

    /// Checks the group that ends with this line.
    fn sealed(&mut self, line: &Line<'_>) {
        let next = self.group.sequences().iter().flatten().next().copied();
        self.resolve_doubt(next.or(Some(line.sequence)));
        let first = self.group.first(line);
        let is_authentic = match &self.seal {
            Some(seal) => self.group.hash(seal, line) == line.hash,
            None => true,
        };
        match first {
            Some(first) if is_authentic => self.authentic(first, line),
            _ => self.forged(line),
        }
    }

    /// Finds the place of an intact group in the chain.
    fn authentic(&mut self, first: u64, line: &Line<'_>) {
        let place = self.group_place;
        let before = Chain { sequence: first.saturating_sub(1), hash: line.previous };
        let Some(last) = self.last else {
            self.begin = Some((before, place));
            return self.accept(first, line);
        };
        let expected = last.chain.sequence.saturating_add(1);
        if first == expected {
            if line.previous != last.chain.hash && !last.is_faulty {
                let number = last.chain.sequence;
                self.fault(
                    FaultKind::Changed,
                    last.place,
                    format!("record {number} is not the one that record {expected} follows"),
                );
            }
            return self.accept(first, line);
        }
        if first > expected {
            self.gaps.push(Gap { from: expected, to: first - 1, place });
            return self.accept(first, line);
        }
        if last.is_faulty && line.sequence == last.chain.sequence {
            // The faulty line was inserted, and stands for no record.
            return self.accept(first, line);
        }
        let numbers = records(first, line.sequence);
        if self.fill_gap(first, line.sequence) || self.move_begin(before, line) {
            let detail = format!("{numbers} follows record {}", last.chain.sequence);
            self.fault(FaultKind::Reordered, place, detail);
        } else {
            self.fault(FaultKind::Doubled, place, format!("{numbers} is there already"));
        }
    }

    /// Continues after an intact group that is in its place.
    fn accept(&mut self, first: u64, line: &Line<'_>) {
        if self.group_expired.sequence > self.expired.sequence {
            self.expired = self.group_expired;
        }
        self.records += line.sequence - first + 1;
        self.last = Some(Last { chain: line.end(), place: self.place, is_faulty: false });
    }

    /// Ends with lines after which no sealed one follows. Returns how many of them are records in their place, and the place of the first
    /// line.
    fn end_unsealed(&mut self) -> (usize, Place) {
        let (place, mut count) = (self.group_place, 0);
        let sequences = self.group.take_sequences();
        if let Some(next) = sequences.iter().flatten().next() {
            self.resolve_doubt(Some(*next));
        }
        for (line, sequence) in (place.line..).zip(&sequences) {
            let place = Place { line, ..place };
            match sequence {
                None => self.fault(FaultKind::Unreadable, place, "not a record".to_owned()),
                Some(number) if self.fill_gap(*number, *number) => {
                    self.fault(FaultKind::Reordered, place, format!("record {number} follows a later one"));
                }
                Some(_) => count += 1,
            }
        }
        (count, place)
    }

    /// Takes records that come late out of those that are missing. Returns whether they were among them.
    fn fill_gap(&mut self, first: u64, last: u64) -> bool {
        let Some(at) = self.gaps.iter().position(|gap| gap.from <= first && last <= gap.to) else {
            return false;
        };
        let gap = self.gaps.swap_remove(at);
        if gap.from < first {
            self.gaps.push(Gap { to: first - 1, ..gap });
        }
        if last < gap.to {
            self.gaps.push(Gap { from: last + 1, ..gap });
        }
        true
    }

    /// Moves the begin of the chain before a group that comes late. Returns whether the chain began after it.
    fn move_begin(&mut self, before: Chain, line: &Line<'_>) -> bool {
        match &mut self.begin {
            Some((begin, _)) if *begin == line.end() => {
                *begin = before;
                true
            }
            _ => false,
        }
    }

    fn fault(&mut self, kind: FaultKind, place: Place, detail: String) {
        self.fault_count += 1;
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { place, kind, detail });
        }
    }

    /// Ends with the head, and the bytes after the last line end.
    pub(super) fn end(mut self, head: Option<Chain>, torn: usize) -> Findings {
        let (unsealed, unsealed_place) = self.end_unsealed();
        let newest = head.map(|head| head.sequence);
        let is_there = |newest: &u64| self.doubt.is_some_and(|doubt| *newest >= doubt.sequence);
        self.resolve_doubt(newest.filter(is_there));
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
            if torn > 0 || unsealed > 0 {
                let detail =
                    "not written completely; the next start removes and records these bytes".to_owned();
                self.fault(FaultKind::Torn, if unsealed > 0 { unsealed_place } else { place }, detail);
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
