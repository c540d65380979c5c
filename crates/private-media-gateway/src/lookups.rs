//! The lookups of a configuration.

use private_media::lookup::CachedLookup;
use private_media_sql::{Database, DatabaseError, SqlLookup};

use crate::config::{ConfigError, LookupConfig};

/// The most file descriptors of one database: three for each of 8 SQLite connections.
pub(crate) const FILES: u64 = 24;

/// Connects to the databases of the lookups, and prepares their queries.
pub(crate) async fn open(lookups: &[LookupConfig]) -> Result<Vec<CachedLookup<SqlLookup>>, ConfigError> {
    let mut databases: Vec<(&LookupConfig, Database)> = Vec::new();
    let mut opened = Vec::new();
    for lookup in lookups {
        let same = databases.iter().find(|(other, _)| other.has_same_database(lookup));
        let database = if let Some((_, database)) = same {
            database.clone()
        } else {
            let error = |error: DatabaseError| lookup.database_setting.error_with(&error.to_string());
            let database = Database::connect(&lookup.database).await.map_err(error)?;
            databases.push((lookup, database.clone()));
            database
        };
        let query = lookup.query.values().first().map_or("", String::as_str);
        let error = |error: DatabaseError| lookup.query.error_with(&error.to_string());
        let sql = SqlLookup::open(database, lookup.path.clone(), query).await.map_err(error)?;
        opened.push(CachedLookup::new(sql, lookup.cache));
    }
    Ok(opened)
}
