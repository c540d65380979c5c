//! The virtual environments and databases of the tests that read Django's sessions.

use std::process::Command;

use crate::machine::{self, Program, step};
use crate::outcome::Outcome;

/// The versions of Django.
const VERSIONS: [&str; 2] = ["4.2", "5.2"];
/// The session vectors: sessions, and the users that Django identifies.
const VECTORS: &str = "crates/private-media-django/tests/vectors";
/// The programs that the tests start.
pub(crate) const PROGRAMS: [Program; 4] =
    [("/usr/sbin/mariadbd", "mariadb-server"), POSTGRES, ("python3", "python3"), ("setpriv", "util-linux")];
pub(crate) const POSTGRES: Program = ("/usr/lib/postgresql/*/bin/initdb", "postgresql");

/// Creates the virtual environments.
pub(crate) fn install() -> Result<(), String> {
    for version in VERSIONS {
        let requirements = format!("tests/django-site/requirements-{version}.txt");
        machine::venv(&folder(version), &requirements)?;
    }
    Ok(())
}

/// Checks the session vectors with each version of Django.
pub(crate) fn vectors(_: &mut Outcome) -> Result<(), String> {
    for version in VERSIONS {
        let vectors = format!("{VECTORS}/vectors.json");
        step(Command::new(python(version)).args([&format!("{VECTORS}/ask.py"), "check", &vectors]))?;
    }
    Ok(())
}

/// Returns the Python of each version of Django.
pub(crate) fn pythons() -> impl Iterator<Item = String> {
    VERSIONS.into_iter().map(python)
}

fn python(version: &str) -> String {
    format!("{}/bin/python", folder(version))
}

/// Returns the virtual environment of a version, as the tests find it.
fn folder(version: &str) -> String {
    format!("target/django/{version}")
}
