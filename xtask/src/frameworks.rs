//! The applications in `examples/`, each with its own sign-in, beside the gateway.

use std::process::Command;

use crate::machine::{self, Program, run_tests, step};
use crate::outcome::Outcome;

pub(crate) const PROGRAMS: [Program; 10] = [
    ("/usr/share/php/Symfony/Bundle/FrameworkBundle/autoload.php", "php-symfony-framework-bundle"),
    ("/usr/share/php/Symfony/Bundle/SecurityBundle/autoload.php", "php-symfony-security-bundle"),
    ("rails", "ruby-rails"),
    ("go", "golang-go"),
    ("node", "nodejs"),
    ("npm", "npm"),
    ("php", "php-cli"),
    ("puma", "puma"),
    ("python3", "python3"),
    ("ruby", "ruby"),
];

/// The Python applications.
const PYTHON: [&str; 2] = ["examples/fastapi/requirements.txt", "examples/flask/requirements.txt"];

pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    let python = machine::venv("target/frameworks-venv", "tests/frameworks/requirements.txt")?;
    for requirements in PYTHON {
        step(Command::new(&python).args(["-m", "pip", "install", "--quiet", "--requirement", requirements]))?;
    }
    let install = ["install", "--no-audit", "--no-fund", "--no-package-lock", "--prefix", "examples/express"];
    step(Command::new("npm").args(install))?;
    let program =
        std::env::current_dir().map_err(|error| error.to_string())?.join("target/release/private-media");
    let mut tests = Command::new(&python);
    tests.args(["-m", "pytest", "tests/frameworks"]).env("PRIVATE_MEDIA_PROGRAM", program);
    run_tests(&mut tests, outcome)
}
