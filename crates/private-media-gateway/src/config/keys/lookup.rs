//! The settings of `[[lookup]]` tables.

use crate::config::key::{Heading, Key, Kind, Scope, Tables, Variant};

pub(crate) static LOOKUP: Key = Key {
    name: "lookup",
    flag: "lookup",
    kind: Kind::Tables(&Tables {
        selector: None,
        variants: &[Variant { name: "sql", keys: &[&PATH, &DATABASE, &QUERY, &CACHE] }],
    }),
    value_name: "TABLE",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "",
    help: "Where owner, name and type of files are, as a TOML table with path, database and query; may be repeated",
};
pub(crate) static PATH: Key = Key {
    name: "lookup.path",
    flag: "lookup",
    kind: Kind::Text,
    value_name: "TEMPLATE",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "",
    help: "Paths of the files, e.g. blobs/{key}",
};
pub(crate) static DATABASE: Key = Key {
    name: "lookup.database",
    flag: "lookup",
    kind: Kind::Url,
    value_name: "URL",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "",
    help: "The application's database: sqlite:PATH, postgres://… or mysql://…",
};
pub(crate) static QUERY: Key = Key {
    name: "lookup.query",
    flag: "lookup",
    kind: Kind::Text,
    value_name: "SQL",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "",
    help: "Query of the row of a file, e.g. select owner_id as owner, filename as name from blobs where key = {key}",
};
pub(crate) static CACHE: Key = Key {
    name: "lookup.cache",
    flag: "lookup",
    kind: Kind::Text,
    value_name: "DURATION",
    heading: Heading::Permissions,
    scopes: &[Scope::Decision, Scope::Deployment],
    default: "5s",
    help: "How long a row is cached; changes take effect within this time",
};
