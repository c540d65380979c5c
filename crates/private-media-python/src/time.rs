//! Converts times.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Converts a time to seconds since 1970, like Python's `os.stat_result`.
pub(crate) fn timestamp(time: SystemTime) -> f64 {
    match time.duration_since(UNIX_EPOCH) {
        Ok(since) => since.as_secs_f64(),
        Err(before) => -before.duration().as_secs_f64(),
    }
}

/// Converts a time to nanoseconds since 1970. Earlier times are 0.
pub(crate) fn nanoseconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}

/// Converts nanoseconds since 1970.
pub(crate) fn system_time(nanoseconds: u64) -> Option<SystemTime> {
    UNIX_EPOCH.checked_add(Duration::from_nanos(nanoseconds))
}
