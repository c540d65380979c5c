//! The gateway under mixed load and injected faults, each response checked by an independent implementation in Python.

use std::process::Command;

use crate::machine::{self, cargo, step};

const PROGRAM: &str = "target/release/private-media";

/// Builds the release program and runs `tests/soak` with these arguments, such as `--minutes 30` or `--seed 7`.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    machine::install(&[("python3", "python3")])?;
    cargo(&["build", "--release", "--package", "private-media-gateway"])?;
    step(Command::new("python3").args(["-B", "tests/soak/soak.py", "--program", PROGRAM]).args(arguments))
}

/// A short run with every fault at least once: see that the soak works, and that nothing obvious is wrong.
pub(crate) fn test() -> Result<(), String> {
    run(["--minutes", "3", "--seed", "1"].map(str::to_owned).into_iter())
}
