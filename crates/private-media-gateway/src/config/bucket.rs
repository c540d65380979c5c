//! The bucket of the private files, if the root is one.

#[cfg(feature = "buckets")]
use std::path::PathBuf;
#[cfg(feature = "buckets")]
use std::time::Duration;

#[cfg(feature = "buckets")]
use private_media_buckets::{BucketOptions, BucketUrl, Provider};

use super::error::ConfigError;
use super::keys;
use super::keys::{cache, storage};
use super::settings::{Setting, Settings};
#[cfg(feature = "buckets")]
use super::values;
use crate::send_mode::{InternalUrl, SendMode};

/// A shorter URL would expire on its way; a longer one is a public file.
#[cfg(feature = "buckets")]
const MIN_URL_LIFETIME: Duration = Duration::from_secs(10);
#[cfg(feature = "buckets")]
const MAX_URL_LIFETIME: Duration = Duration::from_secs(60 * 60);

/// The bucket, and the options of its connections.
#[cfg(feature = "buckets")]
#[derive(Debug, Clone)]
pub(crate) struct BucketConfig {
    pub(crate) url: BucketUrl,
    pub(crate) options: BucketOptions,
    /// Whether saves depend on conditional writes.
    pub(crate) conditional_writes: bool,
    /// How long presigned URLs are valid; `None` if there are none.
    pub(crate) url_lifetime: Option<Duration>,
    /// `None` if nothing is cached.
    pub(crate) cache: Option<CacheConfig>,
}

/// The folder that caches the bucket, and its maximum size in bytes.
#[cfg(feature = "buckets")]
#[derive(Debug, Clone)]
pub(crate) struct CacheConfig {
    pub(crate) path: PathBuf,
    pub(crate) size: u64,
}

/// Without the feature `buckets`, no root is a bucket.
#[cfg(not(feature = "buckets"))]
#[derive(Debug, Clone)]
pub(crate) enum BucketConfig {}

/// Returns the bucket; `None` if the root is a folder. Unless a command uses another bucket, settings of buckets are errors then.
pub(super) fn bucket(
    settings: &Settings,
    mode: &SendMode,
    has_other: bool,
) -> Result<Option<BucketConfig>, ConfigError> {
    let root = settings.get(&keys::ROOT);
    let own = [
        &storage::ENDPOINT,
        &storage::REGION,
        &storage::PATH_STYLE,
        &storage::ALLOW_HTTP,
        &storage::CONDITIONAL_WRITES,
        &cache::PATH,
        &cache::SIZE,
    ];
    let text = root.values().first().map(String::as_str).unwrap_or_default();
    // `config show` prints the defaults, too.
    let is_used = |setting: &&Setting| setting.values() != [setting.key().default];
    if let Some(lifetime) = settings.given(&keys::URL_LIFETIME).filter(is_used)
        && !has_signed_urls(mode, is_bucket(text))
    {
        let fix = "remove it, or set delivery.mode to redirect or nginx, for a bucket";
        return Err(lifetime.error("no URL is presigned", fix));
    }
    if !is_bucket(text) {
        if has_other {
            return Ok(None);
        }
        if *mode == SendMode::Redirect {
            let problem = "the root is a folder";
            return Err(settings.get(&keys::MODE).error(problem, "use direct, or set root to a bucket"));
        }
        return match own.into_iter().filter_map(|key| settings.given(key)).find(is_used) {
            Some(setting) => Err(setting.error("the root is a folder", "remove it, or set root to a bucket")),
            None => Ok(None),
        };
    }
    check_mode(settings, mode)?;
    let bucket = at(settings, text, |shown, problem| root.with_value(shown).error_with(problem))?;
    #[cfg(feature = "buckets")]
    let bucket = served(settings, mode, bucket)?;
    Ok(Some(bucket))
}

/// Returns whether files are sent by presigned URLs.
fn has_signed_urls(mode: &SendMode, is_bucket: bool) -> bool {
    matches!(mode, SendMode::Redirect) || (is_bucket && matches!(mode, SendMode::Nginx(_)))
}

/// Checks that the files of a bucket can be sent in a mode.
fn check_mode(settings: &Settings, mode: &SendMode) -> Result<(), ConfigError> {
    match mode {
        SendMode::Direct | SendMode::Redirect | SendMode::Nginx(InternalUrl::Prefix(_)) => Ok(()),
        SendMode::Nginx(InternalUrl::FullPath) => {
            let problem = "the root is a bucket, whose files have no full path";
            Err(settings
                .get(&keys::INTERNAL_URL)
                .error(problem, "use a prefix, e.g. /private-media-internal/"))
        }
        SendMode::Apache(_) => {
            let problem = "the root is a bucket, whose files Apache and lighttpd cannot open";
            let fix = "use direct, redirect or nginx, or a root that is a folder";
            Err(settings.get(&keys::MODE).error(problem, fix))
        }
    }
}

/// Returns whether a text is the URL of a bucket, and no path of a folder.
pub(crate) fn is_bucket(text: &str) -> bool {
    ["s3://", "gs://", "az://"].iter().any(|scheme| text.starts_with(scheme))
}

/// Returns the bucket of a URL. `error` makes the error of what can be shown of the URL, and its problem.
#[cfg(feature = "buckets")]
pub(super) fn at(
    settings: &Settings,
    text: &str,
    error: impl Fn(&str, &str) -> ConfigError,
) -> Result<BucketConfig, ConfigError> {
    // What is before an @ may be a secret.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, bucket)| format!("…@{bucket}"));
    let url = text.parse::<BucketUrl>().map_err(|problem| error(&shown, &problem.to_string()))?;
    let conditional_writes = settings.get(&storage::CONDITIONAL_WRITES).parse("true or false")?;
    let options = options(settings)?.conditional_writes(conditional_writes);
    Ok(BucketConfig { url, options, conditional_writes, url_lifetime: None, cache: None })
}

#[cfg(feature = "buckets")]
fn options(settings: &Settings) -> Result<BucketOptions, ConfigError> {
    let optional = |key| {
        let given = settings.given(key)?.values().first()?;
        (!given.is_empty()).then(|| given.clone())
    };
    if optional(&storage::ENDPOINT).is_some_and(|endpoint| endpoint.contains('@')) {
        let endpoint = settings.get(&storage::ENDPOINT).with_value("…");
        return Err(endpoint.error("a URL has no credentials", "set them in the environment"));
    }
    let path_style: bool = settings.get(&storage::PATH_STYLE).parse("true or false")?;
    Ok(BucketOptions::new()
        .endpoint(optional(&storage::ENDPOINT))
        .region(optional(&storage::REGION))
        .path_style((!path_style).then_some(false))
        .allow_http(settings.get(&storage::ALLOW_HTTP).parse("true or false")?))
}

/// Adds what only the root has.
#[cfg(feature = "buckets")]
fn served(settings: &Settings, mode: &SendMode, bucket: BucketConfig) -> Result<BucketConfig, ConfigError> {
    let url_lifetime = match mode {
        SendMode::Redirect | SendMode::Nginx(_) => Some(url_lifetime(settings, &bucket.url)?),
        SendMode::Direct | SendMode::Apache(_) => None,
    };
    let size = settings.get(&cache::SIZE).parse_with(values::cache_size)?;
    let has_cache =
        settings.given(&cache::PATH).is_some_and(|path| path.values().iter().any(|path| !path.is_empty()));
    let cache = has_cache.then(|| CacheConfig { path: settings.path(&cache::PATH), size });
    Ok(BucketConfig { url_lifetime, cache, ..bucket })
}

#[cfg(feature = "buckets")]
fn url_lifetime(settings: &Settings, url: &BucketUrl) -> Result<Duration, ConfigError> {
    if url.provider() == Provider::Azure {
        let problem = "presigned URLs of Azure cannot set the media type of a response";
        return Err(settings.get(&keys::MODE).error(problem, "use direct"));
    }
    settings.get(&keys::URL_LIFETIME).parse_with(|value| {
        let lifetime = values::duration(value)?;
        let is_sensible = (MIN_URL_LIFETIME..=MAX_URL_LIFETIME).contains(&lifetime);
        if is_sensible { Ok(lifetime) } else { Err("expected 10s to 1h".to_owned()) }
    })
}

#[cfg(not(feature = "buckets"))]
pub(super) fn at(
    _settings: &Settings,
    text: &str,
    error: impl Fn(&str, &str) -> ConfigError,
) -> Result<BucketConfig, ConfigError> {
    let problem = "this program was built without support for buckets; build it with the feature buckets, or name a folder";
    Err(error(text, problem))
}
