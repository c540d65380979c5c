//! The two places of a relocation.

use std::path::{Path, PathBuf};

use private_media::LocalStorage;

use crate::causes::root_cause;
use crate::config::{BucketConfig, Config, ConfigError, is_bucket};
use crate::folders::{ancestors, dev_ino};

/// Where files are, or where they are moved to.
#[cfg_attr(feature = "buckets", expect(clippy::large_enum_variant, reason = "a run has two of them"))]
pub(super) enum Place {
    Folder(PathBuf),
    Bucket(BucketConfig),
}

impl Place {
    /// Returns the place that an argument names.
    pub(super) fn of_argument(config: &Config, argument: &str, text: &str) -> Result<Self, ConfigError> {
        if is_bucket(text) {
            return config.bucket_of(argument, text).map(Self::Bucket);
        }
        Ok(Self::Folder(text.into()))
    }

    /// Returns the root of the configuration.
    pub(super) fn root(config: &Config) -> Result<Self, ConfigError> {
        if !config.others.is_empty() {
            return Err(ConfigError::new("there are several roots; name one with --to"));
        }
        match &config.bucket {
            None => {
                config.check_root()?;
                Ok(Self::Folder(config.root.clone()))
            }
            #[cfg(feature = "buckets")]
            Some(bucket) => Ok(Self::Bucket(bucket.clone())),
            #[cfg(not(feature = "buckets"))]
            Some(bucket) => match *bucket {},
        }
    }
}

/// Checks that the folders exist, and that neither place contains the other, so that no file is moved onto itself or found again.
pub(super) fn check(config: &Config, from: &Place, to: &Place) -> Result<(), ConfigError> {
    match (from, to) {
        (Place::Folder(from), Place::Folder(to)) => check_folders(config, from, to),
        (Place::Folder(folder), Place::Bucket(_)) | (Place::Bucket(_), Place::Folder(folder)) => {
            folder_id(folder).map(drop)
        }
        #[cfg(feature = "buckets")]
        (Place::Bucket(from), Place::Bucket(to)) => check_buckets(&from.url, &to.url),
        #[cfg(not(feature = "buckets"))]
        (Place::Bucket(bucket), Place::Bucket(_)) => match *bucket {},
    }
}

#[cfg(feature = "buckets")]
fn check_buckets(
    from: &private_media_buckets::BucketUrl,
    to: &private_media_buckets::BucketUrl,
) -> Result<(), ConfigError> {
    let (inner, outer) = if from.contains(to) {
        (to, from)
    } else if to.contains(from) {
        (from, to)
    } else {
        return Ok(());
    };
    let problem = format!("{inner} is inside {outer}, so files would be found twice");
    Err(ConfigError::new(format!("{problem}; name other prefixes or buckets")))
}

fn folder_id(folder: &Path) -> Result<(u64, u64), ConfigError> {
    match dev_ino(folder) {
        Ok(Some(id)) => Ok(id),
        Ok(None) => Err(ConfigError::new(format!("{}: not a folder", folder.display()))),
        Err(error) => Err(ConfigError::new(format!("{}: {error}", folder.display()))),
    }
}

fn check_folders(config: &Config, from: &Path, to: &Path) -> Result<(), ConfigError> {
    let (from_id, to_id) = (folder_id(from)?, folder_id(to)?);
    let (outer, inner) = if ancestors(to).any(|id| id == from_id) {
        (from, to)
    } else if ancestors(from).any(|id| id == to_id) {
        (to, from)
    } else {
        return Ok(());
    };
    let fix = if to == config.root.as_path() {
        "name a root outside of it with --root"
    } else {
        "name another with --to"
    };
    let (inner, outer) = (inner.display(), outer.display());
    Err(ConfigError::new(format!("{inner} is inside {outer}, so files would be found twice; {fix}")))
}

/// Opens a folder.
pub(super) fn open(folder: &Path) -> Result<LocalStorage, ConfigError> {
    LocalStorage::open_root(folder).map_err(|error| ConfigError::new(root_cause(&error)))
}

#[cfg(all(test, feature = "buckets"))]
mod tests {
    use super::*;

    #[test]
    fn overlapping_prefixes_are_errors() {
        for (from, to, is_valid) in [
            ("s3://a/x", "s3://a/x", false),
            ("s3://a/x", "s3://a/x/y", false),
            ("s3://a/x/y", "s3://a/x", false),
            ("s3://a", "s3://a/x", false),
            ("s3://a/x", "s3://a", false),
            ("s3://a/x", "s3://a/xy", true),
            ("s3://a/x", "s3://a/y", true),
            ("s3://a/x", "s3://b/x", true),
            ("s3://a/x", "gs://a/x", true),
        ] {
            let checked = check_buckets(&from.parse().unwrap(), &to.parse().unwrap());
            assert_eq!(checked.is_ok(), is_valid, "{from} {to}");
        }
    }
}
