//! `cargo xtask test` installs what the tests need and runs all of them; `cargo xtask python` only those of the Python package;
//! `cargo xtask advisories` looks for vulnerable dependencies; `cargo xtask fuzz` runs the fuzz targets; `cargo xtask soak` runs the
//! gateway under load and faults for many minutes; `cargo xtask bench` compares the gateway with other servers;
//! `cargo xtask circles` prints the circles between modules; `cargo xtask package` tests the published crates from their packages.

mod advisories;
mod bench;
mod circles;
mod django;
mod fuzz;
mod links;
mod machine;
mod package;
mod pages;
mod python;
mod soak;
mod tests;

use std::process::ExitCode;

fn main() -> ExitCode {
    let done = match std::env::args().nth(1).as_deref() {
        Some("test") => tests::run(),
        Some("python") => {
            machine::install(&tests::FRONTS).and_then(|()| python::build()).and_then(|()| python::test())
        }
        Some("advisories") => advisories::check().map(drop),
        Some("circles") => circles::check(),
        Some("package") => package::test(),
        Some("fuzz") => fuzz::run(std::env::args().skip(2)),
        Some("bench") => bench::run(std::env::args().skip(2)),
        Some("soak") => soak::run(std::env::args().skip(2)),
        _ => {
            Err("usage: cargo xtask test | python | advisories | circles | package | fuzz | bench | soak"
                .into())
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(problem) => {
            eprintln!("xtask: {problem}");
            ExitCode::FAILURE
        }
    }
}
