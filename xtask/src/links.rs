//! Checks the relative links of all Markdown pages, with their anchors.

use std::collections::HashSet;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Checks that each relative link leads to a file of the repository and to a heading of it.
pub(crate) fn check() -> Result<(), String> {
    let output =
        Command::new("git").args(["ls-files", "*.md"]).output().map_err(|error| error.to_string())?;
    let pages = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    let mut problems = Vec::new();
    for page in pages.lines() {
        for link in links(&read(Path::new(page))?) {
            if let Some(problem) = problem(Path::new(page), &link)? {
                problems.push(format!("{page}: {link}: {problem}"));
            }
        }
    }
    if pages.is_empty() {
        return Err("no Markdown page found".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn read(page: &Path) -> Result<String, String> {
    std::fs::read_to_string(page).map_err(|error| format!("{}: {error}", page.display()))
}

/// Returns what is wrong with a link, if anything.
fn problem(page: &Path, link: &str) -> Result<Option<&'static str>, String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { relative_to(page, path) };
    if !target.exists() {
        return Ok(Some("no such file"));
    }
    let is_page = target.extension().is_some_and(|extension| extension == "md");
    let is_missing = !anchor.is_empty() && is_page && !anchors(&read(&target)?).contains(anchor);
    Ok(is_missing.then_some("no such heading"))
}

/// Returns the path of a link, without `..`.
fn relative_to(page: &Path, link: &str) -> PathBuf {
    let mut target = page.parent().unwrap_or(Path::new("")).to_owned();
    for part in Path::new(link).components() {
        if part == Component::ParentDir {
            target.pop();
        } else {
            target.push(part);
        }
    }
    target
}

/// Returns the lines of a page that are not in a code block.
fn prose(text: &str) -> impl Iterator<Item = &str> {
    let mut is_code = false;
    text.lines().filter(move |line| {
        let is_fence = line.starts_with("```");
        is_code ^= is_fence;
        !is_code && !is_fence
    })
}

/// Returns the targets of all links that are relative.
fn links(text: &str) -> Vec<String> {
    let text = prose(text).collect::<Vec<_>>().join("\n");
    let targets = text.split("](").skip(1).filter_map(|rest| rest.split_once(')'));
    targets.map(|(link, _)| link.to_owned()).filter(|link| !link.contains(':')).collect()
}

/// Returns the anchors that GitHub gives to the headings of a page.
fn anchors(text: &str) -> HashSet<String> {
    let headings = prose(text).filter(|line| line.starts_with('#'));
    headings.map(|line| anchor(line.trim_start_matches('#').trim())).collect()
}

fn anchor(heading: &str) -> String {
    let lower = heading.to_lowercase();
    let kept = lower.chars().filter(|c| c.is_alphanumeric() || matches!(c, '-' | '_' | ' '));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::{anchors, links, relative_to};
    use std::path::Path;

    #[test]
    fn only_relative_links_outside_code_are_checked() {
        let page = "[a](b.md#c) and ![d](e.png)\n```sh\n[x](y.md)\n```\n[f](https://example.org/) [g](#h)";
        assert_eq!(links(page), ["b.md#c", "e.png", "#h"]);
    }

    #[test]
    fn anchors_are_those_of_github() {
        let page = "# How it `works`, today\n```sh\n# a comment\n```\n## max_connections";
        let expected = ["how-it-works-today", "max_connections"].map(str::to_owned);
        assert_eq!(anchors(page), expected.into());
    }

    #[test]
    fn links_are_relative_to_their_page() {
        assert_eq!(relative_to(Path::new("docs/how-to/a.md"), "../b.md"), Path::new("docs/b.md"));
        assert_eq!(relative_to(Path::new("README.md"), "docs/b.md"), Path::new("docs/b.md"));
    }
}
