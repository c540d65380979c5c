//! `private-media relocate`: moves files of a public folder into the private root.

mod progress;
mod report;
mod transfer;
mod walk;

use std::io;
use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, PoisonError};

use clap::{Arg, ArgAction, ArgMatches, Command};
use globset::{GlobBuilder, GlobSet, GlobSetBuilder};
use private_media::{LocalStorage, MediaPath};
use tokio::signal::unix::{SignalKind, signal};

use crate::causes::root_cause;
use crate::config::{self, Config, ConfigError, Scope};
use crate::folders::{ancestors, dev_ino};
use crate::log;
use crate::runtime;
use crate::startup::{load, text};
use progress::Progress;
use report::{Outcome, Report};
use transfer::Transfer;
use walk::{Found, Walk};

/// How many files wait for the threads that move them.
const QUEUE: usize = 1024;

pub(crate) fn command() -> Command {
    let from = Arg::new("from")
        .value_name("FROM")
        .required(true)
        .help("Folder whose files are moved, each to the same path below the root");
    let to =
        Arg::new("to").long("to").value_name("DIR").help("Folder to move the files to [default: the root]");
    let globs = Arg::new("match")
        .long("match")
        .value_name("GLOB")
        .action(ArgAction::Append)
        .help("Move only files whose path below FROM matches, e.g. 'cars/**'; may be repeated");
    let keep = Arg::new("keep-source")
        .long("keep-source")
        .action(ArgAction::SetTrue)
        .help("Copy: leave the files in FROM");
    let dry_run = Arg::new("dry-run")
        .long("dry-run")
        .action(ArgAction::SetTrue)
        .help("Change nothing, and print what would be done");
    let jobs = Arg::new("jobs")
        .long("jobs")
        .value_name("COUNT")
        .value_parser(clap::value_parser!(NonZeroUsize))
        .help("Threads that move files [default: two per core]");
    let report = Arg::new("report")
        .long("report")
        .value_name("FILE")
        .help("Write what happened to each file to this new file, as JSON lines");
    Command::new("relocate")
        .about(
            "Move the files of a public folder into the private root; exit code 0 if all were moved, 1 if not. \
             It can be stopped at any time and run again",
        )
        .args([from, to, globs, keep, dry_run, jobs, report])
        .args(config::args(Scope::Relocation))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let config = load(matches)?;
    let from = PathBuf::from(text(matches, "from"));
    let to = matches.get_one::<String>("to").map(PathBuf::from);
    let to = match to {
        Some(to) => to,
        None if config.bucket.is_some() => return Err(config.no_folder()),
        None => {
            config.check_root()?;
            config.root.clone()
        }
    };
    check_folders(&config, &from, &to)?;
    let globs = globs(matches.get_many::<String>("match").into_iter().flatten())?;
    let jobs = matches.get_one::<NonZeroUsize>("jobs").copied().unwrap_or_else(default_jobs);
    let dry_run = matches.get_flag("dry-run");
    let report = Report::create(matches.get_one::<String>("report").map(Path::new), dry_run)?;
    let transfer = Transfer {
        from: open(&from)?.durable(false),
        to: open(&to)?.durable(false).share_group(),
        keep_source: matches.get_flag("keep-source"),
        dry_run,
    };
    let job = Job { from: &from, globs: &globs, transfer: &transfer, report: &report };
    let stop = stop_on_signal();
    let stop = stop.map_err(|error| ConfigError::new(format!("cannot handle signals: {error}")))?;
    Ok(job.run(jobs, &stop).conclude())
}

fn default_jobs() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.saturating_mul(TWO))
}

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

/// Checks that neither folder contains the other, so that no file is moved onto itself or found again.
fn check_folders(config: &Config, from: &Path, to: &Path) -> Result<(), ConfigError> {
    let id = |folder: &Path| match dev_ino(folder) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(ConfigError::new(format!("{}: not a folder", folder.display()))),
        Err(error) => Err(ConfigError::new(format!("{}: {error}", folder.display()))),
    };
    let (from_id, to_id) = (id(from)?, id(to)?);
    let (outer, inner) = if ancestors(to).any(|id| id == from_id) {
        (from, to)
    } else if ancestors(from).any(|id| id == to_id) {
        (to, from)
    } else {
        return Ok(());
    };
    let fix = if to == config.root.as_path() {
        "name a root outside of it with --root"
    } else {
        "name another with --to"
    };
    let (inner, outer) = (inner.display(), outer.display());
    Err(ConfigError::new(format!("{inner} is inside {outer}, so files would be found twice; {fix}")))
}

fn globs<'a>(globs: impl Iterator<Item = &'a String>) -> Result<GlobSet, ConfigError> {
    let mut set = GlobSetBuilder::new();
    for glob in globs {
        let error = |problem: globset::Error| {
            ConfigError::new(format!("invalid value {glob:?} for --match: {}", problem.kind()))
        };
        set.add(GlobBuilder::new(glob).literal_separator(true).build().map_err(error)?);
    }
    set.build().map_err(|error| ConfigError::new(format!("--match: {error}")))
}

fn open(folder: &Path) -> Result<LocalStorage, ConfigError> {
    LocalStorage::open_root(folder).map_err(|error| ConfigError::new(root_cause(&error)))
}

/// A relocation.
struct Job<'a> {
    from: &'a Path,
    globs: &'a GlobSet,
    transfer: &'a Transfer,
    report: &'a Report,
}

impl Job<'_> {
    /// Moves the files on this many threads, until all are done or a signal to stop.
    fn run(&self, jobs: NonZeroUsize, stop: &AtomicBool) -> &Report {
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
        self.report
    }

    fn walk(&self) -> impl Iterator<Item = Result<Found, (String, io::Error)>> {
        let is_wanted = |name: &str| self.globs.is_empty() || self.globs.is_match(name);
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

/// Returns a flag that is set by SIGINT and SIGTERM from now on. A second signal ends the process, which loses nothing.
fn stop_on_signal() -> io::Result<Arc<AtomicBool>> {
    let runtime = runtime::new()?;
    let (mut interrupt, mut terminate) = {
        // The signals are registered here, so none is missed while the thread starts.
        let _context = runtime.enter();
        (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?)
    };
    let stop = Arc::new(AtomicBool::new(false));
    let flag = Arc::clone(&stop);
    let wait = async move {
        for count in 0..2 {
            tokio::select! {
                _ = interrupt.recv() => {}
                _ = terminate.recv() => {}
            }
            if count == 0 {
                flag.store(true, Ordering::Relaxed);
                log::print(format_args!("private-media: stopping after the files that are being moved"));
            }
        }
        std::process::exit(130);
    };
    std::thread::Builder::new().name("signals".into()).spawn(move || runtime.block_on(wait))?;
    Ok(stop)
}
