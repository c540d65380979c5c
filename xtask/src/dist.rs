//! `cargo xtask dist`: writes what a release consists of into `target/dist`.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::changelog;
use crate::links::read;
use crate::machine::{self, Program, cargo_command, cargo_tool, output, step};
use crate::package;
use crate::wheel;

/// The files of a release.
pub(crate) const FOLDER: &str = "target/dist";
/// The build that contains no path of this machine; other flags than those of `target`, whose builds would be repeated.
const BUILD: &str = "target/dist-build";
/// The crate with the program.
const GATEWAY: &str = "private-media-gateway";
const SBOM: &str = "private-media.cdx.json";
pub(crate) const PROGRAMS: [Program; 4] =
    [("dpkg-deb", "dpkg"), ("git", "git"), ("lintian", "lintian"), ("sha256sum", "coreutils")];
/// The package is in no Debian archive, so no request for it can be closed.
const NOT_UPLOADED: &str = "initial-upload-closes-no-bugs";

/// Builds everything and checks it.
pub(crate) fn run() -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    prepare(BUILD)?;
    step(cargo(BUILD)?.args(["build", "--release", "--locked", "--package", GATEWAY]))?;
    let program = format!("{BUILD}/release/private-media");
    copy(&program, &format!("{FOLDER}/private-media"))?;
    let package = deb(BUILD, FOLDER)?;
    lint(&package)?;
    wheel::release()?;
    for file in files(Path::new(wheel::RELEASES))? {
        let name = file.file_name().unwrap_or_default().display().to_string();
        copy(&file.display().to_string(), &format!("{FOLDER}/{name}"))?;
    }
    check_paths(Path::new(FOLDER))?;
    let sums = "find . -type f ! -name SHA256SUMS -printf '%P\\0' | LC_ALL=C sort -z | xargs -0 sha256sum > SHA256SUMS
        sha256sum --check --quiet SHA256SUMS
        cat SHA256SUMS";
    step(Command::new("sh").args(["-eu", "-c", sums]).current_dir(FOLDER))
}

/// Writes the files of the Debian package that are not built by the compiler of the program.
///
/// `target` has the release build of the program: its crates are used again.
pub(crate) fn prepare(target: &str) -> Result<(), String> {
    for tool in ["cargo-deb", "cargo-cyclonedx"] {
        cargo_tool(tool)?;
    }
    // No package of another version may remain.
    let _ = fs::remove_dir_all(FOLDER);
    create(FOLDER)?;
    step(cargo(target)?.args([
        "run",
        "--release",
        "--quiet",
        "--package",
        "private-media-packaging",
        "--",
        FOLDER,
    ]))?;
    sbom()?;
    create("target/packaging")?;
    let text = changelog::debian(&read("CHANGELOG.md")?, &version()?, &git("%cD")?)?;
    fs::write("target/packaging/changelog", text).map_err(|error| format!("changelog: {error}"))
}

/// Packs the program of a target folder, and returns the package.
pub(crate) fn deb(target: &str, folder: &str) -> Result<PathBuf, String> {
    let architecture = output(Command::new("dpkg").arg("--print-architecture"))?;
    let package = PathBuf::from(format!("{folder}/private-media_{}-1_{architecture}.deb", version()?));
    let mut pack = Command::new("cargo");
    pack.args(["deb", "--no-build", "--quiet", "--strip", "--package", GATEWAY]);
    pack.arg("--output").arg(&package);
    step(pack.env("CARGO_TARGET_DIR", target).env("SOURCE_DATE_EPOCH", git("%ct")?))?;
    Ok(package)
}

/// Checks a Debian package.
pub(crate) fn lint(package: &Path) -> Result<(), String> {
    let strict = ["--fail-on", "error,warning", "--suppress-tags", NOT_UPLOADED, "--allow-root"];
    step(Command::new("lintian").args(strict).arg(package))
}

/// Returns cargo with a target folder.
fn cargo(target: &str) -> Result<Command, String> {
    let mut cargo = cargo_command();
    if target == BUILD {
        without_paths(&mut cargo)?;
    }
    cargo.env("CARGO_TARGET_DIR", target);
    Ok(cargo)
}

/// Makes a build replace paths of this machine in panic messages and in the code of C libraries.
fn without_paths(build: &mut Command) -> Result<&mut Command, String> {
    let [root, cargo_home] = own_folders()?;
    let sysroot = output(Command::new("rustc").args(["--print", "sysroot"]))?;
    let prefixes = [(root, "/private-media"), (cargo_home, "/cargo"), (sysroot, "/rust")];
    let flags = |flag: &str| {
        let flags: Vec<_> = prefixes.iter().map(|(from, to)| format!("{flag}={from}={to}")).collect();
        flags.join(" ")
    };
    build.env("CARGO_TARGET_DIR", BUILD).env("CARGO_PROFILE_RELEASE_STRIP", "true");
    Ok(build.env("RUSTFLAGS", flags("--remap-path-prefix")).env("CFLAGS", flags("-ffile-prefix-map")))
}

/// Writes the bill of materials: each crate in the program, with its version and licence.
fn sbom() -> Result<(), String> {
    let manifest = format!("crates/{GATEWAY}/Cargo.toml");
    let mut write = Command::new("cargo");
    write.args(["cyclonedx", "--quiet", "--format", "json"]);
    write.args(["--manifest-path", &manifest, "--override-filename", "private-media.cdx"]);
    step(write.env("SOURCE_DATE_EPOCH", git("%ct")?))?;
    // It is written next to each manifest, and names the crates of the workspace by their folders.
    let written = output(Command::new("git").args(["ls-files", "--others", "--", &format!("*{SBOM}")]))?;
    let found = format!("crates/{GATEWAY}/{SBOM}");
    let text = read(&found);
    for file in written.lines() {
        let _ = fs::remove_file(file);
    }
    let [root, _] = own_folders()?;
    let text = text?.replace(&format!("file://{root}"), "file:///private-media");
    fs::write(format!("{FOLDER}/{SBOM}"), text).map_err(|error| format!("{SBOM}: {error}"))
}

/// Returns the folder of the workspace and that of cargo.
pub(crate) fn own_folders() -> Result<[String; 2], String> {
    let root = std::env::current_dir().map_err(|error| error.to_string())?;
    let cargo_home = std::env::var("CARGO_HOME")
        .or_else(|_| std::env::var("HOME").map(|home| format!("{home}/.cargo")))
        .map_err(|_| "neither CARGO_HOME nor HOME is set")?;
    Ok([root.display().to_string(), cargo_home])
}

/// Checks that no file contains a path of this machine. Debian packages and wheels contain the same files, compressed.
fn check_paths(folder: &Path) -> Result<(), String> {
    for file in files(folder)? {
        let content = fs::read(&file).map_err(|error| format!("{}: {error}", file.display()))?;
        for own in own_folders()? {
            if content.windows(own.len()).any(|window| window == own.as_bytes()) {
                return Err(format!("{} contains the path {own}", file.display()));
            }
        }
    }
    Ok(())
}

fn files(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    let mut files = vec![];
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        if path.is_dir() { files.extend(self::files(&path)?) } else { files.push(path) }
    }
    Ok(files)
}

/// Returns the version of the workspace's crates.
fn version() -> Result<String, String> {
    let manifest = read("Cargo.toml")?;
    package::version(&manifest).map(str::to_owned).ok_or_else(|| "Cargo.toml: no version".into())
}

/// Returns a property of the last commit, such as its date. It makes packages of one commit equal.
fn git(format: &str) -> Result<String, String> {
    output(Command::new("git").args(["log", "-1", &format!("--format={format}")]))
}

fn create(folder: &str) -> Result<(), String> {
    fs::create_dir_all(folder).map_err(|error| format!("{folder}: {error}"))
}

fn copy(from: &str, to: &str) -> Result<(), String> {
    fs::copy(from, to).map(|_| ()).map_err(|error| format!("{from}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_of_this_machine_are_found() {
        let folder = std::env::temp_dir().join(format!("private-media-dist-{}", std::process::id()));
        fs::create_dir_all(folder.join("man")).unwrap();
        fs::write(folder.join("man/page.1"), "no path").unwrap();
        assert_eq!(check_paths(&folder), Ok(()));
        let own = std::env::current_dir().unwrap();
        fs::write(folder.join("man/page.1"), format!("\0{}/src/main.rs\0", own.display())).unwrap();
        assert!(check_paths(&folder).unwrap_err().contains("page.1 contains the path"));
        fs::remove_dir_all(folder).unwrap();
    }
}
