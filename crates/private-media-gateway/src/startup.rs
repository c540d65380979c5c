//! What commands do before their own work: load the configuration and start the log.

use clap::ArgMatches;

use crate::config::{Config, ConfigError};
use crate::log;

/// Loads the configuration, and prints its warnings to standard error.
pub(crate) fn load(matches: &ArgMatches) -> Result<Config, ConfigError> {
    let config = Config::load(matches)?;
    for warning in config.warnings() {
        log::print(format_args!("private-media: warning: {warning}"));
    }
    Ok(config)
}

/// Starts the log on standard error.
pub(crate) fn start_log(filter: &str, format: log::Format) -> Result<(), ConfigError> {
    log::start(filter, format).map_err(|error| ConfigError::new(error.to_string()))
}

/// Returns the value of an argument, empty if it is not given.
pub(crate) fn text<'a>(matches: &'a ArgMatches, name: &str) -> &'a str {
    matches.get_one::<String>(name).map_or("", String::as_str)
}
