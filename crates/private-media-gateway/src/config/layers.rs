//! Flags over environment over TOML over defaults; each value knows where it came from.

use std::collections::BTreeMap;
use std::fmt::{self, Display};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ArgMatches;
use clap::parser::ValueSource;
use private_media_django::DatabaseUrl;
use toml::{Table, Value};

use super::ConfigError;
use super::keys::{GRANT, KEYS, Key, Kind};

/// The file that is read without being named.
const DEFAULT_FILE: &str = "private-media.toml";

/// The settings that somebody typed, by key.
#[derive(Debug, Clone)]
pub(crate) struct Layers {
    settings: BTreeMap<&'static str, Setting>,
    file: Option<PathBuf>,
}

/// A setting as it was typed.
#[derive(Clone)]
pub(crate) struct Setting {
    key: &'static Key,
    values: Vec<String>,
    origin: Origin,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origin {
    /// This flag, which is not that of the key in every command.
    Flag(&'static str),
    Environment,
    File(PathBuf),
    Default,
}

impl Layers {
    pub(crate) fn load(matches: &ArgMatches) -> Result<Self, ConfigError> {
        let named = matches.get_one::<String>("config").map(PathBuf::from);
        // Only one that is not there is none: one that cannot be looked at would be read if it could.
        let is_there = || Path::new(DEFAULT_FILE).try_exists().unwrap_or(true);
        let file = named.or_else(|| is_there().then(|| PathBuf::from(DEFAULT_FILE)));
        let mut settings = file.as_deref().map(read_file).transpose()?.unwrap_or_default();
        for key in KEYS {
            if let Some(setting) = Setting::from_arguments(key, matches) {
                settings.insert(key.name, setting);
            }
        }
        Ok(Self { settings, file })
    }

    /// The TOML file that was read, if there is one.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.file.as_deref()
    }

    pub(crate) fn get(&self, key: &'static Key) -> Setting {
        self.settings.get(key.name).cloned().unwrap_or_else(|| Setting {
            key,
            values: Some(key.default.to_owned()).into_iter().filter(|value| !value.is_empty()).collect(),
            origin: Origin::Default,
        })
    }

    /// A setting that is a path. One in a file is relative to the file's folder, so that it means the same wherever the
    /// program is started.
    pub(crate) fn path(&self, key: &'static Key) -> PathBuf {
        self.paths(key).into_iter().next().unwrap_or_default()
    }

    pub(crate) fn paths(&self, key: &'static Key) -> Vec<PathBuf> {
        let setting = self.get(key);
        setting.values.iter().map(|value| setting.folder().join(value)).collect()
    }
}

impl Setting {
    fn from_arguments(key: &'static Key, matches: &ArgMatches) -> Option<Self> {
        let origin = match matches.value_source(key.flag)? {
            ValueSource::CommandLine => Origin::Flag(key.flag_in(matches)),
            ValueSource::EnvVariable => Origin::Environment,
            _ => return None,
        };
        let values = matches.get_many::<String>(key.flag)?.cloned().collect();
        Some(Self { key, values, origin })
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

    /// The folder that a path in it is relative to.
    pub(crate) fn folder(&self) -> &Path {
        match &self.origin {
            Origin::File(file) => file.parent().unwrap_or(Path::new("")),
            _ => Path::new(""),
        }
    }

    fn value(&self) -> &str {
        self.values.first().map_or("", String::as_str)
    }

    /// The values as they may be seen.
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
        self.value().parse().map_err(|_| self.error_with(&format!("write {expected}")))
    }

    pub(crate) fn parse_with<T>(&self, parse: impl Fn(&str) -> Result<T, String>) -> Result<T, ConfigError> {
        parse(self.value()).map_err(|problem| self.error_with(&problem))
    }

    pub(crate) fn error(&self, problem: &str, fix: &str) -> ConfigError {
        self.error_with(&format!("{problem}; {fix}"))
    }

    pub(crate) fn error_with(&self, problem_and_fix: &str) -> ConfigError {
        let shown = self.shown();
        let value = shown.first().map_or("", String::as_str);
        let key = self.key;
        ConfigError(match &self.origin {
            Origin::Flag(flag) => format!("--{flag} {value:?}: {problem_and_fix}"),
            Origin::Environment => format!("{}={value:?}: {problem_and_fix}", key.environment()),
            Origin::File(file) => format!("{}: {} = {value:?}: {problem_and_fix}", file.display(), key.name),
            Origin::Default => {
                format!("{} {value:?} (the default; --{} changes it): {problem_and_fix}", key.name, key.flag)
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

/// A URL without its password. A lone word is none.
fn redacted(value: &str) -> String {
    if value == "memory" { value.to_owned() } else { DatabaseUrl::redacted(value) }
}

fn read_file(path: &Path) -> Result<BTreeMap<&'static str, Setting>, ConfigError> {
    let error = |problem: &dyn Display| ConfigError(format!("{}: {problem}", path.display()));
    let text = std::fs::read_to_string(path).map_err(|cause| {
        error(&format_args!("it cannot be read ({cause}); name another file with --config"))
    })?;
    let table: Table = toml::from_str(&text).map_err(|cause: toml::de::Error| {
        let line = cause
            .span()
            .and_then(|span| text.get(..span.start))
            .map_or(1, |before| before.matches('\n').count() + 1);
        error(&format_args!("line {line} is not TOML: {}; mend that line", cause.message()))
    })?;
    let mut settings = BTreeMap::new();
    for (name, value) in flatten(table) {
        let key = KEYS.iter().find(|key| key.name == name).ok_or_else(|| error(&unknown(&name)))?;
        let values = texts(key, &value).map_err(|expected| {
            let value = match key.kind {
                Kind::Url => "…".to_owned(),
                _ => value.to_string().replace('\n', " "),
            };
            error(&format_args!("{name} = {value}: write {expected}"))
        })?;
        settings.insert(key.name, Setting { key, values, origin: Origin::File(path.to_path_buf()) });
    }
    Ok(settings)
}

/// The keys of a file with their tables before the dot. `[[grant]]` stays whole.
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
            format!("there is no key {name:?}; did you mean {}? If not, remove it", near.name)
        }
        _ => format!("there is no key {name:?}; remove it (private-media config show lists the keys)"),
    }
}

/// The value as a flag would have typed it, or what is expected instead.
fn texts(key: &Key, value: &Value) -> Result<Vec<String>, &'static str> {
    match (key.kind, value) {
        (Kind::Text | Kind::Url, Value::String(text)) => Ok(vec![text.clone()]),
        (Kind::Text, Value::Integer(number)) if key.name == "workers" => Ok(vec![number.to_string()]),
        (Kind::Text | Kind::Url, _) => Err("text, in quotes"),
        (Kind::Number, Value::Integer(number)) if *number >= 0 => Ok(vec![number.to_string()]),
        (Kind::Number, _) => Err("a number, without quotes"),
        (Kind::Boolean, Value::Boolean(boolean)) => Ok(vec![boolean.to_string()]),
        (Kind::Boolean, _) => Err("true or false, without quotes"),
        (Kind::List, Value::Array(items)) => {
            items.iter().map(|item| item.as_str().map(str::to_owned).ok_or("texts, in brackets")).collect()
        }
        (Kind::List, _) => Err("texts, in brackets: [\"…\", \"…\"]"),
        (Kind::Grants, Value::Array(items)) => items.iter().map(grant).collect(),
        (Kind::Grants, _) => {
            Err("[[grant]], with double brackets, and below it path = \"…\" and to = [\"…\"]")
        }
    }
}

fn grant(item: &Value) -> Result<String, &'static str> {
    const EXPECTED: &str =
        "path = \"cars/{owner}/{*file}\" and to = [\"owner\", \"staff\"] below [[grant]], and nothing else";
    let table = item.as_table().filter(|table| table.len() == 2).ok_or(EXPECTED)?;
    let path = table.get("path").and_then(Value::as_str).ok_or(EXPECTED)?;
    let to = table.get("to").and_then(Value::as_array).ok_or(EXPECTED)?;
    // Written as a flag, a grant has these between its parts.
    let to = to.iter().map(|to| to.as_str().filter(|to| !to.contains([',', '='])));
    let to: Option<Vec<&str>> = to.collect();
    Ok(format!("{path}={}", to.ok_or(EXPECTED)?.join(",")))
}
