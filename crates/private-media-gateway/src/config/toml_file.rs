//! The TOML file, and TOML values as the texts of flags.

use std::fmt::Display;
use std::path::Path;

use toml::{Table, Value};

use super::error::ConfigError;
use super::key::{Key, Kind};
use super::keys::{KEYS, column_of_table, is_in_tables};
use super::root_tables;
use super::settings::{Origin, Setting, Settings};
use super::suggest::{nearest, synonym};

/// Reads the settings of a file.
pub(super) fn read(path: &Path) -> Result<Settings, ConfigError> {
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
    let mut settings = Settings::default();
    for (name, value) in flatten(table) {
        let key = top_level().find(|key| key.name == name).ok_or_else(|| error(&unknown(&name)))?;
        let values = texts(key, &value).map_err(|expected| error(&invalid(key, &name, &value, &expected)))?;
        let origin = Origin::File(path.to_path_buf());
        settings.insert(Setting { key, values, origin, table: None });
    }
    Ok(settings)
}

/// The keys of a `[[grant]]` table.
const GRANT_COLUMNS: [&str; 2] = ["path", "to"];

fn top_level() -> impl Iterator<Item = &'static Key> {
    KEYS.into_iter().filter(|key| !is_in_tables(key))
}

/// Returns the keys of a file with their tables before the dot. `[[…]]` tables stay tables.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut settings = Vec::new();
    for (name, value) in table {
        let key = top_level().find(|key| key.name == name);
        match value {
            Value::Table(inner) if let Some(column) = key.and_then(column_of_table) => {
                for (inner, value) in inner {
                    match value {
                        value if inner == column => settings.push((name.clone(), value)),
                        // `tls = {key = "…"}` is `tls.key = "…"`.
                        Value::Table(table) => settings.extend(
                            table.into_iter().map(|(key, value)| (format!("{name}.{inner}.{key}"), value)),
                        ),
                        value => settings.push((format!("{name}.{inner}"), value)),
                    }
                }
            }
            Value::Table(inner) if key.is_none() => {
                settings.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => settings.push((name, value)),
        }
    }
    settings
}

fn unknown(name: &str) -> String {
    if let Some(synonym) = synonym(name) {
        return format!("unknown key {name:?}; write {synonym}");
    }
    match nearest(name, top_level().map(|key| key.name)) {
        Some(near) => format!("unknown key {name:?}; did you mean {near:?}?"),
        None => format!("unknown key {name:?}; remove it (private-media config show lists all keys)"),
    }
}

/// Returns the problem of a value of another type than its key.
pub(super) fn invalid(key: &Key, name: &str, value: &Value, expected: &str) -> String {
    let value = match key.kind {
        Kind::Url | Kind::Tables(_) => "…".to_owned(),
        _ => value.to_string().replace('\n', " "),
    };
    format!("invalid value {value} for {name}: expected {expected}")
}

/// Returns a TOML value as the texts of a flag; the error is what is expected.
pub(super) fn texts(key: &Key, value: &Value) -> Result<Vec<String>, String> {
    let expected = match (key.kind, value) {
        (
            Kind::Text | Kind::Url | Kind::NumberOrText | Kind::TextOrList | Kind::Roots,
            Value::String(text),
        ) => return Ok(vec![text.clone()]),
        (Kind::Roots, Value::Array(items)) => return root_tables::texts(items),
        (Kind::Roots, _) => "a text in quotes, or [[root]] tables",
        (Kind::NumberOrText, Value::Integer(number)) => return Ok(vec![number.to_string()]),
        (Kind::NumberOrText, _) => "a number without quotes, or a text in quotes",
        (Kind::Text | Kind::Url, _) => "a text in quotes",
        (Kind::Number, Value::Integer(number)) if *number >= 0 => return Ok(vec![number.to_string()]),
        (Kind::Number, _) => "a number without quotes",
        (Kind::Boolean, Value::Boolean(boolean)) => return Ok(vec![boolean.to_string()]),
        (Kind::Boolean, _) => "true or false without quotes",
        (Kind::List | Kind::TextOrList, Value::Array(items)) => {
            let texts = items.iter().map(|item| item.as_str().map(str::to_owned));
            return texts.collect::<Option<_>>().ok_or("an array of texts".into());
        }
        (Kind::List, _) => "an array of texts: [\"…\", \"…\"]",
        (Kind::TextOrList, _) => "a text in quotes, or an array of texts: [\"…\", \"…\"]",
        (Kind::Grants, Value::Array(items)) => {
            return items.iter().map(grant).collect();
        }
        (Kind::Grants, _) => "[[grant]] with double brackets, followed by path = \"…\" and to = [\"…\"]",
        (Kind::Tables(_), Value::Array(items)) if items.iter().all(Value::is_table) => {
            return Ok(items.iter().map(Value::to_string).collect());
        }
        (Kind::Tables(_), _) => return Err(format!("tables; write [[{}]] with double brackets", key.name)),
    };
    Err(expected.into())
}

fn grant(item: &Value) -> Result<String, String> {
    const EXPECTED: &str =
        "path = \"cars/{owner}/{*file}\" and to = [\"owner\", \"staff\"] below [[grant]], and no other key";
    let table = item.as_table().ok_or(EXPECTED)?;
    if let Some(unknown) = table.keys().find(|name| !GRANT_COLUMNS.contains(&name.as_str())) {
        return Err(match nearest(unknown, GRANT_COLUMNS) {
            Some(near) => format!("{near:?} instead of {unknown:?}"),
            None => format!("{EXPECTED}, such as {unknown:?}"),
        });
    }
    let path = table.get("path").and_then(Value::as_str).ok_or(EXPECTED)?;
    let to = table.get("to").and_then(Value::as_array).ok_or(EXPECTED)?;
    // A grant in a flag is delimited by these.
    let to = to.iter().map(|to| to.as_str().filter(|to| !to.contains([',', '='])));
    let to: Option<Vec<&str>> = to.collect();
    Ok(format!("{path}={}", to.ok_or(EXPECTED)?.join(",")))
}
