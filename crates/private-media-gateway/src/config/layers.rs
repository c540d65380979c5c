//! Merges the sources of settings: flags, then environment variables, then the TOML file, then defaults. Each value has its origin.

use std::path::{Path, PathBuf};

use clap::ArgMatches;
use clap::parser::ValueSource;

use super::args;
use super::environment;
use super::error::ConfigError;
use super::key::Key;
use super::keys::KEYS;
use super::settings::{Origin, Setting, Settings};
use super::toml_file;

/// The file that is read without `--config`.
const DEFAULT_FILE: &str = "private-media.toml";

/// The merged settings.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    pub(super) settings: Settings,
    file: Option<PathBuf>,
    warnings: Vec<String>,
}

impl Layers {
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let named = matches.get_one::<String>("config").map(PathBuf::from);
        // Only a missing default file is ignored; an unreadable one is an error.
        let exists = || Path::new(DEFAULT_FILE).try_exists().unwrap_or(true);
        let file = named.or_else(|| exists().then(|| PathBuf::from(DEFAULT_FILE)));
        let mut settings = file.as_deref().map(toml_file::read).transpose()?.unwrap_or_default();
        for key in KEYS {
            if let Some(setting) = from_arguments(key, matches)? {
                settings.insert(setting);
            }
        }
        Ok(Self { settings, file, warnings: environment::warnings() })
    }

    /// Returns the TOML file, if one was read.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    /// Returns a warning for each unknown variable of the environment.
    pub(crate) fn warnings(&self) -> &[String] {
        &self.warnings
    }
}

/// Returns the setting from a flag or an environment variable.
fn from_arguments(key: &'static Key, matches: &ArgMatches) -> Result<Option<Setting>, ConfigError> {
    let setting = |values, origin| Setting { key, values, origin, table: None };
    // A command without the flag still takes the variable.
    let Some(flag) = args::flag_in(key, matches) else {
        let values = environment::values(key)?;
        return Ok(values.map(|values| setting(values, Origin::Environment)));
    };
    let origin = match matches.value_source(flag) {
        Some(ValueSource::CommandLine) => Origin::Flag(flag),
        Some(ValueSource::EnvVariable) => Origin::Environment,
        _ => return Ok(None),
    };
    let values = matches.get_many::<String>(flag);
    Ok(values.map(|values| setting(values.cloned().collect(), origin)))
}
