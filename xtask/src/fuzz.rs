//! Builds the fuzz targets in `fuzz/` and runs them from the corpus in `fuzz/corpus/`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Mutex;

use crate::machine::{self, Program, cargo_command, cargo_tool, step};
use crate::outcome::Outcome;

pub(crate) const USAGE: &str = "cargo xtask fuzz [--seconds N] [--keep] [TARGET…]
  --seconds N  how long each target runs [default: 30]
  --keep       add the inputs that reach new code to the corpus in fuzz/corpus/, minimized
  TARGET       names as `cargo fuzz list` prints them [default: all]";

pub(crate) const PROGRAMS: [Program; 3] = [("c++", "g++"), ("gzip", "gzip"), ("tar", "tar")];
/// The folder of everything that a run writes.
const FOLDER: &str = "target/fuzz";
/// The number of targets that run at the same time.
const PARALLEL: usize = 2;
/// The longest input, in bytes.
const MAX_LEN: &str = "-max_len=4096";

struct Options {
    seconds: u32,
    keep: bool,
    targets: Vec<String>,
}

/// Runs the targets that the arguments name.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let options = parse(arguments)?;
    build()?;
    let known = list()?;
    if let Some(unknown) = options.targets.iter().find(|target| !known.contains(target)) {
        return Err(format!("unknown fuzz target {unknown:?}; expected one of {}", known.join(", ")));
    }
    let targets = if options.targets.is_empty() { known } else { options.targets };
    let programs = programs()?;
    fuzz_all(&targets, &programs, options.seconds)?;
    if options.keep {
        targets.iter().try_for_each(|target| keep(target, &programs))?;
    }
    Ok(())
}

/// Runs all targets for a short time, as a test.
pub(crate) fn test(_: &mut Outcome) -> Result<(), String> {
    run(["--seconds", "10"].map(str::to_owned).into_iter())
}

fn parse(mut arguments: impl Iterator<Item = String>) -> Result<Options, String> {
    let mut options = Options { seconds: 30, keep: false, targets: Vec::new() };
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--seconds" => {
                let seconds = arguments.next().and_then(|value| value.parse().ok());
                options.seconds = seconds.filter(|seconds| *seconds > 0).ok_or(USAGE)?;
            }
            "--keep" => options.keep = true,
            flag if flag.starts_with('-') => return Err(USAGE.into()),
            _ => options.targets.push(argument),
        }
    }
    Ok(options)
}

/// Builds all targets. `RUSTC_BOOTSTRAP` allows a stable compiler the coverage instrumentation, which is unstable. Sanitizers would need
/// a nightly standard library, and find little in safe code.
fn build() -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    cargo_tool("cargo-fuzz")?;
    let mut build = cargo_command();
    build.args(["fuzz", "build", "--sanitizer", "none", "--target-dir", FOLDER]);
    step(build.env("RUSTC_BOOTSTRAP", "1"))
}

fn list() -> Result<Vec<String>, String> {
    let output = cargo_command().args(["fuzz", "list"]).output();
    let output = output.map_err(|error| format!("cargo fuzz list: {error}"))?;
    Ok(String::from_utf8_lossy(&output.stdout).lines().map(str::to_owned).collect())
}

/// Returns the folder of the built targets. cargo-fuzz always builds for a named platform.
fn programs() -> Result<PathBuf, String> {
    let output = Command::new("rustc").args(["--print", "host-tuple"]).output();
    let output = output.map_err(|error| format!("rustc: {error}"))?;
    let host = String::from_utf8_lossy(&output.stdout).trim().to_owned();
    Ok(Path::new(FOLDER).join(host).join("release"))
}

fn fuzz_all(targets: &[String], programs: &Path, seconds: u32) -> Result<(), String> {
    let queue = Mutex::new(targets.iter());
    let next = || queue.lock().ok().and_then(|mut queue| queue.next());
    let problems = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..PARALLEL {
            scope.spawn(|| {
                while let Some(target) = next() {
                    if let Err(problem) = fuzz(target, programs, seconds)
                        && let Ok(mut problems) = problems.lock()
                    {
                        problems.push(problem);
                    }
                }
            });
        }
    });
    let problems = problems.into_inner().unwrap_or_default();
    if problems.is_empty() { Ok(()) } else { Err(problems.join("\n")) }
}

/// Runs one target from a copy of its corpus.
fn fuzz(target: &str, programs: &Path, seconds: u32) -> Result<(), String> {
    let corpus = unpack(target)?;
    let log = format!("{FOLDER}/{target}.log");
    let artifacts = format!("{FOLDER}/artifacts/{target}/");
    make_folder(&artifacts)?;
    let output = File::create(&log).map_err(|error| format!("{log}: {error}"))?;
    let error_output = output.try_clone().map_err(|error| format!("{log}: {error}"))?;
    let mut run = Command::new("nice");
    run.args(["-n", "10"]).arg(programs.join(target)).arg(&corpus);
    run.arg(format!("-max_total_time={seconds}")).arg(format!("-artifact_prefix={artifacts}"));
    run.args([MAX_LEN, "-len_control=10", "-timeout=10", "-rss_limit_mb=1024", "-print_final_stats=1"]);
    let dictionary = format!("fuzz/dictionaries/{target}.dict");
    if Path::new(&dictionary).exists() {
        run.arg(format!("-dict={dictionary}"));
    }
    let status = run.stdout(output).stderr(error_output).status();
    let status = status.map_err(|error| format!("{target}: {error}"))?;
    let text = fs::read(&log).map_err(|error| format!("{log}: {error}"))?;
    let text = String::from_utf8_lossy(&text);
    if status.success() {
        println!("fuzz {target}: {}", summary(&text));
        return Ok(());
    }
    let lines: Vec<_> = text.lines().collect();
    println!("{}", lines.get(lines.len().saturating_sub(40)..).unwrap_or_default().join("\n"));
    let input = text.rsplit_once("Test unit written to ").and_then(|(_, rest)| rest.lines().next());
    Err(match input {
        Some(input) => format!(
            "fuzz target {target} failed; reproduce it with:\n  RUSTC_BOOTSTRAP=1 cargo fuzz run --sanitizer none --target-dir {FOLDER} {target} {input}"
        ),
        None => format!("fuzz target {target} failed ({status}); see {log}"),
    })
}

/// Returns the number of runs and the coverage from a log of libFuzzer.
fn summary(log: &str) -> String {
    let runs = log.lines().find_map(|line| line.strip_prefix("stat::number_of_executed_units: "));
    let coverage =
        log.lines().rev().find_map(|line| Some(line.split_once("cov: ")?.1.split(" lim:").next()?.trim()));
    format!("{} runs, cov: {}", runs.unwrap_or("no").trim(), coverage.unwrap_or("unknown"))
}

/// Unpacks the corpus of a target into the folder to which the run adds inputs.
fn unpack(target: &str) -> Result<PathBuf, String> {
    let folder = Path::new(FOLDER).join("corpus").join(target);
    empty_folder(&folder)?;
    let archive = archive(target);
    if Path::new(&archive).exists() {
        step(Command::new("tar").args(["-xzf", &archive, "-C"]).arg(&folder))?;
    }
    Ok(folder)
}

/// Replaces the committed corpus by the smallest set of inputs with the coverage of the last run.
fn keep(target: &str, programs: &Path) -> Result<(), String> {
    let minimized = Path::new(FOLDER).join("minimized").join(target);
    empty_folder(&minimized)?;
    let all = Path::new(FOLDER).join("corpus").join(target);
    let merge = ["-set_cover_merge=1", "-max_len=1024", "-timeout=10", "-rss_limit_mb=1024"];
    step(Command::new(programs.join(target)).args(merge).arg(&minimized).arg(all))?;
    make_folder("fuzz/corpus")?;
    // Equal inputs make equal archives.
    let reproducible =
        ["--sort=name", "--mtime=@0", "--owner=0", "--group=0", "--numeric-owner", "--mode=u=rwX,go=rX"];
    step(
        Command::new("tar")
            .args(reproducible)
            .args(["-czf", &archive(target), "-C"])
            .arg(&minimized)
            .arg("."),
    )
}

fn archive(target: &str) -> String {
    format!("fuzz/corpus/{target}.tar.gz")
}

fn empty_folder(folder: &Path) -> Result<(), String> {
    if folder.exists() {
        fs::remove_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))?;
    }
    make_folder(folder)
}

fn make_folder(folder: impl AsRef<Path>) -> Result<(), String> {
    let folder = folder.as_ref();
    fs::create_dir_all(folder).map_err(|error| format!("{}: {error}", folder.display()))
}
