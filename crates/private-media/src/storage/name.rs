//! Names for files that others have named.

use std::io;

use crate::request::MAX_SEGMENT;

/// What a file is called that came without a usable name.
const NAMELESS: &str = "file";
/// The longest extension that is kept whole when a name is cut, in bytes with its dot.
const MAX_EXTENSION: usize = 17;

/// A name that is safe to store under, from whatever a browser sends: the last part of a path, Unicode kept, control and
/// bidirectional formatting characters gone, not hidden, at most 255 bytes with its extension kept, never empty.
///
/// ```
/// use private_media::storage::safe_name;
///
/// assert_eq!(safe_name("C:\\Users\\me\\mein café.jpg"), "mein café.jpg");
/// assert_eq!(safe_name("../../.htaccess"), "htaccess");
/// assert_eq!(safe_name(".."), "file");
/// ```
#[must_use]
pub fn safe_name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).find(|part| !part.is_empty()).unwrap_or_default();
    let kept: String = last.chars().filter(|c| !c.is_control() && !is_deceptive(*c)).collect();
    let name = kept.trim_start_matches(|c: char| c == '.' || c.is_whitespace()).trim_end();
    let (stem, extension) = split(name);
    let name = format!("{}{extension}", cut(stem, MAX_SEGMENT - extension.len()));
    match name.as_str() {
        "" | "-" => NAMELESS.to_owned(),
        _ => name,
    }
}

/// Another name beside one that is taken: `photo_x7Fq2Ab.jpg` for `photo.jpg`. An error means that the system gives no random
/// numbers.
pub fn alternative_name(name: &str) -> io::Result<String> {
    const LETTERS: &[u8; 62] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let mut random = getrandom::u64().map_err(io::Error::other)?;
    let mut suffix = String::from("_");
    for _ in 0..7 {
        // The remainder is less than 62, so there always is a letter.
        let letter = LETTERS.get(usize::try_from(random % 62).unwrap_or_default());
        suffix.extend(letter.map(|letter| char::from(*letter)));
        random /= 62;
    }
    let (stem, extension) = split(name);
    Ok(format!("{}{suffix}{extension}", cut(stem, MAX_SEGMENT - extension.len() - suffix.len())))
}

/// Characters that make a name look like another one (`exe.jpg` for `gpj.exe`), and those that are none.
fn is_deceptive(c: char) -> bool {
    matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fffe}' | '\u{ffff}')
}

/// The stem, and the extension with its dot, if it is short enough to be one.
fn split(name: &str) -> (&str, &str) {
    match name.rfind('.') {
        Some(dot) if dot > 0 && name.len() - dot <= MAX_EXTENSION => name.split_at(dot),
        _ => (name, ""),
    }
}

/// At most so many bytes of a text, in whole characters and without white space at the cut.
fn cut(text: &str, max: usize) -> &str {
    if text.len() <= max { text } else { text.split_at(text.floor_char_boundary(max)).0.trim_end() }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::request::MediaPath;

    #[test]
    fn names() {
        let long = "é".repeat(200);
        for (raw, name) in [
            ("photo.jpg", "photo.jpg"),
            ("mon café 🚗.jpg", "mon café 🚗.jpg"),
            ("100% \"it's\" #1?+&;.jpg", "100% \"it's\" #1?+&;.jpg"),
            ("%2e%2e%2fpasswd", "%2e%2e%2fpasswd"),
            ("/etc/passwd", "passwd"),
            ("C:\\fakepath\\photo.jpg", "photo.jpg"),
            ("a/b\\c.jpg", "c.jpg"),
            ("folder/", "folder"),
            ("..", "file"),
            ("...", "file"),
            (".htaccess", "htaccess"),
            (" . .a ", "a"),
            ("", "file"),
            ("-", "file"),
            ("--", "--"),
            ("a\r\nSet-Cookie: x\0.jpg", "aSet-Cookie: x.jpg"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("日本語.txt", "日本語.txt"),
            (&format!("{long}.jpeg"), &format!("{}.jpeg", "é".repeat(125))),
            (&long, &"é".repeat(127)),
        ] {
            assert_eq!(safe_name(raw), name, "{raw:?}");
        }
    }

    #[test]
    fn other_names() {
        let other = alternative_name("photo.jpg").unwrap();
        let random = other.strip_prefix("photo_").and_then(|rest| rest.strip_suffix(".jpg")).unwrap();
        assert!(random.len() == 7 && random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{other}");
        assert_ne!(other, alternative_name("photo.jpg").unwrap());
        assert!(alternative_name("README").unwrap().starts_with("README_"));
        assert!(alternative_name("a.tar.gz").unwrap().starts_with("a.tar_"));
    }

    proptest! {
        #[test]
        fn every_name_becomes_a_legal_path(raw in "\\PC{0,300}|[\u{0}-\u{ff}./\\\\ ]{0,40}") {
            let name = safe_name(&raw);
            prop_assert!(MediaPath::new(&name).is_ok(), "{raw:?} {name:?}");
            prop_assert_eq!(safe_name(&name), name.clone());
            let other = alternative_name(&name).unwrap();
            prop_assert!(MediaPath::new(&other).is_ok(), "{name:?} {other:?}");
            prop_assert_eq!(split(&other).1, split(&name).1);
        }
    }
}
