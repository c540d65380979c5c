//! `[[…]]` tables, such as `[[identity]]`: each is a set of settings of its own.

use toml::{Table, Value};

use super::args::LIST_DELIMITER;
use super::error::ConfigError;
use super::key::{Key, Kind, Tables, Variant};
use super::settings::{Origin, Setting, Settings, TableName};
use super::suggest::nearest;
use super::toml_file::{invalid, texts};

/// The settings of one table.
#[derive(Debug, Clone)]
pub(crate) struct Section {
    pub(super) variant: &'static Variant,
    pub(super) settings: Settings,
    place: Place,
}

/// The place of a table, for errors.
#[derive(Debug, Clone)]
struct Place {
    table: TableName,
    origin: Origin,
}

impl Section {
    /// Returns an error about the table as a whole.
    pub(super) fn error(&self, problem_and_fix: &str) -> ConfigError {
        self.place.error(problem_and_fix)
    }

    pub(super) fn origin(&self) -> &Origin {
        &self.place.origin
    }
}

/// Returns the tables of a key. The flag and the variable of a table's key apply to each table that may have the key.
pub(super) fn sections(settings: &Settings, key: &'static Key) -> Result<Vec<Section>, ConfigError> {
    let Kind::Tables(kind) = key.kind else { return Ok(vec![]) };
    let setting = settings.get(key);
    let place = |number| Place { table: TableName { key, number }, origin: setting.origin().clone() };
    let mut tables = Vec::new();
    for value in setting.values() {
        tables.extend(parse(value, kind).map_err(|problem| place(None).error(&problem))?);
    }
    if tables.is_empty() && !key.default.is_empty() {
        let problem = format!("the list is empty; remove it to use {}, or add a table", key.default);
        return Err(place(None).error(&problem));
    }
    let is_only = tables.len() == 1;
    let mut sections = Vec::new();
    for (table, number) in tables.into_iter().zip(1..) {
        let place = place((!is_only).then_some(number));
        sections.push(section(table, kind, place, settings)?);
    }
    check_flags(settings, key, kind, &sections)?;
    Ok(sections)
}

/// Parses the text of a flag: a variant's name, a TOML table, or an array of tables.
fn parse(text: &str, kind: &Tables) -> Result<Vec<Table>, String> {
    if let Some(selector) = kind.selector
        && !text.trim_start().starts_with(['{', '['])
    {
        let named = |name: &str| Table::from_iter([(selector.to_owned(), Value::from(name.trim()))]);
        return Ok(text.split(LIST_DELIMITER).map(named).collect());
    }
    let parsed: Table = toml::from_str(&format!("tables = {text}"))
        .map_err(|error| format!("invalid TOML: {}", error.message()))?;
    let tables = match parsed.into_iter().next() {
        Some((_, Value::Table(table))) => Some(vec![table]),
        Some((_, Value::Array(items))) => items
            .into_iter()
            .map(|item| if let Value::Table(table) = item { Some(table) } else { None })
            .collect(),
        _ => None,
    };
    tables.ok_or_else(|| "expected a TOML table {key = \"…\"}, or an array of tables".to_owned())
}

fn section(mut table: Table, kind: &Tables, place: Place, shared: &Settings) -> Result<Section, ConfigError> {
    let variant = variant(&mut table, kind).map_err(|problem| place.error(&problem))?;
    let mut settings = Settings::default();
    for (name, value) in flatten(table) {
        let Some(key) = variant.keys.iter().find(|key| key.column() == name) else {
            return Err(place.error(&unknown(&name, variant, kind)));
        };
        let values =
            texts(key, &value).map_err(|expected| place.error(&invalid(key, &name, &value, &expected)))?;
        let origin = place.origin.clone();
        settings.insert(Setting { key, values, origin, table: Some(place.table) });
    }
    for key in variant.keys {
        // Keys of two variants may have one name, and only one of them a flag.
        if let Some(own) = shared.given(key).filter(|own| std::ptr::eq(own.key, *key))
            && settings
                .given(key)
                .is_none_or(|in_table| in_table.origin().priority() <= own.origin().priority())
        {
            settings.insert(own.clone());
        }
    }
    Ok(Section { variant, settings, place })
}

/// Returns the keys of a table, those of a table inside it with a dot: `claims = {id = "sub"}` is `claims.id = "sub"`.
fn flatten(table: Table) -> Vec<(String, Value)> {
    let mut flat = Vec::new();
    for (name, value) in table {
        match value {
            Value::Table(inner) => {
                flat.extend(inner.into_iter().map(|(key, value)| (format!("{name}.{key}"), value)));
            }
            value => flat.push((name, value)),
        }
    }
    flat
}

/// Takes the selector out of a table, and returns the variant that it names.
fn variant(table: &mut Table, kind: &Tables) -> Result<&'static Variant, String> {
    let Some(selector) = kind.selector else {
        return kind.variants.first().ok_or_else(|| "has no keys".to_owned());
    };
    let names = || kind.variants.iter().map(|variant| variant.name);
    let all = || names().collect::<Vec<_>>().join(", ");
    match table.remove(selector) {
        None => Err(format!("missing key {selector:?}; set it to one of {}", all())),
        Some(Value::String(name)) => match kind.variants.iter().find(|variant| variant.name == name) {
            Some(variant) => Ok(variant),
            None => Err(match nearest(&name, names()) {
                Some(near) => format!("unknown {selector} {name:?}; did you mean {near:?}?"),
                None => format!("unknown {selector} {name:?}; expected one of {}", all()),
            }),
        },
        Some(other) => Err(format!("invalid value {other} for {selector}: expected one of {}", all())),
    }
}

fn unknown(name: &str, variant: &Variant, kind: &Tables) -> String {
    let of = kind.selector.map(|selector| format!(" with {selector} {:?}", variant.name)).unwrap_or_default();
    let others = kind.variants.iter().filter(|other| other.keys.iter().any(|key| key.column() == name));
    let others: Vec<_> = others.map(|other| other.name).collect();
    if !others.is_empty() {
        return format!("unknown key {name:?}{of}; it belongs to {}", others.join(", "));
    }
    if let Some(near) = nearest(name, variant.keys.iter().map(|key| key.column())) {
        return format!("unknown key {name:?}{of}; did you mean {near:?}?");
    }
    let all: Vec<_> = variant.keys.iter().map(|key| key.column()).collect();
    format!("unknown key {name:?}{of}; expected one of {}", all.join(", "))
}

/// Rejects a flag of a table's key that no table has. A variable may be for another command.
fn check_flags(
    settings: &Settings,
    table: &Key,
    kind: &Tables,
    sections: &[Section],
) -> Result<(), ConfigError> {
    for variant in kind.variants {
        for key in variant.keys {
            let has_key = |section: &Section| section.variant.keys.iter().any(|own| std::ptr::eq(*own, *key));
            if let Some(setting) = settings.given(key).filter(|setting| std::ptr::eq(setting.key, *key))
                && matches!(setting.origin(), Origin::Flag(_))
                && !sections.iter().any(has_key)
            {
                let problem = format!("no [[{}]] table has this key", table.name);
                let fix = format!("add a table of {:?}, or remove the flag", variant.name);
                return Err(setting.error(&problem, &fix));
            }
        }
    }
    Ok(())
}

impl Place {
    fn error(&self, problem_and_fix: &str) -> ConfigError {
        let TableName { key, number } = self.table;
        let table = match number {
            Some(number) => format!("[[{}]] table {number}", key.name),
            None => format!("[[{}]]", key.name),
        };
        ConfigError::new(match &self.origin {
            Origin::Flag(flag) => format!("--{flag}: {problem_and_fix}"),
            Origin::Environment => format!("{}: {problem_and_fix}", key.environment()),
            Origin::File(file) => format!("{}: {table}: {problem_and_fix}", file.display()),
            Origin::Default => format!("{table} (default): {problem_and_fix}"),
        })
    }
}
