//! Reads the code blocks and the tested commands of documentation pages.

use std::path::Path;

use crate::links::read;

/// A code block of a page.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Block {
    /// The number of its first line.
    pub(crate) line: usize,
    /// The words after the opening fence.
    pub(crate) language: String,
    /// The heading of the second level above it.
    pub(crate) section: String,
    pub(crate) code: String,
}

/// Returns the commands of a page: its `sh test` blocks, and the assertions that readers do not see.
pub(crate) fn script_of(page: &str) -> Result<String, String> {
    commands_in(&read(Path::new(page))?).map_err(|error| format!("{page}: {error}"))
}

/// Returns a script of `tests/docs`, whose lines below `# page` are the shell commands of a page or of one of its sections.
pub(crate) fn script_beside(page: &str, section: Option<&str>, script: &str) -> Result<String, String> {
    let blocks = blocks(&read(Path::new(page))?).map_err(|error| format!("{page}: {error}"))?;
    let shown = blocks
        .iter()
        .filter(|block| block.language == "sh" && section.is_none_or(|section| block.section == section));
    let shown: String = shown.map(|block| &*block.code).collect();
    let text = read(Path::new(script))?;
    match difference(&shown, &text) {
        None => Ok(text),
        Some((page_line, script_line)) => {
            Err(format!("{page} shows {page_line:?} where {script} runs {script_line:?}"))
        }
    }
}

/// Returns the first command of a page that is not that of its script.
fn difference<'a>(page: &'a str, script: &'a str) -> Option<(&'a str, &'a str)> {
    let mut is_page = false;
    let commands = script.lines().filter(|line| {
        let marker = matches!(*line, "# page" | "# test");
        is_page = if marker { *line == "# page" } else { is_page };
        is_page && !marker && !line.is_empty()
    });
    let mut commands = commands.fuse();
    let mut shown = page.lines().filter(|line| !line.is_empty()).fuse();
    loop {
        match (shown.next(), commands.next()) {
            (None, None) => return None,
            (shown, command) if shown == command => {}
            (shown, command) => return Some((shown.unwrap_or_default(), command.unwrap_or_default())),
        }
    }
}

/// Returns the code blocks of a page.
pub(crate) fn blocks(text: &str) -> Result<Vec<Block>, String> {
    let mut blocks = vec![];
    let (mut section, mut indent) = ("", "");
    let mut open: Option<Block> = None;
    for (line, number) in text.lines().zip(1..) {
        let fence = line.trim_start().strip_prefix("```");
        match (&mut open, fence) {
            (None, Some(language)) => {
                indent = line.strip_suffix(&format!("```{language}")).unwrap_or_default();
                let (language, section) = (language.to_owned(), section.to_owned());
                open = Some(Block { line: number, language, section, code: String::new() });
            }
            (None, None) => section = line.strip_prefix("## ").unwrap_or(section),
            (Some(_), Some("")) => blocks.extend(open.take()),
            (Some(block), _) => {
                block.code.push_str(line.strip_prefix(indent).unwrap_or(line));
                block.code.push('\n');
            }
        }
    }
    match open {
        Some(block) => Err(format!("line {}: the code block is not closed", block.line)),
        None => Ok(blocks),
    }
}

/// Returns the lines of all `<!-- test` comments.
pub(crate) fn assertions(text: &str) -> String {
    let comments = text.split("<!-- test\n").skip(1).filter_map(|rest| rest.split("-->").next());
    comments.collect()
}

/// Returns the lines of all `sh test` blocks and of all `<!-- test` comments, in the order of the page.
pub(crate) fn commands_in(text: &str) -> Result<String, &'static str> {
    let mut script = String::new();
    let mut blocks = 0;
    let mut end = None;
    for line in text.lines() {
        match (end, line) {
            (None, "```sh test") => {
                end = Some("```");
                blocks += 1;
            }
            (None, "<!-- test") => end = Some("-->"),
            (Some(last), line) if line == last => end = None,
            (Some(_), line) => {
                script.push_str(line);
                script.push('\n');
            }
            (None, _) => {}
        }
    }
    match (end, blocks) {
        (Some(_), _) => Err("the last block is not closed"),
        (None, 0) => Err("no block to test; begin one with ```sh test"),
        (None, _) => Ok(script),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_are_blocks_and_hidden_assertions_in_order() {
        let page = "# A\n```sh test\nrun a\n```\ntext\n<!-- test\ntest a = b\n-->\n```sh\nnot this\n```\n\
                    <!-- nor this -->\n```sh test\nrun b\n```\n";
        assert_eq!(commands_in(page).unwrap(), "run a\ntest a = b\nrun b\n");
        assert!(commands_in("<!-- test\ntrue\n-->\n").is_err(), "no visible command");
        assert!(commands_in("```sh test\nrun a\n").is_err(), "an open block");
        assert!(commands_in("```sh test\nrun a\n```\n<!-- test\nfalse\n").is_err(), "an open comment");
    }

    #[test]
    fn a_script_runs_the_commands_of_its_page_in_order() {
        let page = "run a\n\nrun b\nrun c\n";
        for (script, expected) in [
            ("# page\nrun a\nrun b\n# test\ncheck\n# page\n\nrun c\n# test\ncheck\n", None),
            ("check\n# page\nrun a\nrun c\n", Some(("run b", "run c"))),
            ("# page\nrun a\nrun b\n# test\nrun c\n", Some(("run c", ""))),
            ("# page\nrun a\nrun b\nrun c\nrun d\n", Some(("", "run d"))),
        ] {
            assert_eq!(difference(page, script), expected, "{script}");
        }
    }

    #[test]
    fn blocks_know_their_line_language_and_section() {
        let page = "# A\n## B\n```sh test\nrun a\n```\n## C\n```toml\na = 1\n\n# b\n```\n";
        let block = |line, language: &str, section: &str, code: &str| Block {
            line,
            language: language.into(),
            section: section.into(),
            code: code.into(),
        };
        let expected = vec![block(3, "sh test", "B", "run a\n"), block(7, "toml", "C", "a = 1\n\n# b\n")];
        assert_eq!(blocks(page), Ok(expected));
        let indented = blocks("- a\n  ```sh\n  run a\n    b\n  ```\n");
        assert_eq!(indented, Ok(vec![block(2, "sh", "", "run a\n  b\n")]));
        assert_eq!(blocks("```sh\nrun a\n"), Err("line 1: the code block is not closed".to_owned()));
    }
}
