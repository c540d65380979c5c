//! `[[root]]` tables as the values of a setting: the location of the table without a path first, and path and location of each other one.

use toml::Value;

use super::bucket::is_bucket;
use super::keys::ROOT;
use super::settings::{Setting, Settings};
use super::suggest::nearest;

const COLUMNS: [&str; 2] = ["path", "location"];
/// Separates path and location in the value of a setting.
const SEPARATOR: char = '\n';

/// Returns `[[root]]` tables as the values of a setting, first the location of the table without a path. The error is what is expected.
pub(super) fn texts(items: &[Value]) -> Result<Vec<String>, String> {
    let (mut main, mut others) = (None, vec![]);
    for item in items {
        let (path, location) = table(item)?;
        match path {
            Some(path) => others.push(format!("{path}{SEPARATOR}{location}")),
            None if main.is_some() => return Err("only one [[root]] table without path".into()),
            None => main = Some(location.to_owned()),
        }
    }
    let main = main.ok_or("one [[root]] table without path, for all other files")?;
    Ok(std::iter::once(main).chain(others).collect())
}

fn table(item: &Value) -> Result<(Option<&str>, &str), String> {
    const EXPECTED: &str =
        "location = \"private\" below [[root]], and path = \"archive/\" in all tables but one";
    let table = item.as_table().ok_or(EXPECTED)?;
    if let Some(unknown) = table.keys().find(|name| !COLUMNS.contains(&name.as_str())) {
        return Err(match nearest(unknown, COLUMNS) {
            Some(near) => format!("{near:?} instead of {unknown:?}"),
            None => format!("{EXPECTED}, and no other key, such as {unknown:?}"),
        });
    }
    let text = |column| match table.get(column) {
        None => Ok(None),
        Some(Value::String(text)) if !text.is_empty() && !text.contains(char::is_control) => {
            Ok(Some(&**text))
        }
        Some(other) => Err(format!("a text for {column} instead of {other}")),
    };
    Ok((text("path")?, text("location")?.ok_or(EXPECTED)?))
}

/// Returns whether a setting of the root has no tables with a path.
pub(super) fn is_single(setting: &Setting) -> bool {
    setting.values().len() < 2
}

/// Returns path and location of each table.
pub(super) fn tables(setting: &Setting) -> impl Iterator<Item = (Option<&str>, &str)> {
    setting.values().iter().map(|value| match value.split_once(SEPARATOR) {
        Some((path, location)) => (Some(path), location),
        None => (None, value.as_str()),
    })
}

/// Returns whether a root is a bucket, of several.
pub(super) fn has_bucket(settings: &Settings) -> bool {
    let setting = settings.get(&ROOT);
    !is_single(&setting) && tables(&setting).any(|(_, location)| is_bucket(location))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tables_become_values() {
        let texts_of = |toml: &str| {
            let table: toml::Table = toml::from_str(&format!("root = [{toml}]")).unwrap();
            texts(table["root"].as_array().unwrap())
        };
        let values = texts_of(r#"{path = "a/", location = "x=y"}, {location = "private"}"#).unwrap();
        assert_eq!(values, ["private", "a/\nx=y"]);
        for (toml, expected) in [
            ("", "one [[root]] table without path"),
            (r#"{path = "a/", location = "x"}"#, "one [[root]] table without path"),
            (r#"{location = "x"}, {location = "y"}"#, "only one [[root]] table without path"),
            (r#"{location = "x", paht = "a/"}"#, "\"path\" instead of \"paht\""),
            (r#"{location = "x", endpoint = "y"}"#, "no other key"),
            (r#"{path = "a/"}"#, "location = "),
            (r"{location = 1}", "a text for location instead of 1"),
            (r#"{location = "x", path = ""}"#, "a text for path"),
            (r#"{location = "x", path = "a\nb"}"#, "a text for path"),
            (r#""x""#, "location = "),
        ] {
            let error = texts_of(toml).unwrap_err();
            assert!(error.contains(expected), "{toml}: {error}");
        }
    }
}
