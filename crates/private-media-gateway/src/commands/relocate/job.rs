//! A relocation from a folder to a folder: threads that rename or copy.

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Mutex, PoisonError};

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
        let (send, receive) = mpsc::sync_channel(QUEUE);
        let queue = Mutex::new(receive);
        std::thread::scope(|scope| {
            for _ in 0..jobs.get() {
                scope.spawn(|| self.work(&queue, stop, &progress));
            }
            for found in self.walk() {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                match found {
                    Ok(Found::File(path)) => {
                        // Fails if every thread has stopped.
                        if send.send(path).is_err() {
                            break;
                        }
                    }
                    Ok(Found::Other(name, reason)) => self.note(&progress, &name, &Outcome::Skipped(reason)),
                    Err((name, error)) => self.note(&progress, &name, &Outcome::Failed(error.to_string())),
                }
            }
            drop(send);
        });
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
    fn work(&self, queue: &Mutex<Receiver<MediaPath>>, stop: &AtomicBool, progress: &Progress) {
        let mut batch = self.transfer.batch();
        let next = || {
            let queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
            queue.recv().ok().filter(|_| !stop.load(Ordering::Relaxed))
        };
        while let Some(path) = next() {
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
