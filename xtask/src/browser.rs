//! The demo and the Django example in a browser.

use std::process::Command;

use crate::machine::{self, Program, run_tests};
use crate::outcome::Outcome;
use crate::python;

pub(crate) const PROGRAMS: [Program; 2] = [("chromium", "chromium"), ("python3", "python3")];

pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    let python = machine::venv("target/venv", "tests/browser/requirements.txt")?;
    let program =
        std::env::current_dir().map_err(|error| error.to_string())?.join("target/release/private-media");
    let mut tests = Command::new(&python);
    tests.args(["-m", "pytest", "tests/browser"]).env("PRIVATE_MEDIA_BIN", program);
    run_tests(tests.env("PRIVATE_MEDIA_PYTHON", python::with_the_wheel()?), outcome)
}
