//! Environment variables: of settings without a flag in the command, and unknown ones.

use std::env;

use super::args::{CONFIG_VARIABLE, LIST_DELIMITER};
use super::error::ConfigError;
use super::key::{Key, Kind};
use super::keys::KEYS;
use super::suggest::nearest;

const PREFIX: &str = "PRIVATE_MEDIA_";

/// Settings of the Django application that are no settings of the gateway. One environment may configure both.
const DJANGO: [&str; 7] = [
    "PRIVATE_MEDIA_CACHE",
    "PRIVATE_MEDIA_FORCE_DOWNLOAD",
    "PRIVATE_MEDIA_IGNORED_MIDDLEWARE",
    "PRIVATE_MEDIA_PERMISSIONS",
    "PRIVATE_MEDIA_PERMISSIONS_OPTIONS",
    "PRIVATE_MEDIA_SERVER",
    "PRIVATE_MEDIA_SERVER_OPTIONS",
];

/// Returns the values of a setting in the environment.
pub(super) fn values(key: &Key) -> Result<Option<Vec<String>>, ConfigError> {
    let name = key.environment();
    let Some(value) = env::var_os(&name) else { return Ok(None) };
    let Some(value) = value.to_str() else {
        return Err(ConfigError::new(format!("invalid value for {name}: not UTF-8")));
    };
    Ok(Some(match key.kind {
        Kind::List | Kind::Grants => value.split(LIST_DELIMITER).map(str::to_owned).collect(),
        _ => vec![value.to_owned()],
    }))
}

/// Returns a warning for each variable that looks like a setting and is none.
pub(super) fn warnings() -> Vec<String> {
    let mut names: Vec<_> = env::vars_os().filter_map(|(name, _)| name.into_string().ok()).collect();
    names.sort_unstable();
    names.iter().filter_map(|name| warning(name)).collect()
}

fn warning(name: &str) -> Option<String> {
    let mut known: Vec<_> = KEYS.iter().map(|key| key.environment()).collect();
    known.push(CONFIG_VARIABLE.to_owned());
    let is_known = known.iter().any(|known| known == name) || DJANGO.contains(&name);
    if !name.starts_with(PREFIX) || is_known {
        return None;
    }
    let hint = match nearest(name, known) {
        Some(near) => format!("did you mean {near}?"),
        None => "private-media serve --help lists all variables".to_owned(),
    };
    Some(format!("unknown environment variable {name} is ignored; {hint}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_variables_are_reported_with_the_nearest_name() {
        for (name, expected) in [
            ("PRIVATE_MEDIA_ROTO", Some("did you mean PRIVATE_MEDIA_ROOT?")),
            ("PRIVATE_MEDIA_CACHETTL", Some("did you mean PRIVATE_MEDIA_CACHE_TTL?")),
            ("PRIVATE_MEDIA_SOMETHING_ELSE", Some("serve --help")),
            ("PRIVATE_MEDIA_ROOT", None),
            ("PRIVATE_MEDIA_CONFIG", None),
            ("PRIVATE_MEDIA_SERVER", None),
            ("PRIVATE_MEDIUM_ROOT", None),
            ("PATH", None),
        ] {
            let warning = warning(name);
            match (&warning, expected) {
                (Some(warning), Some(expected)) => {
                    assert!(warning.contains(expected), "{warning}");
                }
                (warning, expected) => assert_eq!(warning.is_some(), expected.is_some(), "{name}"),
            }
        }
    }
}
