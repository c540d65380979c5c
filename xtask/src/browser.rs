//! The pages of the gateway, the demo, the Django example and the documentation in a browser.

use std::process::Command;

use crate::book;
use crate::machine::{self, Program, run_tests, step};
use crate::outcome::Outcome;
use crate::python;

pub(crate) const PROGRAMS: [Program; 5] = [
    ("chromium", "chromium"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("openssl", "openssl"),
    ("python3", "python3"),
];

pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    book::build()?;
    let python = machine::venv("target/venv", "tests/browser/requirements.txt")?;
    let install = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", "tests/browser"];
    step(Command::new("npm").args(install))?;
    let program =
        std::env::current_dir().map_err(|error| error.to_string())?.join("target/release/private-media");
    let mut tests = Command::new(&python);
    tests.args(["-m", "pytest", "tests/browser"]).env("PRIVATE_MEDIA_BIN", program);
    run_tests(tests.env("PRIVATE_MEDIA_PYTHON", python::with_the_wheel()?), outcome)
}
