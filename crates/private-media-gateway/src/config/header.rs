//! The identity source `header`.

use http::HeaderName;
use http::header::{AUTHORIZATION, COOKIE};

use super::error::ConfigError;
use super::key::Key;
use super::keys::header as keys;
use super::settings::Settings;
use super::tables::Section;
use super::values;
use crate::identity::header::HeaderOptions;

/// Parses the table of a source.
pub(super) fn options(table: &Section) -> Result<HeaderOptions, ConfigError> {
    let settings = &table.settings;
    let header = settings.get(&keys::HEADER).parse_with(|value| match values::header_name(value)? {
        COOKIE | AUTHORIZATION => {
            Err("clients send this header themselves; name one that only the front server sends")
        }
        name => Ok(name),
    })?;
    let from = settings.get(&keys::FROM);
    if from.values().is_empty() {
        return Err(table.error(&format!(
            "missing key \"from\": anyone could send {}; list the address of the front server, e.g. from = [\"127.0.0.1\"]",
            settings.get(&keys::HEADER).values().first().map_or("the header", String::as_str)
        )));
    }
    let peers = from.values().iter().map(|peer| from.with_value(peer).parse_with(str::parse));
    let groups_header = optional_header(settings, &keys::GROUPS_HEADER)?;
    let staff_group = settings.get(&keys::STAFF_GROUP);
    if groups_header.is_none() && !staff_group.values().is_empty() {
        return Err(staff_group.error("no groups are read", "set groups_header, e.g. Remote-Groups"));
    }
    Ok(HeaderOptions {
        header,
        name_header: optional_header(settings, &keys::NAME_HEADER)?,
        groups_header,
        groups_separator: settings.get(&keys::GROUPS_SEPARATOR).parse_with(|value| match value {
            "," => Ok(','),
            " " => Ok(' '),
            _ => Err("expected a comma or space: \",\" or \" \""),
        })?,
        staff_group: staff_group.values().first().cloned(),
        from: peers.collect::<Result<_, _>>()?,
    })
}

fn optional_header(settings: &Settings, key: &'static Key) -> Result<Option<HeaderName>, ConfigError> {
    let setting = settings.get(key);
    if setting.values().is_empty() { Ok(None) } else { setting.parse_with(values::header_name).map(Some) }
}
