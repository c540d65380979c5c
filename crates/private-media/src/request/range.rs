//! The `Range` field (RFC 9110 section 14.2).

/// The maximum number of ranges in a request. A longer list is ignored, as section 14.2 allows.
const MAX_RANGES: usize = 16;
/// The maximum length of a field value, in bytes.
const MAX_VALUE: usize = 1024;

/// The ranges of a request, before they are applied to a file.
///
/// ```
/// use private_media::request::{Range, Selected};
///
/// let range = Range::parse("bytes=-500").unwrap();
/// let Selected::One(part) = range.select(10_000) else { panic!() };
/// assert_eq!(part.content_range(10_000), "bytes 9500-9999/10000");
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Range(Vec<Spec>);

/// A `range-spec` (section 14.1.1). A number that exceeds `u64` is `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Spec {
    /// From one position to another, both inclusive: `0-499`, `500-`.
    From(u64, u64),
    /// A number of bytes at the end: `-500`.
    Last(u64),
}

impl Range {
    /// Parses the value of the field. `None` means that the field is ignored (section 14.2): the unit is unknown, or the ranges are
    /// malformed or too many.
    #[must_use]
    pub fn parse(value: &str) -> Option<Self> {
        if value.len() > MAX_VALUE {
            return None;
        }
        let (unit, set) = value.trim_matches([' ', '\t']).split_once('=')?;
        // Section 14.1: range units are case-insensitive.
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        // Section 5.6.1.2: empty elements of a list are ignored.
        let elements = set.split(',').map(|element| element.trim_matches([' ', '\t']));
        let specs: Vec<Spec> =
            elements.filter(|element| !element.is_empty()).map(Spec::parse).collect::<Option<_>>()?;
        (1..=MAX_RANGES).contains(&specs.len()).then_some(Self(specs))
    }

    /// Applies the ranges to a file of `len` bytes.
    ///
    /// Overlapping and adjacent ranges are merged. An empty file is always sent whole, because 206 cannot express an empty range.
    #[must_use]
    pub fn select(&self, len: u64) -> Selected {
        if len == 0 {
            return Selected::Whole;
        }
        let parts = coalesce(self.0.iter().filter_map(|spec| spec.within(len)).collect());
        match parts.as_slice() {
            [] => Selected::Unsatisfiable,
            [part] => Selected::One(*part),
            _ => Selected::Several(parts),
        }
    }
}

/// The parts of a file that a request selects.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selected {
    /// The whole file.
    Whole,
    /// One part of the file.
    One(ByteRange),
    /// Several parts that neither overlap nor are adjacent, in the order of the request.
    Several(Vec<ByteRange>),
    /// Nothing: every range begins after the end of the file.
    Unsatisfiable,
}

/// A part of a file, of at least one byte.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    start: u64,
    end: u64,
}

impl ByteRange {
    /// Returns the position of the first byte.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// Returns the position after the last byte.
    #[must_use]
    pub fn end(&self) -> u64 {
        self.end
    }

    /// Returns the length in bytes, at least one.
    #[expect(clippy::len_without_is_empty, reason = "it is never empty")]
    #[must_use]
    pub fn len(&self) -> u64 {
        self.end - self.start
    }

    /// Returns the value of `Content-Range` for this part of a file of `len` bytes (section 14.4).
    #[must_use]
    pub fn content_range(&self, len: u64) -> String {
        format!("bytes {}-{}/{len}", self.start, self.end - 1)
    }

    /// Returns the value of `Content-Range` in a 416 for a file of `len` bytes (section 14.4).
    #[must_use]
    pub fn unsatisfied(len: u64) -> String {
        format!("bytes */{len}")
    }
}

impl Spec {
    fn parse(text: &str) -> Option<Self> {
        match text.split_once('-')? {
            ("", last) => Some(Self::Last(number(last)?)),
            (first, "") => Some(Self::From(number(first)?, u64::MAX)),
            (first, last) => {
                let (first, last) = (number(first)?, number(last)?);
                // Section 14.1.1: a last position before the first makes it invalid.
                (first <= last).then_some(Self::From(first, last))
            }
        }
    }

    /// Returns the part that exists in a file of `len` bytes (section 14.1.2).
    fn within(self, len: u64) -> Option<ByteRange> {
        let (start, end) = match self {
            Self::From(first, last) => (first, last.saturating_add(1).min(len)),
            Self::Last(count) => (len.saturating_sub(count), len),
        };
        (start < end).then_some(ByteRange { start, end })
    }
}

/// Parses digits. A number that exceeds `u64` is `u64::MAX`, which is after the end of every file.
fn number(digits: &str) -> Option<u64> {
    let is_number = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    is_number.then(|| digits.parse().unwrap_or(u64::MAX))
}

/// Merges overlapping and adjacent parts. Without any, the order is unchanged (section 15.3.7.2).
fn coalesce(parts: Vec<ByteRange>) -> Vec<ByteRange> {
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    let mut joined: Vec<ByteRange> = Vec::with_capacity(sorted.len());
    for part in sorted {
        match joined.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => joined.push(part),
        }
    }
    if joined.len() == parts.len() { parts } else { joined }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn format_selected(selected: &Selected) -> String {
        let part = |part: &ByteRange| format!("{}-{}", part.start(), part.end() - 1);
        match selected {
            Selected::Whole => "whole".into(),
            Selected::One(one) => part(one),
            Selected::Several(parts) => parts.iter().map(part).collect::<Vec<_>>().join(" "),
            Selected::Unsatisfiable => "416".into(),
        }
    }

    #[test]
    fn ranges_select_parts_of_ten_thousand_bytes() {
        for (value, expected) in [
            // The examples of section 14.1.2.
            ("bytes=0-499", "0-499"),
            ("bytes=500-999", "500-999"),
            ("bytes=-500", "9500-9999"),
            ("bytes=9500-", "9500-9999"),
            ("bytes=0-0,-1", "0-0 9999-9999"),
            ("bytes= 0-999, 4500-5499, -1000", "0-999 4500-5499 9000-9999"),
            ("bytes=500-600,601-999", "500-999"),
            ("bytes=500-700,601-999", "500-999"),
            // Section 14.1.2: a position after the end is the end. A suffix longer than the file is the whole file.
            ("bytes=9999-20000", "9999-9999"),
            ("bytes=-20000", "0-9999"),
            ("bytes=0-", "0-9999"),
            // Ranges after the end are dropped, unless there is no other.
            ("bytes=10000-", "416"),
            ("bytes=-0", "416"),
            ("bytes=20000-30000,-0", "416"),
            ("bytes=20000-30000,5-6", "5-6"),
            // The order is unchanged unless parts are merged.
            ("bytes=5000-5001,0-1", "5000-5001 0-1"),
            ("bytes=5000-5001,0-1,1-2", "0-2 5000-5001"),
            ("bytes=0-1,0-1,0-1", "0-1"),
            // Section 5.6.1: empty elements and white space.
            ("bytes=,, 0-1 ,\t3-4 ,", "0-1 3-4"),
            ("Bytes=0-1", "0-1"),
            // Numbers that exceed u64.
            ("bytes=0-99999999999999999999999999", "0-9999"),
            ("bytes=99999999999999999999999999-", "416"),
            ("bytes=-99999999999999999999999999", "0-9999"),
            ("bytes=18446744073709551615-18446744073709551615", "416"),
        ] {
            let range = Range::parse(value).unwrap_or_else(|| panic!("{value}"));
            assert_eq!(format_selected(&range.select(10_000)), expected, "{value}");
            assert_eq!(range.select(0), Selected::Whole, "{value}");
        }
    }

    #[test]
    fn malformed_values_are_ignored() {
        for value in [
            "",
            "bytes",
            "bytes=",
            "bytes= ",
            "bytes=,",
            "bytes=-",
            "bytes=a-b",
            "bytes=5-3",
            "bytes=0-1,5-3",
            "bytes=0-1;2-3",
            "bytes=+1-2",
            "bytes=1-+2",
            "bytes=1 - 2",
            "bytes=--1",
            "bytes=1-2-3",
            "bytes=0x1-2",
            "bytes=٣-٤",
            "bytes:0-1",
            "lines=0-1",
            "byte=0-1",
            " = 0-1",
            "bytes =0-1",
            "none",
        ] {
            assert_eq!(Range::parse(value), None, "{value:?}");
        }
        let list = |count| {
            format!("bytes={}", (0..count).map(|n| format!("{}-{0}", n * 2)).collect::<Vec<_>>().join(","))
        };
        assert!(Range::parse(&list(MAX_RANGES)).is_some());
        assert_eq!(Range::parse(&list(MAX_RANGES + 1)), None);
        assert_eq!(Range::parse(&format!("bytes=0-1{}", " ".repeat(MAX_VALUE))), None);
    }

    proptest! {
        #[test]
        fn every_selected_part_is_inside_the_file(value in "(bytes=)?[0-9,\\- \t=a]{0,60}|\\PC{0,40}", len: u64) {
            if let Some(range) = Range::parse(&value) {
                check(&range.select(len), len)?;
            }
        }

        /// Every requested byte is selected exactly once, and no other.
        #[test]
        fn the_selected_bytes_are_the_requested_ones(
            specs in prop::collection::vec((prop::option::of(0_u64..40), prop::option::of(0_u64..40)), 1..8),
            len in 1_u64..32,
        ) {
            let text = |n: Option<u64>| n.map_or(String::new(), |n| n.to_string());
            let value = specs.iter().map(|(a, b)| format!("{}-{}", text(*a), text(*b))).collect::<Vec<_>>().join(",");
            let Some(range) = Range::parse(&format!("bytes={value}")) else { return Ok(()) };
            let is_requested = |at: u64| specs.iter().any(|spec| match spec {
                (Some(first), Some(last)) => (*first..=*last).contains(&at),
                (Some(first), None) => at >= *first,
                (None, Some(count)) => at + count >= len,
                (None, None) => false,
            });
            let selected = range.select(len);
            check(&selected, len)?;
            let sent: Vec<u64> = match selected {
                Selected::Whole => (0..len).collect(),
                Selected::Unsatisfiable => vec![],
                Selected::One(part) => (part.start()..part.end()).collect(),
                Selected::Several(parts) => parts.iter().flat_map(|part| part.start()..part.end()).collect(),
            };
            let mut sorted = sent;
            sorted.sort_unstable();
            prop_assert_eq!(sorted, (0..len).filter(|at| is_requested(*at)).collect::<Vec<_>>());
        }
    }

    fn check(selected: &Selected, len: u64) -> Result<(), TestCaseError> {
        let parts = match selected {
            Selected::Whole | Selected::Unsatisfiable => return Ok(()),
            Selected::One(part) => std::slice::from_ref(part),
            Selected::Several(parts) => parts,
        };
        prop_assert!(parts.len() <= MAX_RANGES);
        for (index, part) in parts.iter().enumerate() {
            prop_assert!(part.start() < part.end() && part.end() <= len);
            for other in parts.iter().skip(index + 1) {
                prop_assert!(part.end() < other.start() || other.end() < part.start());
            }
        }
        Ok(())
    }
}
