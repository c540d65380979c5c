//! The settings of identity.

use std::path::PathBuf;
use std::time::Duration;

use private_media_django::{DatabaseUrl, DjangoOptions, SessionEngine};

use super::error::ConfigError;
use super::keys;
use super::layers::Layers;

/// The source that identifies users.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The built-in accounts.
    Accounts,
    /// The sessions of a Django project.
    Django(Box<Django>),
}

/// Where to find a Django project's sessions and secret keys.
#[derive(Debug, Clone)]
pub(crate) struct Django {
    pub(crate) database: DatabaseUrl,
    pub(crate) secret_file: PathBuf,
    pub(crate) options: DjangoOptions,
}

pub(super) fn source(
    layers: &Layers,
    cache_ttl: Duration,
    session_lifetime: Duration,
) -> Result<Source, ConfigError> {
    let database = layers.get(&keys::DATABASE);
    let folder = database.folder().to_path_buf();
    let database = database.parse_with(|value| {
        Ok::<_, <DatabaseUrl as std::str::FromStr>::Err>(value.parse::<DatabaseUrl>()?.relative_to(&folder))
    })?;
    let options = DjangoOptions::new()
        .engine(layers.get(&keys::SESSION_ENGINE).parse_with(|value| engine(value, session_lifetime))?)
        .cookie(layers.get(&keys::SESSION_COOKIE).parse_with(cookie_name)?)
        .backends(layers.get(&keys::BACKENDS).values())
        .cache_ttl(cache_ttl);
    let django = Django { database, secret_file: layers.path(&keys::SECRET_FILE), options };
    layers.get(&keys::SOURCE).parse_with(|value| match value {
        "accounts" => Ok(Source::Accounts),
        "django" => Ok(Source::Django(Box::new(django.clone()))),
        _ => Err("expected accounts or django"),
    })
}

/// Parses a session engine. Django's own module path is accepted, too.
fn engine(value: &str, session_lifetime: Duration) -> Result<SessionEngine, &'static str> {
    match value.strip_prefix("django.contrib.sessions.backends.").unwrap_or(value) {
        "db" | "cached_db" => Ok(SessionEngine::Database),
        "signed_cookies" => Ok(SessionEngine::SignedCookies { max_age: session_lifetime }),
        "cache" | "file" => {
            Err("only Django can read these sessions; set SESSION_ENGINE to cached_db or db in the project")
        }
        _ => Err("unknown session engine; expected db, cached_db or signed_cookies"),
    }
}

fn cookie_name(value: &str) -> Result<String, &'static str> {
    let is_legal = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if !value.is_empty() && value.chars().all(is_legal) {
        Ok(value.into())
    } else {
        Err("not a cookie name; expected the project's SESSION_COOKIE_NAME, e.g. sessionid")
    }
}
