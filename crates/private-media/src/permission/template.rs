//! Path templates.

use std::fmt;
use std::str::FromStr;

use crate::request::{MAX_PATH, MediaPath};

/// A path template in the syntax of axum and matchit: `{name}` matches one segment, `{*name}` at the end matches one or more segments, and
/// `{{` and `}}` are literal braces. A variable is a whole segment.
///
/// ```
/// use private_media::{MediaPath, permission::Template};
///
/// let template: Template = "cars/{owner}/{*file}".parse()?;
/// let path = MediaPath::new("cars/7/2024/photo.jpg").unwrap();
/// let captures = template.captures(&path).unwrap();
/// assert_eq!(captures.get("owner"), Some("7"));
/// assert_eq!(captures.get("file"), Some("2024/photo.jpg"));
/// # Ok::<(), private_media::permission::TemplateError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    source: String,
    parts: Vec<Part>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Literal(String),
    One(String),
    Rest(String),
}

impl Template {
    /// Returns the values of the variables in a path; `None` if the path does not match.
    #[must_use]
    pub fn captures<'a>(&'a self, path: &'a MediaPath) -> Option<Captures<'a>> {
        let captures = Captures { parts: &self.parts, path: path.as_str() };
        let mut rest = Some(captures.path);
        for part in &self.parts {
            let (value, after) = part.split(rest?);
            if matches!(part, Part::Literal(literal) if literal != value) {
                return None;
            }
            rest = after;
        }
        rest.is_none().then_some(captures)
    }

    /// Returns the first segment of all matching paths; `None` if it is a variable.
    pub(super) fn first(&self) -> Option<&str> {
        match self.parts.first() {
            Some(Part::Literal(literal)) => Some(literal),
            _ => None,
        }
    }

    /// Returns a segment that looks like a variable or wildcard of another syntax, such as `*` or `<owner>`. It is literal here, so the
    /// template matches only files with that name.
    ///
    /// ```
    /// # use private_media::permission::Template;
    /// let template: Template = "cars/{owner}/*".parse()?;
    /// assert_eq!(template.suspicious_segment(), Some("*"));
    /// # Ok::<(), private_media::permission::TemplateError>(())
    /// ```
    #[must_use]
    pub fn suspicious_segment(&self) -> Option<&str> {
        self.parts.iter().find_map(|part| match part {
            Part::Literal(literal) if is_suspicious(literal) => Some(literal.as_str()),
            Part::Literal(_) | Part::One(_) | Part::Rest(_) => None,
        })
    }

    /// Returns whether some path matches both templates.
    ///
    /// ```
    /// # use private_media::permission::Template;
    /// let blobs: Template = "blobs/{key}".parse()?;
    /// assert!(blobs.overlaps(&"{*file}".parse()?));
    /// assert!(!blobs.overlaps(&"cars/{owner}".parse()?));
    /// # Ok::<(), private_media::permission::TemplateError>(())
    /// ```
    #[must_use]
    pub fn overlaps(&self, other: &Self) -> bool {
        let (mut own, mut others) = (self.parts.iter(), other.parts.iter());
        loop {
            match (own.next(), others.next()) {
                (None, None) | (Some(Part::Rest(_)), Some(_)) | (Some(_), Some(Part::Rest(_))) => {
                    return true;
                }
                (None, Some(_)) | (Some(_), None) => return false,
                (Some(Part::Literal(own)), Some(Part::Literal(other))) if own != other => return false,
                (Some(_), Some(_)) => {}
            }
        }
    }

    /// Returns the names of the variables, in order.
    pub fn variables(&self) -> impl Iterator<Item = &str> {
        self.parts.iter().filter_map(Part::variable)
    }

    /// Returns the length of the shortest matching path, in bytes.
    fn min_len(&self) -> usize {
        let segments: usize = self.parts.iter().map(Part::min_len).sum();
        segments + self.parts.len().saturating_sub(1)
    }

    /// Returns whether the template has a variable of this name.
    #[must_use]
    pub fn has_variable(&self, name: &str) -> bool {
        self.parts.iter().any(|part| part.variable() == Some(name))
    }
}

/// The values of the variables of a [`Template`] in one path.
#[derive(Debug, Clone)]
pub struct Captures<'a> {
    parts: &'a [Part],
    path: &'a str,
}

impl<'a> Captures<'a> {
    /// Returns the value of a variable.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&'a str> {
        self.iter().find(|(own, _)| *own == name).map(|(_, value)| value)
    }

    /// Returns the variables and their values, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'a str, &'a str)> {
        let mut rest = Some(self.path);
        self.parts.iter().filter_map(move |part| {
            let (value, after) = part.split(rest?);
            rest = after;
            Some((part.variable()?, value))
        })
    }
}

impl Part {
    /// Splits a text into the value of this part and the rest.
    fn split<'a>(&self, text: &'a str) -> (&'a str, Option<&'a str>) {
        let end = match self {
            Self::Rest(_) => None,
            // Segments are short, so a loop is cheaper than a vectorized search.
            Self::Literal(_) | Self::One(_) => text.bytes().position(|byte| byte == b'/'),
        };
        match end.and_then(|end| text.split_at_checked(end)) {
            Some((value, after)) => (value, after.strip_prefix('/')),
            None => (text, None),
        }
    }

    fn min_len(&self) -> usize {
        match self {
            Self::Literal(literal) => literal.len(),
            Self::One(_) | Self::Rest(_) => 1,
        }
    }

    fn variable(&self) -> Option<&str> {
        match self {
            Self::Literal(_) => None,
            Self::One(name) | Self::Rest(name) => Some(name),
        }
    }
}

impl FromStr for Template {
    type Err = TemplateError;

    fn from_str(source: &str) -> Result<Self, TemplateError> {
        let error = |problem| TemplateError { template: source.to_owned(), problem };
        if source.is_empty() {
            return Err(error("it is empty; {*file} matches all files"));
        }
        let mut parts: Vec<Part> = Vec::new();
        for segment in source.split('/') {
            if matches!(parts.last(), Some(Part::Rest(_))) {
                return Err(error("{*…} must be the last segment"));
            }
            let part = parse_part(segment, parts.is_empty()).map_err(error)?;
            if let Some(name) = part.variable()
                && parts.iter().any(|other| other.variable() == Some(name))
            {
                return Err(error("two variables have the same name"));
            }
            parts.push(part);
        }
        let template = Self { source: source.to_owned(), parts };
        if template.min_len() > MAX_PATH {
            return Err(error("no path can match: it would be longer than 1024 bytes"));
        }
        Ok(template)
    }
}

/// Wildcards of shells (`*`, `?`), variables of Django (`<owner>`), Express (`:owner`) and shells (`$owner`), and percent-encoding.
fn is_suspicious(literal: &str) -> bool {
    let is_variable = literal.starts_with([':', '$']) && literal.len() > 1;
    let is_converter = literal.starts_with('<') && literal.ends_with('>');
    let is_encoded = literal
        .split('%')
        .skip(1)
        .any(|after| after.len() >= 2 && after.bytes().take(2).all(|byte| byte.is_ascii_hexdigit()));
    literal.contains(['*', '?']) || is_variable || is_converter || is_encoded
}

fn parse_part(segment: &str, is_first: bool) -> Result<Part, &'static str> {
    // `{{` is a literal brace, not the beginning of a variable.
    if let Some(variable) = segment.strip_prefix('{').filter(|rest| !rest.starts_with('{')) {
        let variable =
            variable.strip_suffix('}').ok_or("a variable must be a whole segment, e.g. {owner}")?;
        let (name, rest) = match variable.strip_prefix('*') {
            Some(name) => (name, true),
            None => (variable, false),
        };
        if name.is_empty() || !name.chars().all(|c| c.is_alphanumeric() || c == '_' || c == '-') {
            return Err("the name of a variable may contain only letters, digits, '_' and '-'");
        }
        return Ok(if rest { Part::Rest(name.into()) } else { Part::One(name.into()) });
    }
    let mut literal = String::with_capacity(segment.len());
    let mut characters = segment.chars();
    while let Some(character) = characters.next() {
        if matches!(character, '{' | '}') && characters.next() != Some(character) {
            return Err("a variable must be a whole segment, e.g. {owner}; write {{ for a literal brace");
        }
        literal.push(character);
    }
    // A segment may be reserved only at the beginning of a path.
    let path = if is_first { literal.clone() } else { format!("first/{literal}") };
    match MediaPath::new(&path) {
        Ok(_) => Ok(Part::Literal(literal)),
        Err(_) if literal.is_empty() && is_first => Err(
            "remove the '/' at the beginning: templates are relative to the root, e.g. cars/{owner}/{*file}",
        ),
        Err(_) if literal.is_empty() => Err("a segment is empty; remove the extra '/'"),
        Err(_) => Err("no path can match: a segment is not valid in a path"),
    }
}

impl fmt::Display for Template {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.source)
    }
}

/// The error of an invalid [`Template`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TemplateError {
    template: String,
    problem: &'static str,
}

impl fmt::Display for TemplateError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "invalid path template {:?}: {}", self.template, self.problem)
    }
}

impl std::error::Error for TemplateError {}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn templates_capture_segments() {
        for (template, path, captured) in [
            ("cars/{owner}/{file}", "cars/7/photo.jpg", Some(vec![("owner", "7"), ("file", "photo.jpg")])),
            ("cars/{owner}/{file}", "cars/7/a/photo.jpg", None),
            ("cars/{owner}/{file}", "cars/7", None),
            ("cars/{owner}/{*file}", "cars/7/a/b.jpg", Some(vec![("owner", "7"), ("file", "a/b.jpg")])),
            ("cars/{owner}/{*file}", "cars/7", None),
            ("cars/{owner}/{*file}", "Cars/7/a", None),
            ("{*file}", "a", Some(vec![("file", "a")])),
            ("{*file}", "a/b/c", Some(vec![("file", "a/b/c")])),
            ("shared", "shared", Some(vec![])),
            ("shared", "shared/x", None),
            ("a{{b}}/{x}", "a{b}/1", Some(vec![("x", "1")])),
            ("{{}}", "{}", Some(vec![])),
            ("a/-/{x}", "a/-/1", Some(vec![("x", "1")])),
        ] {
            let template: Template = template.parse().unwrap();
            let path = MediaPath::new(path).unwrap();
            assert_eq!(
                template.captures(&path).map(|captures| captures.iter().collect()),
                captured,
                "{template} {path}"
            );
        }
    }

    #[test]
    fn invalid_templates_are_rejected() {
        for source in [
            "", "/", "/cars", "cars/", "a//b", "..", "a/../b", ".git", "-", "-/x", "{", "}", "{}", "{*}",
            "{a", "a}", "{a}b", "a{b}", "{*a}/b", "{a}/{a}", "{a}/{*a}", "{a b}", "{a}.jpg", "a{{b}",
            "{**a}", "a\\b",
        ] {
            let error = source.parse::<Template>().unwrap_err().to_string();
            assert!(error.contains(&format!("{source:?}")), "{error}");
        }
    }

    #[test]
    fn segments_of_another_syntax_are_suspicious() {
        for (template, segment) in [
            ("cars/{owner}/*", Some("*")),
            ("cars/**", Some("**")),
            ("cars/*.jpg", Some("*.jpg")),
            ("cars/photo?.jpg", Some("photo?.jpg")),
            ("cars/<int:owner>/{*file}", Some("<int:owner>")),
            ("cars/:owner/{*file}", Some(":owner")),
            ("cars/$owner", Some("$owner")),
            ("my%20cars/{*file}", Some("my%20cars")),
            ("cars/{owner}/{*file}", None),
            ("100%/{*file}", None),
            ("a<b>c/$/:/{x}", None),
            ("{*file}", None),
        ] {
            assert_eq!(template.parse::<Template>().unwrap().suspicious_segment(), segment, "{template}");
        }
    }

    #[test]
    fn templates_longer_than_any_path_are_rejected() {
        let long = |segments: usize| vec!["x".repeat(200); segments].join("/");
        assert!(long(5).parse::<Template>().is_ok());
        let error = long(6).parse::<Template>().unwrap_err().to_string();
        assert!(error.contains("longer than 1024 bytes"), "{error}");
    }

    #[test]
    fn templates_overlap_if_a_path_matches_both() {
        for (one, other, expected) in [
            ("a", "a", true),
            ("a", "b", false),
            ("a", "{x}", true),
            ("{x}", "{y}", true),
            ("a/{x}", "a", false),
            ("a/{x}", "{y}/b", true),
            ("a/{x}/c", "{y}/b/d", false),
            ("{*x}", "a/b/c", true),
            ("a/{*x}", "a", false),
            ("a/{*x}", "b/{*y}", false),
            ("a/{*x}", "{y}/{z}/c", true),
        ] {
            let (one, other): (Template, Template) = (one.parse().unwrap(), other.parse().unwrap());
            assert_eq!(one.overlaps(&other), expected, "{one} {other}");
            assert_eq!(other.overlaps(&one), expected, "{other} {one}");
        }
    }

    proptest! {
        #[test]
        fn templates_that_match_one_path_overlap(
            one in "(cars|\\{a\\})(/(cars|\\{b\\})){0,2}(/\\{\\*e\\})?",
            other in "(cars|\\{a\\})(/(cars|\\{b\\})){0,2}(/\\{\\*e\\})?",
            path in "(cars|7)(/(cars|7)){0,5}",
        ) {
            let path = MediaPath::new(&path).unwrap();
            if let (Ok(one), Ok(other)) = (one.parse::<Template>(), other.parse::<Template>())
                && one.captures(&path).is_some()
                && other.captures(&path).is_some()
            {
                prop_assert!(one.overlaps(&other));
            }
        }

        #[test]
        fn a_template_filled_with_its_captures_is_the_path(
            template in "(cars|\\{a\\}|\\{b\\})(/(cars|\\{c\\}|\\{d\\})){0,2}(/\\{\\*e\\})?",
            path in "(cars|7|x)(/(cars|7|x)){0,5}",
        ) {
            let (Ok(template), Ok(path)) = (template.parse::<Template>(), MediaPath::new(&path)) else { return Ok(()) };
            if let Some(captures) = template.captures(&path) {
                let mut filled = template.to_string();
                for (name, value) in captures.iter() {
                    filled = filled.replace(&format!("{{*{name}}}"), value).replace(&format!("{{{name}}}"), value);
                }
                prop_assert_eq!(filled, path.as_str());
            }
        }
    }
}
