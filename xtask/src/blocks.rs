//! Checks that each code block of the documentation is tested, parsed, or declared to be output or a fragment.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::links::{read, tracked};
use crate::pages::{Block, assertions, blocks};
use crate::tested_pages;

const PROGRAM: &str = "target/release/private-media";
/// A file for the program under test.
const FILE: &str = "target/block";
/// The folders with the programs that pages show excerpts of. Their tests run in other parts.
const SOURCES: [&str; 3] = ["examples", "tests", "python/tests"];

/// Checks the code blocks of all pages.
pub(crate) fn check() -> Result<(), String> {
    let sources = sources()?;
    let compiled = read(Path::new("tests/pages/lib.rs"))?;
    let mut problems = vec![];
    let mut count = 0;
    for page in tracked("*.md")? {
        let page = Page { path: page.display().to_string(), text: read(&page)? };
        let blocks = blocks(&page.text).map_err(|error| format!("{}: {error}", page.path))?;
        count += blocks.len();
        for block in blocks {
            if let Err(problem) = page.check(&block, &sources, &compiled) {
                problems.push(format!("{}:{}: {}: {problem}", page.path, block.line, block.language));
            }
        }
    }
    for library in tracked("crates/*/src/lib.rs")? {
        let path = library.display().to_string();
        let documentation = documentation(&read(&library)?);
        let blocks = blocks(&documentation).map_err(|error| format!("{path}: {error}"))?;
        count += blocks.len();
        for block in blocks {
            if let Err(problem) = check_in_documentation(&block) {
                problems.push(format!("{path}: {}: {problem}", block.language));
            }
        }
    }
    let _ = std::fs::remove_file(FILE);
    println!("{count} code blocks");
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Returns the page that rustdoc makes of the comments of a crate.
fn documentation(source: &str) -> String {
    let lines = source.lines().filter_map(|line| match line.strip_prefix("//!") {
        Some(text) => Some(text.strip_prefix(' ').unwrap_or(text)),
        // The examples of a feature begin with an attribute.
        None => (line.starts_with("#![cfg_attr(feature") && line.contains("doc = \"```")).then_some("```"),
    });
    lines.map(|line| format!("{line}\n")).collect()
}

/// Checks a block of a crate's documentation. Part `doc` runs those in Rust.
fn check_in_documentation(block: &Block) -> Result<(), String> {
    match &*block.language {
        "" | "no_run" | "text" => Ok(()),
        "toml" if block.code.starts_with("[dependencies]") => check_dependencies(&block.code),
        _ => Err("neither run nor parsed; mark output as `text`".into()),
    }
}

struct Page {
    path: String,
    text: String,
}

impl Page {
    fn check(&self, block: &Block, sources: &[(PathBuf, String)], compiled: &str) -> Result<(), String> {
        match &*block.language {
            "text" | "diff" => Ok(()),
            "sh test" if tested_pages::runs(&self.path) => Ok(()),
            "sh test" => Err("not run; add the page to xtask/src/docs.rs".into()),
            "sh" if tested_pages::has_script(&self.path, &block.section) || self.runs_hidden(block) => Ok(()),
            "sh fragment" => check_commands(&block.code),
            "toml" if block.code.starts_with("[dependencies]") => check_dependencies(&block.code),
            "toml" => with_file(&block.code, Command::new(PROGRAM).args(["config", "show", "--config", FILE])),
            "nginx" => check_nginx(&block.code),
            "rust" | "rust,no_run" if compiled.contains(&format!("\"../../{}\"", self.path)) => Ok(()),
            "rust" | "rust,no_run" => Err("not compiled; add the page to tests/pages/lib.rs".into()),
            "python fragment" => {
                let compile = "compile(open(__import__('sys').argv[1]).read(), 'the block', 'exec')";
                with_file(&block.code, Command::new("python3").args(["-c", compile, FILE]))
            }
            language if language.ends_with(" fragment") => Ok(()),
            _ if sources.iter().any(|(_, source)| is_excerpt(&block.code, source)) => Ok(()),
            _ => Err("neither run nor parsed, nor an excerpt of a tested program; mark output as `text` and what cannot \
                      run as `fragment`"
                .into()),
        }
    }

    /// Returns whether the test of the page runs the commands where readers do not see it, since they fail as they should.
    fn runs_hidden(&self, block: &Block) -> bool {
        let hidden = assertions(&self.text);
        tested_pages::runs(&self.path) && block.code.lines().all(|line| hidden.contains(line))
    }
}

/// Checks the syntax of commands that cannot run in a test, and the flags of our program in them.
fn check_commands(code: &str) -> Result<(), String> {
    with_file(code, Command::new("sh").args(["-n", FILE]))?;
    for line in code.lines().filter(|line| line.starts_with("private-media ")) {
        let end = [" | ", " < ", " > ", " &", " #"].iter().filter_map(|end| line.find(end)).min();
        let (command, _) = line.split_at(end.unwrap_or(line.len()));
        let script = command.replacen("private-media", PROGRAM, 1);
        output(Command::new("sh").args(["-c", &format!("{} --help", script.trim_end())]))?;
    }
    Ok(())
}

/// Checks that dependencies on our crates have the version of the workspace.
fn check_dependencies(code: &str) -> Result<(), String> {
    let manifest = read(Path::new("Cargo.toml"))?;
    for line in code.lines().filter(|line| line.starts_with("private-media")) {
        let version = line.split('"').nth(1).unwrap_or_default();
        if version.is_empty() || !manifest.contains(&format!("\nversion = \"{version}")) {
            return Err(format!("{line}: not the version in Cargo.toml"));
        }
    }
    Ok(())
}

fn check_nginx(code: &str) -> Result<(), String> {
    let folder = std::env::current_dir().map_err(|error| error.to_string())?;
    let file = folder.join(FILE);
    let configuration = format!(
        "pid {}.pid; events {{}} http {{ access_log off; server {{ listen 127.0.0.1:1; {code} }} }}",
        file.display()
    );
    with_file(&configuration, Command::new("nginx").args(["-t", "-q", "-e", "stderr", "-c"]).arg(&file))
}

fn with_file(content: &str, command: &mut Command) -> Result<(), String> {
    std::fs::write(FILE, content).map_err(|error| format!("{FILE}: {error}"))?;
    output(command)
}

fn output(command: &mut Command) -> Result<(), String> {
    let output = command.output().map_err(|error| format!("{}: {error}", command.get_program().display()))?;
    if output.status.success() {
        Ok(())
    } else {
        Err(String::from_utf8_lossy(&output.stderr).trim().to_owned())
    }
}

fn sources() -> Result<Vec<(PathBuf, String)>, String> {
    let mut sources = vec![];
    for folder in SOURCES {
        // Pictures are not text.
        sources.extend(
            tracked(folder)?.into_iter().filter_map(|file| read(&file).ok().map(|text| (file, text))),
        );
    }
    Ok(sources)
}

/// Returns whether a program contains the lines in this order. The page may leave out lines and indentation.
fn is_excerpt(code: &str, source: &str) -> bool {
    let mut lines = source.lines().map(str::trim);
    code.lines().map(str::trim).filter(|line| !line.is_empty()).all(|line| lines.any(|other| other == line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_documentation_of_a_crate_is_its_comments() {
        let source = "//! A\n//!\n//! ```toml\n//! [x]\n//! ```\n\
                      #![cfg_attr(feature = \"a\", doc = \"```no_run\")]\n#![cfg_attr(not(feature = \"a\"), doc = \"```ignore\")]\n\
                      //! a();\n//! ```\nfn main() {}\n";
        assert_eq!(documentation(source), "A\n\n```toml\n[x]\n```\n```\na();\n```\n");
    }

    #[test]
    fn an_excerpt_has_the_lines_of_the_program_in_order() {
        let source = "def a():\n    b()\n    c()\n    d()\n";
        assert!(is_excerpt("b()\n\nd()\n", source));
        assert!(!is_excerpt("d()\nb()\n", source), "another order");
        assert!(!is_excerpt("b()\ne()\n", source), "another line");
    }

    #[test]
    fn blocks_without_a_test_are_found() {
        let text = "<!-- test\nif run a; then exit 1; fi\n-->\n".to_owned();
        let page = Page { path: "docs/how-to/test-permissions.md".into(), text };
        for (language, code, expected) in [
            ("text", "a", true),
            ("sh test", "run", true),
            ("sh", "run a", true),
            ("sh", "run b", false),
            ("python", "a()", false),
            ("python", "b()", true),
            ("rust", "a()", false),
            ("", "a", false),
        ] {
            let block = Block { language: language.into(), code: code.into(), ..Block::default() };
            let sources = [(PathBuf::new(), "b()\n".to_owned())];
            assert_eq!(page.check(&block, &sources, "").is_ok(), expected, "{language}: {code}");
        }
        let unknown = Page { path: "docs/none.md".into(), text: String::new() };
        let block = Block { language: "sh test".into(), ..Block::default() };
        assert!(unknown.check(&block, &[], "").is_err(), "a page that is not run");
    }
}
