//! `cargo xtask advisories`: known vulnerabilities of the dependencies, from the `RustSec` database.
//!
//! The database is a Git repository and in no package registry, so the tests do without it.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::{self, cargo, step};

/// How long the database may take to arrive, in seconds.
const FETCH_TIMEOUT: &str = "60";

/// Checks the dependencies against a fresh database, or the one of an earlier fetch.
pub(crate) fn check() -> Result<(), String> {
    machine::cargo_tool("cargo-deny")?;
    let fetched = step(Command::new("timeout").args([FETCH_TIMEOUT, "cargo", "deny", "fetch", "db"]));
    if let Err(problem) = fetched {
        if !has_database() {
            return Err(format!("could not fetch the advisory database: {problem}"));
        }
        println!("\nusing the advisory database of an earlier fetch ({problem})");
    }
    // cargo-deny refuses a database that was fetched more than 90 days ago.
    cargo(&["deny", "--offline", "check", "advisories"])
}

/// Returns whether cargo-deny's folder has a whole database. An interrupted fetch leaves a repository without a commit.
fn has_database() -> bool {
    let home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = home.or_else(|| std::env::home_dir().map(|home| home.join(".cargo"))).unwrap_or_default();
    let has_commit = |folder: PathBuf| {
        let head = Command::new("git")
            .arg("-C")
            .arg(folder)
            .args(["rev-parse", "--verify", "--quiet", "HEAD"])
            .output();
        head.is_ok_and(|head| head.status.success())
    };
    let databases = std::fs::read_dir(home.join("advisory-dbs"));
    databases.is_ok_and(|entries| {
        entries.flatten().map(|entry| entry.path()).any(|path| path.join(".git").exists() && has_commit(path))
    })
}
