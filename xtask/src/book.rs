//! Builds the documentation as a book that can be searched, with mdBook.

use std::collections::{HashMap, HashSet};
use std::ffi::OsStr;
use std::path::{Component, Path, PathBuf};
use std::process::Command;

use crate::links::{self, attribute, is_page, links, map_links, read, read_html, relative_to, tags, tracked};
use crate::machine::{cargo_tool, step};

const FOLDER: &str = "target/book";
const SUMMARY: &str = "docs/SUMMARY.md";
/// Lets arrow keys scroll a table. Elsewhere, mdBook turns the page.
const ARROWS: &str = "onkeydown=\"if (event.key.startsWith('Arrow')) event.stopPropagation()\"";
/// The extensions of linked files that are published as they are. Others are shown as source code.
const FILES: [&str; 5] = ["jpg", "json", "png", "svg", "webp"];

/// Builds the book in `target/book/html`, and checks its links.
pub(crate) fn build() -> Result<(), String> {
    cargo_tool("mdbook")?;
    let summary = read(Path::new(SUMMARY))?;
    let chapters: Vec<_> = links(&summary).iter().map(|link| relative_to(Path::new(SUMMARY), link)).collect();
    check_chapters(&chapters)?;
    let folder = Path::new(FOLDER);
    let _ = std::fs::remove_dir_all(folder);
    for file in ["book.toml", "docs/book.css"] {
        write(&folder.join(file), read(Path::new(file))?.as_bytes())?;
    }
    let docs = folder.join("docs");
    let appendix = stage(&chapters, &docs)?;
    let summary = map_links(&summary, |link| link_in_book(Path::new(SUMMARY), link));
    write(&docs.join("SUMMARY.md"), format!("{summary}\n# Appendix\n\n{appendix}").as_bytes())?;
    step(Command::new("mdbook").arg("build").arg(folder))?;
    let html = folder.join("html");
    let mut pages = HashMap::new();
    read_html(&html, &mut pages)?;
    // The contents for browsers without JavaScript are no whole page.
    pages.remove(&html.join("toc.html"));
    for (page, text) in pages {
        let text = accessible(&text).map_err(|problem| format!("{}: {problem}", page.display()))?;
        write(&page, text.as_bytes())?;
    }
    links::check_html(&html)?;
    println!("the book begins at {FOLDER}/html/index.html");
    Ok(())
}

/// Checks that every page of the documentation is a chapter, and that each chapter leads to another page.
fn check_chapters(chapters: &[PathBuf]) -> Result<(), String> {
    let mut problems = vec![];
    for page in tracked("docs/*.md")?.iter().filter(|page| page.as_path() != Path::new(SUMMARY)) {
        if !chapters.contains(page) {
            problems.push(format!("{}: not in {SUMMARY}", page.display()));
        }
    }
    for page in chapters {
        if !leads_on(&read(page)?) {
            problems.push(format!(
                "{}: the last line must begin with \"Next: \" and link to the page that most readers need next",
                page.display()
            ));
        }
    }
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

fn leads_on(text: &str) -> bool {
    let last = text.lines().next_back().unwrap_or_default();
    last.starts_with("Next: ") && !links(last).is_empty()
}

/// Writes the chapters, and all pages, pictures and source code that they link to. mdBook publishes nothing outside its folder, so
/// the links are adapted. Returns the summary of the pages that are not chapters.
fn stage(chapters: &[PathBuf], docs: &Path) -> Result<String, String> {
    let mut appendix = vec![];
    let mut known: HashSet<PathBuf> = chapters.iter().cloned().collect();
    let mut pages = chapters.to_vec();
    while let Some(page) = pages.pop() {
        let target = docs.join(path_in_book(&page));
        if !is_page(&page) {
            write(&target, source_page(&page)?.as_bytes())?;
            continue;
        }
        let text = read(&page)?;
        write(&target, map_links(&text, |link| link_in_book(&page, link)).as_bytes())?;
        for link in links(&text) {
            let linked = link.split_once('#').map_or(&*link, |(path, _)| path);
            let linked = relative_to(&page, linked);
            if linked == page.parent().unwrap_or(Path::new("")) || !known.insert(linked.clone()) {
                continue;
            }
            let path = path_in_book(&linked);
            if is_file(&linked) {
                let content =
                    std::fs::read(&linked).map_err(|error| format!("{}: {error}", linked.display()))?;
                write(&docs.join(path), &content)?;
            } else {
                appendix.push(format!("- [{}]({})\n", linked.display(), path.display()));
                pages.push(linked);
            }
        }
    }
    appendix.sort();
    Ok(appendix.concat())
}

/// Shows a file, or all files of a folder.
fn source_page(path: &Path) -> Result<String, String> {
    let mut text = format!("# {}\n", path.display());
    for file in tracked(&path.to_string_lossy())? {
        let language = file.extension().unwrap_or_default().display().to_string();
        let name = file.strip_prefix(path).unwrap_or(&file).display();
        let heading = if file == path { String::new() } else { format!("\n## {name}\n") };
        text.extend([&*heading, "\n`````", &*language, "\n", &read(&file)?, "`````\n"]);
    }
    Ok(text)
}

/// Returns the path of a page or file below the folder of the book, whose root is `docs/`.
fn path_in_book(path: &Path) -> PathBuf {
    // The book begins with `docs/README.md`.
    if path == Path::new("README.md") {
        return "overview.md".into();
    }
    let below = path.strip_prefix("docs").unwrap_or(path);
    if path.file_name() == Some(OsStr::new("README.md")) {
        // Hosts serve it as the page of the folder.
        below.with_file_name("index.md")
    } else if is_page(path) || is_file(path) {
        below.to_owned()
    } else {
        format!("{}.md", below.display()).into()
    }
}

/// Returns a link of a page as the book needs it.
fn link_in_book(page: &Path, link: &str) -> String {
    let (path, anchor) = link.find('#').map_or((link, ""), |at| link.split_at(at));
    if path.is_empty() {
        return link.to_owned();
    }
    let target = path_in_book(&relative_to(page, path));
    let above = path_in_book(page).components().filter(|part| matches!(part, Component::Normal(_))).count();
    format!("{}{}{anchor}", "../".repeat(above.saturating_sub(1)), target.display())
}

fn is_file(path: &Path) -> bool {
    FILES.iter().any(|extension| path.extension() == Some(OsStr::new(extension)))
}

/// Corrects what axe-core finds in a page of mdBook (`tests/browser/test_book.py`).
fn accessible(html: &str) -> Result<String, String> {
    // The keyboard reaches a button, but no label. Without JavaScript, only the label works. The checkbox must change after mdBook's
    // own handler of the click, which reads the state before.
    let unknown = || "mdBook's button for the sidebar looks different".to_owned();
    let (before, rest) = html.split_once("<label id=\"mdbook-sidebar-toggle\"").ok_or_else(unknown)?;
    let (label, after) = rest.split_once("</label>").ok_or_else(unknown)?;
    let click = " type=\"button\" onclick=\"setTimeout(() => sidebar_toggle.click())\"";
    let button = replace_one(label, " for=\"mdbook-sidebar-toggle-anchor\"", click)?;
    let page = format!(
        "{before}<button id=\"mdbook-sidebar-toggle\"{button}</button><noscript><label{label}</label></noscript>{after}"
    );
    let page =
        replace_one(&page, "<div id=\"mdbook-menu-bar\"", "<div id=\"mdbook-menu-bar\" role=\"banner\"")?;
    let search = "<div id=\"mdbook-search-wrapper\"";
    let page = replace_one(&page, search, &format!("{search} role=\"search\""))?;
    let label = "aria-label=\"Search\" aria-describedby=\"mdbook-searchresults-header\"";
    let page = replace_one(&page, "aria-describedby=\"searchresults-header\"", label)?;
    name_tables(&page.replace("<th></th>", "<td></td>"))
}

fn replace_one(text: &str, old: &str, new: &str) -> Result<String, String> {
    match text.matches(old).count() {
        1 => Ok(text.replace(old, new)),
        count => Err(format!("{old}: {count} times in what mdBook builds, must be once")),
    }
}

/// Lets the keyboard scroll tables. Each is named after the heading above, if there is one.
fn name_tables(html: &str) -> Result<String, String> {
    let wrapper = "<div class=\"table-wrapper\"";
    if html.matches(wrapper).count() != html.matches("<table").count() {
        return Err(format!("a table outside of {wrapper}, so the keyboard cannot scroll it"));
    }
    let mut page = String::new();
    let mut heading = None;
    for part in html.split_inclusive(wrapper) {
        page.push_str(part);
        let headings =
            tags(part).filter(|tag| ["h1 ", "h2 ", "h3 ", "h4 "].iter().any(|h| tag.starts_with(h)));
        heading = headings.filter_map(|tag| attribute(tag, "id")).last().or(heading);
        if part.ends_with(wrapper) {
            let name = heading.map_or("aria-label=\"Table\"".to_owned(), |heading| {
                format!("aria-labelledby=\"{heading}\"")
            });
            page.extend([" role=\"group\" tabindex=\"0\" ", ARROWS, " ", &name]);
        }
    }
    Ok(page)
}

fn write(path: &Path, content: &[u8]) -> Result<(), String> {
    let parent = path.parent().unwrap_or(Path::new(""));
    let written = std::fs::create_dir_all(parent).and_then(|()| std::fs::write(path, content));
    written.map_err(|error| format!("{}: {error}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_that_leave_the_documentation_stay_in_the_book() {
        for (page, link, expected) in [
            ("docs/tutorial.md", "how-to/nginx.md#a", "how-to/nginx.md#a"),
            ("docs/tutorial.md", "#a", "#a"),
            ("docs/how-to/php.md", "../../examples/php", "../examples/php.md"),
            ("docs/how-to/php.md", "../../examples/php/a.js", "../examples/php/a.js.md"),
            ("docs/explanation/speed.md", "../../bench/a.svg", "../bench/a.svg"),
            ("docs/explanation/speed.md", "../README.md", "../index.md"),
            ("docs/README.md", "../SECURITY.md#a", "SECURITY.md#a"),
            ("docs/tutorial.md", "../README.md#install", "overview.md#install"),
            ("SECURITY.md", "docs/reference/doctor.md", "reference/doctor.md"),
        ] {
            assert_eq!(link_in_book(Path::new(page), link), expected, "{page}: {link}");
        }
    }

    #[test]
    fn the_keyboard_reaches_tables() {
        let table = "<h2 id=\"b\">B</h2><div class=\"table-wrapper\"><table></table></div>";
        let attributes = format!("role=\"group\" tabindex=\"0\" {ARROWS} aria-labelledby=\"b\"");
        let named = table.replace("wrapper\"", &format!("wrapper\" {attributes}"));
        let page = format!("<h1 id=\"a\">A</h1>{table}<hr>{table}");
        assert_eq!(name_tables(&page), Ok(format!("<h1 id=\"a\">A</h1>{named}<hr>{named}")));
        assert!(name_tables("<h1 id=\"a\">A</h1><table></table>").is_err());
        assert!(
            name_tables(&table.replace("id", "class"))
                .is_ok_and(|page| page.contains(" aria-label=\"Table\""))
        );
    }

    #[test]
    fn other_markup_than_expected_is_an_error() {
        assert_eq!(replace_one("<a><b>", "<b>", "<i>"), Ok("<a><i>".to_owned()));
        assert!(replace_one("<a>", "<b>", "<i>").is_err());
        assert!(replace_one("<b><b>", "<b>", "<i>").is_err());
        assert!(accessible("<p>").is_err());
    }

    #[test]
    fn a_page_leads_on_if_its_last_line_is_a_link() {
        for (text, expected) in [
            ("# A\n\nNext: [b](b.md).\n", true),
            ("# A\n\nNext: b\n", false),
            ("# A\n\nNext: [b](b.md).\n\nText\n", false),
            ("", false),
        ] {
            assert_eq!(leads_on(text), expected, "{text}");
        }
    }
}
