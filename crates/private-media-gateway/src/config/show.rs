//! Writes the configuration as a TOML file with the same meaning.

use std::fmt::Write;

use toml::Value;

use super::key::Kind;
use super::keys::{GRANT, KEYS};
use super::layers::{Layers, Origin, Setting};

pub(super) fn toml(layers: &Layers) -> String {
    let mut text = String::new();
    let mut table = "";
    // TOML requires keys without a table before all tables; arrays of tables follow.
    let plain = KEYS.iter().filter(|key| !key.name.contains('.') && key.name != GRANT.name);
    let tables = KEYS.iter().filter(|key| key.name.contains('.'));
    for key in plain.chain(tables) {
        let setting = layers.get(key);
        let (of, name) = key.name.rsplit_once('.').unwrap_or(("", key.name));
        if of != table {
            table = of;
            let _ = write!(text, "\n[{table}]\n");
        }
        let _ = writeln!(text, "{name} = {}  # {}", value(&setting), origin(&setting));
    }
    let grants = layers.get(&GRANT);
    let from = origin(&grants);
    let default = ["{*file}=staff".to_owned()];
    let values = if grants.values().is_empty() { &default } else { grants.values() };
    for grant in values {
        let (path, to) = grant.rsplit_once('=').unwrap_or((grant, ""));
        let to = to.split(',').map(|to| Value::from(to.trim()).to_string()).collect::<Vec<_>>().join(", ");
        let _ = write!(text, "\n[[grant]]  # {from}\npath = {}\nto = [{to}]\n", Value::from(path));
    }
    text
}

fn value(setting: &Setting) -> String {
    let values = setting.shown();
    let first = values.first().map_or("", String::as_str);
    match setting.key().kind {
        // A flag may be `007` or `+5`, which is no number in TOML.
        Kind::Number => first.parse::<i64>().map_or_else(|_| first.to_owned(), |number| number.to_string()),
        Kind::Boolean => first.to_owned(),
        Kind::Text | Kind::Url | Kind::NumberOrText => Value::from(first).to_string(),
        Kind::List | Kind::Grants => {
            format!(
                "[{}]",
                values.iter().map(|v| Value::from(v.as_str()).to_string()).collect::<Vec<_>>().join(", ")
            )
        }
    }
}

fn origin(setting: &Setting) -> String {
    match setting.origin() {
        Origin::Flag(flag) => format!("--{flag}"),
        Origin::Environment => setting.key().environment(),
        // A line break in the file's name would end the comment.
        Origin::File(file) => file.display().to_string().replace(char::is_control, " "),
        Origin::Default => "default".to_owned(),
    }
}
