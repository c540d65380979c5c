//! Finds, installs and runs programs.

use std::io::{BufRead, BufReader, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::outcome::Outcome;

/// The name or path of a program, and its Debian package. A folder in the path may be `*`.
pub(crate) type Program = (&'static str, &'static str);

/// The folder in which cargo's tools are built.
const TOOLS: &str = "target/tools";

/// Installs the Debian packages of the missing programs, or fails with their names.
pub(crate) fn install(programs: &[Program]) -> Result<(), String> {
    let packages = missing(programs);
    if packages.is_empty() {
        return Ok(());
    }
    if !can_install() {
        let packages = packages.join(" ");
        return Err(format!(
            "missing Debian packages: {packages}; install them with: sudo apt-get install {packages}"
        ));
    }
    step(Command::new("apt-get").args(["update", "--quiet"]))?;
    let install = ["install", "--yes", "--quiet", "--no-install-recommends"];
    step(Command::new("apt-get").args(install).args(&packages).env("DEBIAN_FRONTEND", "noninteractive"))
}

/// Returns the Debian packages of the missing programs.
pub(crate) fn missing(programs: &[Program]) -> Vec<&'static str> {
    let missing = programs.iter().filter(|(program, _)| !exists(program));
    let mut packages: Vec<_> = missing.map(|(_, package)| *package).collect();
    // Debian's python3 cannot create virtual environments without another package.
    if programs.iter().any(|(program, _)| *program == "python3") {
        let venv =
            Command::new("python3").args(["-c", "import ensurepip, venv"]).stderr(Stdio::null()).status();
        if !venv.is_ok_and(|status| status.success()) {
            packages.push("python3-venv");
        }
    }
    packages
}

/// Returns whether this process may install Debian packages.
pub(crate) fn can_install() -> bool {
    exists("apt-get") && is_root()
}

pub(crate) fn is_root() -> bool {
    Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout.trim_ascii() == b"0")
}

/// Creates a virtual environment with the packages of a requirements file, and returns its Python.
pub(crate) fn venv(folder: &str, requirements: &str) -> Result<String, String> {
    let python = format!("{folder}/bin/python");
    if !Path::new(&python).exists() {
        step(Command::new("python3").args(["-m", "venv", "--clear", folder]))?;
    }
    step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]))?;
    Ok(python)
}

/// Installs a program of cargo's if it is missing. A debug build takes a third of the time, and the tools share what they depend on.
pub(crate) fn cargo_tool(name: &str) -> Result<(), String> {
    if exists(name) {
        return Ok(());
    }
    let features: &[&str] = match name {
        // Its web server for authors has most of its dependencies.
        "mdbook" => &["--no-default-features", "--features", "search"],
        _ => &[],
    };
    let mut install = cargo_command();
    install.args(["install", "--locked", "--debug", name]).args(features);
    step(install.env("CARGO_TARGET_DIR", TOOLS))
}

pub(crate) fn cargo(arguments: &[&str]) -> Result<(), String> {
    step(cargo_command().args(arguments))
}

/// Returns a program without the variables that `cargo xtask` sets for this one.
pub(crate) fn command_of_shell(program: &str) -> Command {
    let mut command = Command::new(program);
    for (name, _) in std::env::vars_os() {
        if ["CARGO_PKG_", "CARGO_MANIFEST_"].iter().any(|own| name.to_string_lossy().starts_with(own)) {
            command.env_remove(name);
        }
    }
    command
}

/// Returns a cargo that finds what a cargo in a shell has built: build scripts run again if variables of `cargo xtask` differ.
pub(crate) fn cargo_command() -> Command {
    let mut cargo = command_of_shell("cargo");
    if HAS_QUICK_RELEASE.load(Ordering::Relaxed) {
        cargo.env("CARGO_PROFILE_RELEASE_LTO", "off").env("CARGO_PROFILE_RELEASE_CODEGEN_UNITS", "16");
    }
    cargo
}

/// Whether release builds skip the optimization across crates.
static HAS_QUICK_RELEASE: AtomicBool = AtomicBool::new(false);

/// Halves the time of release builds from now on. Their programs are good for tests, not for measurements.
pub(crate) fn use_quick_release() {
    HAS_QUICK_RELEASE.store(true, Ordering::Relaxed);
}

/// Prints a command and runs it.
pub(crate) fn step(command: &mut Command) -> Result<(), String> {
    let shown = show(command);
    let status = command.status().map_err(|error| format!("{shown}: {error}"))?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Runs a command, and returns its output without surrounding whitespace.
pub(crate) fn output(command: &mut Command) -> Result<String, String> {
    let program = command.get_program().display().to_string();
    let output = command.stderr(Stdio::inherit()).output().map_err(|error| format!("{program}: {error}"))?;
    let text = String::from_utf8_lossy(output.stdout.trim_ascii()).into_owned();
    if output.status.success() { Ok(text) } else { Err(format!("{program}: {}", output.status)) }
}

/// Like [`step`], for a test runner whose closing lines are stored.
pub(crate) fn run_tests(command: &mut Command, outcome: &mut Outcome) -> Result<(), String> {
    let shown = show(command);
    let failed = |error| format!("{shown}: {error}");
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().map_err(failed)?;
    let (stdout, stderr) = (child.stdout.take(), child.stderr.take());
    let outcome = Mutex::new(outcome);
    std::thread::scope(|scope| {
        scope.spawn(|| stdout.map(|output| copy(output, std::io::stdout(), &outcome)));
        scope.spawn(|| stderr.map(|output| copy(output, std::io::stderr(), &outcome)));
    });
    let status = child.wait().map_err(failed)?;
    if status.success() { Ok(()) } else { Err(format!("{shown}: {status}")) }
}

/// Prints the output of a runner line by line. Errors of the terminal are ignored.
fn copy(from: impl Read, mut to: impl Write, outcome: &Mutex<&mut Outcome>) {
    let mut from = BufReader::new(from);
    let mut line = vec![];
    while from.read_until(b'\n', &mut line).is_ok_and(|count| count > 0) {
        let _ = to.write_all(&line);
        if let Ok(mut outcome) = outcome.lock() {
            outcome.read(&String::from_utf8_lossy(&line));
        }
        line.clear();
    }
}

/// Prints a command, and returns it for error messages.
pub(crate) fn show(command: &Command) -> String {
    let arguments: Vec<_> = command.get_args().map(|argument| argument.display().to_string()).collect();
    let arguments = arguments.join(" ");
    let shown =
        format!("{} {}", command.get_program().display(), arguments.lines().next().unwrap_or_default());
    println!("\n> {shown}");
    shown
}

pub(crate) fn exists(program: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    // Joining an absolute path to a folder returns the path.
    std::env::split_paths(&path).any(|folder| is_file(&folder.join(program)))
}

/// Returns whether a file has this path, in which a folder may be `*`.
fn is_file(path: &Path) -> bool {
    let text = path.to_string_lossy();
    let Some((folder, rest)) = text.split_once("/*/") else { return path.is_file() };
    let entries = std::fs::read_dir(folder).into_iter().flatten().flatten();
    entries.map(|entry| entry.path()).any(|entry: PathBuf| entry.join(rest).is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_found_by_name_path_and_pattern() {
        for (program, expected) in [
            ("sh", true),
            ("/bin/sh", true),
            ("/usr/*/sh", true),
            ("no-such-program", false),
            ("/bin/no-such-program", false),
            ("/usr/*/no-such-program", false),
            ("/no-such-folder/*/sh", false),
        ] {
            assert_eq!(exists(program), expected, "{program}");
        }
    }

    #[test]
    fn closing_lines_come_from_both_outputs() {
        let mut outcome = Outcome::default();
        let script =
            "echo '3 passed in 1.00s'; echo 'Ran 2 tests in 0.1s' >&2; printf '\\377\\n1 passed in 2s'";
        assert_eq!(run_tests(Command::new("sh").args(["-c", script]), &mut outcome), Ok(()));
        outcome.closing.sort();
        assert_eq!(outcome.closing, ["1 passed in 2s", "3 passed in 1.00s", "Ran 2 tests in 0.1s"]);
        let failed = run_tests(Command::new("sh").args(["-c", "exit 3"]), &mut outcome);
        assert_eq!(failed, Err("sh -c exit 3: exit status: 3".into()));
        assert!(run_tests(&mut Command::new("no-such-program"), &mut outcome).is_err());
    }
}
