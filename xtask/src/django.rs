//! What the tests with Django need: the databases, and each Django in a virtual environment of its own.

use std::process::Command;

use crate::machine::{self, step};

/// The versions that the tests run with.
const VERSIONS: [&str; 2] = ["4.2", "5.2"];
/// Sessions, and what each Django says of them.
const VECTORS: &str = "crates/private-media-django/tests/vectors";
/// What the tests start themselves.
const PROGRAMS: [(&str, &str); 2] = [("/usr/sbin/mariadbd", "mariadb-server"), ("setpriv", "util-linux")];
/// Its programs are in a folder of their version.
const POSTGRES: (&str, &str) = ("/usr/lib/postgresql", "postgresql");

/// Installs the databases, and makes the virtual environments.
pub(crate) fn install() -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    install_postgres()?;
    for version in VERSIONS {
        let requirements = format!("tests/django-site/requirements-{version}.txt");
        machine::venv(&folder(version), &requirements)?;
    }
    Ok(())
}

/// Installs PostgreSQL.
pub(crate) fn install_postgres() -> Result<(), String> {
    let has_postgres = std::fs::read_dir(POSTGRES.0).is_ok_and(|mut versions| {
        versions.any(|version| version.is_ok_and(|version| version.path().join("bin/initdb").exists()))
    });
    if has_postgres { Ok(()) } else { machine::install(&[POSTGRES]) }
}

/// Has each Django say again what the vectors hold.
pub(crate) fn vectors() -> Result<(), String> {
    for version in VERSIONS {
        let vectors = format!("{VECTORS}/vectors.json");
        step(Command::new(python(version)).args([&format!("{VECTORS}/ask.py"), "check", &vectors]))?;
    }
    Ok(())
}

/// The Python of each Django.
pub(crate) fn pythons() -> impl Iterator<Item = String> {
    VERSIONS.into_iter().map(python)
}

fn python(version: &str) -> String {
    format!("{}/bin/python", folder(version))
}

/// Where the tests look for it.
fn folder(version: &str) -> String {
    format!("target/django/{version}")
}
