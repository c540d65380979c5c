//! How long the application allows its answer to be reused (RFC 9111).

use std::time::Duration;

use http::HeaderMap;
use http::header::{AGE, CACHE_CONTROL, VARY};

/// Returns how long an answer may be reused; `Duration::MAX` if the application does not say.
///
/// Answers are kept apart by everything that was sent, so `private` allows what `public` does. Of several lifetimes the shortest counts,
/// and one that cannot be read is zero.
pub(super) fn lifetime(headers: &HeaderMap) -> Duration {
    let texts = |name| headers.get_all(name).iter().map(|value| value.to_str().unwrap_or("no-store"));
    // It depends on more than what was sent.
    if texts(VARY).flat_map(|text| text.split(',')).any(|name| matches!(name.trim(), "*" | "no-store")) {
        return Duration::ZERO;
    }
    let mut lifetime = None;
    for directive in texts(CACHE_CONTROL).flat_map(|text| text.split(',')) {
        let (name, value) = directive.split_once('=').unwrap_or((directive, ""));
        let seconds = match name.trim().to_ascii_lowercase().as_str() {
            "no-store" | "no-cache" => 0,
            "max-age" | "s-maxage" => seconds(value.trim().trim_matches('"')),
            _ => continue,
        };
        lifetime = Some(lifetime.map_or(seconds, |shortest: u64| shortest.min(seconds)));
    }
    let Some(lifetime) = lifetime else { return Duration::MAX };
    // A cache before the application may have kept the answer for a while.
    let age = texts(AGE).map(|age| age.trim().parse().unwrap_or(u64::MAX)).max().unwrap_or(0);
    Duration::from_secs(lifetime.saturating_sub(age))
}

fn seconds(text: &str) -> u64 {
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        text.parse().unwrap_or(u64::MAX)
    } else {
        0
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn lifetimes() {
        for (headers, expected) in [
            (&[][..], None),
            (&[("cache-control", "private")], None),
            (&[("cache-control", "public, must-revalidate")], None),
            (&[("cache-control", "max-age=3")], Some(3)),
            (&[("cache-control", "Private, Max-Age=3")], Some(3)),
            (&[("cache-control", "max-age=\"3\"")], Some(3)),
            (&[("cache-control", "max-age=3, s-maxage=2")], Some(2)),
            (&[("cache-control", "s-maxage=9, max-age=3")], Some(3)),
            (&[("cache-control", "max-age=9"), ("cache-control", "max-age=3")], Some(3)),
            (&[("cache-control", "max-age=0, private, must-revalidate")], Some(0)),
            (&[("cache-control", "max-age=9, no-store")], Some(0)),
            (&[("cache-control", "NO-CACHE")], Some(0)),
            (&[("cache-control", "no-cache=\"set-cookie\"")], Some(0)),
            (&[("cache-control", "max-age=9"), ("cache-control", "no-store")], Some(0)),
            (&[("cache-control", "max-age")], Some(0)),
            (&[("cache-control", "max-age=-1")], Some(0)),
            (&[("cache-control", "max-age=1.5")], Some(0)),
            (&[("cache-control", "max-age=soon")], Some(0)),
            (&[("cache-control", "max-age=99999999999999999999")], Some(u64::MAX)),
            (&[("cache-control", "\u{e9}")], Some(0)),
            (&[("cache-control", "x-max-age=0, max-ages=0")], None),
            (&[("cache-control", "max-age=9"), ("age", "4")], Some(5)),
            (&[("cache-control", "max-age=9"), ("age", "10")], Some(0)),
            (&[("cache-control", "max-age=9"), ("age", "old")], Some(0)),
            (&[("age", "100")], None),
            (&[("vary", "cookie")], None),
            (&[("vary", "cookie, *"), ("cache-control", "max-age=9")], Some(0)),
            (&[("pragma", "no-cache"), ("expires", "0")], None),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
            }
            assert_eq!(lifetime(&map), expected.map_or(Duration::MAX, Duration::from_secs), "{headers:?}");
        }
    }
}
