//! The identity sources.

use std::path::PathBuf;
use std::time::Duration;

use private_media_django::{DatabaseUrl, DjangoOptions, SessionEngine};

use super::error::ConfigError;
use super::jwt::{self, JwtConfig};
use super::key::Key;
use super::keys::identity as keys;
use super::settings::{Setting, Settings};
use super::tables::Section;
use super::{forward, header, values};
use crate::identity::forward::ForwardOptions;
use crate::identity::header::HeaderOptions;
use crate::login::LoginPage;

/// An identity source: one `[[identity]]` table.
#[derive(Debug, Clone)]
pub(crate) struct IdentitySource {
    pub(crate) source: Source,
    /// The page that signed-out browsers are sent to.
    pub(crate) login: Option<LoginPage>,
}

#[derive(Debug, Clone)]
pub(crate) enum Source {
    /// The built-in accounts.
    Accounts(AccountsConfig),
    /// The sessions of a Django project.
    Django(Box<DjangoConfig>),
    /// The tokens of an issuer.
    Jwt(Box<JwtConfig>),
    /// The application, asked over HTTP.
    Forward(Box<ForwardOptions>),
    /// A trusted front server.
    Header(Box<HeaderOptions>),
}

/// The settings of the built-in accounts.
#[derive(Debug, Clone)]
pub(crate) struct AccountsConfig {
    pub(crate) file: FileSetting,
    pub(crate) cache_ttl: Duration,
    pub(crate) session_lifetime: Duration,
}

/// Where to find a Django project's sessions and secret keys.
#[derive(Debug, Clone)]
pub(crate) struct DjangoConfig {
    pub(crate) database: DatabaseUrl,
    pub(crate) database_setting: Setting,
    pub(crate) secret_file: FileSetting,
    pub(crate) options: DjangoOptions,
}

/// A setting that names a file.
#[derive(Debug, Clone)]
pub(crate) struct FileSetting {
    pub(crate) path: PathBuf,
    pub(crate) setting: Setting,
}

impl FileSetting {
    fn new(settings: &Settings, key: &'static Key) -> Self {
        Self { path: settings.path(key), setting: settings.get(key) }
    }
}

/// Parses the tables of all sources. `url` is the URL prefix of the private files.
pub(super) fn sources(tables: &[Section], url: &str) -> Result<Vec<IdentitySource>, ConfigError> {
    let mut sources: Vec<IdentitySource> = Vec::new();
    for table in tables {
        let source = source(table, url)?;
        if sources.iter().any(|before| before.source.shadows(&source)) {
            return Err(table.error(
                "an earlier source decides about the same credential, so this one is never asked; remove one of the two",
            ));
        }
        let login = login(table, url, &source)?;
        sources.push(IdentitySource { source, login });
    }
    Ok(sources)
}

impl Source {
    /// Returns the name of the source in the configuration, and in its users.
    pub(crate) fn name(&self) -> &'static str {
        match self {
            Self::Accounts(_) => "accounts",
            Self::Django(_) => "django",
            Self::Jwt(_) => "jwt",
            Self::Forward(_) => "forward",
            Self::Header(_) => "header",
        }
    }

    /// Returns the files that the source reads, which may not be inside the root.
    pub(super) fn files(&self) -> Vec<(Setting, PathBuf)> {
        let file = |file: &FileSetting| (file.setting.clone(), file.path.clone());
        match self {
            Self::Accounts(accounts) => vec![file(&accounts.file)],
            Self::Django(django) => {
                let database =
                    django.database.file().map(|path| (django.database_setting.clone(), path.into()));
                database.into_iter().chain([file(&django.secret_file)]).collect()
            }
            Self::Jwt(jwt) => {
                let file = jwt.options.keys.file();
                file.map(|file| (jwt.keys_setting.clone(), file.path.clone())).into_iter().collect()
            }
            Self::Forward(_) | Self::Header(_) => vec![],
        }
    }

    /// Returns whether the source also decides about paths.
    pub(crate) fn has_permission(&self) -> bool {
        matches!(self, Self::Forward(options) if options.permission)
    }

    /// Returns whether both recognize the same credentials.
    fn shadows(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Accounts(_), Self::Accounts(_)) => true,
            (Self::Django(one), Self::Django(other)) => one.options.cookie == other.options.cookie,
            (Self::Jwt(one), Self::Jwt(other)) => one.options.issuer == other.options.issuer,
            (Self::Django(django), Self::Jwt(jwt)) | (Self::Jwt(jwt), Self::Django(django)) => {
                jwt.options.cookie.as_ref() == Some(&django.options.cookie)
            }
            (Self::Forward(one), Self::Forward(other)) => one.shadows(other),
            (Self::Header(one), Self::Header(other)) => one.header == other.header,
            _ => false,
        }
    }
}

fn source(table: &Section, url: &str) -> Result<Source, ConfigError> {
    let settings = &table.settings;
    let cache_ttl = settings.get(&keys::CACHE_TTL).parse_with(values::duration)?;
    let session_lifetime = settings.get(&keys::SESSION_LIFETIME).parse_with(values::positive_duration)?;
    match table.variant.name {
        "forward" => Ok(Source::Forward(Box::new(forward::options(table, url)?))),
        "header" => Ok(Source::Header(Box::new(header::options(table)?))),
        "accounts" => {
            let file = FileSetting::new(settings, &keys::ACCOUNTS);
            Ok(Source::Accounts(AccountsConfig { file, cache_ttl, session_lifetime }))
        }
        "django" => Ok(Source::Django(Box::new(django(settings, cache_ttl, session_lifetime)?))),
        "jwt" => Ok(Source::Jwt(Box::new(jwt::config(table, cache_ttl)?))),
        name => Err(table.error(&format!("source {name:?} is not part of this program"))),
    }
}

fn django(
    settings: &Settings,
    cache_ttl: Duration,
    session_lifetime: Duration,
) -> Result<DjangoConfig, ConfigError> {
    let database_setting = settings.get(&keys::DATABASE);
    let folder = database_setting.folder();
    let database = database_setting.parse_with(|value| {
        Ok::<_, <DatabaseUrl as std::str::FromStr>::Err>(value.parse::<DatabaseUrl>()?.relative_to(folder))
    })?;
    let options = DjangoOptions::new()
        .engine(settings.get(&keys::SESSION_ENGINE).parse_with(|value| engine(value, session_lifetime))?)
        .cookie(settings.get(&keys::SESSION_COOKIE).parse_with(values::cookie_name)?)
        .backends(settings.get(&keys::BACKENDS).values())
        .cache_ttl(cache_ttl);
    let secret_file = FileSetting::new(settings, &keys::SECRET_FILE);
    Ok(DjangoConfig { database, database_setting, secret_file, options })
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

/// Parses the sign-in page of a source; `None` if browsers are not sent to one.
fn login(table: &Section, url: &str, source: &Source) -> Result<Option<LoginPage>, ConfigError> {
    let settings = &table.settings;
    let (key, is_built_in) = match source {
        Source::Accounts(_) => (&keys::ACCOUNTS_LOGIN_URL, true),
        _ => (&keys::LOGIN_URL, false),
    };
    let parameter = settings.get(&keys::LOGIN_RETURN).parse_with(LoginPage::parameter)?;
    let origin = settings.get(&keys::LOGIN_ORIGIN).parse_with(LoginPage::origin)?;
    settings.get(key).parse_with(|value| match value {
        "none" => Ok(None),
        "-/sign-in" if is_built_in => LoginPage::new(&format!("{url}{value}"), &parameter, &origin).map(Some),
        _ => LoginPage::new(value, &parameter, &origin).map(Some),
    })
}
