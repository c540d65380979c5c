//! `private-media config`: prints the configuration, that of a front server, or a systemd unit.

use std::process::ExitCode;

use clap::{Arg, ArgMatches, Command};

use crate::addresses::Endpoint;
use crate::config::{self, Config, ConfigError, Scope};
use crate::front::{FrontConfig, FrontRoot, FrontServer};
use crate::output;
use crate::startup::{load, text};
use crate::upgrade::Program;

/// The name of the command that prints a systemd unit.
const SYSTEMD: &str = "systemd";

pub(crate) fn command() -> Command {
    let show = Command::new("show")
        .about("Print the configuration as TOML, with the origin of each value")
        .args(config::args(Scope::All));
    let systemd = Command::new(SYSTEMD)
        .about("Print a systemd unit that serves this configuration in a sandbox")
        .args(config::args(Scope::All));
    let front = Arg::new("front").long("front").value_name("ADDR").default_value("*:80").help(
        "Address that the front server listens on, as HOST:PORT; HOST is a name, an IP address, or * for any",
    );
    let servers = FrontServer::ALL.iter().map(|server| server.name()).map(|name| {
        Command::new(name)
            .about(format!("Print the configuration of {name} as front server, to be included as it is"))
            .arg(front.clone())
            .args(config::args(Scope::Front))
    });
    Command::new("config")
        .about("Print the configuration, that of a front server, or a systemd unit")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .subcommand(show)
        .subcommand(systemd)
        .subcommands(servers)
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let Some((name, matches)) = matches.subcommand() else { return Ok(ExitCode::SUCCESS) };
    let config = load(matches)?;
    let printed = match FrontServer::from_name(name) {
        None if name == SYSTEMD => unit(&config)?,
        Some(server) => {
            let front = text(matches, "front");
            let block = server.block(&front_config(&config, front, server)?);
            block.map_err(|error| config.front_error(front, &error))?
        }
        None => config.to_toml(),
    };
    output::text(format_args!("{printed}"))?;
    Ok(ExitCode::SUCCESS)
}

/// Returns the unit, with a comment about its use.
fn unit(config: &Config) -> Result<String, ConfigError> {
    let program = Program::current()
        .map_err(|error| ConfigError::new(format!("cannot find the program of this process: {error}")))?;
    let unit = config.systemd_unit(program.path().to_owned())?;
    Ok(format!(
        "# Printed by private-media config systemd, for /etc/systemd/system/private-media.service\n{unit}"
    ))
}

fn front_config(config: &Config, front: &str, server: FrontServer) -> Result<FrontConfig, ConfigError> {
    let gateway = config.endpoint().unwrap_or_else(|| Endpoint::Tcp(([127, 0, 0, 1], 0).into()));
    let root = match &config.bucket {
        None => FrontRoot::Folder(config.absolute_root()?),
        #[cfg(feature = "buckets")]
        Some(bucket) => FrontRoot::Bucket { origin: crate::bucket::presigned_origin(config, bucket)? },
        #[cfg(not(feature = "buckets"))]
        Some(bucket) => match *bucket {},
    };
    let mut front = FrontConfig::new(front, gateway, config.url.as_str(), root);
    front.send_mode = config.send_mode.clone();
    front.keep_alive = config.limits.header_timeout;
    front.printed_by = format!("private-media config {}", server.name());
    Ok(front)
}
