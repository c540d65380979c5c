//! The thread that writes the audit.

use std::io;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::entry::entries;
use super::event;
use super::file::AuditFile;
use super::fold::Views;
use super::options::{AuditOptions, Problem};
use super::shared::Shared;
use crate::health::Health;

/// The pause between two batches, so that a busy gateway writes many records with one call. A crash loses at most this much. The batches of
/// a longer pause take the caches of a core from the threads that serve: with 10 ms, a record costs half as much again.
const BATCH_INTERVAL: Duration = Duration::from_millis(2);
/// The pause after a failed write.
const RETRY_INTERVAL: Duration = Duration::from_millis(500);
/// The largest capacity of a buffer that is reused for the next batch, in bytes.
const REUSED_CAPACITY: usize = 1 << 20;

/// What the thread works with.
pub(super) struct Writer {
    pub(super) shared: Arc<Shared>,
    pub(super) options: AuditOptions,
    pub(super) health: Health,
    pub(super) file: AuditFile,
    /// Opens the file again.
    pub(super) reopen: Box<dyn Fn() -> io::Result<AuditFile> + Send>,
}

/// Records that are not written yet.
struct Unwritten {
    views: Views,
    /// Taken from the queue.
    batch: Vec<u8>,
    /// Folded, and ready to be appended.
    records: Vec<u8>,
    last_sync: Instant,
}

impl Writer {
    /// Starts the thread. It ends after [`Shared::stop`].
    pub(super) fn spawn(mut self) -> io::Result<()> {
        let run = move || {
            let mut unwritten = Unwritten {
                views: Views::new(self.options.fold),
                batch: Vec::new(),
                records: Vec::new(),
                last_sync: Instant::now(),
            };
            self.file.add_event(event::started());
            while std::panic::catch_unwind(AssertUnwindSafe(|| self.run(&mut unwritten))).is_err() {
                self.recover(&mut unwritten);
            }
            self.shared.finish();
        };
        std::thread::Builder::new().name("audit".into()).spawn(run).map(drop)
    }

    /// Writes until the audit stops.
    fn run(&mut self, unwritten: &mut Unwritten) {
        loop {
            let timeout = self.timeout(unwritten);
            let dropped = self.shared.queue.take_within(&mut unwritten.batch, timeout);
            let is_stopping = self.shared.is_stopping();
            unwritten.fold();
            if dropped.count > 0 {
                let reason = dropped.error.as_deref().unwrap_or("the disk is too slow");
                tracing::error!(records = dropped.count, reason, "audit records were dropped");
                self.file.add_event(event::dropped(dropped.count, reason));
            }
            let refused = self.shared.take_refused();
            if refused > 0 {
                self.file.add_event(event::refused(refused));
            }
            let is_last = is_stopping && self.shared.queue.len() == 0;
            if is_last {
                unwritten.views.end_all(&mut unwritten.records);
                self.file.add_event(event::stopped());
            }
            if unwritten.records.is_empty() && !self.file.has_events() && !is_last {
                self.sync(unwritten, false);
                continue;
            }
            self.write(unwritten);
            self.sync(unwritten, is_last);
            if is_last {
                return;
            }
            std::thread::sleep(BATCH_INTERVAL);
        }
    }

    /// Returns how long the thread may wait for records.
    fn timeout(&self, unwritten: &Unwritten) -> Option<Duration> {
        let sync = self.file.is_dirty().then(|| unwritten.last_sync + self.options.sync);
        let next = [sync, unwritten.views.next_end()].into_iter().flatten().min();
        next.map(|next| next.saturating_duration_since(Instant::now()))
    }

    /// Appends the records. After an error it tries again, until the audit stops.
    fn write(&mut self, unwritten: &mut Unwritten) {
        while let Err(error) = self.file.append(&unwritten.records) {
            self.fail(&error);
            if self.shared.is_stopping() {
                let records = entries(&unwritten.records).count();
                tracing::error!(path = %self.options.path.display(), records, "audit records are lost");
                break;
            }
            self.shared.queue.retry_later(&error, RETRY_INTERVAL);
        }
        unwritten.records.clear();
        unwritten.records.shrink_to(REUSED_CAPACITY);
        // Recovery shows at once, not at the next sync. A failed sync is tried again.
        if self.shared.is_failing() && self.file.is_dirty() {
            self.sync_now(unwritten);
        }
    }

    /// Syncs the file if it is time to.
    fn sync(&mut self, unwritten: &mut Unwritten, is_last: bool) {
        let is_due = is_last || unwritten.last_sync.elapsed() >= self.options.sync;
        if !self.file.is_dirty() || !is_due {
            return;
        }
        self.sync_now(unwritten);
    }

    fn sync_now(&mut self, unwritten: &mut Unwritten) {
        unwritten.last_sync = Instant::now();
        match self.file.sync() {
            Ok(()) => self.succeed(),
            Err(error) => {
                self.fail(&error);
                self.shared.queue.retry_later(&error, RETRY_INTERVAL);
            }
        }
    }

    fn fail(&self, error: &io::Error) {
        self.shared.counters.failed();
        self.shared.set_failing(true);
        let problem = Problem::new(&self.options.path, error);
        self.health.set("audit", Err(&format_args!("{}: {problem}", self.options.path.display())));
    }

    fn succeed(&self) {
        if self.shared.is_failing() {
            self.shared.set_failing(false);
            self.health.set("audit", Ok(()));
        }
    }

    /// Opens the file again after a panic. The records that may have caused it are lost.
    fn recover(&mut self, unwritten: &mut Unwritten) {
        let lost = entries(&unwritten.records).chain(entries(&unwritten.batch)).count();
        unwritten.records.clear();
        unwritten.batch.clear();
        loop {
            std::thread::sleep(RETRY_INTERVAL);
            match (self.reopen)() {
                Ok(file) => self.file = file,
                Err(error) => {
                    self.fail(&error);
                    continue;
                }
            }
            let lost = u64::try_from(lost).unwrap_or(u64::MAX);
            self.shared.counters.lost(lost);
            return self.file.add_event(event::dropped(lost, "the thread of the audit has panicked"));
        }
    }
}

impl Unwritten {
    /// Moves the batch to the records, or to the views.
    fn fold(&mut self) {
        let now = Instant::now();
        if self.records.is_empty() && entries(&self.batch).all(|entry| entry.key_length == 0) {
            std::mem::swap(&mut self.batch, &mut self.records);
        }
        for entry in entries(&self.batch) {
            self.views.add(&entry, now, &mut self.records);
        }
        self.batch.clear();
        self.batch.shrink_to(REUSED_CAPACITY);
        self.views.end_windows(now, &mut self.records);
    }
}
