//! Builds and tests the published crates from their packages.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::links::read;
use crate::machine::{cargo, cargo_command, step};
use crate::outcome::Outcome;

/// The files that each package contains besides its code.
const FILES: [&str; 3] = ["LICENSE-APACHE", "LICENSE-MIT", "README.md"];
/// The maximum number of dependencies of the library without default features.
const MAX_DEPENDENCIES: usize = 40;

/// Packages the published crates, unpacks them outside this workspace, and builds, documents and tests them there.
pub(crate) fn test(_: &mut Outcome) -> Result<(), String> {
    check_dependencies()?;
    let crates = published()?;
    let selected: Vec<_> = crates.iter().flat_map(|name| ["--package", name]).collect();
    let package = ["package", "--no-verify", "--allow-dirty", "--exclude-lockfile"];
    cargo(&[&package[..], &selected].concat())?;
    let workspace = unpack(&crates)?;
    let target = absolute("target")?;
    let in_workspace = |arguments: &[&str]| {
        let mut command = cargo_command();
        command.args(arguments).current_dir(&workspace).env("CARGO_TARGET_DIR", &target);
        command
    };
    for name in &crates {
        step(&mut in_workspace(&[
            "test",
            "--package",
            name,
            "--all-features",
            "--lib",
            "--bins",
            "--examples",
        ]))?;
        step(&mut in_workspace(&["test", "--package", name, "--all-features", "--doc"]))?;
        let mut doc = in_workspace(&["doc", "--package", name, "--all-features", "--no-deps"]);
        step(doc.env("RUSTDOCFLAGS", "-D warnings"))?;
    }
    // The examples of the documentation must not need a default feature without saying so.
    for kind in ["--lib", "--doc"] {
        step(&mut in_workspace(&["test", "--package", "private-media", "--no-default-features", kind]))?;
    }
    std::fs::remove_dir_all(&workspace).map_err(|error| format!("{}: {error}", workspace.display()))
}

/// Returns the names of the crates that are published.
fn published() -> Result<Vec<String>, String> {
    let folders = std::fs::read_dir("crates").map_err(|error| format!("crates: {error}"))?;
    let mut names = vec![];
    for folder in folders {
        let path = folder.map_err(|error| format!("crates: {error}"))?.path();
        let manifest = read(path.join("Cargo.toml"))?;
        if !manifest.contains("publish = false") {
            names.extend(path.file_name().map(|name| name.to_string_lossy().into_owned()));
        }
    }
    names.sort();
    Ok(names)
}

/// Unpacks the packages into a workspace that patches their dependencies on each other.
fn unpack(crates: &[String]) -> Result<PathBuf, String> {
    let workspace = std::env::temp_dir().join("private-media-packages");
    let failed = |error: std::io::Error| format!("{}: {error}", workspace.display());
    if workspace.exists() {
        std::fs::remove_dir_all(&workspace).map_err(failed)?;
    }
    std::fs::create_dir(&workspace).map_err(failed)?;
    let root = read(Path::new("Cargo.toml"))?;
    let version = version(&root).ok_or("Cargo.toml: no version")?;
    let mut patches = vec![];
    for name in crates {
        let folder = format!("{name}-{version}");
        let archive = absolute(&format!("target/package/{folder}.crate"))?;
        // Files in archives are old, and cargo builds only what is newer than its last build.
        step(Command::new("tar").arg("--touch").arg("-xzf").arg(archive).arg("-C").arg(&workspace))?;
        for file in FILES {
            let path = workspace.join(&folder).join(file);
            if !path.symlink_metadata().is_ok_and(|found| found.is_file()) {
                return Err(format!("the package of {name} has no {file}"));
            }
        }
        patches.push(format!("{name} = {{ path = \"{folder}\" }}"));
    }
    // With the same profiles and versions, dependencies need not be built again.
    let profiles = root.find("[profile.dev]").and_then(|start| root.get(start..)).unwrap_or_default();
    let manifest = format!(
        "[workspace]\nresolver = \"3\"\nmembers = [\"*-{version}\"]\n\n[patch.crates-io]\n{}\n\n{profiles}",
        patches.join("\n")
    );
    std::fs::write(workspace.join("Cargo.toml"), manifest).map_err(failed)?;
    std::fs::copy("Cargo.lock", workspace.join("Cargo.lock")).map_err(failed)?;
    Ok(workspace)
}

/// Returns the version of the workspace's crates.
pub(crate) fn version(manifest: &str) -> Option<&str> {
    let (_, package) = manifest.split_once("[workspace.package]\n")?;
    let line = package.lines().find_map(|line| line.strip_prefix("version = \""))?;
    line.strip_suffix('"')
}

/// Checks that the library without its default features stays small.
fn check_dependencies() -> Result<(), String> {
    let tree = [
        "tree",
        "--package",
        "private-media",
        "--no-default-features",
        "--edges",
        "normal",
        "--prefix",
        "none",
    ];
    let output = cargo_command().args(tree).output().map_err(|error| format!("cargo tree: {error}"))?;
    let count = count_dependencies(&String::from_utf8_lossy(&output.stdout));
    println!("private-media without default features has {count} dependencies");
    if output.status.success() && count <= MAX_DEPENDENCIES {
        Ok(())
    } else {
        Err(format!(
            "private-media without default features has {count} dependencies; at most {MAX_DEPENDENCIES} are allowed"
        ))
    }
}

/// Counts the crates of a tree without its root.
fn count_dependencies(tree: &str) -> usize {
    let crates: std::collections::BTreeSet<_> =
        tree.lines().map(|line| line.trim_end_matches(" (*)")).filter(|line| !line.is_empty()).collect();
    crates.len().saturating_sub(1)
}

pub(crate) fn absolute(path: &str) -> Result<PathBuf, String> {
    std::path::absolute(path).map_err(|error| format!("{path}: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_that_of_the_workspace() {
        let manifest =
            "[workspace]\nresolver = \"3\"\n[workspace.package]\nversion = \"1.2.3\"\nedition = \"2024\"\n";
        assert_eq!(version(manifest), Some("1.2.3"));
        assert_eq!(version("[package]\nversion = \"1.2.3\"\n"), None);
    }

    #[test]
    fn each_dependency_counts_once() {
        assert_eq!(count_dependencies("root v1\na v1\nb v1\na v1 (*)\na v2\n"), 3);
        assert_eq!(count_dependencies(""), 0);
    }
}
