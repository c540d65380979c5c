//! Compares private-media with other servers: the same files and the same clients, in turn, on one machine.
//!
//! `cargo xtask bench` builds and runs it; `--help` lists the options.

mod floods;
mod growth;
mod http;
mod load;
mod peers;
mod plot;
mod relocate;
mod report;
mod result;
mod running_peer;
mod stalled;
mod testbed;
mod tls;
mod tree;
mod usage;
mod work;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use growth::Growth;
use peers::Peer;
use relocate::Relocation;
use report::{Report, Run};
use result::Result;
use running_peer::RunningPeer;
use testbed::Testbed;
use work::{RequestKind, Work};

const HELP: &str = "\
Usage: cargo xtask bench [OPTIONS]
       cargo xtask bench --growth [OPTIONS]
       cargo xtask bench --floods [OPTIONS]
       cargo xtask bench --buckets [OPTIONS]
       cargo xtask bench --relocate [OPTIONS]

Measures each kind of work on each peer in turn. The server has one core and the client another.

  --only 'PEER;…'   measures these peers only
  --work 'WORK;…'   measures these kinds of work only
  --pairs N         how often each peer is measured [default: 5]
  --seconds S       how long each measurement takes [default: 3]
  --both-cores      server and client share both cores
  --old PATH        adds the peers named `old`, which run this program, and compares both programs; if flags were renamed, PATH can be
                    a script that translates them
  --write NAME      writes bench/results/NAME.{md,json,svg}

With --growth it measures the gateway alone, with growing numbers of files, sessions, grants and connections, and while a client reads a
cold file.

  --files N         [default: 1000000]
  --sessions N      [default: 100000]
  --connections N   [default: 10000]
  --cold GIB        the size of the cold file [default: 10]

With --floods it measures what floods of HTTP/2 frames cost the gateway, and what they cost the client that sends them. --seconds is the
time of each flood.

With --buckets it measures files in a bucket, whose store is an nginx on the client's core, and the memory of clients that stall.

With --relocate it moves trees of files with `relocate`, rsync and rclone: between folders, and to a bucket in Garage. --pairs is the number
of rounds. It needs twice the space of the large files, on the disk and in /dev/shm.

  --small N         the number of files of 10 KiB [default: 10000]
  --large MIB       the length of each of three large files [default: 1024]";

fn main() -> ExitCode {
    match Options::parse(std::env::args().skip(1)).and_then(|options| run(&options)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}

struct Options {
    pairs: usize,
    seconds: u64,
    only: Vec<String>,
    work: Vec<String>,
    both_cores: bool,
    old: Option<PathBuf>,
    write: Option<String>,
    growth: Option<Growth>,
    subject: Subject,
    relocation: Option<Relocation>,
    help: bool,
}

/// What is measured, unless it is growth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Subject {
    Peers,
    Buckets,
    Floods,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            pairs: 5,
            seconds: 3,
            only: vec![],
            work: vec![],
            both_cores: false,
            old: None,
            write: None,
            growth: None,
            subject: Subject::Peers,
            relocation: None,
            help: false,
        };
        let mut growth =
            Growth { seconds: 3, files: 1_000_000, sessions: 100_000, connections: 10_000, cold_gib: 10 };
        let (mut is_growth, mut is_relocation) = (false, false);
        let mut relocation = Relocation { rounds: 0, small: 10_000, large_mib: 1024 };
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n\n{HELP}"));
            let list = |value: String| value.split(';').map(str::to_owned).collect();
            match argument.as_str() {
                "--pairs" => options.pairs = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--only" => options.only = list(value()?),
                "--work" => options.work = list(value()?),
                "--both-cores" => options.both_cores = true,
                "--old" => options.old = Some(std::path::absolute(value()?)?),
                "--write" => options.write = Some(value()?),
                "--growth" => is_growth = true,
                "--floods" => options.subject = Subject::Floods,
                "--buckets" => options.subject = Subject::Buckets,
                "--relocate" => is_relocation = true,
                "--small" => relocation.small = value()?.parse()?,
                "--large" => relocation.large_mib = value()?.parse()?,
                "--files" => growth.files = value()?.parse()?,
                "--sessions" => growth.sessions = value()?.parse()?,
                "--connections" => growth.connections = value()?.parse()?,
                "--cold" => growth.cold_gib = value()?.parse()?,
                "--help" => options.help = true,
                _ => return Err(format!("unknown option {argument:?}\n\n{HELP}").into()),
            }
        }
        growth.seconds = options.seconds;
        options.growth = is_growth.then_some(growth);
        relocation.rounds = options.pairs;
        options.relocation = is_relocation.then_some(relocation);
        Ok(options)
    }
}

/// Starts every peer, and measures each kind of work on each peer in turn.
fn run(options: &Options) -> Result<()> {
    if options.help {
        println!("{HELP}");
        return Ok(());
    }
    if let Some(relocation) = &options.relocation {
        return print(&relocate::run(relocation)?, options);
    }
    let bed = Testbed::new(options.both_cores, options.old.clone())?;
    tree::make(&bed.root())?;
    match &options.growth {
        _ if options.subject == Subject::Floods => {
            return print(&floods::run(options.seconds, &bed)?, options);
        }
        Some(growth) => return print(&growth::run(growth, &bed)?, options),
        None => {}
    }
    let is_buckets = options.subject == Subject::Buckets;
    let all = if is_buckets { &peers::OF_BUCKETS[..] } else { &peers::PEERS };
    let mut peers: Vec<&Peer> = chosen(all, &options.only, |peer| peer.name)?;
    peers.retain(|peer| options.old.is_some() || !peers::is_old(peer));
    let mut works: Vec<&Work> = chosen(&work::WORKS, &options.work, |work| work.name)?;
    works.retain(|work| !is_buckets || work::OF_BUCKETS.contains(&work.name));
    if works.iter().any(|work| work.kind == RequestKind::InTurn) {
        tree::make_many(&bed.root(), 0..tree::MANY)?;
    }
    let mut report = Report::new(options.both_cores);
    let mut running = Vec::new();
    for peer in peers {
        eprintln!("starting {}", peer.name);
        let started = (peer.start)(&bed).map_err(|error| format!("{}: {error}", peer.name))?;
        report.idle(peer.name, started.usage()?.memory);
        running.push((peer, started));
    }
    let mut failed: Vec<(&str, &str, String)> = Vec::new();
    for work in works {
        for pair in 0..options.pairs {
            for (peer, running) in &running {
                if failed.iter().any(|(failed, at, _)| (*failed, *at) == (peer.name, work.name)) {
                    continue;
                }
                let measured = measured(work, running, &bed, options.seconds);
                if let Err(error) = &measured {
                    eprintln!("{} {}: {error}", work.name, peer.name);
                    report.remove(work.name, peer.name);
                    failed.push((peer.name, work.name, error.to_string()));
                }
                if let Ok(Some(run)) = measured {
                    eprintln!(
                        "{} {}/{} {}: {:.0}/s",
                        work.name,
                        pair + 1,
                        options.pairs,
                        peer.name,
                        run.rate
                    );
                    report.add(work.name, peer.name, run);
                }
            }
        }
        // The results so far, in case the rest fails.
        if let Some(name) = &options.write {
            write(&report, "", name)?;
        }
    }
    let mut more = String::new();
    if is_buckets {
        more = stalled::table(running.iter().map(|(peer, running)| (peer.name, running)))?;
        if let Some(name) = &options.write {
            write(&report, &more, name)?;
        }
    }
    println!("{}{more}", report.to_markdown());
    if failed.is_empty() {
        Ok(())
    } else {
        Err(format!("these failed and were not measured: {failed:?}").into())
    }
}

/// Prints a table, and writes it to the file that the options name.
fn print(table: &str, options: &Options) -> Result<()> {
    println!("{table}");
    if let Some(name) = &options.write {
        std::fs::write(PathBuf::from("bench/results").join(format!("{name}.md")), table)?;
    }
    Ok(())
}

/// Writes the results, with more text after the table.
fn write(report: &Report, more: &str, name: &str) -> Result<()> {
    let folder = PathBuf::from("bench/results");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.md")), report.to_markdown() + more)?;
    std::fs::write(folder.join(format!("{name}.json")), report.to_json())?;
    std::fs::write(folder.join(format!("{name}.svg")), plot::svg(report))?;
    Ok(())
}

fn measured(work: &Work, running: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Option<Run>> {
    if !running.can(work) {
        return Ok(None);
    }
    load::check(work, running)?;
    let before = running.usage()?;
    let (done, memory) = std::thread::scope(|scope| {
        let load = scope.spawn(|| load::run(work, running, bed, seconds).map_err(|error| error.to_string()));
        // The largest memory during the load.
        let mut memory = 0;
        while !load.is_finished() {
            memory = memory.max(running.usage().map_or(0, |usage| usage.memory));
            std::thread::sleep(Duration::from_millis(250));
        }
        (load.join(), memory)
    });
    let done = done.map_err(|_| "a client panicked")??;
    let after = running.usage()?;
    Ok(Some(Run::new(&done, after.cpu.saturating_sub(before.cpu), memory)))
}

fn chosen<'a, T>(all: &'a [T], names: &[String], name: impl Fn(&T) -> &'static str) -> Result<Vec<&'a T>> {
    if let Some(unknown) = names.iter().find(|wanted| !all.iter().any(|one| name(one) == **wanted)) {
        let known: Vec<_> = all.iter().map(&name).collect();
        return Err(format!("unknown {unknown:?}; expected some of {}", known.join("; ")).into());
    }
    Ok(all.iter().filter(|one| names.is_empty() || names.iter().any(|wanted| name(one) == *wanted)).collect())
}
