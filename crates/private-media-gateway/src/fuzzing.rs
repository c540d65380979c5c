//! Private parts of the gateway that the fuzz targets in `fuzz/` call. They exist only with `--cfg fuzzing`.

use std::sync::LazyLock;

use clap::Command;
use private_media::Identify;

use crate::config::{self, Config};
use crate::identity::IdentityBackend;

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
    let accepted = |config: Config| Accepted { toml: config.to_toml(), meaning: config.meaning() };
    Some(load(arguments)?.map(accepted))
}

/// Opens the identity sources of a command line, such as `["--identity", "{source=\"jwt\", …}"]`.
pub async fn open_identity(arguments: &[String]) -> Result<Box<dyn Identify>, String> {
    let config = load(arguments).ok_or("a malformed command line")??;
    let backend = IdentityBackend::open(&config).await.map_err(|error| error.to_string())?;
    Ok(backend.to_identify())
}

fn load(arguments: &[String]) -> Option<Result<Config, String>> {
    // Built once, because building it takes longer than everything else.
    static COMMAND: LazyLock<Command> =
        LazyLock::new(|| Command::new("show").args(config::args(config::Scope::All)));
    let name = "show".to_owned();
    let matches = COMMAND.clone().try_get_matches_from(std::iter::once(&name).chain(arguments)).ok()?;
    Some(Config::load_offline(&matches)?.map_err(|error| error.to_string()))
}
