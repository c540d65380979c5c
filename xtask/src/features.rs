//! Checks each feature of the crates alone, tests those that are off by default, and checks with the oldest supported compiler.

use std::process::Command;

use crate::machine::{Program, cargo, cargo_command, cargo_tool, run_tests, step};
use crate::outcome::Outcome;

/// The programs that the tests of features start.
pub(crate) const PROGRAMS: [Program; 1] = [("nginx", "nginx")];

/// Checks each published crate with no feature, with each feature alone and with all, and with the oldest supported compiler. Tests the
/// features that are off by default.
pub(crate) fn check(outcome: &mut Outcome) -> Result<(), String> {
    cargo_tool("cargo-hack")?;
    // Code that is dead with only some features is an error. With RUSTFLAGS, all dependencies would be built again.
    let clippy = ["hack", "clippy", "--workspace", "--ignore-private", "--each-feature"];
    cargo(&[&clippy[..], &["--", "-D", "warnings"]].concat())?;
    // The tests of traces, which the tests of the workspace leave out.
    let mut tests = cargo_command();
    tests.args(["nextest", "run", "--package", "private-media-gateway", "--features", "otel", "traces"]);
    run_tests(tests.env("PRIVATE_MEDIA_TEST_ALL", "1"), outcome)?;
    let manifest = std::fs::read_to_string("Cargo.toml").map_err(|error| format!("Cargo.toml: {error}"))?;
    let oldest = oldest_compiler(&manifest).ok_or("Cargo.toml: no rust-version")?;
    if is_in_use(oldest)? {
        return Ok(());
    }
    let toolchain = format!("+{oldest}");
    if !cargo_command().args([&toolchain, "--version"]).output().is_ok_and(|output| output.status.success()) {
        outcome.not_required.push(format!("a build with Rust {oldest} (this toolchain is not installed)"));
        return Ok(());
    }
    // Another compiler would replace what is built in `target/`.
    let check = [&toolchain, "check", "--workspace", "--exclude", "xtask", "--target-dir", "target/msrv"];
    step(cargo_command().args(check))
}

/// Returns the `rust-version` of the workspace.
fn oldest_compiler(manifest: &str) -> Option<&str> {
    let line = manifest.lines().find_map(|line| line.strip_prefix("rust-version = \""))?;
    line.split_once('"').map(|(version, _)| version)
}

/// Returns whether this run uses a compiler of this version. Then every other part is the check.
fn is_in_use(version: &str) -> Result<bool, String> {
    let output = Command::new("rustc").arg("--version").output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    Ok(is_of(&String::from_utf8_lossy(&output.stdout), version))
}

fn is_of(output: &str, version: &str) -> bool {
    let used = output.split(' ').nth(1).unwrap_or_default();
    used.strip_prefix(version).is_some_and(|patch| patch.is_empty() || patch.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_oldest_compiler_is_read_from_the_manifest() {
        assert_eq!(oldest_compiler("[a]\nedition = \"2024\"\nrust-version = \"1.95\" # why\n"), Some("1.95"));
        assert_eq!(oldest_compiler("[a]\n"), None);
    }

    #[test]
    fn versions_are_compared_by_their_numbers() {
        for (output, version, expected) in [
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95", true),
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.95.0", true),
            ("rustc 1.95.0 (59807616e 2026-04-14)", "1.9", false),
            ("rustc 1.96.1-nightly", "1.95", false),
            ("", "1.95", false),
        ] {
            assert_eq!(is_of(output, version), expected, "{output} {version}");
        }
    }
}
