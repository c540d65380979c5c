//! The identity source `forward`.

use http::{HeaderName, Uri};

use super::error::ConfigError;
use super::key::Key;
use super::keys::forward as keys;
use super::keys::identity::CACHE_TTL;
use super::settings::Settings;
use super::tables::Section;
use super::values;
use crate::identity::forward::{ForwardOptions, HeaderNames, PassedHeaders, RETRY_AFTER};

/// Parses the table of a source. `private_url` is the URL prefix of the private files.
pub(super) fn options(table: &Section, private_url: &str) -> Result<ForwardOptions, ConfigError> {
    let settings = &table.settings;
    let url = settings.get(&keys::URL);
    if url.values().is_empty() {
        let fix =
            "set it to a URL of the application that says who a client is, e.g. http://127.0.0.1:9000/whoami";
        return Err(table.error(&format!("missing key \"url\"; {fix}")));
    }
    let pass = settings.get(&keys::PASS);
    let names = pass.values().iter().map(|name| pass.with_value(name).parse_with(values::header_name));
    let names = names.collect::<Result<Vec<_>, _>>()?;
    let cookies = settings.get(&keys::COOKIES);
    let cookie_names =
        cookies.values().iter().map(|name| cookies.with_value(name).parse_with(values::cookie_name));
    Ok(ForwardOptions {
        url: url.parse_with(application_url)?,
        private_url: private_url.to_owned(),
        pass: PassedHeaders::new(names).map_err(|problem| pass.error_with(&problem))?,
        cookies: cookie_names.collect::<Result<_, _>>()?,
        timeout: settings.get(&keys::TIMEOUT).parse_with(values::positive_duration)?,
        cache_ttl: settings.get(&CACHE_TTL).parse_with(values::duration)?,
        permission: settings.get(&keys::PERMISSION).parse("true or false")?,
        retry_after: settings.get(&keys::UNAVAILABLE).parse_with(|value| match value {
            "deny" => Ok(None),
            "503" => Ok(Some(RETRY_AFTER)),
            _ => Err("expected deny or 503"),
        })?,
        names: HeaderNames {
            id: header_name(settings, &keys::ID_HEADER)?,
            name: header_name(settings, &keys::NAME_HEADER)?,
            groups: header_name(settings, &keys::GROUPS_HEADER)?,
            staff: header_name(settings, &keys::STAFF_HEADER)?,
        },
    })
}

fn header_name(settings: &Settings, key: &'static Key) -> Result<HeaderName, ConfigError> {
    settings.get(key).parse_with(values::header_name)
}

fn application_url(value: &str) -> Result<Uri, &'static str> {
    const EXPECTED: &str = "expected an http or https URL, e.g. http://127.0.0.1:9000/whoami";
    let url: Uri = value.parse().map_err(|_| EXPECTED)?;
    let authority = url.authority().ok_or(EXPECTED)?;
    if authority.as_str().contains('@') {
        return Err("a URL with a password is not supported; list the client's own credentials in pass");
    }
    if matches!(url.scheme_str(), Some("http" | "https")) && !authority.host().is_empty() {
        Ok(url)
    } else {
        Err(EXPECTED)
    }
}
