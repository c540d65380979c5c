//! The header `traceparent` of [W3C Trace Context](https://www.w3.org/TR/trace-context-2/), levels 1 and 2.

use std::fmt;

use super::ids::{SpanId, TraceId};

/// The length of version 00: `00-`, 32 digits, `-`, 16 digits, `-`, 2 digits.
const LEN: usize = 55;

/// A `traceparent`: the trace of a request, and the span that sent it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceParent {
    pub(crate) trace_id: TraceId,
    pub(crate) parent_id: SpanId,
    pub(crate) flags: TraceFlags,
}

/// The flags of a trace that are defined.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TraceFlags(u8);

impl TraceFlags {
    /// The sender may have recorded the request.
    const SAMPLED: u8 = 0x01;
    /// At least the last seven bytes of the trace id are random (level 2).
    const RANDOM: u8 = 0x02;

    /// Returns the flags of a new trace, whose id is random.
    #[cfg(feature = "otel")]
    pub(crate) fn of_root() -> Self {
        Self(Self::RANDOM)
    }

    #[cfg(feature = "otel")]
    pub(crate) fn with_sampled(self, is_sampled: bool) -> Self {
        Self(self.0 & !Self::SAMPLED | if is_sampled { Self::SAMPLED } else { 0 })
    }

    #[cfg(any(feature = "otel", test))]
    pub(crate) fn is_sampled(self) -> bool {
        self.0 & Self::SAMPLED != 0
    }

    #[cfg(feature = "otel")]
    pub(crate) fn byte(self) -> u8 {
        self.0
    }
}

impl TraceParent {
    /// Parses the value of a header. Of later versions, it reads what version 00 has, as the specification requires.
    pub(crate) fn parse(value: &[u8]) -> Option<Self> {
        let (known, rest) = value.split_at_checked(LEN)?;
        let mut fields = known.split(|byte| *byte == b'-');
        let version = hex(fields.next()?, 2)?;
        let trace_id = hex(fields.next()?, 32)?;
        let parent_id = hex(fields.next()?, 16)?;
        let flags = hex(fields.next()?, 2)?;
        let known_flags = match (version, rest.first()) {
            (0, None) => TraceFlags::SAMPLED | TraceFlags::RANDOM,
            (0, Some(_)) | (0xff, _) => return None,
            (_, None | Some(b'-')) => TraceFlags::SAMPLED,
            (_, Some(_)) => return None,
        };
        Some(Self {
            trace_id: TraceId::new(trace_id)?,
            parent_id: SpanId::new(u64::try_from(parent_id).ok()?)?,
            flags: TraceFlags(u8::try_from(flags).ok()? & known_flags),
        })
    }
}

/// Writes version 00.
impl fmt::Display for TraceParent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { trace_id, parent_id, flags } = self;
        write!(f, "00-{trace_id}-{parent_id}-{:02x}", flags.0)
    }
}

/// Returns the number of a field with exactly this many lower-case hexadecimal digits.
fn hex(field: &[u8], digits: usize) -> Option<u128> {
    if field.len() != digits {
        return None;
    }
    field.iter().try_fold(0, |number, byte| {
        let digit = match byte {
            b'0'..=b'9' => byte - b'0',
            b'a'..=b'f' => byte - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
    const SPAN: &str = "00f067aa0ba902b7";

    #[test]
    fn values_of_the_specification() {
        let of = |version: &str, rest: &str| format!("{version}-{TRACE}-{SPAN}-{rest}");
        let known = |flags: &str| Some(of("00", flags));
        for (value, expected) in [
            // Version 00, with the flags of levels 1 and 2. Other flags are set to zero.
            (of("00", "00"), known("00")),
            (of("00", "01"), known("01")),
            (of("00", "02"), known("02")),
            (of("00", "03"), known("03")),
            (of("00", "ff"), known("03")),
            (of("00", "09"), known("01")),
            // Later versions: more fields, and only the flag of level 1.
            (of("01", "01"), known("01")),
            (of("cc", "00"), known("00")),
            (of("cc", "03"), known("01")),
            (of("fe", "01-"), known("01")),
            (of("cc", "01-what-the-future-will-be-like"), known("01")),
            (of("cc", "01.what-the-future-will-be-like"), None),
            (of("cc", "011"), None),
            (of("cc", "0"), None),
            // Version 00 has no more fields.
            (of("00", "01-"), None),
            (of("00", "01-00"), None),
            (of("00", "01."), None),
            // Invalid versions.
            (of("ff", "01"), None),
            (of("0", "01"), None),
            (of("000", "01"), None),
            (of(".0", "01"), None),
            (of("0.", "01"), None),
            (of("FE", "01"), None),
            // Upper case, and other characters.
            (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
            (format!("00-{TRACE}-{}-01", SPAN.to_uppercase()), None),
            (of("00", "0A"), None),
            (format!("00-.{}-{SPAN}-01", &TRACE[1..]), None),
            (format!("00-{TRACE}-{}g-01", &SPAN[1..]), None),
            (of("00", ".0"), None),
            (of("00", "+1"), None),
            // Ids that are zero.
            (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
            (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
            // Ids that are almost zero.
            (format!("00-{:032x}-{:016x}-01", 1, 1), Some(format!("00-{:032x}-{:016x}-01", 1, 1))),
            // Ids of other lengths, whether or not the whole has the right one.
            (format!("00-{TRACE}0-{SPAN}-01"), None),
            (format!("00-{}-{SPAN}-01", &TRACE[1..]), None),
            (format!("00-{TRACE}0-{}-01", &SPAN[1..]), None),
            (format!("00-{}-{SPAN}0-01", &TRACE[1..]), None),
            (format!("00-{TRACE}-{SPAN}01"), None),
            (format!("00-{TRACE}-{SPAN}"), None),
            (format!("00_{TRACE}_{SPAN}_01"), None),
            (format!(" {}", of("00", "01")), None),
            (format!("{} ", of("00", "01")), None),
            (format!("{0},{0}", of("00", "01")), None),
            (format!("00-{}-{SPAN}-01", "é".repeat(16)), None),
            (String::new(), None),
            ("00".into(), None),
            ("-".repeat(LEN), None),
        ] {
            let parsed = TraceParent::parse(value.as_bytes()).map(|parent| parent.to_string());
            assert_eq!(parsed, expected, "{value:?}");
        }
        let parent = TraceParent::parse(of("00", "01").as_bytes()).unwrap();
        assert_eq!((parent.trace_id.to_string(), parent.parent_id.to_string()), (TRACE.into(), SPAN.into()));
        assert!(parent.flags.is_sampled());
        assert!(!TraceParent::parse(of("00", "02").as_bytes()).unwrap().flags.is_sampled());
    }

    proptest! {
        /// What is accepted is exactly what the grammar of the specification describes.
        #[test]
        fn the_grammar(value in "(00|0[1-9]|cc|f[ef]|[0-9a-g]{1,3})-[0-9a-f]{31,33}-[0-9a-fA]{15,17}-[0-9a-f]{1,3}(-[ -~]{0,9})?") {
            let fields: Vec<&str> = value.splitn(5, '-').collect();
            let is_hex = |text: &str, len| text.len() == len && text.bytes().all(|byte| b"0123456789abcdef".contains(&byte));
            let expected = is_hex(fields[0], 2) && fields[0] != "ff"
                && is_hex(fields[1], 32) && fields[1].bytes().any(|byte| byte != b'0')
                && is_hex(fields[2], 16) && fields[2].bytes().any(|byte| byte != b'0')
                && is_hex(fields[3], 2)
                && (fields.len() == 4 || fields[0] != "00");
            let parsed = TraceParent::parse(value.as_bytes());
            prop_assert_eq!(parsed.is_some(), expected, "{}", value);
            if let Some(parent) = parsed {
                prop_assert_eq!(parent.trace_id.to_string(), fields[1]);
                prop_assert_eq!(parent.parent_id.to_string(), fields[2]);
                let flags = u8::from_str_radix(fields[3], 16).unwrap();
                prop_assert_eq!(parent.flags.is_sampled(), flags & 1 == 1);
                prop_assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
            }
        }

        /// No header is a panic.
        #[test]
        fn any_bytes(value in prop::collection::vec(any::<u8>(), 0..80)) {
            if let Some(parent) = TraceParent::parse(&value) {
                prop_assert!(value.is_ascii());
                prop_assert_eq!(TraceParent::parse(parent.to_string().as_bytes()), Some(parent));
            }
        }
    }
}
