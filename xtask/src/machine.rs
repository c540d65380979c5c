//! What has to be on the machine, and commands that are shown as they run.

use std::path::Path;
use std::process::{Command, Stdio};

/// Installs the Debian packages of what is missing: programs by their names or whole paths.
pub(crate) fn install(programs: &[(&str, &str)]) -> Result<(), String> {
    let missing: Vec<_> =
        programs.iter().filter(|(program, _)| !exists(program)).map(|(_, package)| *package).collect();
    let mut packages = missing;
    // Debian's python3 comes without the part that makes virtual environments.
    let has_venv =
        Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
    if !has_venv.is_ok_and(|status| status.success()) {
        packages.push("python3-venv");
    }
    if packages.is_empty() {
        return Ok(());
    }
    if exists("apt-get") && is_root() {
        step(Command::new("apt-get").args(["update", "--quiet"]))?;
        let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
        return step(
            Command::new("apt-get").args(install).args(&packages).env("DEBIAN_FRONTEND", "noninteractive"),
        );
    }
    Err(format!(
        "the tests need {0}; install them, on Debian with: sudo apt-get install {0}",
        packages.join(" ")
    ))
}

/// Makes a virtual environment with these packages in it; the answer is its Python.
pub(crate) fn venv(folder: &str, requirements: &str) -> Result<String, String> {
    let python = format!("{folder}/bin/python");
    if !Path::new(&python).exists() {
        step(Command::new("python3").args(["-m", "venv", "--clear", folder]))?;
    }
    step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]))?;
    Ok(python)
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    step(Command::new("cargo").args(arguments))
}

pub(crate) fn step(command: &mut Command) -> Result<(), String> {
    let shown = format!("{} {}", command.get_program().display(), shown_arguments(command));
    println!("\n> {shown}");
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

fn shown_arguments(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.display().to_string()).collect();
    let shown = arguments.join(" ");
    shown.lines().next().unwrap_or_default().to_owned()
}

pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // A whole path stays what it is when it is joined to a folder.
    std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
}

fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}
