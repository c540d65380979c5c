//! What the program `private-media` is made of: [`main`] is all of it; [`Gateway`] is what it serves with, and [`front`] what
//! it prints for front servers, for whoever serves private media out of another program, as the Python package does.

mod account;
mod body;
mod check;
mod cli;
mod config;
mod demo;
mod doctor;
pub mod front;
mod gateway;
mod health;
mod listener;
mod log;
mod readers;
mod request_id;
mod root_watch;
mod serve;
mod site;
mod supervise;

use std::process::ExitCode;

use clap::ArgMatches;
use private_media::identity::accounts::NewAccount;

use crate::config::{Config, ConfigError};

pub use gateway::{Gateway, GatewayError, Limits};

/// The program, from its arguments to its exit code.
#[must_use]
pub fn main() -> ExitCode {
    let matches = cli::command().get_matches();
    match run(&matches) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("private-media: {error}");
            ExitCode::from(2)
        }
    }
}

fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    match matches.subcommand() {
        Some(("serve", matches)) => {
            let config = Config::load(matches)?;
            log::to_stderr(&config.log);
            return serve::run(&config);
        }
        Some(("demo", matches)) => {
            log::to_stderr("warn");
            return demo::run(text(matches, "listen"));
        }
        Some(("check", matches)) => {
            return check::run(&Config::load(matches)?, text(matches, "user"), text(matches, "path"));
        }
        Some(("doctor", matches)) => {
            log::to_stderr("error");
            let url = matches.get_one::<String>(config::PUBLIC_URL).map(String::as_str);
            return doctor::run(&Config::load(matches)?, url, matches.get_flag("json"));
        }
        Some(("account", matches)) => account(matches)?,
        Some(("config", matches)) => print!("{}", shown(matches)?),
        _ => {}
    }
    Ok(ExitCode::SUCCESS)
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
        keep_alive: config.limits.head,
        application: None,
        public: None,
        printed_by: format!("private-media config {name}"),
    })
}

fn account(matches: &ArgMatches) -> Result<(), ConfigError> {
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
            account::add(&Config::load(matches)?, new, matches.get_flag("password-stdin"))
        }
        Some(("remove", matches)) => account::remove(&Config::load(matches)?, text(matches, "name")),
        Some(("list", matches)) => account::list(&Config::load(matches)?),
        _ => Ok(()),
    }
}

fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}

/// Writes the log to standard error, for people where that is a terminal, else in JSON for machines: `error`, `warn`, `info`, `debug`,
/// `trace`, or what [`EnvFilter`](tracing_subscriber::EnvFilter) takes. At `info` it has a line for each request. An error says what is wrong with the filter.
pub fn log(filter: &str) -> Result<(), String> {
    log::to_stderr(&config::log_filter(filter)?);
    Ok(())
}
