//! Standard output.

use std::fmt;
use std::io::{self, ErrorKind, Write};

use crate::addresses::Endpoint;
use crate::config::ConfigError;

/// Prints the address of the server as the first line. Errors are ignored, because the server runs without standard output, too.
pub(crate) fn listening(endpoint: &Endpoint) {
    let mut stdout = io::stdout().lock();
    let _ = writeln!(stdout, "listening on {endpoint}").and_then(|()| stdout.flush());
}

/// Prints a line to standard output. A broken pipe, as with `head`, is ignored; a full disk is an error.
pub(crate) fn line(line: fmt::Arguments) -> Result<(), ConfigError> {
    text(format_args!("{line}\n"))
}

/// Prints text to standard output, with the errors of [`line`].
pub(crate) fn text(text: fmt::Arguments) -> Result<(), ConfigError> {
    let mut stdout = io::stdout().lock();
    match stdout.write_fmt(text).and_then(|()| stdout.flush()) {
        Err(error) if error.kind() != ErrorKind::BrokenPipe => {
            Err(ConfigError::new(format!("cannot write to standard output: {error}")))
        }
        _ => Ok(()),
    }
}
