//! Preconditions: the conditional fields of RFC 9110 section 13.

use std::time::{Duration, SystemTime};

use http::header::{
    HeaderMap, HeaderName, HeaderValue, IF_MATCH, IF_MODIFIED_SINCE, IF_NONE_MATCH, IF_RANGE,
    IF_UNMODIFIED_SINCE,
};

/// The conditions of a request. A malformed condition fails safely: the client gets the current file, or 412 if it requires a version.
///
/// Most requests have no conditions, so these are boxed: a request without them is small.
#[derive(Debug, Clone, Default)]
pub struct Preconditions(Option<Box<Conditions>>);

#[expect(clippy::struct_field_names, reason = "RFC 9110 has these names")]
#[derive(Debug, Clone)]
struct Conditions {
    if_match: Option<Tags>,
    if_unmodified_since: Option<Seconds>,
    if_none_match: Option<Tags>,
    if_modified_since: Option<Seconds>,
    if_range: Option<IfRange>,
}

/// The validators of a file: its entity tag and modification time.
#[derive(Debug, Clone, Copy)]
pub struct Validators<'a> {
    /// The opaque part of the strong entity tag, without quotes (section 8.8.3).
    pub etag: &'a str,
    /// The time of the last modification (section 8.8.2).
    pub modified: SystemTime,
}

/// The result of evaluating [`Preconditions`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Outcome {
    /// The conditions hold.
    Proceed {
        /// Whether a `Range` is respected (section 13.1.5).
        range: bool,
    },
    /// The client has the current version: 304.
    NotModified,
    /// The client requires another version: 412.
    Failed,
}

impl Preconditions {
    /// Parses the conditions of a request.
    #[must_use]
    pub fn from_headers(headers: &HeaderMap) -> Self {
        // Fast path: most requests have no conditions, and one pass over the names is cheaper than five lookups.
        if !headers.keys().any(|name| name.as_str().starts_with("if-")) {
            return Self::default();
        }
        Self(Some(Box::new(Conditions {
            if_match: Tags::read(headers, &IF_MATCH),
            if_unmodified_since: Seconds::read(headers, &IF_UNMODIFIED_SINCE),
            if_none_match: Tags::read(headers, &IF_NONE_MATCH),
            if_modified_since: Seconds::read(headers, &IF_MODIFIED_SINCE),
            if_range: IfRange::read(headers),
        })))
    }

    /// Returns whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// Evaluates the conditions for a GET or HEAD of an existing file, in the order of section 13.2.2. `now` is the time of the response.
    #[must_use]
    pub fn evaluate(&self, file: &Validators<'_>, now: SystemTime) -> Outcome {
        self.0.as_ref().map_or(Outcome::Proceed { range: true }, |conditions| conditions.evaluate(file, now))
    }
}

impl Conditions {
    fn evaluate(&self, file: &Validators<'_>, now: SystemTime) -> Outcome {
        let modified = Seconds::of(file.modified);
        // Step 1, section 13.1.1. Step 2, section 13.1.4, only without If-Match.
        let wanted = match (&self.if_match, self.if_unmodified_since) {
            (Some(tags), _) => tags.any(|tag| tag.is_strongly(file.etag)),
            (None, Some(since)) => modified <= since,
            (None, None) => true,
        };
        if !wanted {
            return Outcome::Failed;
        }
        // Step 3, section 13.1.2. Step 4, section 13.1.3, only without If-None-Match.
        let known = match (&self.if_none_match, self.if_modified_since) {
            (Some(tags), _) => tags.any(|tag| tag.is_weakly(file.etag)),
            (None, Some(since)) => modified <= since,
            (None, None) => false,
        };
        if known {
            return Outcome::NotModified;
        }
        // Step 5, section 13.1.5.
        let range = match &self.if_range {
            None => true,
            Some(IfRange::Tag(tag)) => tag.is_strongly(file.etag),
            // Section 8.8.2.2: another version may have the same date if it was changed in the second of the request.
            Some(IfRange::Date(date)) => *date == modified && modified < Seconds::of(now),
            Some(IfRange::Malformed) => false,
        };
        Outcome::Proceed { range }
    }
}

/// `*`, or the entity tags in all lines of a field. The list ends at the first error.
#[derive(Debug, Clone)]
enum Tags {
    Any,
    These(Vec<Tag>),
}

impl Tags {
    fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        let lines: Vec<&HeaderValue> = headers.get_all(name).iter().collect();
        match lines.as_slice() {
            [] => None,
            [line] if line.as_bytes() == b"*" => Some(Self::Any),
            lines => Some(Self::These(lines.iter().flat_map(|line| TagList(line.as_bytes())).collect())),
        }
    }

    fn any(&self, matches: impl Fn(&Tag) -> bool) -> bool {
        match self {
            // Conditions are evaluated only for existing files.
            Self::Any => true,
            Self::These(tags) => tags.iter().any(matches),
        }
    }
}

/// An entity tag (section 8.8.3).
#[derive(Debug, Clone, PartialEq, Eq)]
struct Tag {
    weak: bool,
    opaque: Vec<u8>,
}

impl Tag {
    /// Strong comparison with a strong tag (section 8.8.3.2).
    fn is_strongly(&self, etag: &str) -> bool {
        !self.weak && self.is_weakly(etag)
    }

    /// Weak comparison (section 8.8.3.2).
    fn is_weakly(&self, etag: &str) -> bool {
        self.opaque == etag.as_bytes()
    }

    /// Parses one tag, and returns the rest of the text.
    fn parse(text: &[u8]) -> Option<(Self, &[u8])> {
        let (weak, quoted) = match text.strip_prefix(b"W/") {
            Some(quoted) => (true, quoted),
            None => (false, text),
        };
        let inner = quoted.strip_prefix(b"\"")?;
        let end = inner.iter().position(|byte| *byte == b'"')?;
        let (opaque, rest) = inner.split_at_checked(end)?;
        let is_etagc = |byte: &u8| matches!(byte, 0x21 | 0x23..=0x7e | 0x80..);
        opaque
            .iter()
            .all(is_etagc)
            .then(|| (Self { weak, opaque: opaque.to_vec() }, rest.get(1..).unwrap_or_default()))
    }
}

/// The tags of a comma-separated list, up to its end or its first error.
struct TagList<'a>(&'a [u8]);

impl Iterator for TagList<'_> {
    type Item = Tag;

    fn next(&mut self) -> Option<Tag> {
        let begin = self.0.iter().position(|byte| !matches!(byte, b' ' | b'\t' | b','))?;
        let (tag, rest) = Tag::parse(self.0.get(begin..)?)?;
        let rest = rest.trim_ascii_start();
        // A tag that is followed by neither a comma nor the end is the last one.
        self.0 = if rest.starts_with(b",") { rest } else { b"" };
        Some(tag)
    }
}

#[derive(Debug, Clone)]
enum IfRange {
    Tag(Tag),
    Date(Seconds),
    Malformed,
}

impl IfRange {
    fn read(headers: &HeaderMap) -> Option<Self> {
        if !headers.contains_key(IF_RANGE) {
            return None;
        }
        // With two fields, the version of the client is unknown.
        let Some(value) = single(headers, &IF_RANGE) else { return Some(Self::Malformed) };
        if let Some((tag, b"")) = Tag::parse(value.as_bytes()) {
            return Some(Self::Tag(tag));
        }
        Some(Seconds::parse(value).map_or(Self::Malformed, Self::Date))
    }
}

/// A time in HTTP's resolution: whole seconds since 1970, negative before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Seconds(i128);

impl Seconds {
    /// Parses a date. An invalid one is ignored (sections 13.1.3 and 13.1.4).
    fn read(headers: &HeaderMap, name: &HeaderName) -> Option<Self> {
        Self::parse(single(headers, name)?)
    }

    fn parse(value: &HeaderValue) -> Option<Self> {
        httpdate::parse_http_date(value.to_str().ok()?).ok().map(Self::of)
    }

    fn of(time: SystemTime) -> Self {
        let whole = |duration: Duration| i128::from(duration.as_secs());
        Self(match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => whole(since),
            // Round down, as for times after 1970.
            Err(before) => {
                let before = before.duration();
                -whole(before) - i128::from(before.subsec_nanos() > 0)
            }
        })
    }
}

/// Returns the value of a field that is not a list, if there is exactly one.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const DATE: &str = "Sun, 06 Nov 1994 08:49:37 GMT";
    const BEFORE: &str = "Sun, 06 Nov 1994 08:49:36 GMT";
    const AFTER: &str = "Sun, 06 Nov 1994 08:49:38 GMT";
    const YES: Outcome = Outcome::Proceed { range: true };
    const WHOLE: Outcome = Outcome::Proceed { range: false };
    use Outcome::{Failed, NotModified};

    fn at(seconds: u64, nanos: u32) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::new(seconds, nanos)
    }

    fn evaluate(lines: &[(&'static str, &str)], file: &Validators<'_>, now: SystemTime) -> Outcome {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        Preconditions::from_headers(&headers).evaluate(file, now)
    }

    /// The file is version "x" of `DATE` plus half a second. The request comes a minute later.
    #[test]
    fn conditions_are_evaluated_alone_and_in_combination() {
        let file = Validators { etag: "x", modified: at(784_111_777, 500_000_000) };
        for (lines, outcome) in [
            (vec![], YES),
            // 13.1.1 If-Match: strong comparison, lists, `*`.
            (vec![("if-match", "\"x\"")], YES),
            (vec![("if-match", "\"y\"")], Failed),
            (vec![("if-match", "W/\"x\"")], Failed),
            (vec![("if-match", "\"y\", \"x\"")], YES),
            (vec![("if-match", "\"y\""), ("if-match", "\"x\"")], YES),
            (vec![("if-match", "*")], YES),
            (vec![("if-match", "x")], Failed),
            (vec![("if-match", "")], Failed),
            (vec![("if-match", "\"y\" \"x\"")], Failed),
            (vec![("if-match", "\"a,\", \"x\"")], YES),
            // 13.1.4 If-Unmodified-Since, in whole seconds; ignored if invalid, repeated, or with If-Match.
            (vec![("if-unmodified-since", DATE)], YES),
            (vec![("if-unmodified-since", AFTER)], YES),
            (vec![("if-unmodified-since", BEFORE)], Failed),
            (vec![("if-unmodified-since", "yesterday")], YES),
            (vec![("if-unmodified-since", BEFORE), ("if-unmodified-since", BEFORE)], YES),
            (vec![("if-match", "\"x\""), ("if-unmodified-since", BEFORE)], YES),
            // 13.1.2 If-None-Match: weak comparison, lists, `*`.
            (vec![("if-none-match", "\"x\"")], NotModified),
            (vec![("if-none-match", "W/\"x\"")], NotModified),
            (vec![("if-none-match", "w/\"x\"")], YES),
            (vec![("if-none-match", "\"y\"")], YES),
            (vec![("if-none-match", "\"y\",W/\"z\" ,\t\"x\"")], NotModified),
            (vec![("if-none-match", ",, \"x\",")], NotModified),
            (vec![("if-none-match", "\"y\""), ("if-none-match", "\"x\"")], NotModified),
            (vec![("if-none-match", "*")], NotModified),
            (vec![("if-none-match", "x")], YES),
            (vec![("if-none-match", "\"x")], YES),
            (vec![("if-none-match", "\"X\"")], YES),
            (vec![("if-none-match", "*, \"y\"")], YES),
            // 13.1.3 If-Modified-Since; ignored if invalid, or with If-None-Match.
            (vec![("if-modified-since", DATE)], NotModified),
            (vec![("if-modified-since", AFTER)], NotModified),
            (vec![("if-modified-since", BEFORE)], YES),
            (vec![("if-modified-since", "0")], YES),
            (vec![("if-none-match", "\"y\""), ("if-modified-since", AFTER)], YES),
            // 5.6.7: the two obsolete forms of a date.
            (vec![("if-modified-since", "Sunday, 06-Nov-94 08:49:37 GMT")], NotModified),
            (vec![("if-modified-since", "Sun Nov  6 08:49:37 1994")], NotModified),
            (vec![("if-modified-since", "Sun Nov  6 08:49:36 1994")], YES),
            // 13.1.5 If-Range: strong, one tag or one exact date.
            (vec![("if-range", "\"x\"")], YES),
            (vec![("if-range", "W/\"x\"")], WHOLE),
            (vec![("if-range", "\"y\"")], WHOLE),
            (vec![("if-range", "\"x\", \"y\"")], WHOLE),
            (vec![("if-range", "*")], WHOLE),
            (vec![("if-range", DATE)], YES),
            (vec![("if-range", BEFORE)], WHOLE),
            (vec![("if-range", AFTER)], WHOLE),
            (vec![("if-range", "today")], WHOLE),
            (vec![("if-range", "\"y\""), ("if-range", "\"z\"")], WHOLE),
            (vec![("if-range", "\"x\""), ("if-range", "\"x\"")], WHOLE),
            // 13.2.2: the order is independent of the order of the lines.
            (vec![("if-none-match", "\"x\""), ("if-match", "\"y\"")], Failed),
            (vec![("if-none-match", "\"x\""), ("if-match", "\"x\"")], NotModified),
            (vec![("if-modified-since", DATE), ("if-unmodified-since", BEFORE)], Failed),
            (vec![("if-range", "\"y\""), ("if-none-match", "\"x\"")], NotModified),
            (vec![("if-range", "\"y\""), ("if-match", "\"y\"")], Failed),
        ] {
            assert_eq!(evaluate(&lines, &file, at(784_111_837, 0)), outcome, "{lines:?}");
        }
    }

    /// Section 8.8.2.2.
    #[test]
    fn a_date_is_a_weak_validator_in_its_own_second() {
        let file = Validators { etag: "x", modified: at(784_111_777, 0) };
        for (now, outcome) in
            [(at(784_111_777, 900), WHOLE), (at(784_111_776, 0), WHOLE), (at(784_111_778, 0), YES)]
        {
            assert_eq!(evaluate(&[("if-range", DATE)], &file, now), outcome, "{now:?}");
        }
    }

    #[test]
    fn times_before_1970_are_compared() {
        let modified = SystemTime::UNIX_EPOCH - Duration::from_millis(1500);
        assert_eq!(Seconds::of(modified), Seconds(-2));
        let file = Validators { etag: "x", modified };
        assert_eq!(evaluate(&[("if-modified-since", DATE)], &file, at(0, 0)), NotModified);
        assert_eq!(evaluate(&[("if-unmodified-since", DATE)], &file, at(0, 0)), YES);
    }

    proptest! {
        #[test]
        fn only_the_tag_or_a_star_matches(
            name in prop::sample::select(vec!["if-match", "if-none-match", "if-range", "if-modified-since", "if-unmodified-since"]),
            values in prop::collection::vec(prop::collection::vec(prop_oneof![Just(b'"'), Just(b','), Just(b'W'), Just(b'/'), Just(b'x'), 0x20_u8..0x7f, 0x80_u8..], 0..24), 1..3),
        ) {
            let mut headers = HeaderMap::new();
            for value in &values {
                headers.append(name, HeaderValue::from_bytes(value).unwrap());
            }
            let file = Validators { etag: "x", modified: at(784_111_777, 0) };
            let outcome = Preconditions::from_headers(&headers).evaluate(&file, at(784_111_837, 0));
            let all = values.concat();
            if name == "if-none-match" && outcome == NotModified || name == "if-match" && outcome == YES {
                prop_assert!(values == [b"*"] || all.windows(3).any(|window| window == b"\"x\""));
            }
        }
    }
}
