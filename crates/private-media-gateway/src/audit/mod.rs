//! The audit: who read what, when, by which grant and from where, in files whose records form a chain of hashes.
//!
//! A request never waits for the audit. Its record goes into a bounded queue, and a thread folds ranges into views (`fold.rs`), seals the
//! records (`group.rs`) and appends them (`file.rs`). `verify.rs` and `show.rs` read the files.

mod checker;
mod counters;
mod entry;
mod event;
mod fault;
mod file;
mod fold;
mod group;
mod head;
mod line;
mod observer;
mod options;
mod record;
mod scan;
mod seal;
mod segments;
mod shared;
mod show;
mod verify;
mod writer;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub(crate) use checker::Keys;
pub(crate) use fault::FaultKind;
pub(crate) use options::{AuditOptions, Overflow, Problem};
pub(crate) use show::{Filter, Format, show};
pub(crate) use verify::{Verification, verify};

use crate::health::Health;
use crate::log::Queue;
use crate::metrics::{AuditCounts, AuditSource};
use counters::Counters;
use file::{AuditFile, Rotation};
use seal::Seal;
use shared::Shared;
use writer::Writer;

/// The capacity of the queue, in bytes: the records of about half a second at 40,000 requests a second.
const CAPACITY: usize = 8 << 20;

/// The audit of a running gateway. Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Audit(Arc<Shared>);

impl Audit {
    /// Opens the audit file and starts the thread that writes it.
    pub(crate) fn start(options: &AuditOptions, health: &Health) -> Result<Self, Problem> {
        let path = options.path.clone();
        let seal = seal(options)?;
        let rotation = Rotation { size: options.rotate_size, age: options.rotate_age, keep: options.keep };
        let counters = Arc::new(Counters::default());
        let counted = Arc::clone(&counters);
        let reopen = move || AuditFile::open(&path, rotation, seal.clone(), Arc::clone(&counted));
        let problem = |error| Problem::new(&options.path, &error);
        options::check_folder(&options.path).map_err(problem)?;
        let file = reopen().map_err(problem)?;
        // With `deny`, requests are refused before the queue is full, and what they cause has room.
        let capacity = if options.overflow == Overflow::Deny { usize::MAX } else { CAPACITY };
        let shared = Arc::new(Shared {
            queue: Queue::unreported(capacity),
            overflow: options.overflow,
            is_failing: AtomicBool::new(false),
            refused: AtomicU64::new(0),
            reported_refused: AtomicU64::new(0),
            counters,
            is_stopping: AtomicBool::new(false),
            is_finished: Mutex::new(false),
            finished: Condvar::new(),
        });
        let writer = Writer {
            shared: Arc::clone(&shared),
            options: options.clone(),
            health: health.clone(),
            file,
            reopen: Box::new(reopen),
        };
        writer.spawn().map_err(|error| Problem {
            is_key: false,
            what: format!("cannot start the thread that writes it: {error}"),
            fix: "raise the limit of threads (ulimit -u)".to_owned(),
        })?;
        Ok(Self(shared))
    }

    /// Returns whether a request may be served: it can be recorded, or need not be.
    pub(crate) fn admits(&self) -> bool {
        let Shared { queue, overflow, is_failing, refused, .. } = &*self.0;
        if *overflow == Overflow::Drop {
            return true;
        }
        let admits = !is_failing.load(Ordering::Relaxed) && queue.len() < CAPACITY;
        if !admits {
            refused.fetch_add(1, Ordering::Relaxed);
        }
        admits
    }

    /// Writes what is left, and ends the thread. Returns after `timeout` at the latest.
    pub(crate) fn stop(&self, timeout: Duration) {
        self.0.is_stopping.store(true, Ordering::Release);
        self.0.queue.wake();
        let is_finished = self.0.is_finished.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.0.finished.wait_timeout_while(is_finished, timeout, |is_finished| !*is_finished);
        if !*waited.unwrap_or_else(PoisonError::into_inner).0 {
            tracing::error!("the last audit records were not written in time");
        }
    }
}

impl AuditSource for Audit {
    fn counts(&self) -> AuditCounts {
        self.0.counts()
    }
}

/// Returns the seal of the configured key.
fn seal(options: &AuditOptions) -> Result<Seal, Problem> {
    options.key_file.as_deref().map_or(Ok(Seal::default()), read_key)
}

/// Reads a key.
pub(crate) fn read_key(path: &Path) -> Result<Seal, Problem> {
    Seal::from_file(path).map_err(|error| {
        let (problem, fix) = error.split_once("; ").unwrap_or((&error, "name another file"));
        Problem { is_key: true, what: problem.to_owned(), fix: fix.to_owned() }
    })
}
