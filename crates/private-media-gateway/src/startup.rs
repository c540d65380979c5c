//! What commands do before their own work: load the configuration and start the log.

use clap::{Arg, ArgMatches};

use crate::config::{Config, ConfigError};
use crate::log;

/// Loads the configuration, and prints its warnings to standard error.
pub(crate) fn load(matches: &ArgMatches) -> Result<Config, ConfigError> {
    let config = Config::load(matches)?;
    print_warnings(&config);
    Ok(config)
}

/// Like [`load`], for a command that uses other buckets than the root.
pub(crate) fn load_with_buckets(matches: &ArgMatches) -> Result<Config, ConfigError> {
    let config = Config::load_with_buckets(matches)?;
    print_warnings(&config);
    Ok(config)
}

fn print_warnings(config: &Config) {
    for warning in config.warnings() {
        log::print(format_args!("private-media: warning: {warning}"));
    }
}

/// Starts the log on standard error.
pub(crate) fn start_log(filter: &str, format: log::Format) -> Result<(), ConfigError> {
    log::start(filter, format).map_err(|error| ConfigError::new(error.to_string()))
}

/// Returns a hidden flag that other servers have, whose error names ours.
pub(crate) fn port_arg() -> Arg {
    let parse =
        |port: &str| Err::<String, _>(format!("there is no such flag; use --listen 127.0.0.1:{port}"));
    Arg::new("port").long("port").short('p').value_name("PORT").hide(true).value_parser(parse)
}

/// Returns the flag `--format`.
pub(crate) fn format_arg() -> Arg {
    Arg::new("format")
        .long("format")
        .value_name("FORMAT")
        .value_parser(["text", "json"])
        .default_value("text")
        .help("Format of the output: text or json")
}

/// Returns the value of an argument, empty if it is not given.
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}
