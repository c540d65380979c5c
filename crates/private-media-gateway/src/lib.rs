//! What the program `private-media` is made of: [`main`] is all of it; [`Gateway`] is what it serves with, and [`front`] what
//! it prints for front servers, for whoever serves private media out of another program, as the Python package does.

#![forbid(unsafe_code)]

mod body;
mod cli;
mod commands;
mod config;
mod error;
pub mod front;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod health;
mod identity;
mod limits;
mod listener;
mod log;
mod open;
mod output;
mod request_id;
mod root_watch;
mod runtime;
mod signals;
mod site;
mod state;
mod supervise;
mod workers;

use std::process::ExitCode;

use clap::ArgMatches;
use private_media::identity::accounts::NewAccount;

use crate::commands::account::{self, Wait};
use crate::commands::{check, demo, doctor, serve};
use crate::config::{Config, ConfigError};

pub use error::GatewayError;
pub use gateway::Gateway;
pub use limits::Limits;
pub use listener::TooFewOpenFiles;
pub use signals::Shutdown;

/// The program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let matches = cli::command().get_matches();
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            log::print(format_args!("private-media: {error}"));
            ExitCode::from(2)
        }
    }
}

fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("serve", matches)) => {
            let config = Config::load(matches)?;
            start_log(&config.log)?;
            return serve::run(&config);
        }
        Some(("demo", matches)) => {
            start_log("warn")?;
            return demo::run(text(matches, "listen"));
        }
        Some(("check", matches)) => {
            return check::run(&Config::load(matches)?, text(matches, "user"), text(matches, "path"));
        }
        Some(("doctor", matches)) => {
            start_log("error")?;
            let url = matches.get_one::<String>(config::PUBLIC_URL).map(String::as_str);
            let code = doctor::run(&Config::load(matches)?, url, matches.get_flag("json"));
            log::flush(log::FLUSH_TIMEOUT);
            return code;
        }
        Some(("account", matches)) => return account(matches),
        Some(("config", matches)) => output::text(format_args!("{}", shown(matches)?))?,
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
}

fn start_log(filter: &str) -> Result<(), ConfigError> {
    log::to_stderr(filter).map_err(|error| ConfigError::new(cannot_log(&error)))
}

fn cannot_log(error: &std::io::Error) -> String {
    format!("cannot start the thread that writes the log: {error}")
}

fn shown(matches: &ArgMatches) -> Result<String, ConfigError> {
    let Some((what, matches)) = matches.subcommand() else { return Ok(String::new()) };
    let config = Config::load(matches)?;
    match front::KINDS.iter().find(|(name, _)| *name == what) {
        Some((name, kind)) => {
            let front = text(matches, "front");
            front::block(&site_of(&config, front, name)?, *kind)
                .map_err(|error| config.front_error(front, &error))
        }
        None => Ok(config.to_toml()),
    }
}

/// What a front server has to know of the gateway that this configuration is for.
fn site_of(config: &Config, front: &str, name: &str) -> Result<front::Site, ConfigError> {
    Ok(front::Site {
        front: front.to_owned(),
        url: config.url.clone(),
        root: config.absolute_root()?,
        server: config.server.clone(),
        gateway: config.listen.first().copied().unwrap_or_else(|| ([127, 0, 0, 1], 0).into()),
        keep_alive: config.limits.header_timeout,
        application: None,
        public: None,
        printed_by: format!("private-media config {name}"),
    })
}

fn account(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("add", matches)) => {
            let name = text(matches, "name");
            let new = NewAccount {
                name: name.to_owned(),
                id: matches.get_one::<String>("id").map_or(name, String::as_str).to_owned(),
                password: String::new(),
                staff: matches.get_flag("staff"),
                groups: matches.get_many::<String>("group").into_iter().flatten().cloned().collect(),
            };
            let (config, wait) = (Config::load(matches)?, Wait::of(matches)?);
            account::add(&config, &new, matches.get_flag("password-stdin"), wait)
        }
        Some(("passwd", matches)) => {
            let (config, wait) = (Config::load(matches)?, Wait::of(matches)?);
            account::passwd(&config, text(matches, "name"), matches.get_flag("password-stdin"), wait)
        }
        Some(("remove", matches)) => {
            let (config, wait) = (Config::load(matches)?, Wait::of(matches)?);
            account::remove(&config, text(matches, "name"), wait)
        }
        Some(("list", matches)) => account::list(&Config::load(matches)?).map(|()| ExitCode::SUCCESS),
        _ => Ok(ExitCode::SUCCESS),
    }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

/// Writes the log to standard error, for people where that is a terminal, else in JSON for machines: `error`, `warn`, `info`, `debug`,
/// `trace`, or what [`EnvFilter`](tracing_subscriber::EnvFilter) takes. At `info` it has a line for each request. An error says what is wrong with the filter.
pub fn log(filter: &str) -> Result<(), String> {
    log::to_stderr(&config::log_filter(filter)?).map_err(|error| cannot_log(&error))
}
