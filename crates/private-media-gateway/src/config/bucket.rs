//! The bucket of the private files, if the root is one.

#[cfg(feature = "buckets")]
use private_media_buckets::{BucketOptions, BucketUrl};

use super::error::ConfigError;
use super::keys;
use super::keys::storage;
use super::settings::{Setting, Settings};
use crate::send_mode::SendMode;

/// The bucket, and the options of its connections.
#[cfg(feature = "buckets")]
#[derive(Debug, Clone)]
pub(crate) struct BucketConfig {
    pub(crate) url: BucketUrl,
    pub(crate) options: BucketOptions,
}

/// Without the feature `buckets`, no root is a bucket.
#[cfg(not(feature = "buckets"))]
#[derive(Debug, Clone)]
pub(crate) enum BucketConfig {}

/// Returns the bucket; `None` if the root is a folder.
pub(super) fn bucket(settings: &Settings, mode: &SendMode) -> Result<Option<BucketConfig>, ConfigError> {
    let root = settings.get(&keys::ROOT);
    let own = [&storage::ENDPOINT, &storage::REGION, &storage::PATH_STYLE, &storage::ALLOW_HTTP];
    let text = root.values().first().map(String::as_str).unwrap_or_default();
    if !is_bucket(text) {
        // `config show` prints the defaults, too.
        let is_used = |setting: &&Setting| setting.values() != [setting.key().default];
        return match own.into_iter().filter_map(|key| settings.given(key)).find(is_used) {
            Some(setting) => Err(setting.error("the root is a folder", "remove it, or set root to a bucket")),
            None => Ok(None),
        };
    }
    if *mode != SendMode::Direct {
        let problem = "the root is a bucket, whose files only the gateway can send";
        return Err(settings.get(&keys::MODE).error(problem, "use direct, or a root that is a folder"));
    }
    parse(settings, text).map(Some)
}

fn is_bucket(text: &str) -> bool {
    ["s3://", "gs://", "az://"].iter().any(|scheme| text.starts_with(scheme))
}

#[cfg(feature = "buckets")]
fn parse(settings: &Settings, text: &str) -> Result<BucketConfig, ConfigError> {
    let root = settings.get(&keys::ROOT);
    // What is before an @ may be a secret.
    let shown = text.rsplit_once('@').map_or_else(|| text.to_owned(), |(_, bucket)| format!("…@{bucket}"));
    let url =
        text.parse::<BucketUrl>().map_err(|error| root.with_value(&shown).error_with(&error.to_string()))?;
    let optional = |key| {
        let given = settings.given(key)?.values().first()?;
        (!given.is_empty()).then(|| given.clone())
    };
    if optional(&storage::ENDPOINT).is_some_and(|endpoint| endpoint.contains('@')) {
        let endpoint = settings.get(&storage::ENDPOINT).with_value("…");
        return Err(endpoint.error("a URL has no credentials", "set them in the environment"));
    }
    let path_style: bool = settings.get(&storage::PATH_STYLE).parse("true or false")?;
    let options = BucketOptions::new()
        .endpoint(optional(&storage::ENDPOINT))
        .region(optional(&storage::REGION))
        .path_style((!path_style).then_some(false))
        .allow_http(settings.get(&storage::ALLOW_HTTP).parse("true or false")?);
    Ok(BucketConfig { url, options })
}

#[cfg(not(feature = "buckets"))]
fn parse(settings: &Settings, _text: &str) -> Result<BucketConfig, ConfigError> {
    let problem = "this program was built without support for buckets";
    Err(settings.get(&keys::ROOT).error(problem, "build it with the feature buckets, or name a folder"))
}
