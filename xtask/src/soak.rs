//! `cargo xtask soak`: the gateway under mixed load and injected faults. An independent implementation in Python checks each response.

use std::process::Command;

use crate::machine::{self, Program, cargo, step};
use crate::outcome::Outcome;

pub(crate) const PROGRAMS: [Program; 1] = [("python3", "python3")];
const PROGRAM: &str = "target/release/private-media";

/// Builds the release program and runs `tests/soak` with these arguments, such as `--minutes 30` or `--seed 7`.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    cargo(&["build", "--release", "--package", "private-media-gateway"])?;
    step(Command::new("python3").args(["-B", "tests/soak/soak.py", "--program", PROGRAM]).args(arguments))
}

/// Runs it for three minutes, with each fault at least once.
pub(crate) fn test(_: &mut Outcome) -> Result<(), String> {
    run(["--minutes", "3", "--seed", "1"].map(str::to_owned).into_iter())
}
