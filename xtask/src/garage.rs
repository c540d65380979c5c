//! The tests of buckets with Garage, a store in Rust: with clusters of three nodes, which are killed in turn.

use std::process::Command;

use crate::machine::{Program, cargo_command, command_of_shell, is_root, run_tests, step};
use crate::outcome::Outcome;
use crate::{docs, tested_pages};

/// The programs that build Garage, and that its tests start.
pub(crate) const PROGRAMS: [Program; 8] = [
    ("aws", "awscli"),
    ("cc", "gcc"),
    ("curl", "curl"),
    ("make", "make"),
    ("nginx", "nginx"),
    ("openssl", "openssl"),
    ("python3", "python3"),
    ("rclone", "rclone"),
];
const VERSION: &str = "2.5.0";
/// Garage is a process of its own: nothing links it.
pub(crate) const GARAGE: &str = "target/garage/bin/garage";
const CLUSTER: &str = "tests/buckets/garage.py";
/// The tests of buckets that choose their server by the environment.
const SUITE: &str = "(package(private-media-buckets) & test(/^(conformance|interoperability|listing|outages|reading|writing)::/)) \
    | (package(private-media-gateway) & test(/^(buckets|bucket_cache|relocate_buckets|relocate_kills)::/))";
/// The tests that start clusters of their own. One of them takes eleven minutes.
const CLUSTERS: &str = "package(private-media-gateway) & test(/^garage::/)";

/// Builds Garage, which takes some ten minutes, unless it is there.
pub(crate) fn install() -> Result<(), String> {
    let version = Command::new(GARAGE).arg("--version").output();
    if version.is_ok_and(|output| String::from_utf8_lossy(&output.stdout).contains(VERSION)) {
        return Ok(());
    }
    let mut install = cargo_command();
    install.args(["install", "garage", "--version", VERSION, "--locked", "--root", "target/garage"]);
    install.args(["--no-default-features", "--features", "bundled-libs,sqlite"]);
    step(install.env("CARGO_TARGET_DIR", "target/garage/build"))
}

/// Runs the tests of a shared bucket one after the other, those with clusters of their own two at a time, and the commands of the page.
pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    let run = ["nextest", "run", "--workspace", "--no-fail-fast"];
    let mut suite = command_of_shell("python3");
    suite.args(["-B", CLUSTER, GARAGE, "cargo"]).args(run).args(["--test-threads", "1", "-E", SUITE]);
    run_tests(&mut suite, outcome)?;
    let garage = std::path::absolute(GARAGE).map_err(|error| format!("{GARAGE}: {error}"))?;
    let mut clusters = cargo_command();
    clusters.args(run).args(["--test-threads", "2", "-E", CLUSTERS]);
    clusters.env("PRIVATE_MEDIA_TEST_GARAGE", garage);
    run_tests(&mut clusters, outcome)?;
    if is_root() {
        return docs::garage_page(&["target/garage/bin", "target/debug"]);
    }
    outcome.skipped.push(format!("{} (needs root)", tested_pages::GARAGE));
    Ok(())
}
