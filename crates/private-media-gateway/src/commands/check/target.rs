//! The file that a case is about.

use std::fmt;

use private_media::{Decision, MediaPath, PathError};

/// A file, as the user of the command names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Target {
    text: String,
    /// The path of the file. Nobody may read an invalid one.
    pub(super) path: Result<MediaPath, PathError>,
}

impl Target {
    /// Parses a path below the root, the path of a URL, or a URL. `url` is the private URL. A URL of something else is an error, as it
    /// is no file.
    pub(super) fn parse(url: &str, text: &str) -> Result<Self, String> {
        let (scheme, rest) = text.split_once("://").unwrap_or_default();
        let is_url = ["http", "https"].iter().any(|known| scheme.eq_ignore_ascii_case(known));
        let url_path = if is_url {
            rest.find(['/', '?', '#']).and_then(|at| rest.get(at..)).unwrap_or_default()
        } else {
            text
        };
        let path = match url_path.strip_prefix(url) {
            Some(path) => MediaPath::from_url(path.split(['?', '#']).next().unwrap_or_default()),
            None if is_url => {
                return Err(format!(
                    "invalid path {text:?}: not below the private URL {url}; expected e.g. {url}photo.jpg"
                ));
            }
            None => MediaPath::new(text),
        };
        Ok(Self { text: text.to_owned(), path })
    }
}

impl Target {
    /// Returns the decision about an invalid path.
    pub(super) fn denial(&self) -> Decision {
        Decision::deny(self.path.as_ref().err().map(ToString::to_string).unwrap_or_default())
    }
}

/// The path of the file, or the text if it is none.
impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Ok(path) => f.write_str(path.as_str()),
            Err(_) => f.write_str(&self.text),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_named_by_path_or_url() {
        const PHOTO: Option<&str> = Some("cars/7/a b.jpg");
        for (text, path) in [
            ("cars/7/a b.jpg", PHOTO),
            ("/private/cars/7/a%20b.jpg", PHOTO),
            ("/private/cars/7/a%20b.jpg?download", PHOTO),
            ("https://example.org/private/cars/7/a%20b.jpg", PHOTO),
            ("HTTP://example.org:8000/private/cars/7/a%20b.jpg?download#top", PHOTO),
            // A path below the root is not percent-decoded.
            ("cars/7/a%20b.jpg", Some("cars/7/a%20b.jpg")),
            ("cars/7/what?.jpg", Some("cars/7/what?.jpg")),
            ("ftp://x", None),
            ("../accounts.toml", None),
            ("/etc/passwd", None),
            ("/private/cars/7/..%2fx", None),
            ("https://example.org/private/../x", None),
            ("", None),
        ] {
            let target = Target::parse("/private/", text).unwrap();
            assert_eq!(target.path.as_ref().ok().map(MediaPath::as_str), path, "{text}");
            assert_eq!(target.to_string(), path.unwrap_or(text));
        }
    }

    #[test]
    fn a_url_of_something_else_is_an_error() {
        for text in [
            "https://example.org",
            "https://example.org/",
            "https://example.org/private",
            "https://example.org/x/private/a",
        ] {
            let error = Target::parse("/private/", text).unwrap_err();
            assert!(error.contains(text) && error.contains("not below the private URL /private/"), "{error}");
        }
    }
}
