//! Runtimes of one thread.

use std::io;

use tokio::runtime::{Builder, Runtime};

use crate::config::ConfigError;

/// Returns a runtime that the calling thread drives.
pub(crate) fn new() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}

/// Runs the future of a command to its end.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, ConfigError> {
    let runtime =
        new().map_err(|error| ConfigError::new(format!("cannot start the async runtime: {error}")))?;
    Ok(runtime.block_on(future))
}
