//! Waiting for the library's futures in Python's threads.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Option<OwnRuntime>> = const { RefCell::new(None) };
}

/// A thread's own runtime: it costs next to nothing until something has to wait for the disk, and then a thread.
struct OwnRuntime {
    process: u32,
    // `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl OwnRuntime {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self { process: std::process::id(), runtime: Some(runtime) })
    }

    /// A server may have forked since: the runtime was copied, and its threads were not.
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for OwnRuntime {
    fn drop(&mut self) {
        match self.runtime.take() {
            Some(runtime) if self.is_of_this_process() => runtime.shutdown_background(),
            // It would wait for threads that are in another process.
            other => std::mem::forget(other),
        }
    }
}

/// `None` if this thread is inside already: content that is being saved is given by Python code, which may read another file.
fn with_runtime<T>(work: impl FnOnce(&Runtime) -> T) -> Option<io::Result<T>> {
    RUNTIME.with(|own| {
        let mut own = own.try_borrow_mut().ok()?;
        let kept = own.take().filter(OwnRuntime::is_of_this_process);
        let kept = match kept.map_or_else(OwnRuntime::new, Ok) {
            Ok(kept) => own.insert(kept),
            Err(error) => return Some(Err(error)),
        };
        let runtime = kept.runtime.as_ref();
        Some(runtime.map(work).ok_or_else(|| io::Error::other("the runtime of this thread is gone")))
    })
}

/// Waits for a future without holding up Python's other threads.
pub(crate) fn wait<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let waited = py.detach(|| {
        if RUNTIME.with(|own| own.try_borrow_mut().is_ok()) {
            return with_runtime(|runtime| runtime.block_on(future));
        }
        // A runtime inside a runtime is not to be had, but one in a thread beside it is.
        let beside = || with_runtime(|runtime| runtime.block_on(future));
        std::thread::scope(|scope| scope.spawn(beside).join().ok().flatten())
    });
    Ok(waited.unwrap_or_else(|| Err(io::Error::other("a thread that waited for the disk is gone")))?)
}

/// Asks once, for an event loop that must not wait.
pub(crate) fn ask<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> PyResult<Poll<T>> {
    let polled = with_runtime(|runtime| {
        let _entered = runtime.enter();
        poll(&mut Context::from_waker(Waker::noop()))
    });
    Ok(polled.transpose()?.unwrap_or(Poll::Pending))
}
