//! A bounded queue of lines, between the threads that log and the thread that writes.

use std::io;
use std::mem;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

/// Appends the line that reports dropped lines: how many, and why.
pub(super) type Report = fn(&mut Vec<u8>, dropped: u64, reason: &str);

/// Lines to be written, up to a number of bytes. Lines that do not fit are dropped and counted.
#[derive(Debug)]
pub(crate) struct Queue {
    capacity: usize,
    report: Report,
    state: Mutex<State>,
    /// Wakes the writer.
    work: Condvar,
    /// Wakes callers of [`Queue::flush`].
    progress: Condvar,
    /// All lines that were dropped, also those that were not reported yet.
    dropped: AtomicU64,
}

#[derive(Debug, Default)]
struct State {
    lines: Vec<u8>,
    dropped: u64,
    /// The last write error since the last report of dropped lines.
    error: Option<String>,
    /// The number of failed writes.
    failures: u64,
    /// Whether the writer waits in [`Queue::take`].
    is_parked: bool,
    /// Whether the writer is writing a batch.
    is_writing: bool,
    is_flushing: bool,
}

/// Lines that did not fit into the queue.
#[derive(Debug, Default)]
pub(crate) struct Dropped {
    pub(crate) count: u64,
    /// The last write error since the last report.
    pub(crate) error: Option<String>,
}

impl Queue {
    /// Creates a queue whose writer reports dropped lines itself.
    pub(crate) fn unreported(capacity: usize) -> Self {
        Self::new(capacity, |_, _, _| ())
    }

    pub(super) fn new(capacity: usize, report: Report) -> Self {
        let (state, work, progress) = (Mutex::default(), Condvar::new(), Condvar::new());
        Self { capacity, report, state, work, progress, dropped: AtomicU64::new(0) }
    }

    /// Adds a line, or counts it as dropped. Never waits for the writer.
    pub(crate) fn push(&self, line: &[u8]) {
        self.push_joined(&[], line);
    }

    /// Like [`Queue::push`], for a line in two parts.
    pub(crate) fn push_joined(&self, begin: &[u8], line: &[u8]) {
        let mut state = self.lock();
        if state.lines.len() + begin.len() + line.len() > self.capacity {
            state.dropped += 1;
            self.dropped.fetch_add(1, Ordering::Relaxed);
        } else {
            state.lines.extend_from_slice(begin);
            state.lines.extend_from_slice(line);
        }
        let is_parked = mem::take(&mut state.is_parked);
        drop(state);
        if is_parked {
            self.work.notify_one();
        }
    }

    /// Returns the number of bytes that wait to be written.
    pub(crate) fn len(&self) -> usize {
        self.lock().lines.len()
    }

    /// Returns the number of dropped lines since the start.
    pub(crate) fn dropped(&self) -> u64 {
        self.dropped.load(Ordering::Relaxed)
    }

    /// Waits for lines and swaps them for the empty `batch`. A report of dropped lines follows the other lines.
    pub(super) fn take(&self, batch: &mut Vec<u8>) {
        let Dropped { count, error } = self.take_within(batch, None);
        if count > 0 {
            (self.report)(batch, count, error.as_deref().unwrap_or("the log's reader is too slow"));
        }
    }

    /// Waits for lines, up to `timeout` or until [`Queue::wake`], and swaps them for the empty `batch`.
    pub(crate) fn take_within(&self, batch: &mut Vec<u8>, timeout: Option<Duration>) -> Dropped {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        state.is_writing = false;
        self.progress.notify_all();
        while state.is_idle() && !state.is_flushing {
            state.is_parked = true;
            state = match deadline.map(|deadline| deadline.saturating_duration_since(Instant::now())) {
                None => self.work.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(Duration::ZERO) => break,
                Some(rest) => self.work.wait_timeout(state, rest).unwrap_or_else(PoisonError::into_inner).0,
            };
        }
        state.is_parked = false;
        if state.is_idle() {
            state.is_flushing = false;
        }
        state.is_writing = true;
        mem::swap(&mut state.lines, batch);
        Dropped { count: mem::take(&mut state.dropped), error: state.error.take() }
    }

    /// Lets the writer return from [`Queue::take_within`], or end its pause after a failed write.
    pub(crate) fn wake(&self) {
        self.lock().is_flushing = true;
        self.work.notify_one();
    }

    /// Records a failed write and waits before the next attempt; a flush ends the wait.
    pub(crate) fn retry_later(&self, error: &io::Error, pause: Duration) {
        let mut state = self.lock();
        state.error = Some(error.to_string());
        state.failures += 1;
        self.progress.notify_all();
        let waited = self.work.wait_timeout_while(state, pause, |state| !mem::take(&mut state.is_flushing));
        drop(waited);
    }

    /// Waits until all lines are written, a write fails, or `timeout` has passed.
    pub(super) fn flush(&self, timeout: Duration) {
        let mut state = self.lock();
        let failures = state.failures;
        state.is_flushing = true;
        self.work.notify_one();
        let is_waiting =
            |state: &mut State| (state.is_writing || !state.is_idle()) && state.failures == failures;
        let waited = self.progress.wait_timeout_while(state, timeout, is_waiting);
        waited.unwrap_or_else(PoisonError::into_inner).0.is_flushing = false;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn is_idle(&self) -> bool {
        self.lines.is_empty() && self.dropped == 0
    }
}
