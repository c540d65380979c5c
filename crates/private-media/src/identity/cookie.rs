//! The one cookie of a name.

use http::header::COOKIE;
use http::{HeaderMap, HeaderValue};

/// The value of the cookie of this name. Two of that name are none: which of them a browser means cannot be known.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut lines = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes);
    let first = lines.next()?;
    let mut values = std::iter::once(first).chain(lines).flat_map(|line| values(line, name.as_bytes()));
    let only = values.next()?;
    let value = std::str::from_utf8(only).ok().filter(|value| value.is_ascii())?;
    values.next().is_none().then_some(value)
}

/// The values of this name in one line.
fn values<'a>(line: &'a [u8], name: &[u8]) -> impl Iterator<Item = &'a [u8]> {
    let mut rest = Some(line);
    std::iter::from_fn(move || {
        loop {
            let line = rest?;
            // Found by words, and not byte by byte.
            let end = memchr::memchr(b';', line);
            let (pair, after) = match end.and_then(|end| line.split_at_checked(end)) {
                Some((pair, after)) => (pair, after.strip_prefix(b";")),
                None => (line, None),
            };
            rest = after;
            let Some((own, value)) = memchr::memchr(b'=', pair).and_then(|at| pair.split_at_checked(at))
            else {
                continue;
            };
            if own.trim_ascii() == name {
                return value.strip_prefix(b"=").map(<[u8]>::trim_ascii);
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn one_is_one_and_two_are_none() {
        for (lines, value) in [
            (&["sessionid=abc"][..], Some("abc")),
            (&["a=b; sessionid=abc; c=d"], Some("abc")),
            (&["a=b;sessionid = abc ;c=d"], Some("abc")),
            (&["a=b", "sessionid=a=b="], Some("a=b=")),
            (&["name=Zo\u{e9}; sessionid=abc"], Some("abc")),
            (&["sessionid="], Some("")),
            (&["sessionid=\"abc\""], Some("\"abc\"")),
            (&["sessionid=abc; sessionid=abc"], None),
            (&["sessionid=abc", "sessionid=abc"], None),
            (&["sessionid=abc; sessionid=\u{e9}"], None),
            (&["sessionid=\u{e9}"], None),
            (&["Sessionid=abc; xsessionid=abc; sessionidx=abc"], None),
            (&["sessionid"], None),
            (&[";=;;"], None),
            (&[], None),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(only(&headers, "sessionid"), value, "{lines:?}");
        }
    }
}
