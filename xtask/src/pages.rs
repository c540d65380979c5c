//! Reads the commands of documentation pages that are tests.

/// Returns the commands of a page: its `sh test` blocks, and the assertions that readers do not see.
pub(crate) fn script_of(page: &str) -> Result<String, String> {
    let text = std::fs::read_to_string(page).map_err(|error| format!("{page}: {error}"))?;
    commands_in(&text).map_err(|error| format!("{page}: {error}"))
}

/// Returns the lines of all `sh test` blocks and of all `<!-- test` comments, in the order of the page.
fn commands_in(text: &str) -> Result<String, &'static str> {
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
    use super::commands_in;

    #[test]
    fn commands_are_blocks_and_hidden_assertions_in_order() {
        let page = "# A\n```sh test\nrun a\n```\ntext\n<!-- test\ntest a = b\n-->\n```sh\nnot this\n```\n\
                    <!-- nor this -->\n```sh test\nrun b\n```\n";
        assert_eq!(commands_in(page).unwrap(), "run a\ntest a = b\nrun b\n");
        assert!(commands_in("<!-- test\ntrue\n-->\n").is_err(), "no visible command");
        assert!(commands_in("```sh test\nrun a\n").is_err(), "an open block");
        assert!(commands_in("```sh test\nrun a\n```\n<!-- test\nfalse\n").is_err(), "an open comment");
    }
}
