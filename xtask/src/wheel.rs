//! Builds the Python wheel, and tests what pip, pipx and uv make of it.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::machine::{self, run_tests, step};
use crate::outcome::Outcome;
use crate::python;

const VENV: &str = "target/python/wheel";
/// The folder of the wheel of a release.
pub(crate) const RELEASES: &str = "target/wheels";

/// `cargo xtask wheel`: builds the wheel of a release, and tests it.
pub(crate) fn release() -> Result<(), String> {
    let python = venv()?;
    let maturin = format!("{VENV}/bin/maturin");
    step(Command::new(&python).args(["-m", "pip", "install", "--quiet", &python::requirement("maturin")?]))?;
    let mut build = Command::new(maturin);
    build.args(["build", "--release", "--locked"]);
    let wheel = build_with(rename_folders(&mut build)?, RELEASES)?;
    step(tests(&python, &wheel).env("TEST_WHEEL_IS_RELEASE", "1"))?;
    println!("{}", wheel.display());
    Ok(())
}

/// Tests the wheel that the other tests install.
pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    run_tests(&mut tests(&venv()?, &only_wheel(python::WHEELS)?), outcome)
}

/// Runs maturin with these arguments, and returns the wheel as a package index accepts it.
pub(crate) fn build_with(maturin: &mut Command, folder: &str) -> Result<PathBuf, String> {
    let _ = std::fs::remove_dir_all(folder);
    step(maturin.args(["--compatibility", "pypi", "--out", folder]))?;
    remove_build_path(&only_wheel(folder)?, folder)?;
    only_wheel(folder)
}

fn venv() -> Result<String, String> {
    machine::venv(VENV, "tests/wheel/requirements.txt")
}

fn tests(python: &str, wheel: &Path) -> Command {
    let mut tests = Command::new(python);
    tests.args(["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "tests/wheel"]).env("TEST_WHEEL", wheel);
    tests
}

fn only_wheel(folder: &str) -> Result<PathBuf, String> {
    let files = std::fs::read_dir(folder).map_err(|error| format!("{folder}: {error}"))?;
    let mut wheels =
        files.flatten().map(|file| file.path()).filter(|path| path.extension().is_some_and(|it| it == "whl"));
    wheels.next().ok_or_else(|| format!("{folder}: no wheel was built"))
}

/// Replaces the folders of this machine in the file names that a build embeds, for example in the messages of panics.
fn rename_folders(build: &mut Command) -> Result<&mut Command, String> {
    let cargo = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let cargo = cargo.or_else(|| Some(std::env::home_dir()?.join(".cargo"))).ok_or("no home folder")?;
    let renamed = [(cargo, "/cargo"), (root()?, "/private-media")];
    let flags = |option: &str, separator: &str| {
        let flags: Vec<_> =
            renamed.iter().map(|(from, to)| format!("{option}={}={to}", from.display())).collect();
        flags.join(separator)
    };
    let (rust, c) = (flags("--remap-path-prefix", "\u{1f}"), flags("-ffile-prefix-map", " "));
    Ok(build.env("CARGO_ENCODED_RUSTFLAGS", rust).env("CFLAGS", c))
}

/// Removes the folder of the repository from the software bill of materials that maturin embeds.
fn remove_build_path(wheel: &Path, folder: &str) -> Result<(), String> {
    let python = venv()?;
    let unpacked = Path::new(folder).join("unpacked");
    let failed = |path: &Path, error: std::io::Error| format!("{}: {error}", path.display());
    let list = |path: &Path| std::fs::read_dir(path).map_err(|error| failed(path, error));
    step(Command::new(&python).args(["-m", "wheel", "unpack", "--dest"]).arg(&unpacked).arg(wheel))?;
    let content = list(&unpacked)?.flatten().next().ok_or("wheel unpack created no folder")?.path();
    let sboms = list(&content)?.flatten().map(|entry| entry.path().join("sboms")).find(|path| path.is_dir());
    let sboms = sboms.ok_or_else(|| format!("{}: no software bill of materials", wheel.display()))?;
    let here = format!("path+file://{}/", root()?.display());
    for file in list(&sboms)?.flatten().map(|entry| entry.path()) {
        let text = std::fs::read_to_string(&file).map_err(|error| failed(&file, error))?;
        std::fs::write(&file, text.replace(&here, "path+file:///")).map_err(|error| failed(&file, error))?;
    }
    std::fs::remove_file(wheel).map_err(|error| failed(wheel, error))?;
    step(Command::new(&python).args(["-m", "wheel", "pack", "--dest-dir", folder]).arg(&content))?;
    std::fs::remove_dir_all(&unpacked).map_err(|error| failed(&unpacked, error))
}

fn root() -> Result<PathBuf, String> {
    std::env::current_dir().map_err(|error| error.to_string())
}
