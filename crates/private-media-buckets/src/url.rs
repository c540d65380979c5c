//! The URL of a bucket.

use std::fmt;
use std::str::FromStr;

/// A store of buckets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Provider {
    /// Amazon S3, or a compatible server: `s3://bucket/prefix`.
    S3,
    /// Google Cloud Storage: `gs://bucket/prefix`.
    Gcs,
    /// Azure Blob Storage: `az://container/prefix`.
    Azure,
}

impl Provider {
    const ALL: [Self; 3] = [Self::S3, Self::Gcs, Self::Azure];

    /// Returns the scheme of its URLs.
    #[must_use]
    pub const fn scheme(self) -> &'static str {
        match self {
            Self::S3 => "s3",
            Self::Gcs => "gs",
            Self::Azure => "az",
        }
    }
}

/// The URL of a bucket, with a prefix of its keys: `s3://bucket/prefix`, `gs://bucket/prefix` or `az://container/prefix`.
///
/// The prefix is not percent-decoded.
///
/// ```
/// use private_media_buckets::{BucketUrl, Provider};
///
/// let url: BucketUrl = "s3://uploads/private/".parse()?;
/// assert_eq!((url.provider(), url.bucket(), url.prefix()), (Provider::S3, "uploads", "private"));
/// assert_eq!(url.to_string(), "s3://uploads/private");
/// # Ok::<(), private_media_buckets::BucketUrlError>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BucketUrl {
    provider: Provider,
    bucket: String,
    prefix: String,
}

impl BucketUrl {
    /// Returns whether a text is the URL of a bucket, valid or not, and no path of a folder.
    ///
    /// ```
    /// use private_media_buckets::BucketUrl;
    ///
    /// assert!(BucketUrl::is_bucket_url("s3://"));
    /// assert!(!BucketUrl::is_bucket_url("/srv/private"));
    /// ```
    #[must_use]
    pub fn is_bucket_url(text: &str) -> bool {
        split(text).is_some()
    }

    /// Returns the store.
    #[must_use]
    pub fn provider(&self) -> Provider {
        self.provider
    }

    /// Returns the name of the bucket.
    #[must_use]
    pub fn bucket(&self) -> &str {
        &self.bucket
    }

    /// Returns whether all objects of another URL are below this one.
    ///
    /// ```
    /// use private_media_buckets::BucketUrl;
    ///
    /// let url: BucketUrl = "s3://uploads/private".parse()?;
    /// assert!(url.contains(&"s3://uploads/private/2019".parse()?));
    /// assert!(!url.contains(&"s3://uploads/private-2019".parse()?));
    /// # Ok::<(), private_media_buckets::BucketUrlError>(())
    /// ```
    #[must_use]
    pub fn contains(&self, other: &Self) -> bool {
        let below = other.prefix.strip_prefix(&self.prefix);
        self.provider == other.provider
            && self.bucket == other.bucket
            && (self.prefix.is_empty() || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    }

    /// Returns the prefix of the keys, without slashes at its ends. It may be empty.
    #[must_use]
    pub fn prefix(&self) -> &str {
        &self.prefix
    }
}

/// Returns the provider, and what follows the scheme.
fn split(text: &str) -> Option<(Provider, &str)> {
    let (scheme, rest) = text.split_once("://")?;
    let provider = Provider::ALL.into_iter().find(|provider| provider.scheme() == scheme)?;
    Some((provider, rest))
}

impl FromStr for BucketUrl {
    type Err = BucketUrlError;

    fn from_str(text: &str) -> Result<Self, BucketUrlError> {
        let (provider, rest) =
            split(text).ok_or(BucketUrlError("expected s3://bucket/prefix, gs://… or az://…"))?;
        let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        if bucket.contains('@') {
            return Err(BucketUrlError("a URL has no credentials; set them in the environment or in a file"));
        }
        if bucket.is_empty() {
            return Err(BucketUrlError(
                "the name of the bucket is missing; expected e.g. s3://bucket/prefix",
            ));
        }
        // The rules of the stores differ. These characters cannot change the host or the path of a request.
        if !bucket.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte))
            || bucket.starts_with('.')
            || bucket.contains("..")
        {
            return Err(BucketUrlError("a bucket has a name of letters, digits, hyphens and dots"));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        if !prefix.is_empty() && !is_valid_prefix(prefix) {
            return Err(BucketUrlError(
                "the prefix has an empty segment, \".\", \"..\" or a control character",
            ));
        }
        Ok(Self { provider, bucket: bucket.to_owned(), prefix: prefix.to_owned() })
    }
}

/// Returns whether keys may begin with a prefix.
pub(crate) fn is_valid_prefix(prefix: &str) -> bool {
    prefix.split('/').all(|segment| !matches!(segment, "" | "." | ".."))
        && !prefix.chars().any(char::is_control)
}

impl fmt::Display for BucketUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.provider.scheme(), self.bucket)?;
        if self.prefix.is_empty() { Ok(()) } else { write!(f, "/{}", self.prefix) }
    }
}

/// The error of a text that is not a [`BucketUrl`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BucketUrlError(&'static str);

impl fmt::Display for BucketUrlError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for BucketUrlError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls_are_parsed() {
        for (text, provider, bucket, prefix) in [
            ("s3://b", Provider::S3, "b", ""),
            ("s3://b/", Provider::S3, "b", ""),
            ("s3://my.bucket-1/a/b c/%20", Provider::S3, "my.bucket-1", "a/b c/%20"),
            ("gs://under_score/x/", Provider::Gcs, "under_score", "x"),
            ("az://container/é", Provider::Azure, "container", "é"),
        ] {
            let url: BucketUrl = text.parse().unwrap();
            assert_eq!((url.provider(), url.bucket(), url.prefix()), (provider, bucket, prefix), "{text}");
            assert_eq!(url.to_string().parse(), Ok(url), "{text}");
        }
    }

    #[test]
    fn invalid_urls_are_errors() {
        for text in [
            "",
            "private",
            "/srv/private",
            "S3://b",
            "http://b",
            "s3:/b",
            "s3://",
            "s3:///x",
            "s3://b//x",
            "s3://b/x//",
            "s3://b/../x",
            "s3://b/./x",
            "s3://b/a\nb",
            "s3://key:secret@b",
            "s3://b:80/x",
            "s3://b?x",
            "s3://b#x",
            "s3://a..b",
            "s3://.b",
            "gs://é",
            "s3://b\\c",
        ] {
            assert!(text.parse::<BucketUrl>().is_err(), "{text:?}");
        }
        let error = "s3://key:hunter2@b/x".parse::<BucketUrl>().unwrap_err().to_string();
        assert!(error.contains("credentials") && !error.contains("hunter2"), "{error}");
    }
}
