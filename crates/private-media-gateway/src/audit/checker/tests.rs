//! Each change of a line is found, at its place and by its kind.

use proptest::prelude::*;

use super::*;
use crate::audit::group::{GroupWriter, sealed_line};

const RECORDS: usize = 12;

fn key() -> Seal {
    Seal::with_key(b"the key of the tests")
}

/// Returns the lines of an audit.
fn audit(seal: &Seal) -> (Vec<Vec<u8>>, Chain) {
    let mut chain = Chain::default();
    let opened = crate::audit::event::opened(seal.key_id());
    let mut lines = vec![sealed_line(&mut chain, opened.body(), seal)];
    for number in 1..RECORDS {
        let body = format!("\"action\":\"read\",\"path\":\"{number}.jpg\"");
        lines.push(sealed_line(&mut chain, body.as_bytes(), seal));
    }
    (lines, chain)
}

/// Checks lines in files that end after these numbers of lines.
fn check_files(files: &[&[Vec<u8>]], seal: &Seal, head: Chain) -> Findings {
    let keys = Keys { current: seal.key_id().map(|_| seal.clone()), old: vec![] };
    let mut checker = Checker::new(keys);
    for (number, lines) in files.iter().enumerate() {
        checker.file(number, lines.first().map_or(&[], Vec::as_slice));
        lines.iter().for_each(|line| checker.line(line));
    }
    checker.end(Some(head), 0)
}

fn check(lines: &[Vec<u8>], seal: &Seal, head: Chain) -> Vec<(u64, FaultKind)> {
    let findings = check_files(&[lines], seal, head);
    findings.faults.iter().map(|fault| (fault.place.line, fault.kind)).collect()
}

/// Returns the number of the line at an index.
fn number(index: usize) -> u64 {
    index as u64 + 1
}

#[test]
fn an_intact_audit_has_no_fault() {
    for seal in [Seal::default(), key()] {
        let (lines, head) = audit(&seal);
        for split in 0..=RECORDS {
            let (one, two) = lines.split_at(split);
            let findings = check_files(&[one, two], &seal, head);
            // Each file begins with a record that names the key.
            if seal.key_id().is_none() || split == 0 || split == RECORDS {
                assert_eq!(findings.faults, []);
                assert_eq!((findings.records, findings.end), (RECORDS as u64, head));
            }
        }
    }
}

#[test]
fn a_removed_line_is_found_at_each_place() {
    for seal in [Seal::default(), key()] {
        let (lines, head) = audit(&seal);
        for index in 0..RECORDS - 1 {
            let mut lines = lines.clone();
            lines.remove(index);
            let found = check(&lines, &seal, head);
            if index > 0 || seal.key_id().is_none() {
                assert_eq!(found, [(number(index), FaultKind::Removed)]);
            }
            assert!(!found.is_empty());
        }
    }
}

#[test]
fn a_truncation_is_found_at_each_place() {
    let seal = Seal::default();
    let (lines, head) = audit(&seal);
    for length in 1..RECORDS {
        let found = check(&lines[..length], &seal, head);
        assert_eq!(found, [(length as u64, FaultKind::Truncated)]);
    }
    assert_eq!(check(&[], &seal, head), [(0, FaultKind::Truncated)]);
}

#[test]
fn a_doubled_line_is_found_at_each_place() {
    let seal = Seal::default();
    let (lines, head) = audit(&seal);
    for index in 0..RECORDS {
        for place in index + 1..=RECORDS {
            let mut doubled = lines.clone();
            doubled.insert(place, lines[index].clone());
            assert_eq!(
                check(&doubled, &seal, head),
                [(number(place), FaultKind::Doubled)],
                "{index} {place}"
            );
        }
        for place in 0..index {
            let mut doubled = lines.clone();
            doubled.insert(place, lines[index].clone());
            let found = check(&doubled, &seal, head);
            assert!(found.contains(&(number(index + 1), FaultKind::Doubled)), "{index} {place}: {found:?}");
        }
    }
}

#[test]
fn swapped_and_moved_lines_are_found_at_each_place() {
    let seal = Seal::default();
    let (lines, head) = audit(&seal);
    for first in 0..RECORDS {
        for second in first + 1..RECORDS {
            let mut swapped = lines.clone();
            swapped.swap(first, second);
            let found = check(&swapped, &seal, head);
            let is_between = |line: u64| (number(first)..=number(second)).contains(&line);
            let is_reordered =
                found.iter().any(|(line, kind)| *kind == FaultKind::Reordered && is_between(*line));
            assert!(is_reordered, "{first} {second}: {found:?}");
            let mut moved = lines.clone();
            let line = moved.remove(first);
            moved.insert(second, line);
            assert_eq!(
                check(&moved, &seal, head),
                [(number(second), FaultKind::Reordered)],
                "{first} {second}"
            );
        }
    }
}

#[test]
fn a_line_with_a_recomputed_hash_is_found_at_each_place() {
    let seal = Seal::default();
    let (lines, head) = audit(&seal);
    for index in 0..RECORDS {
        let mut forged = lines.clone();
        let text = String::from_utf8(lines[index].clone()).unwrap().replace(".jpg", ".png");
        let text = text.replace("opened", "Opened");
        let end = text.find(",\"hash\"").unwrap();
        let hash = seal.of(&text.as_bytes()[..end]);
        forged[index] = [&text.as_bytes()[..end], b",\"hash\":\"", &hash, b"\"}"].concat();
        assert_eq!(check(&forged, &seal, head), [(number(index), FaultKind::Changed)]);
    }
}

#[test]
fn without_the_key_no_line_can_be_forged() {
    let (lines, head) = audit(&key());
    let (forged, forged_head) = audit(&Seal::default());
    // A whole new chain, and a new rest of the chain.
    let findings = check_files(&[&forged], &key(), forged_head);
    assert!(findings.faults.iter().any(|fault| fault.kind == FaultKind::Unsealed), "{findings:?}");
    for index in 1..RECORDS {
        let mixed = [&lines[..index], &forged[index..]].concat();
        let found = check(&mixed, &key(), head);
        assert!(found.contains(&(number(index), FaultKind::Changed)), "{found:?}");
        let files = check_files(&[&lines[..index], &forged[..index]], &key(), head);
        assert!(files.faults.iter().any(|fault| fault.kind == FaultKind::Unsealed));
    }
    // Somebody else's key.
    let (foreign, foreign_head) = audit(&Seal::with_key(b"another key"));
    let findings = check_files(&[&foreign], &key(), foreign_head);
    assert!(findings.faults.iter().any(|fault| fault.kind == FaultKind::UnknownKey), "{findings:?}");
}

#[test]
fn an_older_key_and_a_time_before_the_first_key_are_accepted() {
    let (old, new) = (Seal::with_key(b"old"), key());
    let keys = Keys { current: Some(new.clone()), old: vec![old.clone()] };
    let (mut chain, mut checker) = (Chain::default(), Checker::new(keys));
    for (number, seal) in [Seal::default(), old, new].iter().enumerate() {
        let line = sealed_line(&mut chain, crate::audit::event::opened(seal.key_id()).body(), seal);
        checker.file(number, &line);
        checker.line(&line);
    }
    assert_eq!(checker.end(Some(chain), 0).faults, []);
}

#[test]
fn files_that_the_gateway_deleted_are_not_missing() {
    let seal = Seal::default();
    let (mut lines, mut chain) = audit(&seal);
    let through = Line::parse(&lines[4]).unwrap().end();
    let event = crate::audit::event::expired(std::path::Path::new("audit.jsonl.1"), through);
    lines.push(sealed_line(&mut chain, event.body(), &seal));
    for kept in 0..=5 {
        // A crash may have left older files.
        assert_eq!(check(&lines[kept..], &seal, chain), [], "{kept}");
    }
    assert_eq!(check(&lines[6..], &seal, chain), [(1, FaultKind::Removed)]);
}

/// Returns the lines of an audit in groups of this size.
fn grouped(seal: &Seal, size: usize) -> (Vec<Vec<u8>>, Chain) {
    let (mut chain, mut text) = (Chain::default(), Vec::new());
    for start in (0..RECORDS).step_by(size) {
        let mut group = GroupWriter::new(chain, seal, &mut text);
        for number in start..RECORDS.min(start + size) {
            match number {
                0 => group.append("t", crate::audit::event::opened(seal.key_id()).body()),
                _ => group.append("t", format!("\"action\":\"read\",\"path\":\"{number}.jpg\"").as_bytes()),
            }
        }
        chain = group.end();
    }
    let lines = text.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
    (lines.map(<[u8]>::to_vec).collect(), chain)
}

#[test]
fn groups_are_intact_and_their_removed_lines_are_found() {
    for size in 1..=RECORDS {
        let seal = Seal::default();
        let (lines, head) = grouped(&seal, size);
        let findings = check_files(&[&lines], &seal, head);
        assert_eq!((findings.faults, findings.records, findings.end), (vec![], RECORDS as u64, head));
        let is_sealed = |index: usize| Line::parse(&lines[index]).is_some();
        for index in 0..RECORDS {
            let mut lines = lines.clone();
            lines.remove(index);
            let found = check(&lines, &seal, head);
            let begin_of_last = RECORDS - 1 - (RECORDS - 1) % size;
            if index == 0 && size > 1 {
                // Nothing says which records the first sealed line covers.
                assert!(!found.is_empty());
            } else if index < begin_of_last || !is_sealed(index) && RECORDS - begin_of_last > 2 {
                assert_eq!(found, [(number(index), FaultKind::Removed)], "{size} {index}");
            } else if is_sealed(index) {
                assert!(
                    found.iter().any(|(_, kind)| *kind == FaultKind::Truncated),
                    "{size} {index} {found:?}"
                );
            } else {
                assert!(!found.is_empty());
            }
        }
    }
}

#[test]
fn doubled_moved_and_renumbered_lines_of_groups_are_found() {
    let seal = Seal::default();
    let (lines, head) = grouped(&seal, 4);
    // Inside the second group: lines 5 to 8.
    let with = |change: &dyn Fn(&mut Vec<Vec<u8>>)| {
        let mut lines = lines.clone();
        change(&mut lines);
        check(&lines, &seal, head)
    };
    assert_eq!(with(&|lines| lines.insert(6, lines[4].clone())), [(7, FaultKind::Doubled)]);
    assert_eq!(with(&|lines| lines.swap(4, 5)), [(6, FaultKind::Reordered)]);
    let renumber = |lines: &mut Vec<Vec<u8>>| {
        let text = String::from_utf8(lines[5].clone()).unwrap();
        lines[5] = text.replace("\"sequence\":6", "\"sequence\":900").into_bytes();
    };
    assert_eq!(with(&renumber), [(6, FaultKind::Changed)]);
    // A whole group.
    let doubled = |lines: &mut Vec<Vec<u8>>| lines.extend(lines[4..8].to_vec());
    assert_eq!(with(&doubled), [(13, FaultKind::Doubled)]);
    let moved = |lines: &mut Vec<Vec<u8>>| lines[4..].rotate_left(4);
    assert_eq!(with(&moved), [(9, FaultKind::Reordered)]);
    let removed = |lines: &mut Vec<Vec<u8>>| drop(lines.drain(4..8));
    assert_eq!(with(&removed), [(5, FaultKind::Removed)]);
    // A line of the first group is in the third one.
    let elsewhere = |lines: &mut Vec<Vec<u8>>| {
        let line = lines.remove(1);
        lines.insert(9, line);
    };
    assert_eq!(with(&elsewhere), [(10, FaultKind::Reordered)]);
}

#[test]
fn swapped_lines_of_groups_are_found() {
    let seal = Seal::default();
    for size in 1..=RECORDS {
        let (lines, head) = grouped(&seal, size);
        for index in 1..RECORDS - 1 {
            let mut swapped = lines.clone();
            swapped.swap(index, index + 1);
            let found = check(&swapped, &seal, head);
            assert!(found.contains(&(number(index + 1), FaultKind::Reordered)), "{size} {index}: {found:?}");
        }
    }
}

/// Removes, swaps, doubles and truncates lines.
fn changed(original: &[Vec<u8>], changes: &[(u8, usize, usize)]) -> Vec<Vec<u8>> {
    let mut lines = original.to_vec();
    for (change, one, other) in changes {
        let last = lines.len().saturating_sub(1);
        let (one, length) = (*one.min(&last), other * 10);
        let other = *other.min(&last);
        if lines.is_empty() {
            break;
        }
        match change {
            0 => drop(lines.remove(one)),
            1 => lines.swap(one, other),
            2 => lines.insert(other, lines[one].clone()),
            _ => lines[one].truncate(length),
        }
    }
    lines
}

/// Removes or replaces a byte of a line. Returns whether it is another line then.
fn mutate(line: &mut Vec<u8>, at: prop::sample::Index, byte: u8, cut: bool) -> bool {
    let at = at.index(line.len());
    if cut {
        line.remove(at);
        return true;
    }
    std::mem::replace(&mut line[at], byte) != byte && byte != b'\n'
}

proptest! {
    /// A changed line of a group is found in this group.
    #[test]
    fn any_change_of_a_group_is_found(size in 2..6_usize, index in 0..RECORDS, at: prop::sample::Index, byte: u8, cut: bool) {
        let seal = Seal::default();
        let (mut lines, head) = grouped(&seal, size);
        prop_assume!(mutate(&mut lines[index], at, byte, cut));
        let found = check(&lines, &seal, head);
        let first = number(index - index % size);
        // A line that lost its hash belongs to the next group.
        let group = first..=first + 2 * size as u64;
        prop_assert!(found.iter().any(|(line, _)| group.contains(line)), "{index} {at:?}: {found:?}");
    }

    /// Random sequences of changes to several lines of groups never go unnoticed.
    #[test]
    fn several_changes_of_groups_are_found(
        size in 2..6_usize,
        changes in prop::collection::vec((0..4_u8, 0..RECORDS, 0..RECORDS), 1..5),
    ) {
        let seal = Seal::default();
        let (original, head) = grouped(&seal, size);
        let lines = changed(&original, &changes);
        prop_assert_eq!(check(&lines, &seal, head).is_empty(), lines == original);
    }

    /// Whatever happens to one line, there is a fault at this line, or at the next one.
    #[test]
    fn any_change_of_a_line_is_found_there(index in 0..RECORDS, at: prop::sample::Index, byte: u8, cut: bool, keyed: bool) {
        let seal = if keyed { key() } else { Seal::default() };
        let (mut lines, head) = audit(&seal);
        prop_assume!(mutate(&mut lines[index], at, byte, cut));
        let found = check(&lines, &seal, head);
        let is_there = |(line, kind): &(u64, FaultKind)| {
            // The first line names the key.
            (*line == number(index) && matches!(kind, FaultKind::Changed | FaultKind::Unreadable))
                || (index == 0 && keyed && *kind == FaultKind::UnknownKey)
                // Without its hash, it is one of the lines that no other one seals.
                || (index == RECORDS - 1 && *kind == FaultKind::Truncated)
        };
        prop_assert!(found.iter().any(is_there), "{index} {at:?}: {found:?}");
        // No other line is accused, except for the place after a first line that is lost.
        prop_assert!(found.iter().all(|(line, _)| *line == number(index) || index == 0), "{found:?}");
    }

    /// Inserted lines that are no records are found, and nothing else.
    #[test]
    fn inserted_text_is_found(index in 0..=RECORDS, text in "[^\n]{0,60}") {
        let seal = Seal::default();
        let (mut lines, head) = audit(&seal);
        lines.insert(index, text.into_bytes());
        prop_assert_eq!(check(&lines, &seal, head), [(number(index), FaultKind::Unreadable)]);
    }

    /// Random sequences of changes to several lines never go unnoticed.
    #[test]
    fn several_changes_are_found(changes in prop::collection::vec((0..4_u8, 0..RECORDS, 0..RECORDS), 1..5)) {
        let seal = Seal::default();
        let (original, head) = audit(&seal);
        let lines = changed(&original, &changes);
        prop_assert_eq!(check(&lines, &seal, head).is_empty(), lines == original);
    }
}
