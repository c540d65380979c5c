//! Adds the commit and its date to the version of release builds, as in `0.1.0 (0123456789 2026-01-31)`.
//!
//! A packager sets `PRIVATE_MEDIA_BUILD` to other text in the parentheses, or to nothing. Debug builds have only the version, so that a
//! commit compiles nothing again. The date is that of the commit, so that builds are reproducible.

use std::path::Path;
use std::process::Command;

/// The folder of this crate in its repository.
const FOLDER: &str = "crates/private-media-gateway/";
const OVERRIDE: &str = "PRIVATE_MEDIA_BUILD";

fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rerun-if-env-changed={OVERRIDE}");
    let is_release = std::env::var_os("PROFILE").is_some_and(|profile| profile == "release");
    let build = match std::env::var(OVERRIDE) {
        Ok(build) => Some(build),
        Err(_) if is_release => commit(),
        Err(_) => None,
    };
    if let Some(build) = build.map(|build| build.trim().to_owned()).filter(|build| !build.is_empty()) {
        println!("cargo:rustc-env=PRIVATE_MEDIA_LONG_VERSION={} ({build})", env!("CARGO_PKG_VERSION"));
    }
}

/// Returns the abbreviated commit and its date, in a checkout of this project's repository.
fn commit() -> Option<String> {
    // An unpacked package or a vendored copy may be inside another repository.
    if git(&["rev-parse", "--show-prefix"])? != FOLDER || git(&["ls-files", "build.rs"])? != "build.rs" {
        return None;
    }
    // Each commit, checkout and merge adds a line to the reflog. In a worktree, it is outside the worktree's folder.
    for file in ["logs/HEAD", "HEAD"] {
        let path = git(&["rev-parse", "--git-path", file])?;
        // A missing file would run this script in each build.
        if Path::new(&path).exists() {
            println!("cargo:rerun-if-changed={path}");
            break;
        }
    }
    git(&[
        "show",
        "--no-patch",
        "--no-show-signature",
        "--abbrev=10",
        "--date=short",
        "--format=%h %cd",
        "HEAD",
    ])
}

/// Returns the output of git, or `None` without git or outside of a repository.
fn git(arguments: &[&str]) -> Option<String> {
    let output =
        Command::new("git").args(arguments).output().ok().filter(|output| output.status.success())?;
    Some(String::from_utf8(output.stdout).ok()?.trim().to_owned())
}
