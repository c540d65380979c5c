//! Tells what is wrong with a group whose hash does not match.

use super::super::fault::{FaultKind, Place, records};
use super::super::line::{Chain, Line};
use super::{Checker, Doubt, Gap, Last};

impl Checker {
    /// Finds out what is wrong with a group that is not what was written.
    pub(super) fn forged(&mut self, line: &Line<'_>) {
        let expected = self.last.map(|last| last.chain.sequence.saturating_add(1));
        if self.group.sequences().is_empty() {
            return self.forged_alone(line);
        }
        let mut numbers = self.group.sequences().to_vec();
        numbers.push(Some(line.sequence));
        let start = expected.or_else(|| numbers.iter().flatten().next().copied()).unwrap_or(1);
        let (faults, next) = self.compare(&numbers, start);
        if faults == 0 {
            let detail = format!("{}: not all of them are what was written", records(start, line.sequence));
            self.fault(FaultKind::Changed, self.group_place, detail);
        }
        if expected.is_none() {
            // The faults of the first group of all are reported above.
            let before = match start.saturating_sub(1) {
                0 => Chain::default(),
                sequence => Chain { sequence, hash: line.previous },
            };
            self.begin = Some((before, self.group_place));
        }
        self.assume(next.saturating_sub(1), line);
    }

    /// Finds out what is wrong with a sealed line without others in its group.
    fn forged_alone(&mut self, line: &Line<'_>) {
        let (place, sequence) = (self.place, line.sequence);
        let Some(last) = self.last else {
            // Before the first record, a faulty line says nothing.
            return self.fault(
                FaultKind::Changed,
                place,
                format!("record {sequence} is not what was written"),
            );
        };
        if line.end() == last.chain {
            return self.fault(FaultKind::Doubled, place, format!("record {sequence} is there already"));
        }
        let expected = last.chain.sequence.saturating_add(1);
        if sequence < expected && self.fill_gap(sequence, sequence) {
            let detail = format!("record {sequence} follows record {}", last.chain.sequence);
            return self.fault(FaultKind::Reordered, place, detail);
        }
        if sequence > expected && line.previous == last.chain.hash {
            self.doubt = Some(Doubt { expected, sequence, place });
        } else {
            self.fault(FaultKind::Changed, place, format!("record {expected} is not what was written"));
        }
        self.assume(expected, line);
    }

    /// Compares the numbers of a group's lines with those that are expected from `start` on. Returns the number of faults, and the next
    /// expected number.
    fn compare(&mut self, numbers: &[Option<u64>], start: u64) -> (usize, u64) {
        let (mut faults, mut expected, mut unreadable) = (0, start, 0);
        for (index, number) in numbers.iter().enumerate() {
            let place = Place { line: self.group_place.line + index as u64, ..self.group_place };
            let following = numbers.get(index + 1).copied().flatten();
            let Some(number) = *number else {
                self.fault(FaultKind::Unreadable, place, "not a record".to_owned());
                (faults, unreadable) = (faults + 1, unreadable + 1);
                continue;
            };
            if number == expected {
                expected = expected.saturating_add(1);
                continue;
            }
            if number > expected && number - expected <= unreadable {
                // The unreadable lines were these records.
                unreadable -= number - expected;
                expected = number.saturating_add(1);
                continue;
            }
            faults += 1;
            if following == expected.checked_add(1) {
                self.fault(FaultKind::Changed, place, format!("record {expected} is not what was written"));
                expected = expected.saturating_add(1);
            } else if number > expected {
                self.gaps.push(Gap { from: expected, to: number - 1, place });
                expected = number.saturating_add(1);
            } else if self.fill_gap(number, number) {
                self.fault(FaultKind::Reordered, place, format!("record {number} follows a later one"));
            } else {
                self.fault(FaultKind::Doubled, place, format!("record {number} is there already"));
            }
        }
        (faults, expected)
    }

    /// Continues after a faulty group, as if its last line were this record.
    fn assume(&mut self, sequence: u64, line: &Line<'_>) {
        let chain = Chain { sequence, hash: line.hash };
        self.last = Some(Last { chain, place: self.place, is_faulty: true });
    }

    /// Decides about a doubtful line, by the number of the record after it.
    pub(super) fn resolve_doubt(&mut self, next: Option<u64>) {
        let Some(Doubt { expected, sequence, place }) = self.doubt.take() else { return };
        if next.is_none() || next == expected.checked_add(1) {
            let detail = format!("record {expected} is not what was written");
            return self.fault(FaultKind::Changed, place, detail);
        }
        self.gaps.push(Gap { from: expected, to: sequence - 1, place });
        if let Some(last) = &mut self.last {
            last.chain.sequence = sequence;
        }
    }
}
