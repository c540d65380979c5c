//! The lookups.

use std::path::PathBuf;
use std::time::Duration;

use private_media::MediaPath;
use private_media::permission::Template;
use private_media_sql::{DatabaseError, DatabaseUrl};

use super::error::ConfigError;
use super::key::Key;
use super::keys::lookup as keys;
use super::settings::Setting;
use super::tables::Section;
use super::values;

/// A lookup: one `[[lookup]]` table.
#[derive(Debug, Clone)]
pub(crate) struct LookupConfig {
    pub(crate) path: Template,
    pub(crate) database: DatabaseUrl,
    pub(crate) database_setting: Setting,
    pub(crate) query: Setting,
    pub(crate) cache: Duration,
}

impl LookupConfig {
    /// Returns whether the lookup decides about a path.
    pub(crate) fn covers(&self, path: &MediaPath) -> bool {
        self.path.captures(path).is_some()
    }

    /// Returns whether both have the same database, so that they can share its connections.
    pub(crate) fn has_same_database(&self, other: &Self) -> bool {
        let (own, other) = (&self.database_setting, &other.database_setting);
        own.values() == other.values() && own.folder() == other.folder()
    }

    /// Returns the database's file, which may not be inside the root.
    pub(super) fn file(&self) -> Option<(Setting, PathBuf)> {
        Some((self.database_setting.clone(), self.database.file()?.into()))
    }
}

/// Parses all tables.
pub(super) fn lookups(tables: &[Section]) -> Result<Vec<LookupConfig>, ConfigError> {
    let mut lookups: Vec<LookupConfig> = Vec::new();
    for table in tables {
        let lookup = lookup(table)?;
        if lookups.iter().any(|before| before.path == lookup.path) {
            return Err(table.error(
                "an earlier lookup has the same path, so this one is never asked; remove one of the two",
            ));
        }
        lookups.push(lookup);
    }
    Ok(lookups)
}

fn lookup(table: &Section) -> Result<LookupConfig, ConfigError> {
    let required = |key: &'static Key, example: &str| match table.settings.given(key) {
        Some(setting) => Ok(setting.clone()),
        None => Err(table.error(&format!("missing key {:?}; set it, e.g. {example}", key.column()))),
    };
    let path = required(&keys::PATH, "path = \"blobs/{key}\"")?.parse_with(str::parse::<Template>)?;
    let database_setting = required(&keys::DATABASE, "database = \"postgres://reader@localhost/shop\"")?;
    let database = database_setting.parse_with(|value| {
        Ok::<_, DatabaseError>(value.parse::<DatabaseUrl>()?.relative_to(database_setting.folder()))
    })?;
    let example = "query = \"select owner_id as owner from blobs where key = {key}\"";
    Ok(LookupConfig {
        path,
        database,
        query: required(&keys::QUERY, example)?,
        cache: table.settings.get(&keys::CACHE).parse_with(values::duration)?,
        database_setting,
    })
}
