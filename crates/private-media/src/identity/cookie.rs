//! Reads cookies of a request.

use http::HeaderMap;
use http::header::COOKIE;

/// Returns the value of the cookie with this name, if there is exactly one and it is ASCII. Two cookies with one name may have been set by
/// different sites, and their order does not tell which one the browser prefers.
///
/// ```
/// use http::header::{COOKIE, HeaderMap, HeaderValue};
/// use private_media::identity::single_cookie;
///
/// let mut headers = HeaderMap::new();
/// headers.insert(COOKIE, HeaderValue::from_static("theme=dark; session=abc"));
/// assert_eq!(single_cookie(&headers, "session"), Some("abc"));
/// headers.append(COOKIE, HeaderValue::from_static("session=def"));
/// assert_eq!(single_cookie(&headers, "session"), None);
/// ```
#[must_use]
pub fn single_cookie<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let value = single_cookie_bytes(headers, name)?;
    std::str::from_utf8(value).ok().filter(|value| value.is_ascii())
}

/// Like [`single_cookie`], with any bytes: for values that are only compared.
pub(super) fn single_cookie_bytes<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a [u8]> {
    let mut found = None;
    // A scan of a few headers is cheaper than hashing a name.
    for (_, line) in headers.iter().filter(|(header, _)| *header == COOKIE) {
        let mut rest = Some(line.as_bytes());
        while let Some(line) = rest {
            let (pair, after) = split(line, b';');
            rest = after;
            if let (own, Some(value)) = split(pair, b'=')
                && own.trim_ascii() == name.as_bytes()
                && found.replace(value.trim_ascii()).is_some()
            {
                return None;
            }
        }
    }
    found
}

/// Splits a text at the first occurrence of a byte.
fn split(text: &[u8], byte: u8) -> (&[u8], Option<&[u8]>) {
    match memchr::memchr(byte, text).and_then(|at| text.split_at_checked(at)) {
        Some((before, after)) => (before, after.get(1..)),
        None => (text, None),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_a_single_cookie_with_the_exact_name_counts() {
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
            assert_eq!(single_cookie(&headers, "sessionid"), value, "{lines:?}");
        }
    }
}
