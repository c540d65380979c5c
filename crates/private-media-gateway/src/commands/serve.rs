//! `private-media serve`: serves the private files until a signal to stop.

use std::io::ErrorKind;
use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::addresses::ListenAddr;
use crate::config::{self, Config, ConfigError, Scope};
use crate::error::GatewayError;
use crate::identity;
use crate::lookups;
use crate::output;
use crate::reload;
use crate::signals::Signals;
use crate::startup::start_log;
use crate::workers;

pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Serve the private files to users with permission")
        .args(config::args(Scope::All))
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let config = Config::load(matches)?;
    start_log(&config.log)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    serve(&config, matches)
}

fn serve(config: &Config, matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let open = async |signals: &Signals| reload::serve(config.clone(), matches, signals).await;
    let options = workers::Options {
        listen: &config.listen,
        workers: config.workers,
        limits: config.limits,
        max_connections_is_set: config.max_connections_is_set,
        site_files: identity::open_files(config) + lookups::FILES * config.lookups.len() as u64,
    };
    match workers::serve(&options, open, output::listening) {
        Ok(shutdown) => Ok(shutdown.into()),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Bind(error)) => Err(bind_error(config, &error)),
        Err(GatewayError::OpenFiles(error)) => {
            Err(ConfigError::new(format!("limits.max_connections: {error}")))
        }
        Err(GatewayError::Start(error)) => {
            Err(ConfigError::new(format!("cannot start {} workers: {error}", config.workers)))
        }
        // The worker has logged the cause.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
        Err(error) => Err(ConfigError::new(error.to_string())),
    }
}

fn bind_error(config: &Config, error: &std::io::Error) -> ConfigError {
    let is_unix = matches!(config.listen, ListenAddr::Unix(_));
    let fix = if is_unix { "use another path" } else { "use another address, or port 0 for a free one" };
    match error.kind() {
        ErrorKind::AddrInUse => config.listen_error("address already in use by another program", fix),
        ErrorKind::AlreadyExists => config.listen_error(&error.to_string(), "remove it, or use another path"),
        ErrorKind::InvalidFilename if is_unix => {
            config.listen_error("the path of a socket is limited to 107 bytes", "use a shorter path")
        }
        ErrorKind::NotFound if is_unix => config.listen_error("no such folder", "create it"),
        _ if is_unix => config.listen_error(
            &format!("cannot listen at this path: {error}"),
            "use a folder that this user can write to",
        ),
        _ => config.listen_error(&format!("cannot listen on this address: {error}"), fix),
    }
}
