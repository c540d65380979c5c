//! The text of a denial, bounded.

use std::fmt;

/// The longest explanation, in bytes. Clients choose parts of it, such as the path, and each denial is logged.
const MAX_LEN: usize = 500;

/// A text that ends at [`MAX_LEN`] with an ellipsis. Writing more is an error, which ends the formatting.
#[derive(Default)]
pub(super) struct Explanation(String);

impl Explanation {
    /// Returns the text that a function writes, or the beginning of it.
    pub(super) fn of(write: impl FnOnce(&mut Self) -> fmt::Result) -> String {
        let mut explanation = Self::default();
        // The only error is the end of the room.
        let _ = write(&mut explanation);
        explanation.0
    }
}

impl fmt::Write for Explanation {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        let room = MAX_LEN.saturating_sub(self.0.len());
        if part.len() <= room {
            self.0.push_str(part);
            return Ok(());
        }
        self.0.push_str(part.get(..part.floor_char_boundary(room)).unwrap_or_default());
        self.0.push('…');
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use std::fmt::Write;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_long_text_is_cut_at_a_character(parts in prop::collection::vec("[aé🚗]{0,90}", 0..12)) {
            let whole = parts.concat();
            let text = Explanation::of(|text| parts.iter().try_for_each(|part| text.write_str(part)));
            match text.strip_suffix('…') {
                None => prop_assert_eq!(&text, &whole),
                Some(beginning) => {
                    prop_assert!(whole.starts_with(beginning) && whole.len() > MAX_LEN);
                    prop_assert!(beginning.len() <= MAX_LEN && beginning.len() > MAX_LEN - 4);
                }
            }
        }
    }
}
