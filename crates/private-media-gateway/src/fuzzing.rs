//! Private parts of the gateway that the fuzz targets in `fuzz/` call. They exist only with `--cfg fuzzing`.

use std::sync::LazyLock;

use clap::Command;

use crate::config::{self, Config};

/// Returns the TOML key and the flag of each setting.
pub fn keys() -> impl Iterator<Item = (&'static str, &'static str)> {
    config::KEYS.iter().map(|key| (key.name, key.flag))
}

/// A configuration that was accepted.
#[derive(Debug)]
pub struct Accepted {
    /// What `config show` prints.
    pub toml: String,
    /// All values, without their origins.
    pub meaning: String,
}

/// Loads the configuration of a command line, such as `["--config", "x.toml", "--url", "/files/"]`. `None` if the command
/// line is malformed, or if loading would need a DNS query.
#[must_use]
pub fn load_config(arguments: &[String]) -> Option<Result<Accepted, String>> {
    // Built once, because building it takes longer than everything else.
    static COMMAND: LazyLock<Command> =
        LazyLock::new(|| Command::new("show").args(config::args(config::Scope::All)));
    let name = "show".to_owned();
    let matches = COMMAND.clone().try_get_matches_from(std::iter::once(&name).chain(arguments)).ok()?;
    let config = Config::load_offline(&matches)?;
    let accepted = |config: Config| Accepted { toml: config.to_toml(), meaning: config.meaning() };
    Some(config.map(accepted).map_err(|error| error.to_string()))
}
