//! The program `private-media`, for the command that pip installs.

use std::ffi::OsString;
use std::process::ExitCode;

use pyo3::prelude::*;

/// Runs the program `private-media` with these arguments, and returns its exit code. The first argument is its name.
///
/// The program handles SIGINT, SIGTERM and SIGHUP itself, so Python's handlers must not be installed.
#[pyfunction]
pub(crate) fn run_program(py: Python<'_>, arguments: Vec<OsString>) -> u8 {
    let code = py.detach(|| private_media_gateway::main_from(arguments));
    // The number of an exit code cannot be read, only compared.
    (0..=u8::MAX).find(|number| ExitCode::from(*number) == code).unwrap_or(1)
}
