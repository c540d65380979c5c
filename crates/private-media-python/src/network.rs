//! The runtime of buckets: one thread of the process drives all connections.

use std::future::pending;
use std::io;
use std::sync::{Mutex, PoisonError};

use pyo3::exceptions::PyOSError;
use pyo3::prelude::*;
use tokio::runtime::{Builder, Handle};

static NETWORK: Mutex<Option<Network>> = Mutex::new(None);

/// The runtime of a process.
#[derive(Clone)]
pub(crate) struct Network {
    process: u32,
    handle: Handle,
}

impl Network {
    /// Returns the runtime of this process, which the first call starts. A forked process starts its own: a fork copies no threads.
    ///
    /// Python forks with the lock of the interpreter, and only its holder locks the mutex. So no fork copies a locked mutex.
    pub(crate) fn of_this_process(_: Python<'_>) -> io::Result<Self> {
        let mut network = NETWORK.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(network) = network.as_ref().filter(|network| network.is_of_this_process()) {
            return Ok(network.clone());
        }
        let started = Self::start()?;
        // Dropping a copied runtime could wait for threads of another process.
        std::mem::forget(network.replace(started.clone()));
        Ok(started)
    }

    fn start() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().enable_all().build()?;
        let handle = runtime.handle().clone();
        std::thread::Builder::new()
            .name("buckets".into())
            .spawn(move || runtime.block_on(pending::<()>()))?;
        Ok(Self { process: std::process::id(), handle })
    }

    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }

    /// Returns the runtime. Raises `OSError` after a fork: the connections belong to the other process.
    pub(crate) fn handle(&self) -> PyResult<&Handle> {
        if self.is_of_this_process() {
            return Ok(&self.handle);
        }
        Err(PyOSError::new_err("the file was opened before a fork; open it in the forked process"))
    }

    /// Runs a future to completion, without the lock of the interpreter.
    pub(crate) fn block_on<T: Send>(
        &self,
        py: Python<'_>,
        future: impl Future<Output = T> + Send,
    ) -> PyResult<T> {
        let handle = self.handle()?;
        Ok(py.detach(|| handle.block_on(future)))
    }
}
