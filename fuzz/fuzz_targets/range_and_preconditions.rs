//! `Range` and the conditional headers behave like a naive implementation of RFC 9110 sections 13 and 14.
#![no_main]

use std::time::{Duration, SystemTime};

use arbitrary::Arbitrary;
use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use private_media::request::{ByteRange, Outcome, Preconditions, Range, Selected, Validators};

const ETAG: &str = "x1";

#[derive(Arbitrary, Debug)]
struct Input<'a> {
    range: RangeText<'a>,
    len: u64,
    is_small: bool,
    modified: u16,
    age: i16,
    if_match: Vec<TagField<'a>>,
    if_none_match: Vec<TagField<'a>>,
    if_modified_since: Option<DateField<'a>>,
    if_unmodified_since: Option<DateField<'a>>,
    if_range: Vec<IfRange<'a>>,
}

#[derive(Arbitrary, Debug)]
enum RangeText<'a> {
    Raw(&'a str),
    Specs(Vec<(Option<u8>, Option<u8>)>),
    LargeSpecs(Vec<(Option<u64>, Option<u64>)>),
}

#[derive(Arbitrary, Debug)]
enum TagField<'a> {
    Any,
    List(Vec<Tag>),
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug, Clone, Copy)]
struct Tag {
    is_weak: bool,
    is_own: bool,
}

#[derive(Arbitrary, Debug)]
enum DateField<'a> {
    /// Seconds after the modification.
    Relative(i8),
    Raw(&'a [u8]),
}

#[derive(Arbitrary, Debug)]
enum IfRange<'a> {
    Tag(Tag),
    Date(DateField<'a>),
}

fuzz_target!(|input: Input<'_>| {
    check_range(&input);
    check_preconditions(&input);
});

fn check_range(input: &Input<'_>) {
    let text = match &input.range {
        RangeText::Raw(text) => (*text).to_owned(),
        RangeText::Specs(specs) => list(specs),
        RangeText::LargeSpecs(specs) => list(specs),
    };
    let len = if input.is_small { input.len % 64 } else { input.len };
    let range = Range::parse(&text);
    let specs = parse(&text);
    assert_eq!(range.is_some(), specs.is_some(), "{text:?}");
    let (Some(range), Some(specs)) = (range, specs) else { return };
    let mut wanted: Vec<(u128, u128)> =
        specs.iter().map(|spec| within(*spec, len)).filter(|(start, end)| start < end).collect();
    let selected = range.select(len);
    let parts: &[ByteRange] = match &selected {
        Selected::Whole => return assert_eq!(len, 0, "{text:?}"),
        Selected::Unsatisfiable => &[],
        Selected::One(part) => std::slice::from_ref(part),
        Selected::Several(parts) => parts,
    };
    assert!(len > 0);
    assert!(
        parts.len() <= 16 && !matches!(&selected, Selected::Several(parts) if parts.len() < 2),
        "{text:?}"
    );
    let sent: Vec<(u128, u128)> = parts.iter().map(|part| (part.start().into(), part.end().into())).collect();
    assert!(sent.iter().all(|(start, end)| start < end && *end <= len.into()), "{text:?} of {len}: {sent:?}");
    for part in parts {
        assert_eq!(part.content_range(len), format!("bytes {}-{}/{len}", part.start(), part.end() - 1));
    }
    if sent.len() == wanted.len() {
        assert_eq!(sent, wanted, "the order of the request is unchanged: {text:?} of {len}");
    }
    // The parts are the union of the ranges, and no two of them are adjacent.
    let mut sorted = sent.clone();
    sorted.sort_unstable();
    wanted.sort_unstable();
    assert_eq!(sorted, union(&wanted), "{text:?} of {len}");
}

fn list<N: Copy + ToString>(specs: &[(Option<N>, Option<N>)]) -> String {
    let number = |number: Option<N>| number.map(|number| number.to_string()).unwrap_or_default();
    let specs: Vec<_> =
        specs.iter().map(|(first, last)| format!("{}-{}", number(*first), number(*last))).collect();
    format!("bytes={}", specs.join(", "))
}

/// Returns the positions of each range; `None` if the field is ignored.
fn parse(text: &str) -> Option<Vec<(Option<u128>, Option<u128>)>> {
    if text.len() > 1024 {
        return None;
    }
    let (unit, set) = text.trim_matches([' ', '\t']).split_once('=')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let mut specs = Vec::new();
    for element in set.split(',').map(|element| element.trim_matches([' ', '\t'])) {
        if element.is_empty() {
            continue;
        }
        let (first, last) = element.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        match (first, last) {
            (None, None) => return None,
            (Some(first), Some(last)) if first > last => return None,
            spec => specs.push(spec),
        }
    }
    (1..=16).contains(&specs.len()).then_some(specs)
}

/// Parses digits, or nothing. Positions above `u64::MAX` are after the end of every file, like `u64::MAX`.
fn number(digits: &str) -> Option<Option<u128>> {
    if digits.is_empty() {
        return Some(None);
    }
    digits
        .bytes()
        .try_fold(0_u128, |number, digit| {
            let digit = char::from(digit).to_digit(10)?;
            Some((number * 10 + u128::from(digit)).min(u64::MAX.into()))
        })
        .map(Some)
}

fn within(spec: (Option<u128>, Option<u128>), len: u64) -> (u128, u128) {
    let len = u128::from(len);
    match spec {
        (Some(first), Some(last)) => (first, len.min(last + 1)),
        (Some(first), None) => (first, len),
        (None, Some(count)) => (len.saturating_sub(count), len),
        (None, None) => (0, 0),
    }
}

fn union(sorted: &[(u128, u128)]) -> Vec<(u128, u128)> {
    let mut joined: Vec<(u128, u128)> = Vec::new();
    for (start, end) in sorted {
        match joined.last_mut() {
            Some((_, last)) if start <= last => *last = (*last).max(*end),
            _ => joined.push((*start, *end)),
        }
    }
    joined
}

fn check_preconditions(input: &Input<'_>) {
    let modified = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000 + u64::from(input.modified));
    let now = after(modified, input.age.into());
    let mut headers = HeaderMap::new();
    let mut add = |name: &'static str, value: Vec<u8>| {
        let value = HeaderValue::from_bytes(&value);
        value.map(|value| headers.append(name, value)).is_ok()
    };
    let mut is_exact = true;
    for (name, fields) in [("if-match", &input.if_match), ("if-none-match", &input.if_none_match)] {
        for field in fields.iter().take(4) {
            add(name, field.text());
            is_exact &=
                !matches!(field, TagField::Raw(_)) && (fields.len() == 1 || !matches!(field, TagField::Any));
        }
    }
    for (name, field) in
        [("if-modified-since", &input.if_modified_since), ("if-unmodified-since", &input.if_unmodified_since)]
    {
        if let Some(field) = field {
            add(name, field.text(modified));
            is_exact &= matches!(field, DateField::Relative(_));
        }
    }
    for field in input.if_range.iter().take(2) {
        match field {
            IfRange::Tag(tag) => is_exact &= add("if-range", tag.text().into()),
            IfRange::Date(date) => {
                add("if-range", date.text(modified));
                is_exact &= matches!(date, DateField::Relative(_));
            }
        }
    }
    let outcome = Preconditions::from_headers(&headers).evaluate(&Validators { etag: ETAG, modified }, now);
    if is_exact {
        assert_eq!(outcome, expected(input), "{headers:?}, modified {modified:?}, now {now:?}");
    }
    // Each outcome has a header as its reason, even for arbitrary values.
    let has = |name: &str| headers.contains_key(name);
    let names_own = |name: &str| {
        headers.get_all(name).iter().any(|value| {
            value.as_bytes() == b"*" || value.as_bytes().windows(4).any(|window| window == b"\"x1\"")
        })
    };
    match outcome {
        Outcome::NotModified => {
            assert!(names_own("if-none-match") || (!has("if-none-match") && has("if-modified-since")))
        }
        Outcome::Failed => assert!(has("if-match") || has("if-unmodified-since")),
        Outcome::Proceed { range } => {
            assert!(!has("if-match") || names_own("if-match"), "the client required a version: {headers:?}");
            assert!(range || has("if-range"));
        }
        other => panic!("{other:?} is not in this target"),
    }
}

/// RFC 9110 section 13.2.2, step by step.
fn expected(input: &Input<'_>) -> Outcome {
    let tags = |fields: &[TagField<'_>]| -> Vec<Tag> {
        let lists = fields.iter().take(4).map(|field| match field {
            TagField::List(tags) => tags.as_slice(),
            _ => &[],
        });
        lists.flatten().copied().collect()
    };
    let is_any = |fields: &[TagField<'_>]| matches!(fields, [TagField::Any]);
    let seconds = |field: &Option<DateField<'_>>| match field {
        Some(DateField::Relative(seconds)) => Some(*seconds),
        _ => None,
    };
    if !input.if_match.is_empty() {
        let matches = tags(&input.if_match).iter().any(|tag| tag.is_own && !tag.is_weak);
        if !matches && !is_any(&input.if_match) {
            return Outcome::Failed;
        }
    } else if seconds(&input.if_unmodified_since).is_some_and(|seconds| seconds < 0) {
        return Outcome::Failed;
    }
    if !input.if_none_match.is_empty() {
        if is_any(&input.if_none_match) || tags(&input.if_none_match).iter().any(|tag| tag.is_own) {
            return Outcome::NotModified;
        }
    } else if seconds(&input.if_modified_since).is_some_and(|seconds| seconds >= 0) {
        return Outcome::NotModified;
    }
    let range = match input.if_range.as_slice() {
        [] => true,
        [IfRange::Tag(tag)] => tag.is_own && !tag.is_weak,
        // A date is strong only if it is not in the second of the response (section 8.8.2.2).
        [IfRange::Date(DateField::Relative(seconds))] => *seconds == 0 && input.age > 0,
        [IfRange::Date(DateField::Raw(_))] => unreachable!("the input is not exact"),
        // The version of the client is unknown, so the whole file is sent.
        [_, _, ..] => false,
    };
    Outcome::Proceed { range }
}

fn after(time: SystemTime, seconds: i64) -> SystemTime {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if seconds < 0 { time - distance } else { time + distance }
}

impl Tag {
    fn text(self) -> String {
        format!("{}\"{}\"", if self.is_weak { "W/" } else { "" }, if self.is_own { ETAG } else { "other" })
    }
}

impl TagField<'_> {
    fn text(&self) -> Vec<u8> {
        match self {
            Self::Any => b"*".to_vec(),
            Self::List(tags) => tags.iter().map(|tag| tag.text()).collect::<Vec<_>>().join(", ").into_bytes(),
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}

impl DateField<'_> {
    fn text(&self, modified: SystemTime) -> Vec<u8> {
        match self {
            Self::Relative(seconds) => {
                httpdate::fmt_http_date(after(modified, (*seconds).into())).into_bytes()
            }
            Self::Raw(bytes) => bytes.to_vec(),
        }
    }
}
