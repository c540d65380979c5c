//! Checks the relative links of all Markdown pages and of the book, with their anchors.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

/// Checks that each relative link leads to a file of the repository and to a heading of it.
pub(crate) fn check() -> Result<(), String> {
    let pages = tracked("*.md")?;
    let mut problems = Vec::new();
    for page in &pages {
        for link in links(&read(page)?) {
            if let Some(problem) = problem(page, &link)? {
                problems.push(format!("{}: {link}: {problem}", page.display()));
            }
        }
    }
    if pages.is_empty() {
        return Err("no Markdown page found".to_owned());
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Checks the links, anchors and pictures of a folder of HTML pages, and that the pages load nothing from another host.
pub(crate) fn check_html(folder: &Path) -> Result<(), String> {
    let mut pages = HashMap::new();
    read_html(folder, &mut pages)?;
    let ids: HashMap<_, HashSet<_>> = pages
        .iter()
        .map(|(page, text)| (page, tags(text).filter_map(|tag| attribute(tag, "id")).collect()))
        .collect();
    let mut problems = vec![];
    for (page, text) in &pages {
        let elements = tags(text).filter(|tag| !tag.starts_with("a "));
        let loaded = elements.flat_map(|tag| ["href", "src"].map(|name| attribute(tag, name))).flatten();
        for url in loaded.filter(|url| url.contains("//")) {
            problems.push(format!("{}: {url}: loaded from another host", page.display()));
        }
        for link in tags(text).flat_map(|tag| ["href", "src"].map(|name| attribute(tag, name))).flatten() {
            if link.contains(':') {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
            let target = if path.is_empty() { page.clone() } else { relative_to(page, path) };
            let is_anchor = anchor.is_empty() || ids.get(&target).is_some_and(|ids| ids.contains(anchor));
            if !target.is_file() {
                problems.push(format!("{}: {link}: no such file", page.display()));
            } else if !is_anchor {
                problems.push(format!("{}: {link}: no such anchor", page.display()));
            }
        }
    }
    if pages.is_empty() {
        return Err(format!("{}: no HTML page found", folder.display()));
    }
    problems.sort();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

pub(crate) fn read_html(folder: &Path, pages: &mut HashMap<PathBuf, String>) -> Result<(), String> {
    let entries = std::fs::read_dir(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    for path in entries.flatten().map(|entry| entry.path()) {
        if path.is_dir() {
            read_html(&path, pages)?;
        } else if path.extension() == Some(OsStr::new("html")) {
            pages.insert(path.clone(), read(&path)?);
        }
    }
    Ok(())
}

/// Returns the content of all tags, such as `a href="page.html"`.
pub(crate) fn tags(html: &str) -> impl Iterator<Item = &str> {
    html.split('<').filter_map(|rest| rest.split_once('>')).map(|(tag, _)| tag)
}

/// Returns the value of an attribute of a tag.
pub(crate) fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    rest.split('"').next()
}

/// Returns the files of the repository that match a pattern of git.
pub(crate) fn tracked(pattern: &str) -> Result<Vec<PathBuf>, String> {
    let mut list = Command::new("git");
    list.args(["ls-files", "--cached", "--others", "--exclude-standard", "--", pattern]);
    let output = list.output().map_err(|error| format!("git: {error}"))?;
    let files = String::from_utf8(output.stdout).map_err(|error| error.to_string())?;
    Ok(files.lines().map(PathBuf::from).collect())
}

pub(crate) fn is_page(path: &Path) -> bool {
    path.extension() == Some(OsStr::new("md"))
}

pub(crate) fn read(file: impl AsRef<Path>) -> Result<String, String> {
    let file = file.as_ref();
    std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))
}

/// Returns what is wrong with a link, if anything.
fn problem(page: &Path, link: &str) -> Result<Option<&'static str>, String> {
    let (path, anchor) = link.split_once('#').unwrap_or((link, ""));
    let target = if path.is_empty() { page.to_owned() } else { relative_to(page, path) };
    if !target.exists() {
        return Ok(Some("no such file"));
    }
    let is_missing = !anchor.is_empty() && is_page(&target) && !anchors(&read(&target)?).contains(anchor);
    Ok(is_missing.then_some("no such heading"))
}

/// Returns the path of a link, without `..`.
pub(crate) fn relative_to(page: &Path, link: &str) -> PathBuf {
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

/// Returns a page whose relative links are replaced.
pub(crate) fn map_links(text: &str, map: impl Fn(&str) -> String) -> String {
    let mut is_code = false;
    let mut mapped = String::new();
    for line in text.lines() {
        is_code ^= line.starts_with("```");
        let mut parts = line.split("](");
        mapped.push_str(parts.next().unwrap_or_default());
        for part in parts {
            mapped.push_str("](");
            match part.split_once(')') {
                Some((link, rest)) if !is_code && !link.contains(':') => {
                    mapped.extend([&*map(link), ")", rest]);
                }
                _ => mapped.push_str(part),
            }
        }
        mapped.push('\n');
    }
    mapped
}

/// Returns the targets of all links that are relative.
pub(crate) fn links(text: &str) -> Vec<String> {
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
    use super::{anchors, check_html, links, map_links, relative_to};
    use std::path::Path;

    #[test]
    fn only_relative_links_outside_code_are_mapped() {
        let page = "[a](b.md#c) and ![d](e.png)\n```sh\n[x](y.md)\n```\n[f](https://example.org/)\n";
        let expected = "[a](<b.md#c>) and ![d](<e.png>)\n```sh\n[x](y.md)\n```\n[f](https://example.org/)\n";
        assert_eq!(map_links(page, |link| format!("<{link}>")), expected);
    }

    #[test]
    fn broken_links_of_html_pages_are_found() {
        let folder = std::env::temp_dir().join(format!("private-media-html-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("a")).unwrap();
        std::fs::write(folder.join("a/b.html"), "<h1 id=\"c\"></h1> <a href=\"../d.html#none\">").unwrap();
        let page = "<a href=\"a/b.html#c\"></a> <img src=\"none.png\"> <img src=\"https://example.org/a\">
            <a href=\"https://example.org/\"></a> <code>&lt;a href=\"none\"&gt;</code>";
        std::fs::write(folder.join("d.html"), page).unwrap();
        let problems = check_html(&folder).unwrap_err();
        std::fs::remove_dir_all(&folder).unwrap();
        let folder = folder.display();
        let expected = format!(
            "{folder}/a/b.html: ../d.html#none: no such anchor\n\
             {folder}/d.html: https://example.org/a: loaded from another host\n\
             {folder}/d.html: none.png: no such file"
        );
        assert_eq!(problems, expected);
    }

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
