//! A relocation from or to a bucket: concurrent transfers on one thread.

mod copy;
mod side;

use std::io::ErrorKind;
use std::num::NonZeroUsize;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::future::ready;
use globset::GlobSet;
use private_media::{MediaPath, Storage as _, StorageError};
use private_media_buckets::ObjectStorage;

use super::globs::is_wanted;
use super::places::{Place, open};
use super::progress::Progress;
use super::report::{Outcome, Report};
use crate::bucket::cause;
use crate::config::{BucketConfig, ConfigError};
use crate::log;
use copy::{Transfer, Unmoved};
use side::{Listed, Side};

/// How many files are moved at the same time by default: most of the time of a small file is spent waiting for responses.
const JOBS: usize = 16;
/// How long a request may take until its response begins, with all retries. No client waits, so it is longer than that of the gateway.
const OPEN_TIMEOUT: Duration = Duration::from_secs(30);
/// How often a file is tried: `object_store` repeats single requests, but not all.
const ATTEMPTS: usize = 3;
/// The pause between two of them.
const PAUSE: Duration = Duration::from_millis(500);
/// After this many outages in a row, no further file is tried.
const MAX_OUTAGES: usize = 3;

/// The options of a relocation.
pub(super) struct Options {
    pub(super) keep_source: bool,
    pub(super) dry_run: bool,
    pub(super) jobs: Option<NonZeroUsize>,
}

/// Moves the files, until all are done, a signal to stop, or an outage.
pub(super) async fn run(
    from: &Place,
    to: &Place,
    options: &Options,
    globs: &GlobSet,
    report: &Report,
    stop: &AtomicBool,
) -> Result<(), ConfigError> {
    let transfer = Transfer {
        from: source(from).await?,
        to: target(to, options.dry_run).await?,
        keep_source: options.keep_source,
        dry_run: options.dry_run,
    };
    let job = Job {
        transfer: &transfer,
        globs,
        report,
        progress: Progress::start_bytes(),
        outages: AtomicUsize::new(0),
    };
    job.run(options.jobs.map_or(JOBS, NonZeroUsize::get), stop).await;
    Ok(())
}

async fn source(place: &Place) -> Result<Side, ConfigError> {
    Ok(match place {
        Place::Folder(path) => Side::Folder { path: path.clone(), storage: open(path)?.durable(false) },
        Place::Bucket(bucket) => {
            Side::Bucket { url: bucket.url.to_string(), storage: connect(bucket).await? }
        }
    })
}

async fn target(place: &Place, dry_run: bool) -> Result<Side, ConfigError> {
    Ok(match place {
        // A saved file is durable, so its source can be removed.
        Place::Folder(path) => Side::Folder { path: path.clone(), storage: open(path)?.share_group() },
        Place::Bucket(bucket) => {
            let storage = connect(bucket).await?.sole_writer();
            if !dry_run && bucket.conditional_writes {
                let checked = storage.check_conditional_writes().await;
                checked.map_err(|error| ConfigError::new(format!("{}: {}", bucket.url, cause(&error))))?;
            }
            Side::Bucket { url: bucket.url.to_string(), storage }
        }
    })
}

/// Connects to a bucket, and checks that it can be read.
async fn connect(bucket: &BucketConfig) -> Result<ObjectStorage, ConfigError> {
    let error = |problem: &str, fix: &str| ConfigError::new(format!("{}: {problem}; {fix}", bucket.url));
    let storage = ObjectStorage::from_url(&bucket.url, bucket.options.clone().open_timeout(OPEN_TIMEOUT));
    let storage = storage
        .map_err(|problem| error(&problem.to_string(), "see storage.* in the configuration reference"))?;
    storage.ready().await.map_err(|problem| {
        let fix = match &problem {
            StorageError::Unavailable { .. } => {
                "check storage.endpoint, the network, and the credentials in the environment"
            }
            StorageError::Io { source, .. } if source.kind() == ErrorKind::NotFound => "create it",
            _ => "give these credentials permission to list the bucket, and to read and write its objects",
        };
        error(&cause(&problem), fix)
    })?;
    Ok(storage)
}

/// A relocation from or to a bucket.
struct Job<'a> {
    transfer: &'a Transfer,
    globs: &'a GlobSet,
    report: &'a Report,
    progress: Progress,
    /// The number of outages since the last file that was moved.
    outages: AtomicUsize,
}

impl Job<'_> {
    async fn run(&self, jobs: usize, stop: &AtomicBool) {
        let goes_on = || !stop.load(Ordering::Relaxed) && !self.is_out();
        let transfers = self.transfer.from.list().take_while(|_| ready(goes_on()));
        let transfers = transfers.filter(|listed| ready(self.is_wanted(listed)));
        let transfers = transfers.map(|listed| self.conclude(listed)).buffer_unordered(jobs);
        let moving = transfers.for_each(|()| ready(()));
        let counting = async {
            if self.progress.needs_total() {
                self.count().await;
            }
            std::future::pending::<()>().await;
        };
        tokio::select! {
            () = moving => {}
            () = counting => {}
        }
        self.progress.finish();
        if self.is_out() {
            log::print(format_args!("private-media: the bucket is not available; no further file was tried"));
        }
        if !goes_on() {
            self.report.interrupted();
        }
    }

    fn is_out(&self) -> bool {
        self.outages.load(Ordering::Relaxed) >= MAX_OUTAGES
    }

    fn is_wanted(&self, listed: &Listed) -> bool {
        match listed {
            Listed::File(path, _) => is_wanted(self.globs, path.as_str()),
            Listed::Other(name, _) => is_wanted(self.globs, name),
            Listed::Failed(..) => true,
        }
    }

    /// Counts what is to be moved, for the bar.
    async fn count(&self) {
        let files = self.transfer.from.list().filter_map(|listed| {
            ready(match &listed {
                Listed::File(_, len) if self.is_wanted(&listed) => Some(*len),
                _ => None,
            })
        });
        let sum = |(files, bytes): (u64, u64), len| ready((files + 1, bytes.saturating_add(len)));
        let (files, bytes) = files.fold((0, 0), sum).await;
        self.progress.set_total(files, bytes);
    }

    /// Moves what was listed, and reports what happened.
    async fn conclude(&self, listed: Listed) {
        let (name, moved) = match listed {
            Listed::File(path, len) => {
                let moved = self.transfer(&path, len).await;
                (path.to_string(), moved)
            }
            Listed::Other(name, reason) => (name, Err(Unmoved::new(Outcome::Skipped(reason)))),
            Listed::Failed(name, error) => (name, Err(error.into())),
        };
        let outcome = match moved {
            Err(Unmoved { outcome, is_outage }) => {
                if is_outage {
                    self.outages.fetch_add(1, Ordering::Relaxed);
                }
                outcome
            }
            Ok(outcome) => {
                // Once over, responses that were on their way do not resume the relocation.
                let reset = |outages| (outages < MAX_OUTAGES).then_some(0);
                let _ = self.outages.fetch_update(Ordering::Relaxed, Ordering::Relaxed, reset);
                outcome
            }
        };
        if let Some(message) = self.report.add(&name, &outcome) {
            self.progress.print(&message);
        }
    }

    async fn transfer(&self, path: &MediaPath, len: u64) -> Result<Outcome, Unmoved> {
        let (mut attempt, counted) = (1, AtomicU64::new(0));
        let moved = loop {
            let read = AtomicU64::new(0);
            let advance = |bytes| {
                let now = read.fetch_add(bytes, Ordering::Relaxed).saturating_add(bytes);
                // Bytes that are read again are not progress.
                let before = counted.fetch_max(now, Ordering::Relaxed);
                self.progress.advance(0, now.saturating_sub(before));
            };
            match self.transfer.run(path, len, &advance).await {
                Err(Unmoved { is_outage: true, .. }) if attempt < ATTEMPTS && !self.is_out() => {
                    attempt += 1;
                    tokio::time::sleep(PAUSE).await;
                }
                moved => break moved,
            }
        };
        self.progress.advance(1, len.saturating_sub(counted.into_inner()));
        moved
    }
}
