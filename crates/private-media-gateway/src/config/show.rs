//! Writes the configuration as a TOML file with the same meaning.

use std::fmt::Write;

use toml::Value;

use super::key::{Key, Kind};
use super::keys::{GRANT, KEYS, ROOT, column_of_table, is_in_tables};
use super::root_tables;
use super::settings::{Origin, Setting, Settings};
use super::tables::Section;

/// Returns the configuration of these settings, and of the tables of each key that has some.
pub(super) fn toml(settings: &Settings, tables: &[(&'static Key, &[Section])]) -> String {
    let mut text = String::new();
    let mut table = "";
    // TOML requires keys without a table before all tables; arrays of tables follow.
    let is_array = |key: &Key| matches!(key.kind, Kind::Grants | Kind::Tables(_)) || is_in_tables(key);
    let (roots, from) = (settings.get(&ROOT), origin(settings.get(&ROOT).origin(), &ROOT));
    let is_single = root_tables::is_single(&roots);
    let is_root = |key: &Key| key.name == ROOT.name;
    let keys = || KEYS.into_iter().filter(|key| !is_array(key) && (is_single || !is_root(key)));
    let table_of = |key: &Key| match key.name.split_once('.') {
        Some((table, _)) => table,
        None if column_of_table(key).is_some() => key.name,
        None => "",
    };
    let plain = keys().filter(|key| table_of(key).is_empty());
    for key in plain.chain(keys().filter(|key| !table_of(key).is_empty())) {
        let setting = settings.get(key);
        let of = table_of(key);
        if of != table {
            table = of;
            let _ = write!(text, "\n[{table}]\n");
        }
        line(&mut text, &setting);
    }
    if !is_single {
        for (path, location) in root_tables::tables(&roots) {
            let path = path.map(|path| format!("path = {}\n", Value::from(path))).unwrap_or_default();
            let _ = write!(text, "\n[[root]]  # {from}\n{path}location = {}\n", Value::from(location));
        }
    }
    for (key, sections) in tables {
        for section in *sections {
            let _ = write!(text, "\n[[{}]]  # {}\n", key.name, origin(section.origin(), key));
            if let Kind::Tables(kind) = key.kind
                && let Some(selector) = kind.selector
            {
                let _ = writeln!(text, "{selector} = {}", Value::from(section.variant.name));
            }
            // An empty list that was given differs from a default that is unset.
            let is_set =
                |setting: &Setting| !setting.values().is_empty() || *setting.origin() != Origin::Default;
            let settings = section.variant.keys.iter().map(|key| section.settings.get(key));
            settings.filter(is_set).for_each(|setting| line(&mut text, &setting));
        }
    }
    let grants = settings.get(&GRANT);
    let from = origin(grants.origin(), &GRANT);
    let default = ["{*file}=staff".to_owned()];
    let values = if grants.values().is_empty() { &default } else { grants.values() };
    for grant in values {
        let (path, to) = grant.rsplit_once('=').unwrap_or((grant, ""));
        let to = to.split(',').map(|to| Value::from(to.trim()).to_string()).collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\n[[grant]]  # {from}\npath = {}\nto = [{to}]\n", Value::from(path));
    }
    text
}

/// Appends the line of a setting. Writing to a string cannot fail.
fn line(text: &mut String, setting: &Setting) {
    let origin = origin(setting.origin(), setting.origin_key());
    let key = setting.key();
    let column = column_of_table(key).unwrap_or(key.column());
    let _ = writeln!(text, "{column} = {}  # {origin}", value(setting));
}

fn value(setting: &Setting) -> String {
    let values = setting.shown();
    let first = values.first().map_or("", String::as_str);
    match setting.key().kind {
        // A flag may be `007` or `+5`, which is no number in TOML.
        Kind::Number => first.parse::<i64>().map_or_else(|_| first.to_owned(), |number| number.to_string()),
        Kind::Boolean => first.to_owned(),
        Kind::Text | Kind::Url | Kind::NumberOrText | Kind::Roots => Value::from(first).to_string(),
        Kind::List | Kind::TextOrList | Kind::Grants | Kind::Tables(_) => {
            format!(
                "[{}]",
                values.iter().map(|v| Value::from(v.as_str()).to_string()).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn origin(origin: &Origin, key: &Key) -> String {
    match origin {
        Origin::Flag(flag) => format!("--{flag}"),
        Origin::Environment => key.environment(),
        // A line break in the file's name would end the comment.
        Origin::File(file) => file.display().to_string().replace(char::is_control, " "),
        Origin::Default => "default".to_owned(),
    }
}
