//! Builds and runs the application of docs/how-to/axum.md from the blocks of the page.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use crate::links::read;
use crate::machine::step;
use crate::package;
use crate::pages::commands_in;
use crate::tested_pages::AXUM as PAGE;

/// The parts of the page that depend on the machine.
const CHECKOUT: &str = "/path/to/private-media";
const ADDRESS: &str = "127.0.0.1:3000";
/// The line of the script after which the project exists.
const CREATED: &str = "cd garage\n";

/// Creates a project outside of this workspace, applies the blocks of the page, and runs its commands.
pub(crate) fn test() -> Result<(), String> {
    let checkout = package::absolute(".")?.display().to_string();
    let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
    let free = free.map_err(|error| format!("no free port: {error}"))?.to_string();
    let page = read(Path::new(PAGE))?.replace(CHECKOUT, &checkout).replace(ADDRESS, &free);
    let dependencies = block(&page, "toml fragment", "# Cargo.toml, at the end")?;
    let program = block(&page, "rust,no_run", "// src/main.rs")?;
    let folder = std::env::temp_dir().join("private-media-axum-page");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    if folder.exists() {
        std::fs::remove_dir_all(&folder).map_err(failed)?;
    }
    std::fs::create_dir(&folder).map_err(failed)?;
    std::fs::write(folder.join("dependencies"), dependencies).map_err(failed)?;
    std::fs::write(folder.join("main.rs"), program).map_err(failed)?;
    let apply = format!(
        "cat ../dependencies >> Cargo.toml\ncp ../main.rs src/main.rs\ncp '{checkout}/Cargo.lock' Cargo.lock\n"
    );
    let script = commands_in(&page).map_err(|error| format!("{PAGE}: {error}"))?;
    let (create, rest) = script.split_once(CREATED).ok_or(format!("{PAGE}: no {CREATED:?}"))?;
    let script = format!("{create}{CREATED}{apply}{rest}");
    let mut shell = Command::new("sh");
    shell.args(["-eu", "-c", &script]).current_dir(&folder);
    step(shell.env("CARGO_TARGET_DIR", package::absolute("target")?))?;
    std::fs::remove_dir_all(&folder).map_err(failed)
}

/// Returns the only block of a language that begins with this line.
fn block<'a>(page: &'a str, language: &str, first: &str) -> Result<&'a str, String> {
    let start = format!("```{language}\n{first}\n");
    let (_, rest) =
        page.split_once(&start).ok_or(format!("{PAGE}: no {language} block begins with {first:?}"))?;
    Ok(rest.split_once("```\n").map_or(rest, |(block, _)| block))
}

#[cfg(test)]
mod tests {
    use super::block;

    #[test]
    fn a_block_is_found_by_its_language_and_first_line() {
        let page = "```toml\n[a]\n```\n```toml\n# b\nc = 1\n```\n```rust\n# b\n```\n";
        assert_eq!(block(page, "toml", "# b").unwrap(), "c = 1\n");
        assert_eq!(block(page, "rust", "# b").unwrap(), "");
        assert!(block(page, "sh", "# b").unwrap_err().contains("no sh block begins with \"# b\""));
    }
}
