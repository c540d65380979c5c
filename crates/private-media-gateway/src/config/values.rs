//! Parses the values of settings. Each error says what is wrong and what is expected.

use std::time::Duration;

use http::HeaderName;

const YEAR: Duration = Duration::from_secs(366 * 86_400);

pub(super) fn workers(value: &str) -> Result<usize, String> {
    match value {
        "auto" => Ok(std::thread::available_parallelism().map_or(1, usize::from)),
        _ => at_least_one(value).map_err(|error| format!("{error}, or auto for one per core")),
    }
}

pub(super) fn connections(value: &str) -> Result<usize, String> {
    if number(value).is_none() {
        return Err("expected a number of at least 1".into());
    }
    at_least_one(value)
}

fn at_least_one(value: &str) -> Result<usize, String> {
    value.parse().ok().filter(|number| *number > 0).ok_or("expected a number of at least 1".into())
}

/// Parses a limit; 0 is none.
pub(super) fn limit<N: TryFrom<u64>>(value: &str) -> Result<N, String> {
    let limit = number(value).and_then(|number| number.try_into().ok());
    limit.ok_or("expected a number, e.g. 20, or 0 for no limit".into())
}

pub(super) fn min_rate(value: &str) -> Result<u64, String> {
    number(value).ok_or("expected a number of bytes per second, e.g. 512".into())
}

/// Parses a number that fits into TOML, so that `config show` prints a valid file.
fn number(value: &str) -> Option<u64> {
    value.parse::<i64>().ok()?.try_into().ok()
}

pub(super) fn count(value: &str) -> Result<usize, &'static str> {
    let count = number(value).and_then(|number| usize::try_from(number).ok());
    count.ok_or("expected a number, e.g. 30")
}

/// Parses a size of at least 4 kB, such as `100MB`.
pub(super) fn size(value: &str) -> Result<u64, &'static str> {
    const EXPECTED: &str =
        "not a size; expected a number and a unit of at least 4kB, e.g. 500kB, 100MB or 2GB";
    let digits = value.trim_end_matches(|unit: char| !unit.is_ascii_digit());
    let factor = match value.get(digits.len()..).map(str::trim_start) {
        Some("kB" | "KB") => 1000,
        Some("MB") => 1_000_000,
        Some("GB") => 1_000_000_000,
        Some("KiB") => 1 << 10,
        Some("MiB") => 1 << 20,
        Some("GiB") => 1 << 30,
        _ => return Err(EXPECTED),
    };
    let size = number(digits).and_then(|number| number.checked_mul(factor));
    size.filter(|size| (4000..=i64::MAX as u64).contains(size)).ok_or(EXPECTED)
}

/// Parses the size of the cache of a bucket.
#[cfg(feature = "buckets")]
pub(super) fn cache_size(value: &str) -> Result<u64, &'static str> {
    let size = size(value).ok().filter(|size| *size >= 64 << 20);
    size.ok_or("not a size of at least 64MiB; expected a number and a unit, e.g. 500MB or 10GiB")
}

pub(super) fn duration(value: &str) -> Result<Duration, String> {
    let time = humantime::parse_duration(value).map_err(|_| match value.parse::<f64>() {
        Ok(_) => "missing unit, e.g. 5s, 10m or 14d",
        Err(_) => "not a duration; expected e.g. 5s, 10m or 14d",
    })?;
    if time > YEAR { Err("longer than a year; expected e.g. 14d".into()) } else { Ok(time) }
}

pub(crate) fn positive_duration(value: &str) -> Result<Duration, String> {
    let time = duration(value)?;
    if time.is_zero() { Err("must be greater than zero, e.g. 10s".into()) } else { Ok(time) }
}

pub(super) fn header_name(value: &str) -> Result<HeaderName, &'static str> {
    value.parse().map_err(|_| "not the name of a header; expected e.g. X-User-Id")
}

pub(super) fn cookie_name(value: &str) -> Result<String, &'static str> {
    let is_legal = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if !value.is_empty() && value.chars().all(is_legal) {
        Ok(value.into())
    } else {
        Err("not a cookie name; expected e.g. sessionid")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        for (value, expected) in [
            ("100MB", Some(100_000_000)),
            ("4 kB", Some(4000)),
            ("2GiB", Some(2 << 30)),
            ("3999", None),
            ("3kB", None),
            ("100", None),
            ("MB", None),
            ("-1MB", None),
            ("1.5MB", None),
            ("9223372036854775807GB", None),
            ("", None),
        ] {
            assert_eq!(size(value).ok(), expected, "{value:?}");
        }
    }

    #[cfg(feature = "buckets")]
    #[test]
    fn cache_sizes() {
        for (value, expected) in [
            ("10 GiB", Some(10 << 30)),
            ("64MiB", Some(64 << 20)),
            ("63MiB", None),
            ("10", None),
            ("much", None),
        ] {
            assert_eq!(cache_size(value).ok(), expected, "{value:?}");
        }
    }

    #[test]
    fn durations() {
        for (value, expected) in [
            ("5s", Ok(Duration::from_secs(5))),
            ("1m 30s", Ok(Duration::from_secs(90))),
            ("0s", Ok(Duration::ZERO)),
            ("5", Err("missing unit")),
            ("0.5", Err("missing unit")),
            ("-5s", Err("not a duration")),
            ("soon", Err("not a duration")),
            ("", Err("not a duration")),
            ("2y", Err("longer than a year")),
            ("18446744073709551615s", Err("longer than a year")),
        ] {
            match (duration(value), expected) {
                (Ok(time), Ok(expected)) => assert_eq!(time, expected, "{value:?}"),
                (Err(error), Err(expected)) => assert!(error.starts_with(expected), "{value:?}: {error}"),
                (result, _) => panic!("{value:?}: {result:?}"),
            }
        }
        assert!(positive_duration("0s").is_err());
    }
}
