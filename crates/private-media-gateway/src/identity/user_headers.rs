//! Headers that name a user: of a front server's request, or of an application's response.

use http::{HeaderMap, HeaderName};

/// The longest id, as long as a segment of a path, in bytes.
pub(crate) const MAX_ID: usize = private_media::request::MAX_SEGMENT;
/// The longest display name, in bytes.
pub(crate) const MAX_NAME: usize = 1024;
/// The longest list of groups, in bytes.
pub(crate) const MAX_GROUPS: usize = 16 << 10;

/// Returns the value of a header that occurs at most once; `None` if it is absent or empty. The error says why it names nothing.
pub(crate) fn single<'a>(
    headers: &'a HeaderMap,
    name: &HeaderName,
    max: usize,
) -> Result<Option<&'a str>, String> {
    let mut lines = headers.get_all(name).iter();
    let Some(line) = lines.next() else { return Ok(None) };
    if lines.next().is_some() {
        return Err(format!("the header {name} occurs more than once"));
    }
    let text = text(line.as_bytes(), name, max)?;
    Ok(Some(text).filter(|text| !text.is_empty()))
}

/// Returns the items of a list, which may be on several lines (RFC 9110 section 5.3).
pub(crate) fn list(headers: &HeaderMap, name: &HeaderName, separator: char) -> Result<Vec<String>, String> {
    let (mut items, mut len) = (Vec::new(), 0);
    for line in headers.get_all(name) {
        len += line.len();
        let line = text(line.as_bytes(), name, MAX_GROUPS.saturating_sub(len - line.len()))?;
        let own = line.split(separator).map(str::trim).filter(|item| !item.is_empty());
        items.extend(own.map(str::to_owned));
    }
    Ok(items)
}

fn text<'a>(line: &'a [u8], name: &HeaderName, max: usize) -> Result<&'a str, String> {
    let text = std::str::from_utf8(line.trim_ascii()).ok();
    match text.filter(|text| !text.contains(char::is_control)) {
        Some(text) if text.len() <= max => Ok(text),
        Some(_) => Err(format!("the header {name} is longer than {max} bytes")),
        None => Err(format!("the header {name} is no printable UTF-8")),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    static NAME: HeaderName = HeaderName::from_static("remote-user");

    fn headers(lines: &[&str]) -> HeaderMap {
        let values = lines.iter().map(|line| HeaderValue::from_bytes(line.as_bytes()).unwrap());
        values.map(|value| (NAME.clone(), value)).collect()
    }

    #[test]
    fn one_value() {
        let long = "x".repeat(11);
        for (lines, expected) in [
            (&[][..], Ok(None)),
            (&[""], Ok(None)),
            (&["  "], Ok(None)),
            (&["alice"], Ok(Some("alice"))),
            (&[" alice "], Ok(Some("alice"))),
            (&["a b, c"], Ok(Some("a b, c"))),
            (&["Zoë"], Ok(Some("Zoë"))),
            (&["alice", "alice"], Err("more than once")),
            (&["alice", ""], Err("more than once")),
            (&["a\tb"], Err("no printable UTF-8")),
            (&["a\u{85}b"], Err("no printable UTF-8")),
            (&[&long], Err("longer than 10 bytes")),
        ] {
            match (single(&headers(lines), &NAME, 10), expected) {
                (Err(error), Err(text)) => assert!(error.contains(text), "{lines:?}: {error}"),
                (value, expected) => assert_eq!(value.ok(), expected.ok(), "{lines:?}"),
            }
        }
        let mut latin1 = HeaderMap::new();
        latin1.insert(&NAME, HeaderValue::from_bytes(b"Zo\xeb").unwrap());
        assert!(single(&latin1, &NAME, 10).is_err() && list(&latin1, &NAME, ',').is_err());
    }

    #[test]
    fn lists() {
        for (lines, separator, expected) in [
            (&[][..], ',', Some(&[][..])),
            (&["a"], ',', Some(&["a"])),
            (&["a, b,,c ,"], ',', Some(&["a", "b", "c"])),
            (&["a,b", "c"], ',', Some(&["a", "b", "c"])),
            (&["a b  c"], ' ', Some(&["a", "b", "c"])),
            (&["a b, c"], ',', Some(&["a b", "c"])),
            (&["a\tb"], ' ', None),
        ] {
            let items = list(&headers(lines), &NAME, separator).ok();
            assert_eq!(
                items.as_deref().map(|items| items.iter().map(String::as_str).collect::<Vec<_>>()),
                expected.map(<[_]>::to_vec)
            );
        }
        let half = "x".repeat(MAX_GROUPS / 2);
        assert!(list(&headers(&[&half, &half]), &NAME, ',').is_ok());
        assert!(list(&headers(&[&half, &half, "x"]), &NAME, ',').is_err());
    }

    proptest! {
        /// Whatever is sent, a value is one line of text within its limit.
        #[test]
        fn values_are_bounded_text(lines in prop::collection::vec("[\\PC\t ]{0,20}", 0..3)) {
            let lines: Vec<_> = lines.iter().map(String::as_str).collect();
            if let Ok(Some(value)) = single(&headers(&lines), &NAME, 10) {
                prop_assert!(!value.is_empty() && value.len() <= 10 && !value.contains(char::is_control));
            }
            for item in list(&headers(&lines), &NAME, ',').into_iter().flatten() {
                prop_assert!(!item.is_empty() && !item.contains(',') && !item.contains(char::is_control));
            }
        }
    }
}
