//! Builds the Python package once, and tests it with each supported version of Django.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::django;
use crate::machine::{Program, run_tests, step};
use crate::outcome::Outcome;
use crate::wheel;

/// The programs that the tests of the package start.
pub(crate) const PROGRAMS: [Program; 4] = [
    ("/usr/lib/apache2/modules/mod_xsendfile.so", "libapache2-mod-xsendfile"),
    ("apache2ctl", "apache2"),
    ("nginx", "nginx"),
    ("python3", "python3"),
];
/// The virtual environments of the versions of Django that every supported Python runs. The last one has the tools, too.
const DJANGOS: [(&str, &str); 2] =
    [("target/python/django42", "4.2.30"), ("target/python/django52", "5.2.19")];
/// The version of Django that needs Python 3.12 or newer, which Debian 12 does not have.
const NEWEST: (&str, &str) = ("target/python/django61", "6.1.3");
pub(crate) const TOOLS: &str = "target/python/django52";
pub(crate) const WHEELS: &str = "target/python/wheels";
const REQUIREMENTS: &str = "python/tests/requirements.txt";
/// The CMS of a test. It needs Django 5.2 or newer.
const WAGTAIL: &str = "wagtail==8.0.1";
const SOURCES: &str = "target/python/src";
/// The Django projects whose own tests run.
const EXAMPLES: [&str; 2] = ["examples/django-legacy", "examples/django-cars"];

/// Builds the wheel and installs it in the virtual environments of its own tests and of those of the gateway.
pub(crate) fn build(outcome: &mut Outcome) -> Result<(), String> {
    for (venv, django) in DJANGOS {
        environment("python3", venv, django)?;
    }
    match newer_python() {
        Some(python) => environment(&python, NEWEST.0, NEWEST.1)?,
        None => outcome.not_required.push(format!("Django {} (needs Python 3.12 or newer)", NEWEST.1)),
    }
    let wheel = wheel()?;
    let pythons = djangos()
        .map(|(venv, _)| python(venv))
        .chain(django::pythons().filter(|python| Path::new(python).exists()));
    for python in pythons {
        let install = ["-m", "pip", "install", "--quiet", "--force-reinstall", "--no-deps"];
        step(Command::new(python).args(install).arg(&wheel))?;
    }
    Ok(())
}

/// Runs the linters, and the tests of the package, the examples and Django.
pub(crate) fn test(outcome: &mut Outcome) -> Result<(), String> {
    lint()?;
    for (venv, django) in djangos() {
        let python = python(venv);
        // The sources are not on the path, so the tests import the wheel.
        let pytest = ["-m", "pytest", "--quiet", "-p", "no:cacheprovider", "python/tests"];
        run_tests(Command::new(&python).args(pytest).env("PRIVATE_MEDIA_TEST_ALL", "1"), outcome)?;
        for example in EXAMPLES.iter().filter(|example| Path::new(example).exists()) {
            let python = std::path::absolute(&python).map_err(|error| format!("{python}: {error}"))?;
            let tests = ["-W", "error", "manage.py", "test"];
            run_tests(Command::new(python).args(tests).current_dir(example), outcome)?;
        }
        let source = source(&python, django)?;
        run_tests(Command::new(&python).args(["python/tests/django_suites/run.py", &source]), outcome)?;
    }
    Ok(())
}

/// Returns each Django that has a virtual environment.
fn djangos() -> impl Iterator<Item = (&'static str, &'static str)> {
    DJANGOS.into_iter().chain(Some(NEWEST).filter(|(venv, _)| Path::new(&python(venv)).exists()))
}

/// Finds a Python for the newest version of Django, on the path or among the versions of pyenv.
fn newer_python() -> Option<String> {
    const FITS: &str = "import ensurepip, sqlite3, ssl, sys, venv; sys.exit(sys.version_info < (3, 12))";
    let root = Command::new("pyenv").arg("root").output().map(|output| output.stdout).unwrap_or_default();
    let versions = Path::new(String::from_utf8_lossy(&root).trim()).join("versions");
    let mut pyenv: Vec<_> =
        std::fs::read_dir(versions).into_iter().flatten().flatten().map(|entry| entry.path()).collect();
    pyenv.sort();
    let named = ["python3", "python3.14", "python3.13", "python3.12"].map(str::to_owned);
    let pyenv = pyenv.iter().rev().map(|version| version.join("bin/python").display().to_string());
    named.into_iter().chain(pyenv).find(|python| {
        Command::new(python).args(["-c", FITS]).output().is_ok_and(|output| output.status.success())
    })
}

fn environment(interpreter: &str, venv: &str, django: &str) -> Result<(), String> {
    let python = python(venv);
    if !Path::new(&python).exists() {
        step(Command::new(interpreter).args(["-m", "venv", "--clear", venv]))?;
    }
    let version = format!("Django=={django}");
    let install = ["-m", "pip", "install", "--quiet", "--requirement", REQUIREMENTS, &version];
    let wagtail = (!django.starts_with("4.")).then_some(WAGTAIL);
    step(Command::new(&python).args(install).args(wagtail))
}

/// Builds one wheel for all versions of Python.
fn wheel() -> Result<PathBuf, String> {
    wheel::build_with(
        Command::new(format!("{TOOLS}/bin/maturin")).args(["build", "--profile", "dev"]),
        WHEELS,
    )
}

/// Returns the line of a package in the requirements.
pub(crate) fn requirement(package: &str) -> Result<String, String> {
    let requirements =
        std::fs::read_to_string(REQUIREMENTS).map_err(|error| format!("{REQUIREMENTS}: {error}"))?;
    let line = requirements.lines().find(|line| line.split("==").next() == Some(package));
    line.map(str::to_owned).ok_or_else(|| format!("{REQUIREMENTS}: no {package}"))
}

fn lint() -> Result<(), String> {
    let ruff = format!("{TOOLS}/bin/ruff");
    step(Command::new(&ruff).args(["check", "python", "examples", "tests/soak", "tests/wheel"]))?;
    step(Command::new(&ruff).args(["format", "--check", "python", "examples", "tests/soak", "tests/wheel"]))?;
    step(Command::new(python(TOOLS)).args(["-m", "mypy"]).env("MYPYPATH", "python"))?;
    step(Command::new(python(TOOLS)).args(["-m", "mypy.stubtest", "private_media._core"]))
}

/// Downloads Django's source distribution, which contains its tests.
fn source(python: &str, django: &str) -> Result<String, String> {
    let folder = format!("{SOURCES}/django-{django}");
    if !Path::new(&folder).exists() {
        let wanted = format!("Django=={django}");
        let download =
            ["-m", "pip", "download", "--quiet", "--no-deps", "--no-binary", "django", "--dest", SOURCES];
        step(Command::new(python).args(download).arg(wanted))?;
        let archive = format!("{folder}.tar.gz");
        step(Command::new("tar").args(["--extract", "--gzip", "--file", &archive, "--directory", SOURCES]))?;
    }
    Ok(folder)
}

/// Returns a Python that has the wheel and a Django.
pub(crate) fn with_the_wheel() -> Result<PathBuf, String> {
    let python = python(TOOLS);
    std::path::absolute(&python).map_err(|error| format!("{python}: {error}"))
}

fn python(venv: &str) -> String {
    format!("{venv}/bin/python")
}
