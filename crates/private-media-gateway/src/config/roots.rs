//! Several roots: `[[root]]` tables, each with the files below a folder. One table has no path, and all other files.

use private_media::MediaPath;
use toml::Value;

use super::bucket::is_bucket;
use super::error::ConfigError;
use super::keys::{MODE, ROOT};
use super::layers::Layers;
use super::load::Config;
use super::settings::{Setting, Settings};
use super::suggest::nearest;
use crate::folders::{ancestors, dev_ino};
use crate::send_mode::SendMode;

/// The root of the files below a folder.
#[derive(Debug, Clone)]
pub(crate) struct OtherRoot {
    pub(crate) prefix: MediaPath,
    /// The configuration as if this were the only root.
    pub(crate) config: Config,
}

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

/// Returns the roots of the tables with a path.
pub(super) fn others(layers: &Layers, mode: &SendMode) -> Result<Vec<OtherRoot>, ConfigError> {
    let setting = layers.settings.get(&ROOT);
    let mut others: Vec<OtherRoot> = Vec::new();
    for (path, location) in tables(&setting) {
        let Some(path) = path else { continue };
        if mode.is_by_front_server() {
            let problem = "a front server sends files of one root, and there are several";
            return Err(layers
                .settings
                .get(&MODE)
                .error(problem, "use direct or redirect, or a single root"));
        }
        let error = |problem: &str, fix: &str| setting.with_value(location).error(problem, fix);
        let prefix = MediaPath::new(path.strip_suffix('/').unwrap_or(path)).map_err(|problem| {
            error(&format!("path {path:?}: {problem}"), "write it as in a grant, e.g. \"archive/\"")
        })?;
        if others.iter().any(|other| other.prefix == prefix) {
            return Err(error(&format!("another table has the path {path:?}, too"), "remove one of the two"));
        }
        let mut layers = layers.clone();
        layers.settings.insert(setting.with_value(location));
        others.push(OtherRoot { prefix, config: Config::of_other_root(layers)? });
    }
    Ok(others)
}

impl Config {
    /// Returns a configuration for each root, of which the first is this one.
    pub(crate) fn each_root(&self) -> impl Iterator<Item = &Self> {
        std::iter::once(self).chain(self.others.iter().map(|other| &other.config))
    }

    /// Returns the configuration of the root of a file.
    pub(crate) fn root_of(&self, path: &MediaPath) -> &Self {
        let is_inside = |other: &&OtherRoot| {
            path.as_str().strip_prefix(other.prefix.as_str()).is_some_and(|rest| rest.starts_with('/'))
        };
        let longest = self.others.iter().filter(is_inside).max_by_key(|other| other.prefix.as_str().len());
        longest.map_or(self, |other| &other.config)
    }

    /// Returns whether a root is a bucket.
    pub(crate) fn has_bucket(&self) -> bool {
        self.each_root().any(|root| root.bucket.is_some())
    }

    /// Checks that no root is inside another, where its files would have two paths, of which a grant may allow one.
    pub(super) fn check_roots_apart(&self) -> Result<(), ConfigError> {
        let roots: Vec<&Self> = self.each_root().collect();
        for outer in &roots {
            let inside =
                roots.iter().find(|inner| !std::ptr::eq(**inner, *outer) && outer.contains_root(inner));
            if let Some(inner) = inside {
                let problem = format!("it is inside the root {:?}", outer.location());
                return Err(inner.get(&ROOT).error(&problem, "files would have two paths; move it out"));
            }
        }
        Ok(())
    }

    fn location(&self) -> String {
        self.get(&ROOT).shown().into_iter().next().unwrap_or_default()
    }

    fn contains_root(&self, other: &Self) -> bool {
        match (&self.bucket, &other.bucket) {
            #[cfg(feature = "buckets")]
            (Some(own), Some(other)) => own.url.contains(&other.url),
            (None, None) => {
                let own = dev_ino(&self.root).ok().flatten();
                own.is_some_and(|own| ancestors(&other.root).any(|id| id == own))
            }
            _ => false,
        }
    }
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
