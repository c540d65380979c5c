//! Faults of an audit: what is wrong with which line.

use std::fmt;

/// The place of a line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Place {
    /// The number of the file, in the order of the chain.
    pub(crate) file: usize,
    /// The number of the line, from 1; 0 is the whole file.
    pub(crate) line: u64,
}

/// A fault.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Fault {
    pub(crate) place: Place,
    pub(crate) kind: FaultKind,
    pub(crate) detail: String,
}

/// The kind of a fault.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum FaultKind {
    /// Records are missing before the line.
    Removed,
    /// The line is not what was written.
    Changed,
    /// The record belongs to another place.
    Reordered,
    /// The record is there already.
    Doubled,
    /// Records are missing at the end.
    Truncated,
    /// The last line is incomplete, as after a crash.
    Torn,
    /// The line is not a record.
    Unreadable,
    /// The record should be sealed with the key, and is not.
    Unsealed,
    /// The file is sealed with another key.
    UnknownKey,
}

impl FaultKind {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Removed => "removed",
            Self::Changed => "changed",
            Self::Reordered => "reordered",
            Self::Doubled => "doubled",
            Self::Truncated => "truncated",
            Self::Torn => "torn",
            Self::Unreadable => "unreadable",
            Self::Unsealed => "unsealed",
            Self::UnknownKey => "unknown key",
        }
    }
}

impl fmt::Display for FaultKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Returns the text of a range of records.
pub(super) fn records(from: u64, to: u64) -> String {
    if from == to { format!("record {from}") } else { format!("records {from} to {to}") }
}
