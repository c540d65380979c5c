//! Merges the sources of settings: flags, then environment variables, then the TOML file, then defaults. Each value has its origin.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ArgMatches;
use clap::parser::ValueSource;
use private_media_django::DatabaseUrl;
use toml::{Table, Value};

use super::args;
use super::environment;
use super::error::ConfigError;
use super::key::{Key, Kind};
use super::keys::{GRANT, KEYS};

/// The file that is read without `--config`.
const DEFAULT_FILE: &str = "private-media.toml";

/// The settings that are not defaults, by key.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    file: Option<PathBuf>,
    warnings: Vec<String>,
}

/// The values of a setting, with their origin.
#[derive(Clone)]
pub(crate) struct Setting {
    key: &'static Key,
    values: Vec<String>,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// The flag in this command.
    Flag(&'static str),
    Environment,
    File(PathBuf),
    Default,
}

impl Layers {
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let named = matches.get_one::<String>("config").map(PathBuf::from);
        // Only a missing default file is ignored; an unreadable one is an error.
        let exists = || Path::new(DEFAULT_FILE).try_exists().unwrap_or(true);
        let file = named.or_else(|| exists().then(|| PathBuf::from(DEFAULT_FILE)));
        let mut settings = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        for key in KEYS {
            if let Some(setting) = Setting::from_arguments(key, matches)? {
                settings.insert(key.name, setting);
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

    pub(crate) fn get(&self, key: &'static Key) -> Setting {
        self.settings.get(key.name).cloned().unwrap_or_else(|| Setting {
            key,
            values: Some(key.default.to_owned()).into_iter().filter(|value| !value.is_empty()).collect(),
            origin: Origin::Default,
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
    /// Returns the setting from a flag or an environment variable.
    fn from_arguments(key: &'static Key, matches: &ArgMatches) -> Result<Option<Self>, ConfigError> {
        // A command without the flag still takes the variable.
        let Ok(true) = matches.try_contains_id(key.flag) else {
            let values = environment::values(key)?;
            return Ok(values.map(|values| Self { key, values, origin: Origin::Environment }));
        };
        let origin = match matches.value_source(key.flag) {
            Some(ValueSource::CommandLine) => Origin::Flag(args::flag_in(key, matches)),
            Some(ValueSource::EnvVariable) => Origin::Environment,
            _ => return Ok(None),
        };
        let values = matches.get_many::<String>(key.flag);
        Ok(values.map(|values| Self { key, values: values.cloned().collect(), origin }))
    }

    pub(crate) fn key(&self) -> &'static Key {
        self.key
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

    /// Returns the error of a value that cannot be parsed.
    fn invalid(&self, problem: &dyn Display) -> ConfigError {
        let shown = self.shown();
        let value = shown.first().map_or("", String::as_str);
        let key = self.key;
        ConfigError::new(match &self.origin {
            Origin::Flag(flag) => format!("invalid value {value:?} for --{flag}: {problem}"),
            Origin::Environment => format!("invalid value {value:?} for {}: {problem}", key.environment()),
            Origin::File(file) => {
                format!("{}: invalid value {value:?} for {}: {problem}", file.display(), key.name)
            }
            Origin::Default => format!("invalid default {value:?} for {}: {problem}", key.name),
        })
    }

    /// Returns the error of a valid value that cannot be used.
    pub(crate) fn error(&self, problem: &str, fix: &str) -> ConfigError {
        self.error_with(&format!("{problem}; {fix}"))
    }

    pub(crate) fn error_with(&self, problem_and_fix: &str) -> ConfigError {
        let shown = self.shown();
        let value = shown.first().map_or("", String::as_str);
        let key = self.key;
        ConfigError::new(match &self.origin {
            Origin::Flag(flag) => format!("--{flag} {value:?}: {problem_and_fix}"),
            Origin::Environment => format!("{}={value:?}: {problem_and_fix}", key.environment()),
            Origin::File(file) => format!("{}: {} = {value:?}: {problem_and_fix}", file.display(), key.name),
            Origin::Default => {
                format!("{} {value:?} (default; change it with --{}): {problem_and_fix}", key.name, key.flag)
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

/// Returns a URL without its password.
fn redacted(value: &str) -> String {
    if value == "memory" { value.to_owned() } else { DatabaseUrl::redacted(value) }
}

fn read_file(path: &Path) -> Result<BTreeMap<&'static str, Setting>, ConfigError> {
    let error = |problem: &dyn Display| ConfigError::new(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path)
        .map_err(|cause| error(&format_args!("cannot be read: {cause}; name another file with --config")))?;
    let table: Table = toml::from_str(&text).map_err(|cause: toml::de::Error| {
        let line = cause
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        error(&format_args!("line {line}: invalid TOML: {}", cause.message()))
    })?;
    let mut settings = BTreeMap::new();
    for (name, value) in flatten(table) {
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| error(&unknown(&name)))?;
        let values = texts(key, &value).map_err(|expected| {
            let value = match key.kind {
                Kind::Url => "…".to_owned(),
                _ => value.to_string().replace('\n', " "),
            };
            error(&format_args!("invalid value {value} for {name}: expected {expected}"))
        })?;
        settings.insert(key.name, Setting { key, values, origin: Origin::File(path.to_path_buf()) });
    }
    Ok(settings)
}

/// Returns the keys of a file with their tables before the dot. `[[grant]]` stays a table.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) if name != GRANT.name => {
                settings.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => settings.push((name, value)),
        }
    }
    settings
}

fn unknown(name: &str) -> String {
    let distance = |key: &&&Key| strsim::damerau_levenshtein(name, key.name);
    match KEYS.iter().min_by_key(distance) {
        Some(near) if distance(&near) <= 3 => {
            format!("unknown key {name:?}; did you mean {:?}?", near.name)
        }
        _ => format!("unknown key {name:?}; remove it (private-media config show lists all keys)"),
    }
}

/// Returns a TOML value as the text of a flag; the error is what is expected.
fn texts(key: &Key, value: &Value) -> Result<Vec<String>, &'static str> {
    match (key.kind, value) {
        (Kind::Text | Kind::Url | Kind::NumberOrText, Value::String(text)) => Ok(vec![text.clone()]),
        (Kind::NumberOrText, Value::Integer(number)) => Ok(vec![number.to_string()]),
        (Kind::NumberOrText, _) => Err("a number without quotes, or a text in quotes"),
        (Kind::Text | Kind::Url, _) => Err("a text in quotes"),
        (Kind::Number, Value::Integer(number)) if *number >= 0 => Ok(vec![number.to_string()]),
        (Kind::Number, _) => Err("a number without quotes"),
        (Kind::Boolean, Value::Boolean(boolean)) => Ok(vec![boolean.to_string()]),
        (Kind::Boolean, _) => Err("true or false without quotes"),
        (Kind::List, Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or("an array of texts")).collect()
        }
        (Kind::List, _) => Err("an array of texts: [\"…\", \"…\"]"),
        (Kind::Grants, Value::Array(items)) => items.iter().map(grant).collect(),
        (Kind::Grants, _) => Err("[[grant]] with double brackets, followed by path = \"…\" and to = [\"…\"]"),
    }
}

fn grant(item: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str =
        "path = \"cars/{owner}/{*file}\" and to = [\"owner\", \"staff\"] below [[grant]], and no other key";
    let table = item.as_table().filter(|table| table.len() == 2).ok_or(EXPECTED)?;
    let path = table.get("path").and_then(Value::as_str).ok_or(EXPECTED)?;
    let to = table.get("to").and_then(Value::as_array).ok_or(EXPECTED)?;
    // A grant in a flag is delimited by these.
    let to = to.iter().map(|to| to.as_str().filter(|to| !to.contains([',', '='])));
    let to: Option<Vec<&str>> = to.collect();
    Ok(format!("{path}={}", to.ok_or(EXPECTED)?.join(",")))
}
