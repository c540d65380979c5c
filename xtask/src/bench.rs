//! `cargo xtask bench`: installs the servers that the gateway is compared with, builds everything and runs `bench/`.

use std::process::Command;

use crate::machine::{self, Program, cargo, step};
use crate::outcome::Outcome;
use crate::{django, garage};

/// The programs that the benchmark starts.
pub(crate) const PROGRAMS: [Program; 9] = [
    ("/usr/lib/apache2/modules/mod_xsendfile.so", "libapache2-mod-xsendfile"),
    django::POSTGRES,
    ("caddy", "caddy"),
    ("getconf", "libc-bin"),
    ("nginx", "nginx"),
    ("python3", "python3"),
    ("setsid", "util-linux"),
    ("taskset", "util-linux"),
    ("wrk", "wrk"),
];

/// The programs that move files, and python3, which starts Garage.
const MOVERS: [Program; 3] = [("python3", "python3"), ("rclone", "rclone"), ("rsync", "rsync")];
const PACKAGES: [&str; 6] =
    ["build", "--release", "--package", "private-media-gateway", "--package", "private-media-bench"];

/// Runs the benchmark with these arguments.
pub(crate) fn run(arguments: impl Iterator<Item = String>) -> Result<(), String> {
    let arguments: Vec<_> = arguments.collect();
    if arguments.iter().any(|argument| argument == "--relocate") {
        machine::install(&MOVERS)?;
        garage::install()?;
    } else {
        install_servers()?;
    }
    cargo(&PACKAGES)?;
    step(Command::new("target/release/private-media-bench").args(arguments))
}

/// Installs the servers that the gateway is compared with.
fn install_servers() -> Result<(), String> {
    machine::install(&PROGRAMS)?;
    let python = machine::venv("target/bench-venv", "bench/django/requirements.txt")?;
    // Installs the package like a user.
    step(Command::new(python).args([
        "-m",
        "pip",
        "install",
        "--quiet",
        "--force-reinstall",
        "--no-deps",
        ".",
    ]))
}

/// Tests the benchmark itself: a short run of a debug build, without the peers that need Python.
pub(crate) fn test(_: &mut Outcome) -> Result<(), String> {
    cargo(&["build", "--package", "private-media-gateway", "--package", "private-media-bench"])?;
    let only = "nginx, public;private-media, gateway;private-media, nginx sends;the floor";
    let bench = ["run", "--package", "private-media-bench", "--", "--seconds", "1"];
    let peers = ["--pairs", "1", "--only", only, "--work", "1 KiB;304;HEAD;denied"];
    cargo(&[&bench[..], &peers].concat())?;
    let growth = ["--growth", "--files", "100", "--sessions", "10", "--connections", "100", "--cold", "0"];
    cargo(&[&bench[..], &growth].concat())?;
    let buckets = ["--buckets", "--seconds", "1", "--pairs", "1", "--work", "1 KiB"];
    cargo(&[&bench[..], &buckets].concat())?;
    cargo(&[&bench[..], &["--floods"]].concat())
}
