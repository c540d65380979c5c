//! Writes the manual pages and the completions of the program into a folder. `cargo xtask dist` runs it.

#![forbid(unsafe_code)]

mod examples;
mod manual;

use std::fs::{self, File};
use std::io;
use std::path::Path;
use std::process::ExitCode;

use clap_complete::{Shell, generate};

fn main() -> ExitCode {
    let Some(folder) = std::env::args_os().nth(1) else {
        eprintln!("usage: private-media-packaging FOLDER");
        return ExitCode::FAILURE;
    };
    match write(Path::new(&folder)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("{}: {error}", folder.display());
            ExitCode::FAILURE
        }
    }
}

/// Writes `man/COMMAND.1` for each command, and `completions/` for each shell, under the names that the shells look for.
fn write(folder: &Path) -> io::Result<()> {
    let (man, completions) = (folder.join("man"), folder.join("completions"));
    fs::create_dir_all(&man)?;
    fs::create_dir_all(&completions)?;
    for page in manual::pages(private_media_gateway::command())? {
        fs::write(man.join(page.file_name), page.text)?;
    }
    for (shell, name) in
        [(Shell::Bash, "private-media"), (Shell::Zsh, "_private-media"), (Shell::Fish, "private-media.fish")]
    {
        let mut file = File::create(completions.join(name))?;
        generate(shell, &mut private_media_gateway::command(), "private-media", &mut file);
    }
    Ok(())
}
