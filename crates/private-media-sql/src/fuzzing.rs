//! Private parts of the crate that the fuzz targets in `fuzz/` call. They exist only with `--cfg fuzzing`.

use private_media::permission::Template;

use crate::query::{Dialect, Query};

/// The databases of [`parse_query`], in order.
pub const DATABASES: [&str; 3] = ["SQLite", "PostgreSQL", "MySQL"];

/// Returns the SQL of a query for one of the [`DATABASES`], and the variable of each parameter.
pub fn parse_query(source: &str, path: &Template, database: usize) -> Result<(String, Vec<String>), String> {
    let dialect = match database {
        0 => Dialect::Sqlite,
        1 => Dialect::Postgres,
        _ => Dialect::MySql,
    };
    let query = Query::parse(source, path, dialect)?;
    Ok((query.sql, query.parameters))
}
