//! `private-media relocate`: moves files of a public folder or a bucket into the private root.

#[cfg(feature = "buckets")]
mod buckets;
mod globs;
mod job;
mod places;
mod progress;
mod report;
mod transfer;
mod walk;

use std::io;
use std::num::NonZeroUsize;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use clap::{Arg, ArgAction, ArgMatches, Command};
use tokio::signal::unix::{SignalKind, signal};

use crate::config::{self, ConfigError, Scope, is_bucket};
use crate::log;
use crate::runtime;
use crate::startup::{self, text};
use job::Job;
use places::{Place, open};
use report::Report;
use transfer::Transfer;

pub(crate) fn command() -> Command {
    let from = Arg::new("from").value_name("FROM").required(true).help(
        "Folder or bucket whose files are moved, each to the same path below the root; a bucket is s3://bucket/prefix, gs://… or az://…",
    );
    let to = Arg::new("to")
        .long("to")
        .value_name("ROOT")
        .help("Folder or bucket to move the files to [default: the root]");
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
        .help("How many files are moved at the same time [default: two per core; 16 with a bucket]");
    let report = Arg::new("report")
        .long("report")
        .value_name("FILE")
        .help("Write what happened to each file to this new file, as JSON lines");
    Command::new("relocate")
        .about(
            "Move the files of a public folder or a bucket into the private root; exit code 0 if all were moved, 1 if not. \
             It can be stopped at any time and run again",
        )
        .after_help(
            "The settings storage.* and the credentials of the environment are those of each bucket. To move files between two \
             accounts or servers, move them to a folder first.",
        )
        .args([from, to, globs, keep, dry_run, jobs, report])
        .args(config::args(Scope::Relocation))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let (from, to) = (text(matches, "from"), matches.get_one::<String>("to").map(String::as_str));
    let has_bucket = is_bucket(from) || to.is_some_and(is_bucket);
    let config = if has_bucket { startup::load_with_buckets(matches)? } else { startup::load(matches)? };
    let from = Place::of_argument(&config, "FROM", from)?;
    let to = match to {
        Some(to) => Place::of_argument(&config, "--to", to)?,
        None => Place::root(&config)?,
    };
    places::check(&config, &from, &to)?;
    let globs = globs::parse(matches.get_many::<String>("match").into_iter().flatten())?;
    let jobs = matches.get_one::<NonZeroUsize>("jobs").copied();
    let (keep_source, dry_run) = (matches.get_flag("keep-source"), matches.get_flag("dry-run"));
    let report = Report::create(matches.get_one::<String>("report").map(Path::new), dry_run)?;
    let stop = stop_on_signal();
    let stop = stop.map_err(|error| ConfigError::new(format!("cannot handle signals: {error}")))?;
    match (from, to) {
        (Place::Folder(from), Place::Folder(to)) => {
            let (source, target) = (open(&from)?.durable(false), open(&to)?.durable(false).share_group());
            let transfer = Transfer { from: source, to: target, keep_source, dry_run };
            let job = Job { from: &from, globs: &globs, transfer: &transfer, report: &report };
            job.run(jobs.unwrap_or_else(default_jobs), &stop);
        }
        #[cfg(feature = "buckets")]
        (from, to) => {
            let options = buckets::Options { keep_source, dry_run, jobs };
            runtime::block_on(buckets::run(&from, &to, &options, &globs, &report, &stop))??;
        }
        #[cfg(not(feature = "buckets"))]
        (Place::Bucket(bucket), _) | (_, Place::Bucket(bucket)) => match bucket {},
    }
    Ok(report.conclude())
}

fn default_jobs() -> NonZeroUsize {
    std::thread::available_parallelism().map_or(NonZeroUsize::MIN, |cores| cores.saturating_mul(TWO))
}

const TWO: NonZeroUsize = NonZeroUsize::MIN.saturating_add(1);

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
