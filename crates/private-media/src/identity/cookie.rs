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
    let value = cookie(headers, name).single()?;
    std::str::from_utf8(value).ok().filter(|value| value.is_ascii())
}

/// Returns whether a request has a cookie with this name. An empty value counts as none.
#[must_use]
pub fn has_cookie(headers: &HeaderMap, name: &str) -> bool {
    !matches!(cookie(headers, name), Cookie::None | Cookie::One(b""))
}

/// The cookies of a request with one name.
pub(super) enum Cookie<'a> {
    None,
    /// The value of the only one.
    One(&'a [u8]),
    Several,
}

impl<'a> Cookie<'a> {
    pub(super) fn single(self) -> Option<&'a [u8]> {
        match self {
            Self::One(value) => Some(value),
            Self::None | Self::Several => None,
        }
    }
}

/// Finds a cookie by its name.
pub(super) fn cookie<'a>(headers: &'a HeaderMap, name: &str) -> Cookie<'a> {
    let mut found = Cookie::None;
    // A scan of a few headers is cheaper than hashing a name.
    for (_, line) in headers.iter().filter(|(header, _)| *header == COOKIE) {
        let mut rest = Some(line.as_bytes());
        while let Some(line) = rest {
            let (pair, after) = split(line, b';');
            rest = after;
            if let (own, Some(value)) = split(pair, b'=')
                && own.trim_ascii() == name.as_bytes()
            {
                match found {
                    Cookie::None => found = Cookie::One(value.trim_ascii()),
                    Cookie::One(_) | Cookie::Several => return Cookie::Several,
                }
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
        for (lines, value, is_there) in [
            (&["sessionid=abc"][..], Some("abc"), true),
            (&["a=b; sessionid=abc; c=d"], Some("abc"), true),
            (&["a=b;sessionid = abc ;c=d"], Some("abc"), true),
            (&["a=b", "sessionid=a=b="], Some("a=b="), true),
            (&["name=Zo\u{e9}; sessionid=abc"], Some("abc"), true),
            (&["sessionid="], Some(""), false),
            (&["sessionid=\"abc\""], Some("\"abc\""), true),
            (&["sessionid=abc; sessionid=abc"], None, true),
            (&["sessionid=abc", "sessionid=abc"], None, true),
            (&["sessionid=abc; sessionid=\u{e9}"], None, true),
            (&["sessionid=; sessionid="], None, true),
            (&["sessionid=\u{e9}"], None, true),
            (&["Sessionid=abc; xsessionid=abc; sessionidx=abc"], None, false),
            (&["sessionid"], None, false),
            (&[";=;;"], None, false),
            (&[], None, false),
        ] {
            let mut headers = HeaderMap::new();
            for line in lines {
                headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).unwrap());
            }
            assert_eq!(single_cookie(&headers, "sessionid"), value, "{lines:?}");
            assert_eq!(has_cookie(&headers, "sessionid"), is_there, "{lines:?}");
        }
    }
}
