//! Development tasks: `cargo xtask` lists them.

mod advisories;
mod axum_page;
mod bench;
mod blocks;
mod book;
mod browser;
mod changelog;
mod circles;
mod container;
mod dashboard;
mod dist;
mod django;
mod docs;
mod features;
mod frameworks;
mod fuzz;
mod garage;
mod install;
mod links;
mod machine;
mod needs;
mod outcome;
mod package;
mod pages;
mod parts;
mod python;
mod root;
mod soak;
mod suite;
mod tested_pages;
mod wheel;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: cargo xtask COMMAND

  test        installs what the tests need, and runs them or parts of them; see --help
  advisories  checks the dependencies for known vulnerabilities
  boot        boots a Debian with the package, where systemd runs the gateway
  bench       compares the gateway with other servers; see --help
  dashboard   draws the dashboard with real data, for the documentation
  dist        writes the files of a release, with their checksums, to target/dist
  blocks      checks the code blocks of the documentation with target/release/private-media
  book        builds the documentation as a book
  circles     finds circles between the modules of a crate
  fuzz        runs the fuzz targets
  soak        runs the gateway under load and faults for many minutes
  wheel       builds and tests the Python wheel of a release";

fn main() -> ExitCode {
    let mut arguments = std::env::args().skip(1);
    let done = match arguments.next().as_deref() {
        Some("test") => suite::run(arguments),
        Some("advisories") => advisories::check(),
        Some("boot") => install::boot_package(),
        Some("bench") => bench::run(arguments),
        Some("dashboard") => dashboard::run(),
        Some("dist") => dist::run(),
        Some("blocks") => blocks::check(),
        Some("book") => book::build(),
        Some("circles") => circles::check(),
        Some("fuzz") => fuzz::run(arguments),
        Some("soak") => soak::run(arguments),
        Some("wheel") => wheel::release(),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
