//! Settings: values with their origin.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use private_media_django::DatabaseUrl;

use super::args::LIST_DELIMITER;
use super::error::ConfigError;
use super::key::{Key, Kind};

/// The settings that are not defaults, by key.
#[derive(Debug, Clone, Default)]
pub(crate) struct Settings(BTreeMap<&'static str, Setting>);

/// The values of a setting, with their origin.
#[derive(Clone)]
pub(crate) struct Setting {
    pub(super) key: &'static Key,
    pub(super) values: Vec<String>,
    pub(super) origin: Origin,
    /// The table that the values are from, if they are not from a setting of their own.
    pub(super) table: Option<TableName>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The flag in this command.
    Flag(&'static str),
    Environment,
    File(PathBuf),
    Default,
}

/// One of the tables of a key.
#[derive(Debug, Clone, Copy)]
pub(super) struct TableName {
    pub(super) key: &'static Key,
    /// The number of the table, from 1; absent if it is the only one.
    pub(super) number: Option<usize>,
}

impl Origin {
    /// Returns the priority of the origin; a higher one replaces the value of a lower one.
    pub(super) fn priority(&self) -> u8 {
        match self {
            Self::Flag(_) => 3,
            Self::Environment => 2,
            Self::File(_) => 1,
            Self::Default => 0,
        }
    }
}

impl Settings {
    pub(super) fn insert(&mut self, setting: Setting) {
        self.0.insert(setting.key.name, setting);
    }

    /// Returns a setting that is not a default.
    pub(super) fn given(&self, key: &Key) -> Option<&Setting> {
        self.0.get(key.name)
    }

    pub(crate) fn get(&self, key: &'static Key) -> Setting {
        self.given(key).cloned().unwrap_or_else(|| Setting {
            key,
            values: defaults(key),
            origin: Origin::Default,
            table: None,
        })
    }

    /// Returns the path in a setting. A path in the TOML file is relative to that file, wherever the program is started.
    pub(crate) fn path(&self, key: &'static Key) -> PathBuf {
        self.paths(key).into_iter().next().unwrap_or_default()
    }

    pub(crate) fn paths(&self, key: &'static Key) -> Vec<PathBuf> {
        let setting = self.get(key);
        setting.values.iter().map(|value| setting.folder().join(value)).collect()
    }
}

impl Setting {
    pub(crate) fn key(&self) -> &'static Key {
        self.key
    }

    /// Returns the key whose flag or variable the values are from.
    pub(super) fn origin_key(&self) -> &'static Key {
        self.table.map_or(self.key, |table| table.key)
    }

    pub(crate) fn values(&self) -> &[String] {
        &self.values
    }

    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }

    /// Returns the folder that a path in this setting is relative to.
    pub(crate) fn folder(&self) -> &Path {
        match &self.origin {
            Origin::File(file) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        }
    }

    fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// Returns the values without passwords.
    pub(crate) fn shown(&self) -> Vec<String> {
        match self.key.kind {
            Kind::Url => self.values.iter().map(|value| redacted(value)).collect(),
            Kind::Tables(_) => vec!["…".to_owned(); self.values.len()],
            _ => self.values.clone(),
        }
    }

    pub(crate) fn with_value(&self, value: &str) -> Self {
        Self { values: vec![value.to_owned()], ..self.clone() }
    }

    pub(crate) fn parse<T: FromStr>(&self, expected: &str) -> Result<T, ConfigError> {
        self.value().parse().map_err(|_| self.invalid(&format!("expected {expected}")))
    }

    pub(crate) fn parse_with<T, E: Display>(
        &self,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<T, ConfigError> {
        parse(self.value()).map_err(|problem| self.invalid(&problem))
    }

    /// Parses each value.
    pub(crate) fn parse_each<T, E: Display>(
        &self,
        parse: impl Fn(&str) -> Result<T, E>,
    ) -> Result<Vec<T>, ConfigError> {
        self.values.iter().map(|value| self.with_value(value).parse_with(&parse)).collect()
    }

    /// Returns the name of the setting where the user gave it.
    fn name(&self) -> String {
        let key = self.key;
        match (&self.origin, self.table) {
            (Origin::Flag(flag), None) => format!("--{flag}"),
            (Origin::Flag(flag), Some(_)) => format!("{} in --{flag}", key.column()),
            (Origin::Environment, None) => key.environment(),
            (Origin::Environment, Some(table)) => {
                format!("{} in {}", key.column(), table.key.environment())
            }
            (Origin::File(_) | Origin::Default, None | Some(TableName { number: None, .. })) => {
                key.name.into()
            }
            (Origin::File(_) | Origin::Default, Some(TableName { key: table, number: Some(number) })) => {
                format!("{} in [[{}]] table {number}", key.column(), table.name)
            }
        }
    }

    /// Returns the error of a value that cannot be parsed.
    fn invalid(&self, problem: &dyn Display) -> ConfigError {
        let shown = self.shown();
        let (name, value) = (self.name(), shown.first().map_or("", String::as_str));
        ConfigError::new(match &self.origin {
            Origin::Flag(_) | Origin::Environment => format!("invalid value {value:?} for {name}: {problem}"),
            Origin::File(file) => {
                format!("{}: invalid value {value:?} for {name}: {problem}", file.display())
            }
            Origin::Default => format!("invalid default {value:?} for {name}: {problem}"),
        })
    }

    /// Returns the error of a valid value that cannot be used.
    pub(crate) fn error(&self, problem: &str, fix: &str) -> ConfigError {
        self.error_with(&format!("{problem}; {fix}"))
    }

    pub(crate) fn error_with(&self, problem_and_fix: &str) -> ConfigError {
        let shown = self.shown();
        let (name, value) = (self.name(), shown.first().map_or("", String::as_str));
        ConfigError::new(match &self.origin {
            Origin::Environment if self.table.is_none() => format!("{name}={value:?}: {problem_and_fix}"),
            Origin::Flag(_) | Origin::Environment => format!("{name} {value:?}: {problem_and_fix}"),
            Origin::File(file) => format!("{}: {name} = {value:?}: {problem_and_fix}", file.display()),
            Origin::Default => {
                let flag = self.key.flag;
                format!("{name} {value:?} (default; change it with --{flag}): {problem_and_fix}")
            }
        })
    }
}

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Setting")
            .field("key", &self.key.name)
            .field("values", &self.shown())
            .finish_non_exhaustive()
    }
}

/// Returns the default values of a key. Those of a list are separated as in a flag.
fn defaults(key: &Key) -> Vec<String> {
    let values = match key.kind {
        Kind::List => key.default.split(LIST_DELIMITER).collect(),
        _ => vec![key.default],
    };
    values.into_iter().filter(|value| !value.is_empty()).map(str::to_owned).collect()
}

/// Returns a URL without its password.
fn redacted(value: &str) -> String {
    if value.starts_with("http://") || value.starts_with("https://") {
        // A query may have a key of the application.
        let shown = value.split_once('?').map_or(value.to_owned(), |(url, _)| format!("{url}?…"));
        return if value.contains('@') { "…".to_owned() } else { shown };
    }
    if value == "memory" { value.to_owned() } else { DatabaseUrl::redacted(value) }
}
