//! Who tells readers apart.

use std::path::PathBuf;
use std::time::Duration;

use private_media_django::{DatabaseUrl, DjangoOptions, SessionEngine};

use super::ConfigError;
use super::keys;
use super::layers::Layers;

/// Who tells readers apart.
#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The built-in accounts.
    Accounts,
    /// A Django project, by its session cookie.
    Django(Box<Django>),
}

/// Where a Django project has what a session is checked against.
#[derive(Debug, Clone)]
pub(crate) struct Django {
    pub(crate) database: DatabaseUrl,
    pub(crate) secret_file: PathBuf,
    pub(crate) options: DjangoOptions,
}

pub(super) fn source(layers: &Layers, cache: Duration, session: Duration) -> Result<Source, ConfigError> {
    // All of Django's are read, so that no mistake waits for the day on which the source changes.
    let database = layers.get(&keys::DATABASE);
    let folder = database.folder().to_path_buf();
    let database = database.parse_with(|value| match value.parse::<DatabaseUrl>() {
        Ok(url) => Ok(url.relative_to(&folder)),
        Err(error) => Err(error.to_string()),
    })?;
    let options = DjangoOptions {
        engine: layers.get(&keys::SESSION_ENGINE).parse_with(|value| engine(value, session))?,
        cookie: layers.get(&keys::SESSION_COOKIE).parse_with(cookie_name)?,
        backends: layers.get(&keys::BACKENDS).values().to_vec(),
        cache,
    };
    let django = Django { database, secret_file: layers.path(&keys::SECRET_FILE), options };
    layers.get(&keys::SOURCE).parse_with(|value| match value {
        "accounts" => Ok(Source::Accounts),
        "django" => Ok(Source::Django(Box::new(django.clone()))),
        _ => Err("this version knows accounts and django; write one of them".into()),
    })
}

/// Django's own way to write it is as welcome.
fn engine(value: &str, session: Duration) -> Result<SessionEngine, String> {
    match value.strip_prefix("django.contrib.sessions.backends.").unwrap_or(value) {
        "db" | "cached_db" => Ok(SessionEngine::Rows),
        "signed_cookies" => Ok(SessionEngine::Cookies { max_age: session }),
        "cache" | "file" => Err(
            "only Django can read the sessions there; set SESSION_ENGINE to cached_db or db in the project"
                .into(),
        ),
        _ => Err("it is no place of sessions; write db, cached_db or signed_cookies".into()),
    }
}

fn cookie_name(value: &str) -> Result<String, String> {
    let is_legal = |c: char| c.is_ascii_graphic() && !"()<>@,;:\\\"/[]?={}".contains(c);
    if !value.is_empty() && value.chars().all(is_legal) {
        Ok(value.into())
    } else {
        Err("it is no name of a cookie; write the project's SESSION_COOKIE_NAME, such as sessionid".into())
    }
}
