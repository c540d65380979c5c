//! Debian's changelog, made of ours.

use std::process::Command;

use crate::machine::output;

/// The maintainer, as in the metadata of the Debian package.
const MAINTAINER: &str = "the private-media authors <maintainers@private-media.invalid>";
const WIDTH: usize = 78;

/// Returns Debian's changelog. What is unreleased gets the current version and date.
pub(crate) fn debian(changelog: &str, version: &str, date: &str) -> Result<String, String> {
    let mut text = String::new();
    for section in changelog.split("\n## ").skip(1) {
        let (heading, body) = section.split_once('\n').unwrap_or((section, ""));
        let (version, date) = match heading.split_once(" - ") {
            Some((version, day)) => (version.trim_matches(['[', ']']), rfc_2822(day)?),
            None => (version, date.to_owned()),
        };
        text.push_str(&entry(version, &changes(body), &date));
    }
    if text.is_empty() { Err("CHANGELOG.md: no heading ## of a version".into()) } else { Ok(text) }
}

fn entry(version: &str, changes: &[String], date: &str) -> String {
    let changes: Vec<_> = changes.iter().map(|change| wrap(change)).collect();
    format!(
        "private-media ({version}-1) unstable; urgency=medium\n\n{}\n -- {MAINTAINER}  {date}\n\n",
        changes.concat()
    )
}

/// Returns the items of all lists.
fn changes(body: &str) -> Vec<String> {
    let mut changes: Vec<String> = vec![];
    let mut is_item = false;
    for line in body.lines() {
        if let Some(item) = line.strip_prefix("- ") {
            changes.push(item.to_owned());
            is_item = true;
        } else if let (true, Some(more)) = (is_item, line.strip_prefix("  ")) {
            if let Some(change) = changes.last_mut() {
                change.push(' ');
                change.push_str(more.trim());
            }
        } else {
            is_item = false;
        }
    }
    changes
}

/// Wraps a change as Debian's format wants it.
fn wrap(change: &str) -> String {
    let (mut lines, mut line) = (String::new(), String::from("  *"));
    for word in change.split_whitespace() {
        if line.chars().count() + 1 + word.chars().count() > WIDTH && line.trim_start() != "*" {
            lines.push_str(&line);
            lines.push('\n');
            line = String::from("   ");
        }
        line.push(' ');
        line.push_str(word);
    }
    format!("{lines}{line}\n")
}

fn rfc_2822(day: &str) -> Result<String, String> {
    output(Command::new("date").args(["--utc", "--rfc-email", "--date", day]).env("LC_ALL", "C"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_version_is_an_entry() {
        let ours = "# Changelog\n\nText.\n\n## Unreleased\n\n### Added\n\n- One,\n  on two lines.\n- Two.\n\nMore text.\n\n\
                    ## [0.1.0] - 2026-05-04\n\n- Three.\n";
        let expected = format!(
            "private-media (0.2.0-1) unstable; urgency=medium\n\n  * One, on two lines.\n  * Two.\n\n \
             -- {MAINTAINER}  DATE\n\n\
             private-media (0.1.0-1) unstable; urgency=medium\n\n  * Three.\n\n \
             -- {MAINTAINER}  Mon, 04 May 2026 00:00:00 +0000\n\n"
        );
        assert_eq!(debian(ours, "0.2.0", "DATE").unwrap(), expected);
        assert!(debian("# Changelog\n", "0.2.0", "DATE").is_err());
    }

    #[test]
    fn long_changes_are_wrapped() {
        let wrapped = wrap(&"word ".repeat(40));
        assert!(wrapped.lines().all(|line| line.chars().count() <= WIDTH), "{wrapped}");
        assert!(wrapped.lines().skip(1).all(|line| line.starts_with("    word")), "{wrapped}");
        assert_eq!(wrapped.matches("word").count(), 40);
    }
}
