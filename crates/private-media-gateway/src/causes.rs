//! The text of errors that have sources.

use std::error::Error;

/// Returns an error and its sources.
pub(crate) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |error| (*error).source())
}

/// Returns the text of the last source, for a message that says elsewhere what failed.
pub(crate) fn root_cause(error: &(dyn Error + 'static)) -> String {
    sources(error).last().map_or_else(|| error.to_string(), ToString::to_string)
}

/// Returns a text of several lines, such as the response of a bucket, in one.
#[cfg(feature = "buckets")]
pub(crate) fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Returns an error with its sources in one line, such as `the fsync failed: No space left on device`.
pub(crate) fn with_sources(error: &(dyn Error + 'static)) -> String {
    sources(error).map(ToString::to_string).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use std::io::{self, ErrorKind};

    use private_media::StorageError;

    use super::*;

    #[test]
    fn the_operation_is_named_or_left_out() {
        let source = io::Error::new(ErrorKind::NotFound, "private does not exist");
        let error = StorageError::Io { doing: "opening the root", source };
        assert_eq!(root_cause(&error), "private does not exist");
        assert_eq!(with_sources(&error), "opening the root failed: private does not exist");
        for text in [root_cause(&StorageError::Exists), with_sources(&StorageError::Exists)] {
            assert_eq!(text, StorageError::Exists.to_string(), "without a source");
        }
    }
}
