//! Safe file names for uploads, and alternatives to a taken name.

use std::hash::{BuildHasher, Hasher, RandomState};

use super::path::{MAX_PATH, MAX_SEGMENT, MediaPath, PathError};

/// The name of an upload whose own name has no usable character.
const UNNAMED: &str = "file";
/// The maximum length of an extension that shortening preserves, in bytes.
const MAX_EXTENSION: usize = 16;
/// The number of random characters in an alternative name: 62^7 is about 3.5e12.
const RANDOM_LEN: usize = 7;

/// Returns a safe file name for the name that a browser sends.
///
/// It is the last component after `/` or `\`, without misleading characters: control characters, line separators, bidirectional
/// overrides and isolates (which display `gpj.exe` as `exe.jpg`), leading dots, and surrounding white space. Other Unicode is unchanged. A
/// long name is shortened before its extension, to at most [`MAX_SEGMENT`] bytes. The result is always a valid [`MediaPath`].
///
/// ```
/// use private_media::request::safe_name;
///
/// assert_eq!(safe_name("C:\\fakepath\\Ångström 🚗.jpg"), "Ångström 🚗.jpg");
/// assert_eq!(safe_name("../../.htaccess"), "htaccess");
/// assert_eq!(safe_name(" .. "), "file");
/// ```
#[must_use]
pub fn safe_name(raw: &str) -> String {
    let last = raw.rsplit(['/', '\\']).next().unwrap_or_default();
    let kept: String = last.chars().filter(|&c| !misleads(c)).collect();
    let name = kept.trim_end().trim_start_matches(|c: char| c == '.' || c.is_whitespace());
    match shortened(name, "", MAX_SEGMENT) {
        name if name.is_empty() || name == "-" => UNNAMED.to_owned(),
        name => name,
    }
}

impl MediaPath {
    /// Returns the path of an upload in a folder. `file_name` is the name that the browser sent; [`safe_name`] makes it safe.
    ///
    /// ```
    /// # use private_media::MediaPath;
    /// let path = MediaPath::for_upload("cars/7", "C:\\fakepath\\..\\photo.jpg")?;
    /// assert_eq!(path.as_str(), "cars/7/photo.jpg");
    /// # Ok::<(), private_media::PathError>(())
    /// ```
    pub fn for_upload(folder: &str, file_name: &str) -> Result<Self, PathError> {
        let name = safe_name(file_name);
        if folder.is_empty() { Self::new(&name) } else { Self::new(&format!("{folder}/{name}")) }
    }
}

/// Returns an alternative to a taken name, with seven random letters and digits before the extension, as in Django: `photo.jpg` becomes
/// `photo_x7Fq2Ab.jpg`.
///
/// The extension begins at the last dot, or at a `.tar` before it (`archive_x7Fq2Ab.tar.gz`). Other dots belong to the name:
/// `report v1.2.pdf` becomes `report v1.2_x7Fq2Ab.pdf`. A long name is shortened before the random part, to at most [`MAX_SEGMENT`] bytes.
///
/// ```
/// let name = private_media::request::alternative_name("photo.jpg");
/// assert!(name.starts_with("photo_") && name.ends_with(".jpg") && name.len() == "photo_x7Fq2Ab.jpg".len());
/// ```
#[must_use]
pub fn alternative_name(name: &str) -> String {
    alternative_within(name, MAX_SEGMENT)
}

/// Like [`alternative_name`], with at most `max` bytes, because a deep folder leaves less than a segment.
pub(crate) fn alternative_within(name: &str, max: usize) -> String {
    shortened(name, &format!("_{}", random_characters(RANDOM_LEN)), max)
}

/// Returns alternatives to a taken path, in the same folder. There are enough for one to be free.
///
/// ```
/// use private_media::{MediaPath, request::alternative_paths};
///
/// let path = MediaPath::new("cars/7/photo.jpg")?;
/// let other = alternative_paths(&path).next().unwrap();
/// assert!(other.as_str().starts_with("cars/7/photo_"));
/// # Ok::<(), private_media::PathError>(())
/// ```
pub fn alternative_paths(path: &MediaPath) -> impl Iterator<Item = MediaPath> {
    const TRIES: usize = 32;
    let folder = path.parent().map_or(0, |folder| folder.as_str().len() + 1);
    let room = MAX_SEGMENT.min(MAX_PATH.saturating_sub(folder));
    // In a very deep folder no alternative fits.
    (0..TRIES).map_while(move |_| path.with_file_name(&alternative_within(path.file_name(), room)).ok())
}

/// Returns random letters and digits.
pub(crate) fn random_characters(count: usize) -> String {
    const ALPHABET: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    let mut characters = String::with_capacity(count);
    while characters.len() < count {
        // Names need to be unique, not secret, so the keys of a hasher are a sufficient fallback.
        let mut random = getrandom::u64().unwrap_or_else(|_| RandomState::new().build_hasher().finish());
        // One number yields seven characters: 62^7 is below 2^42, so the remainders are nearly uniform.
        for _ in 0..RANDOM_LEN.min(count - characters.len()) {
            let digit = usize::try_from(random % 62).unwrap_or_default();
            characters.extend(ALPHABET.get(digit).map(|&byte| char::from(byte)));
            random /= 62;
        }
    }
    characters
}

/// Returns whether a character can make a name look like another, or breaks a line.
fn misleads(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
        || matches!(c, '\u{fffe}' | '\u{ffff}')
}

/// Inserts text before the extension of a name, and shortens the stem so that the result has at most `max` bytes.
fn shortened(name: &str, insertion: &str, max: usize) -> String {
    let (stem, extension) = split_extension(name);
    let room = max.saturating_sub(insertion.len() + extension.len());
    let mut end = room.min(stem.len());
    while !stem.is_char_boundary(end) {
        end -= 1;
    }
    let cut = stem.get(..end).unwrap_or_default();
    let cut = if extension.is_empty() && insertion.is_empty() { cut.trim_end() } else { cut };
    format!("{cut}{insertion}{extension}")
}

/// Splits a name into stem and extension. The extension includes its dot, and is empty if there is none.
fn split_extension(name: &str) -> (&str, &str) {
    let Some((stem, extension)) = name.rsplit_once('.') else { return (name, "") };
    let sane = (1..=MAX_EXTENSION).contains(&extension.len()) && !extension.contains(char::is_whitespace);
    if stem.is_empty() || !sane {
        return (name, "");
    }
    let inner = stem
        .len()
        .checked_sub(".tar".len())
        .filter(|&at| at > 0 && stem.get(at..).is_some_and(|inner| inner.eq_ignore_ascii_case(".tar")));
    name.split_at_checked(inner.unwrap_or(stem.len())).unwrap_or((name, ""))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn browser_names_become_safe() {
        let long_extension = "a".repeat(300) + "." + &"b".repeat(17);
        for (raw, name) in [
            ("photo.jpg", "photo.jpg"),
            ("C:\\fakepath\\photo.jpg", "photo.jpg"),
            ("/etc/passwd", "passwd"),
            ("../../x.png", "x.png"),
            ("a/..\\b", "b"),
            ("dir/", "file"),
            ("..", "file"),
            ("", "file"),
            (" \u{a0}\u{3000} ", "file"),
            ("-", "file"),
            (" - ", "file"),
            (".-", "file"),
            ("--", "--"),
            (".htaccess", "htaccess"),
            (" . .. .a", "a"),
            ("a\0b\r\nc\u{85}d\u{7f}", "abcd"),
            ("photo\u{202e}gpj.exe", "photogpj.exe"),
            ("\u{2066}.x\u{2069}", "x"),
            ("a\u{fffe}\u{ffff}\u{2028}b", "ab"),
            ("Ångström café 🚗.jpg", "Ångström café 🚗.jpg"),
            ("100% sure? #1 a+b \"q\" 'q'.txt", "100% sure? #1 a+b \"q\" 'q'.txt"),
            (&long_extension, &"a".repeat(255)),
        ] {
            assert_eq!(safe_name(raw), name, "{raw:?}");
        }
    }

    #[test]
    fn long_names_keep_their_extension() {
        for (raw, name) in [
            ("a".repeat(300) + ".jpeg", "a".repeat(250) + ".jpeg"),
            ("é".repeat(200) + ".jpg", "é".repeat(125) + ".jpg"),
            ("a".repeat(254) + "🚗", "a".repeat(254)),
            ("a".repeat(300) + ".tar.gz", "a".repeat(248) + ".tar.gz"),
            ("a".repeat(254) + " b", "a".repeat(254)),
        ] {
            assert_eq!(safe_name(&raw), name, "{raw:?}");
        }
    }

    #[test]
    fn alternatives_keep_stem_and_extension() {
        for (name, stem, extension) in [
            ("photo.jpg", "photo", ".jpg"),
            ("photo", "photo", ""),
            ("archive.tar.gz", "archive", ".tar.gz"),
            ("archive.TAR.zst", "archive", ".TAR.zst"),
            ("tar.gz", "tar", ".gz"),
            ("report v1.2.pdf", "report v1.2", ".pdf"),
            ("Dear Mr. Smith", "Dear Mr. Smith", ""),
            ("ends.", "ends.", ""),
            ("naïve 🚗.é", "naïve 🚗", ".é"),
        ] {
            let alternative = alternative_name(name);
            let random = alternative
                .strip_prefix(&format!("{stem}_"))
                .and_then(|rest| rest.strip_suffix(extension))
                .unwrap_or_else(|| panic!("{name:?} became {alternative:?}"));
            assert_eq!(random.len(), RANDOM_LEN, "{alternative:?}");
            assert!(random.bytes().all(|byte| byte.is_ascii_alphanumeric()), "{alternative:?}");
        }
        let alternative = alternative_name(&("é".repeat(125) + "x.jpg"));
        assert_eq!(alternative.len(), 254, "shortened at a character boundary: {alternative:?}");
        assert_eq!(split_extension(&alternative).1, ".jpg");
    }

    #[test]
    fn alternatives_fit_into_the_longest_path() {
        let path = MediaPath::new(&format!("{}/{}.jpg", ["a"; 500].join("/"), "b".repeat(20))).unwrap();
        assert_eq!(path.as_str().len(), MAX_PATH);
        assert_eq!(alternative_paths(&path).filter(|other| other.as_str().len() == MAX_PATH).count(), 32);
        let full = MediaPath::new(&format!("{}/b", ["a"; 511].join("/"))).unwrap();
        assert_eq!(full.as_str().len(), MAX_PATH - 1);
        assert_eq!(alternative_paths(&full).count(), 0, "there is no room for another name");
    }

    #[test]
    fn alternatives_differ() {
        let names: std::collections::HashSet<String> = (0..1000).map(|_| alternative_name("a.jpg")).collect();
        assert_eq!(names.len(), 1000);
    }

    proptest! {
        #[test]
        fn every_text_becomes_a_valid_name(
            raw in "(\\PC|[./\\\\ \\-\u{0}\u{85}\u{202e}\u{2069}\u{ffff}\t]){0,12}|[aé🚗. ]{0,300}|\\PC{0,300}",
        ) {
            let name = safe_name(&raw);
            prop_assert!(MediaPath::new(&name).is_ok(), "{raw:?} became {name:?}");
            prop_assert!(!name.contains(misleads), "{name:?}");
            prop_assert_eq!(safe_name(&name), name.clone());
            let alternative = alternative_name(&name);
            prop_assert!(MediaPath::new(&alternative).is_ok(), "{name:?} became {alternative:?}");
            prop_assert_ne!(&alternative, &name);
        }
    }
}
