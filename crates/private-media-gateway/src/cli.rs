//! The command line.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::commands::{account, check, config, demo, doctor, serve};
use crate::config::ConfigError;
use crate::log;

/// Runs the program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    match run(&command().get_matches()) {
        Ok(code) => code,
        Err(error) => {
            log::print(format_args!("private-media: {error}"));
            ExitCode::from(2)
        }
    }
}

fn command() -> Command {
    Command::new("private-media")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Private user uploads for any web application: authenticates, authorizes and serves each file")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(serve::command())
        .subcommand(demo::command())
        .subcommand(check::command())
        .subcommand(doctor::command())
        .subcommand(account::command())
        .subcommand(config::command())
}

fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("serve", matches)) => serve::run(matches),
        Some(("demo", matches)) => demo::run(matches),
        Some(("check", matches)) => check::run(matches),
        Some(("doctor", matches)) => doctor::run(matches),
        Some(("account", matches)) => account::run(matches),
        Some(("config", matches)) => config::run(matches),
        _ => Ok(ExitCode::SUCCESS),
    }
}
