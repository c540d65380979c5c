//! Runs futures of the library on Python threads.

use std::cell::RefCell;
use std::io;
use std::task::{Context, Poll, Waker};

use pyo3::prelude::*;
use tokio::runtime::{Builder, Runtime};

thread_local! {
    static RUNTIME: RefCell<Option<ThreadRuntime>> = const { RefCell::new(None) };
}

/// The runtime of a thread. It starts another thread only when a future waits for the disk.
struct ThreadRuntime {
    process: u32,
    /// `None` only during drop.
    runtime: Option<Runtime>,
}

impl ThreadRuntime {
    fn new() -> io::Result<Self> {
        let runtime = Builder::new_current_thread().build()?;
        Ok(Self { process: std::process::id(), runtime: Some(runtime) })
    }

    /// Returns false after a fork, which copies the runtime but not its threads.
    fn is_of_this_process(&self) -> bool {
        self.process == std::process::id()
    }
}

impl Drop for ThreadRuntime {
    fn drop(&mut self) {
        match self.runtime.take() {
            Some(runtime) if self.is_of_this_process() => runtime.shutdown_background(),
            // Dropping would wait for threads of another process.
            other => std::mem::forget(other),
        }
    }
}

/// Calls `work` with the runtime of this thread. Returns `None` if the thread already runs a future: the content of a save comes from Python
/// code, which may read another file.
fn with_runtime<T>(work: impl FnOnce(&Runtime) -> T) -> Option<io::Result<T>> {
    RUNTIME.with(|own| {
        let mut own = own.try_borrow_mut().ok()?;
        let usable = own.take().filter(ThreadRuntime::is_of_this_process);
        let runtime = match usable.map_or_else(ThreadRuntime::new, Ok) {
            Ok(runtime) => own.insert(runtime).runtime.as_ref(),
            Err(error) => return Some(Err(error)),
        };
        Some(runtime.map(work).ok_or_else(|| io::Error::other("this thread's runtime was dropped")))
    })
}

/// Runs a future to completion, without the lock of the interpreter.
pub(crate) fn block_on<T: Send>(py: Python<'_>, future: impl Future<Output = T> + Send) -> PyResult<T> {
    let output = py.detach(|| {
        if RUNTIME.with(|own| own.try_borrow_mut().is_ok()) {
            return with_runtime(|runtime| runtime.block_on(future));
        }
        // A runtime cannot block inside another one, so another thread runs the future.
        let nested = || with_runtime(|runtime| runtime.block_on(future));
        std::thread::scope(|scope| scope.spawn(nested).join().ok().flatten())
    });
    Ok(output.unwrap_or_else(|| Err(io::Error::other("a thread that waited for the disk panicked")))?)
}

/// Polls a future once, for an event loop that must not block.
pub(crate) fn poll_once<T>(poll: impl FnOnce(&mut Context<'_>) -> Poll<T>) -> PyResult<Poll<T>> {
    let polled = with_runtime(|runtime| {
        let _entered = runtime.enter();
        poll(&mut Context::from_waker(Waker::noop()))
    });
    Ok(polled.transpose()?.unwrap_or(Poll::Pending))
}
