//! The settings of the identity source `jwt`.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use http::Uri;
use http::uri::Scheme;
use jsonwebtoken::{Algorithm, AlgorithmFamily};

use super::error::ConfigError;
use super::key::Key;
use super::keys::jwt as keys;
use super::settings::Setting;
use super::tables::Section;
use super::values;

/// The maximum leeway: it is for clocks, not for expired tokens.
const MAX_LEEWAY: Duration = Duration::from_secs(600);

/// The settings of a `jwt` source.
#[derive(Debug, Clone)]
pub(crate) struct JwtConfig {
    pub(crate) options: JwtOptions,
    /// The setting that names the keys.
    pub(crate) keys_setting: Setting,
}

/// How tokens are verified, and how their claims name a user.
#[derive(Debug, Clone)]
pub(crate) struct JwtOptions {
    pub(crate) keys: KeySource,
    /// The accepted algorithms.
    pub(crate) algorithms: Vec<Algorithm>,
    pub(crate) issuer: String,
    /// The accepted audiences; empty accepts every token, also one without an audience.
    pub(crate) audience: Vec<String>,
    /// The name of the cookie that contains a token.
    pub(crate) cookie: Option<String>,
    /// The tolerance for clocks that differ.
    pub(crate) leeway: Duration,
    /// The maximum age of a token.
    pub(crate) max_age: Option<Duration>,
    pub(crate) claims: ClaimPaths,
    /// How long a verified token is cached.
    pub(crate) cache_ttl: Duration,
    /// How long keys are used while they cannot be fetched.
    pub(crate) max_stale: Duration,
}

/// Where the keys come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// The URL of a JWK set.
    Url(Uri),
    File(KeyFile),
}

/// A file with keys.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct KeyFile {
    pub(crate) path: PathBuf,
    pub(crate) format: KeyFormat,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KeyFormat {
    JwkSet,
    /// A public key in PEM.
    Pem,
    Secret,
}

/// The claims that name a user, as paths such as `app_metadata.is_staff`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClaimPaths {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) staff: Option<String>,
    pub(crate) groups: Option<String>,
}

#[cfg(test)]
impl JwtOptions {
    /// Returns options for the tokens of the issuer `test`, for the audience `media`.
    pub(crate) fn for_tests() -> Self {
        let keys = KeySource::File(KeyFile { path: "secret".into(), format: KeyFormat::Secret });
        Self {
            algorithms: keys.default_algorithms(),
            keys,
            issuer: "test".into(),
            audience: vec!["media".into()],
            cookie: None,
            leeway: Duration::from_secs(60),
            max_age: None,
            claims: ClaimPaths { id: "sub".into(), name: "name".into(), staff: None, groups: None },
            cache_ttl: Duration::from_secs(5),
            max_stale: Duration::from_secs(86_400),
        }
    }
}

/// Parses a table with the source `jwt`.
pub(super) fn config(table: &Section, cache_ttl: Duration) -> Result<JwtConfig, ConfigError> {
    let (keys, keys_setting) = key_source(table)?;
    let optional =
        |key: &'static Key| Some(table.settings.get(key)).filter(|setting| !setting.values().is_empty());
    let required = |key: &'static Key, example: &str| {
        let missing = || table.error(&format!("missing key {:?}; set it to {example}", key.column()));
        optional(key).ok_or_else(missing)
    };
    let algorithms = match table.settings.given(&keys::ALGORITHMS) {
        None => keys.default_algorithms(),
        Some(setting) if setting.values().is_empty() => {
            return Err(setting.error("no algorithm is accepted", "name at least one, e.g. RS256"));
        }
        Some(setting) => setting.parse_each(|value| keys.algorithm(value))?,
    };
    let issuer = required(&keys::ISSUER, "the claim iss of the tokens, e.g. https://issuer.example/")?;
    let audience = required(&keys::AUDIENCE, "the audience of the tokens, e.g. media, or * for any")?;
    let audience = match audience.values() {
        [any] if any == "*" => vec![],
        _ => audience.parse_each(text)?,
    };
    let cookie =
        optional(&keys::COOKIE).map(|setting| setting.parse_with(values::cookie_name)).transpose()?;
    let max_age = optional(&keys::MAX_AGE).map(|setting| setting.parse_with(values::positive_duration));
    let trusted = |key| optional(key).map(|setting| setting.parse_with(trusted_claim)).transpose();
    let options = JwtOptions {
        keys,
        algorithms,
        issuer: issuer.parse_with(text)?,
        audience,
        cookie,
        leeway: table.settings.get(&keys::LEEWAY).parse_with(leeway)?,
        max_age: max_age.transpose()?,
        claims: ClaimPaths {
            id: table.settings.get(&keys::CLAIMS_ID).parse_with(trusted_claim)?,
            name: table.settings.get(&keys::CLAIMS_NAME).parse_with(text)?,
            staff: trusted(&keys::CLAIMS_STAFF)?,
            groups: trusted(&keys::CLAIMS_GROUPS)?,
        },
        cache_ttl,
        max_stale: table.settings.get(&keys::MAX_STALE).parse_with(values::positive_duration)?,
    };
    Ok(JwtConfig { options, keys_setting })
}

/// Returns where the keys come from, and the setting that says so.
fn key_source(table: &Section) -> Result<(KeySource, Setting), ConfigError> {
    let given = [&keys::JWKS, &keys::KEY, &keys::SECRET_FILE].map(|key| table.settings.given(key));
    let mut given = given.into_iter().flatten();
    let (Some(setting), None) = (given.next(), given.next()) else {
        return Err(table.error(
            "the keys are ambiguous or missing; set exactly one of \"jwks\", \"key\" and \"secret_file\"",
        ));
    };
    let source = setting.parse_with(|value| {
        let format = match setting.key().column() {
            _ if value.is_empty() => return Err("must not be empty; expected a file"),
            "jwks" => KeyFormat::JwkSet,
            "key" => KeyFormat::Pem,
            _ => KeyFormat::Secret,
        };
        let url = if format == KeyFormat::JwkSet { jwks_url(value)? } else { None };
        let file = || KeyFile { path: setting.folder().join(value), format };
        Ok(url.map_or_else(|| KeySource::File(file()), KeySource::Url))
    })?;
    Ok((source, setting.clone()))
}

impl KeySource {
    /// Returns the file that the keys are read from, if there is one.
    pub(crate) fn file(&self) -> Option<&KeyFile> {
        match self {
            Self::Url(_) => None,
            Self::File(file) => Some(file),
        }
    }

    /// Returns the file of a secret, if the keys are one.
    pub(crate) fn secret_file(&self) -> Option<&Path> {
        self.file().filter(|file| file.format == KeyFormat::Secret).map(|file| &*file.path)
    }

    /// Returns the algorithms that are accepted by default.
    fn default_algorithms(&self) -> Vec<Algorithm> {
        match self.secret_file() {
            Some(_) => vec![Algorithm::HS256],
            None => vec![Algorithm::RS256, Algorithm::ES256, Algorithm::EdDSA],
        }
    }

    /// Parses an algorithm that these keys can verify.
    fn algorithm(&self, value: &str) -> Result<Algorithm, &'static str> {
        let algorithm = Algorithm::from_str(value).map_err(|_| {
            "unknown algorithm; expected RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384, EdDSA, HS256, HS384 or HS512"
        })?;
        match (algorithm.family() == AlgorithmFamily::Hmac, self.secret_file().is_some()) {
            (true, false) => Err("a public key cannot verify it; set secret_file instead, or use e.g. RS256"),
            (false, true) => Err("a secret cannot verify it; use HS256, HS384 or HS512"),
            _ => Ok(algorithm),
        }
    }
}

/// Parses the URL of a JWK set; `None` if the value is the name of a file.
fn jwks_url(value: &str) -> Result<Option<Uri>, &'static str> {
    if !value.contains("://") {
        return Ok(None);
    }
    let url = Uri::from_str(value).map_err(|_| "invalid URL; expected https://… or a file")?;
    // An attacker who can change the response can sign in as every user.
    let is_safe = url.scheme() == Some(&Scheme::HTTPS)
        || (url.scheme() == Some(&Scheme::HTTP) && url.host().is_some_and(is_loopback));
    if is_safe { Ok(Some(url)) } else { Err("not authenticated; use https://, or a file") }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    host == "localhost" || address.is_ok_and(|address| address.is_loopback())
}

/// Checks the path of a claim that grants rights. Supabase and others let users change some claims themselves.
fn trusted_claim(value: &str) -> Result<String, &'static str> {
    if value.split('.').any(|name| name == "user_metadata" || name == "unsafe_metadata") {
        return Err(
            "users can change this claim themselves; use one that only the issuer sets, e.g. in app_metadata",
        );
    }
    text(value)
}

fn text(value: &str) -> Result<String, &'static str> {
    if value.is_empty() {
        Err("must not be empty; remove the key, or give it a value")
    } else {
        Ok(value.to_owned())
    }
}

fn leeway(value: &str) -> Result<Duration, String> {
    let leeway = values::duration(value)?;
    if leeway > MAX_LEEWAY { Err("longer than 10 minutes; expected e.g. 60s".into()) } else { Ok(leeway) }
}
