//! The one cookie of a name.

use http::HeaderMap;
use http::header::COOKIE;

/// The value of the cookie of this name. Two of that name are none: which of them a browser means cannot be known.
pub(super) fn only<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let pairs = headers.get_all(COOKIE).iter().flat_map(|line| line.as_bytes().split(|byte| *byte == b';'));
    let mut values = pairs.filter_map(|pair| {
        let at = pair.iter().position(|byte| *byte == b'=')?;
        let (own, value) = pair.split_at_checked(at)?;
        (own.trim_ascii() == name.as_bytes()).then_some(value.strip_prefix(b"=")?.trim_ascii())
    });
    let only = values.next()?;
    let value = std::str::from_utf8(only).ok().filter(|value| value.is_ascii())?;
    values.next().is_none().then_some(value)
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
