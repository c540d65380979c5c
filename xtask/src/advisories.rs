//! Known vulnerabilities of the dependencies, from the `RustSec` database.

use std::path::PathBuf;
use std::process::Command;

use crate::machine::{cargo, step};

/// How long the database may take to arrive, in seconds.
const FETCH_TIMEOUT: &str = "60";

/// Whether the dependencies were checked.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Advisories {
    Checked,
    /// There is no database on this machine, and it could not be fetched.
    Skipped,
}

/// Checks the dependencies. An advisory that applies is an error; a database that cannot be had is not.
pub(crate) fn check() -> Result<Advisories, String> {
    let fetched = step(Command::new("timeout").args([FETCH_TIMEOUT, "cargo", "deny", "fetch", "db"]));
    if let Err(problem) = fetched {
        if !has_database() {
            println!("\nadvisories: NOT CHECKED, as their database could not be fetched ({problem})");
            return Ok(Advisories::Skipped);
        }
        println!("\nadvisories: using the database that is on this machine ({problem})");
    }
    // cargo-deny refuses a database that was fetched more than 90 days ago.
    cargo(&["deny", "--offline", "check", "advisories"]).map(|()| Advisories::Checked)
}

/// Whether an earlier fetch left a whole database where cargo-deny keeps it. One that was interrupted leaves a repository without a commit.
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
