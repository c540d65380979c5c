//! Timestamps of databases, in UTC.

use std::time::{Duration, SystemTime};

const DAY: i64 = 86_400;
/// 2000-01-01, from which PostgreSQL counts.
const POSTGRES_EPOCH: i64 = 946_684_800;
/// The seconds of the years 0 to 9999. A number outside is no number of seconds: today's milliseconds are beyond.
const MIN: i64 = -62_167_219_200;
const MAX: i64 = 253_402_300_799;

/// Returns a time in seconds since 1970; `None` outside the years 0 to 9999.
pub(crate) fn from_seconds(seconds: i64) -> Option<SystemTime> {
    let distance = Duration::from_secs(seconds.unsigned_abs());
    if !(MIN..=MAX).contains(&seconds) {
        None
    } else if seconds < 0 {
        SystemTime::UNIX_EPOCH.checked_sub(distance)
    } else {
        SystemTime::UNIX_EPOCH.checked_add(distance)
    }
}

/// Returns a `timestamp` or `timestamptz` of PostgreSQL: microseconds since 2000. Infinity is the year 9999.
pub(crate) fn from_postgres(microseconds: i64) -> Option<SystemTime> {
    let seconds = microseconds.div_euclid(1_000_000).saturating_add(POSTGRES_EPOCH).clamp(MIN, MAX);
    let rest = u64::try_from(microseconds.rem_euclid(1_000_000)).ok()?;
    from_seconds(seconds)?.checked_add(Duration::from_micros(rest))
}

/// Returns a `date` of PostgreSQL: days since 2000.
pub(crate) fn from_postgres_date(days: i32) -> Option<SystemTime> {
    from_seconds((i64::from(days) * DAY + POSTGRES_EPOCH).clamp(MIN, MAX))
}

/// Returns a `datetime`, `timestamp` or `date` of MySQL: its length, and then year, month, day, hour, minute, second and microseconds, as
/// far as they are not zero.
pub(crate) fn from_mysql(bytes: &[u8]) -> Option<SystemTime> {
    let bytes = bytes.get(1..)?;
    let byte = |at: usize| u32::from(bytes.get(at).copied().unwrap_or(0));
    let year = byte(0) | byte(1) << 8;
    let micros = byte(7) | byte(8) << 8 | byte(9) << 16 | byte(10) << 24;
    utc([year, byte(2), byte(3)], [byte(4), byte(5), byte(6)], micros.checked_mul(1000)?)
}

/// Parses a time as text, such as `2026-11-29 04:46:25.5`, `2026-11-29T04:46:25Z` or `2026-11-29`. Without a time zone it is UTC; any other
/// time zone is an error.
pub(crate) fn parse(text: &str) -> Option<SystemTime> {
    let text = text.trim();
    let text = ["Z", "+00:00", "+0000", "+00", " UTC"]
        .iter()
        .find_map(|zone| text.strip_suffix(zone))
        .unwrap_or(text);
    let (date, time) = text.split_once([' ', 'T']).unwrap_or((text, "00:00"));
    let (time, fraction) = time.trim_end().split_once('.').unwrap_or((time.trim_end(), "0"));
    let date = numbers(date, '-')?;
    let time = match numbers(time, ':') {
        Some(time) => time,
        None => numbers(&format!("{time}:00"), ':')?,
    };
    let nanoseconds = format!("{:0<9}", fraction.get(..fraction.len().min(9))?);
    let is_number = fraction.bytes().all(|byte| byte.is_ascii_digit());
    utc(date, time, is_number.then(|| nanoseconds.parse().ok())??)
}

/// Parses three numbers without a sign.
fn numbers(text: &str, separator: char) -> Option<[u32; 3]> {
    let parse = |part: &str| {
        let is_number = (1..=4).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        is_number.then(|| part.parse().ok())?
    };
    let numbers = text.split(separator).map(parse).collect::<Option<Vec<u32>>>()?;
    numbers.try_into().ok()
}

/// Returns a time of the Gregorian calendar.
fn utc([year, month, day]: [u32; 3], [hour, minute, second]: [u32; 3], nanos: u32) -> Option<SystemTime> {
    let is_leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = match month {
        2 if is_leap => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return None,
    };
    if !(1..=days).contains(&day) || hour > 23 || minute > 59 || second > 59 || nanos > 999_999_999 {
        return None;
    }
    // Years begin in March here, so that the leap day is the last one. An era has 400 years.
    let (year, month, day) = (i64::from(year) - i64::from(month < 3), i64::from(month), i64::from(day));
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    let seconds = i64::from(hour * 3600 + minute * 60 + second);
    from_seconds(days * DAY + seconds)?.checked_add(Duration::from_nanos(nanos.into()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn seconds(time: SystemTime) -> f64 {
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(since) => since.as_secs_f64(),
            Err(before) => -before.duration().as_secs_f64(),
        }
    }

    #[test]
    fn texts() {
        for (text, expected) in [
            ("1970-01-01", Some(0.0)),
            ("1970-01-01 00:00:01", Some(1.0)),
            ("1969-12-31 23:59:59", Some(-1.0)),
            ("2000-02-29T12:34:56Z", Some(951_827_696.0)),
            ("2026-11-29 04:46:25.5", Some(1_795_927_585.5)),
            ("2026-11-29 04:46:25.500000+00:00", Some(1_795_927_585.5)),
            ("2026-11-29 04:46:25 UTC", Some(1_795_927_585.0)),
            ("2026-11-29 04:46", Some(1_795_927_560.0)),
            (" 2026-11-29 ", Some(1_795_910_400.0)),
            ("2026-11-29 04:46:25+01:00", None),
            ("2026-11-29 04:46:25-05", None),
            ("2026-02-29", None),
            ("2100-02-29", None),
            ("2026-13-01", None),
            ("2026-00-01", None),
            ("2026-01-00", None),
            ("2026-04-31", None),
            ("2026-01-01 24:00:00", None),
            ("2026-01-01 00:60:00", None),
            ("2026-01-01 00:00:60", None),
            ("2026-01-01 00:00:00.x", None),
            ("2026-01-01 00:00:00.-5", None),
            ("2026-1-+1", None),
            ("20260101", None),
            ("10000-01-01", None),
            ("1795927585", None),
            ("tomorrow", None),
            ("", None),
        ] {
            assert_eq!(parse(text).map(seconds), expected, "{text:?}");
        }
    }

    #[test]
    fn numbers_of_databases() {
        assert_eq!(from_seconds(-5).map(seconds), Some(-5.0));
        assert_eq!(from_seconds(1_795_927_585_000), None, "milliseconds");
        assert_eq!(from_seconds(i64::MIN), None);
        assert_eq!(from_postgres(0).map(seconds), Some(946_684_800.0));
        assert_eq!(from_postgres(-1_500_000).map(seconds), Some(946_684_798.5));
        assert!(from_postgres(i64::MAX) > from_postgres_date(1_000_000), "infinity");
        assert!(from_postgres(i64::MIN).is_some());
        assert_eq!(from_postgres_date(-1).map(seconds), Some(946_598_400.0));
        assert!(from_postgres_date(i32::MAX).is_some() && from_postgres_date(i32::MIN).is_some());
        assert_eq!(from_mysql(&[4, 0xEA, 7, 11, 29]), parse("2026-11-29"));
        assert_eq!(from_mysql(&[7, 0xEA, 7, 11, 29, 4, 46, 25]), parse("2026-11-29 04:46:25"));
        assert_eq!(
            from_mysql(&[11, 0xEA, 7, 11, 29, 4, 46, 25, 0x20, 0xA1, 7, 0]),
            parse("2026-11-29 04:46:25.5")
        );
        assert_eq!(from_mysql(&[]), None);
        assert_eq!(from_mysql(&[4, 0xEA, 7, 13, 29]), None);
    }

    proptest! {
        /// Each day is one after the one before it.
        #[test]
        fn days_follow_each_other(year in 0_u32..9999, month in 1_u32..=12, day in 1_u32..=31) {
            let of = |year, month, day| utc([year, month, day], [0, 0, 0], 0);
            if let Some(today) = of(year, month, day) {
                let tomorrow = of(year, month, day + 1).or(of(year, month + 1, 1)).or(of(year + 1, 1, 1)).unwrap();
                prop_assert_eq!(tomorrow, today + Duration::from_secs(86_400));
            }
        }

        #[test]
        fn nothing_panics(text in "\\PC{0,30}|[0-9:. TZ+-]{0,30}", bytes in prop::collection::vec(any::<u8>(), 0..13), number: i64) {
            let _ = (parse(&text), from_mysql(&bytes), from_seconds(number), from_postgres(number));
        }
    }
}
