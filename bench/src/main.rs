//! Private media beside its peers: the same files and the same clients, in turn, on one machine.
//!
//! `cargo xtask bench` builds and calls it; `--help` says what can be chosen.

mod growth;
mod load;
mod peers;
mod plot;
mod report;
mod tree;
mod usage;

use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use growth::Growth;
use load::Work;
use peers::{Peer, RunningPeer, Testbed};
use report::{Report, Run};

type Result<T> = std::result::Result<T, Box<dyn std::error::Error>>;

const HELP: &str = "\
usage: cargo xtask bench [--pairs N] [--seconds S] [--only 'PEER;…'] [--work 'WORK;…'] [--both-cores] [--write NAME]
       cargo xtask bench --growth [--files N] [--sessions N] [--connections N] [--cold GIB] [--seconds S] [--write NAME]

Each piece of work is put to each peer in turn, N times (5), for S seconds (3) each. The server has one core and the client the
other; with --both-cores both have both. The table is printed; --write also writes bench/results/NAME.{md,json,svg}.

With --growth it is the gateway alone, with ever more beside it: 1,000,000 files, 100,000 sessions, 1,000 grants, 10,000 idle
connections, and a client that reads a cold file of 10 GiB; the options change the numbers. Its table goes to bench/results/NAME.md.";

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
    write: Option<String>,
    growth: Option<Growth>,
}

impl Options {
    fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Self> {
        let mut options = Self {
            pairs: 5,
            seconds: 3,
            only: vec![],
            work: vec![],
            both_cores: false,
            write: None,
            growth: None,
        };
        let mut growth =
            Growth { seconds: 3, files: 1_000_000, sessions: 100_000, connections: 10_000, cold_gib: 10 };
        let mut is_growth = false;
        while let Some(argument) = arguments.next() {
            let mut value = || arguments.next().ok_or_else(|| format!("{argument} needs a value\n{HELP}"));
            let list = |value: String| value.split(';').map(str::to_owned).collect();
            match argument.as_str() {
                "--pairs" => options.pairs = value()?.parse()?,
                "--seconds" => options.seconds = value()?.parse()?,
                "--only" => options.only = list(value()?),
                "--work" => options.work = list(value()?),
                "--both-cores" => options.both_cores = true,
                "--write" => options.write = Some(value()?),
                "--growth" => is_growth = true,
                "--files" => growth.files = value()?.parse()?,
                "--sessions" => growth.sessions = value()?.parse()?,
                "--connections" => growth.connections = value()?.parse()?,
                "--cold" => growth.cold_gib = value()?.parse()?,
                _ => return Err(format!("{argument:?} is no option\n{HELP}").into()),
            }
        }
        growth.seconds = options.seconds;
        options.growth = is_growth.then_some(growth);
        Ok(options)
    }
}

/// Starts every peer, and puts each piece of work to each in turn.
fn run(options: &Options) -> Result<()> {
    let place = Testbed::new(options.both_cores)?;
    tree::make(&bed.root())?;
    if let Some(growth) = &options.growth {
        let table = growth::run(growth, &bed)?;
        println!("{table}");
        if let Some(name) = &options.write {
            std::fs::write(PathBuf::from("bench/results").join(format!("{name}.md")), table)?;
        }
        return Ok(());
    }
    let peers: Vec<&Peer> = chosen(&peers::PEERS, &options.only, |peer| peer.name)?;
    let works: Vec<&Work> = chosen(&load::WORKS, &options.work, |work| work.name)?;
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
        // What there is, should the rest fail.
        if let Some(name) = &options.write {
            write(&report, name)?;
        }
    }
    println!("{}", report.to_markdown());
    if failed.is_empty() { Ok(()) } else { Err(format!("not measured, as they failed: {failed:?}").into()) }
}

fn write(report: &Report, name: &str) -> Result<()> {
    let folder = PathBuf::from("bench/results");
    std::fs::create_dir_all(&folder)?;
    std::fs::write(folder.join(format!("{name}.md")), report.to_markdown())?;
    std::fs::write(folder.join(format!("{name}.json")), report.to_json())?;
    std::fs::write(folder.join(format!("{name}.svg")), plot::svg(report))?;
    Ok(())
}

fn measured(work: &Work, running: &RunningPeer, bed: &Testbed, seconds: u64) -> Result<Option<Run>> {
    if !running.can(work) {
        return Ok(None);
    }
    work.check(running)?;
    let before = running.usage()?;
    let (done, memory) = std::thread::scope(|scope| {
        let load = scope.spawn(|| work.load(running, bed, seconds).map_err(|error| error.to_string()));
        // As large as it is while it works.
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
        return Err(format!("there is no {unknown:?}; there are {}", known.join(", ")).into());
    }
    Ok(all.iter().filter(|one| names.is_empty() || names.iter().any(|wanted| name(one) == *wanted)).collect())
}
