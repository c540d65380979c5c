//! Durations, sizes and texts as people read them.

use std::fmt::{self, Write as _};

/// Returns a duration such as `0.3ms`, `12ms` or `1.5s`.
pub(super) fn duration(milliseconds: f64) -> String {
    match milliseconds {
        ..9.95 => format!("{milliseconds:.1}ms"),
        ..999.5 => format!("{milliseconds:.0}ms"),
        _ => format!("{:.1}s", milliseconds / 1000.0),
    }
}

/// Returns a size such as `13 B`, `1.2 kB` or `119 kB`, in decimal units.
pub(super) fn bytes(bytes: u64) -> String {
    if bytes < 1000 {
        return format!("{bytes} B");
    }
    #[expect(clippy::cast_precision_loss, reason = "three digits are shown")]
    let mut value = bytes as f64;
    let mut units = ["kB", "MB", "GB", "TB"].into_iter();
    let mut unit = "B";
    while value >= 999.5
        && let Some(next) = units.next()
    {
        (value, unit) = (value / 1000.0, next);
    }
    if value < 9.95 { format!("{value:.1} {unit}") } else { format!("{value:.0} {unit}") }
}

/// Returns whether a character is safe to print: it neither controls the terminal nor changes the direction of the text.
pub(super) fn is_printable(character: char) -> bool {
    !character.is_control()
        && !matches!(character, '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Prints the path of a URL. Characters that are not printable are percent-encoded, as a client should have done.
pub(crate) struct UrlPath<'a>(pub(crate) &'a str);

impl fmt::Display for UrlPath<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for character in self.0.chars() {
            if is_printable(character) {
                f.write_char(character)?;
            } else {
                character.encode_utf8(&mut [0; 4]).bytes().try_for_each(|byte| write!(f, "%{byte:02X}"))?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_and_sizes() {
        for (milliseconds, expected) in [
            (0.0, "0.0ms"),
            (0.312, "0.3ms"),
            (9.94, "9.9ms"),
            (9.96, "10ms"),
            (999.4, "999ms"),
            (999.9, "1.0s"),
            (65_432.1, "65.4s"),
        ] {
            assert_eq!(duration(milliseconds), expected);
        }
        for (size, expected) in [
            (0, "0 B"),
            (999, "999 B"),
            (1000, "1.0 kB"),
            (9_940, "9.9 kB"),
            (9_960, "10 kB"),
            (119_400, "119 kB"),
            (999_600, "1.0 MB"),
            (5_000_000_000, "5.0 GB"),
            (u64::MAX, "18446744 TB"),
        ] {
            assert_eq!(bytes(size), expected);
        }
    }

    #[test]
    fn paths_of_urls_are_printable() {
        for (path, expected) in [
            ("/private/a%0d%0ab", "/private/a%0d%0ab"),
            ("/it's/\"quoted\"/ü", "/it's/\"quoted\"/ü"),
            ("/a\u{7f}b\u{85}c", "/a%7Fb%C2%85c"),
            ("/\u{202e}gpj.exe", "/%E2%80%AEgpj.exe"),
        ] {
            assert_eq!(UrlPath(path).to_string(), expected);
        }
    }
}
