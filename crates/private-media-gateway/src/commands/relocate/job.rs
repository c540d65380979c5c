//! A relocation from a folder to a folder: threads that rename or copy.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use globset::GlobSet;
use private_media::MediaPath;

use super::globs::is_wanted;
use super::progress::Progress;
use super::report::{Outcome, Report};
use super::transfer::Transfer;
use super::walk::{Found, QUEUE, Walk};

/// A relocation from a folder to a folder.
pub(super) struct Job<'a> {
    pub(super) from: &'a Path,
    pub(super) globs: &'a GlobSet,
    pub(super) transfer: &'a Transfer,
    pub(super) report: &'a Report,
}

impl Job<'_> {
    /// Moves the files on this many threads, until all are done or a signal to stop.
    pub(super) fn run(&self, jobs: NonZeroUsize, stop: &AtomicBool) {
        let progress =
            Progress::start(|| self.walk().filter(|found| matches!(found, Ok(Found::File(_)))).count());
        let files =
            self.walk().take_while(|_| !stop.load(Ordering::Relaxed)).filter_map(|found| match found {
                Ok(Found::File(path)) => Some(path),
                Ok(Found::Other(name, reason)) => {
                    self.note(&progress, &name, &Outcome::Skipped(reason));
                    None
                }
                Err((name, error)) => {
                    self.note(&progress, &name, &Outcome::Failed(error.to_string()));
                    None
                }
            });
        distribute(files, jobs, |queue| self.work(queue, stop, &progress));
        progress.finish();
        if stop.load(Ordering::Relaxed) {
            self.report.interrupted();
        }
    }

    fn walk(&self) -> impl Iterator<Item = Result<Found, (String, io::Error)>> {
        let is_wanted = |name: &str| is_wanted(self.globs, name);
        Walk::new(self.from).filter(move |found| match found {
            Ok(Found::File(path)) => is_wanted(path.as_str()),
            Ok(Found::Other(name, _)) => is_wanted(name),
            Err(_) => true,
        })
    }

    /// Moves files of the queue until it is closed or a signal to stop.
    fn work(&self, queue: &Queue<MediaPath>, stop: &AtomicBool, progress: &Progress) {
        let mut batch = self.transfer.batch();
        while let Some(path) = queue.next().filter(|_| !stop.load(Ordering::Relaxed)) {
            for (path, outcome) in batch.transfer(path) {
                progress.add(&outcome);
                self.note(progress, path.as_str(), &outcome);
            }
        }
        for (path, outcome) in batch.finish() {
            progress.add(&outcome);
            self.note(progress, path.as_str(), &outcome);
        }
    }

    fn note(&self, progress: &Progress, path: &str, outcome: &Outcome) {
        if let Some(message) = self.report.add(path, outcome) {
            progress.print(&message);
        }
    }
}

/// The items that the threads of [`distribute`] take.
struct Queue<T>(Mutex<Receiver<T>>);

impl<T> Queue<T> {
    /// Waits for an item. Returns none after the last one.
    fn next(&self) -> Option<T> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).recv().ok()
    }
}

/// Hands items to this many threads, until there are no more items or every thread has ended.
fn distribute<T: Send>(
    items: impl Iterator<Item = T>,
    threads: NonZeroUsize,
    work: impl Fn(&Queue<T>) + Sync,
) {
    let (send, receive) = mpsc::sync_channel(QUEUE);
    // The receiver is dropped with the last thread, so that the sender does not wait for a thread that has ended.
    let queue = Arc::new(Queue(Mutex::new(receive)));
    std::thread::scope(|scope| {
        for _ in 0..threads.get() {
            let (queue, work) = (Arc::clone(&queue), &work);
            scope.spawn(move || work(&queue));
        }
        drop(queue);
        for item in items {
            if send.send(item).is_err() {
                break;
            }
        }
        drop(send);
    });
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicUsize;

    use super::*;

    const THREADS: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

    #[test]
    fn every_item_is_handed_to_one_thread() {
        let (sum, count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        distribute(0..10 * QUEUE, THREADS, |queue| {
            while let Some(item) = queue.next() {
                sum.fetch_add(item, Ordering::Relaxed);
                count.fetch_add(1, Ordering::Relaxed);
            }
        });
        assert_eq!((count.into_inner(), sum.into_inner()), (10 * QUEUE, (0..10 * QUEUE).sum()));
    }

    /// A thread ends at a signal while the queue is full, and the walk waits for room in it.
    #[test]
    fn threads_that_end_early_end_the_distribution() {
        let taken = AtomicUsize::new(0);
        distribute(0.., THREADS, |queue| {
            queue.next();
            taken.fetch_add(1, Ordering::Relaxed);
        });
        assert_eq!(taken.into_inner(), THREADS.get());
    }
}
