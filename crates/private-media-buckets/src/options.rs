//! The options of a bucket.

use std::sync::Arc;
use std::time::Duration;

use object_store::aws::AwsCredential;
use object_store::{BackoffConfig, ClientOptions, RetryConfig};

/// The smallest part of a multipart upload that all stores accept, in bytes.
const MIN_PART_LEN: usize = 5 << 20;

/// The options of an [`ObjectStorage`](crate::ObjectStorage).
///
/// ```
/// use std::time::Duration;
///
/// use private_media_buckets::BucketOptions;
///
/// let options = BucketOptions::new()
///     .endpoint("https://s3.example.org".to_owned())
///     .region("eu-central-1".to_owned())
///     .read_timeout(Duration::from_secs(10));
/// ```
#[derive(Debug, Clone)]
pub struct BucketOptions {
    pub(crate) endpoint: Option<String>,
    pub(crate) region: Option<String>,
    pub(crate) path_style: Option<bool>,
    pub(crate) credential: Option<Arc<AwsCredential>>,
    pub(crate) allow_http: bool,
    pub(crate) anonymous: bool,
    pub(crate) connect_timeout: Duration,
    pub(crate) read_timeout: Duration,
    pub(crate) open_timeout: Duration,
    pub(crate) max_retries: usize,
    pub(crate) part_len: usize,
    pub(crate) conditional_writes: bool,
}

impl Default for BucketOptions {
    fn default() -> Self {
        Self {
            endpoint: None,
            region: None,
            path_style: None,
            credential: None,
            allow_http: false,
            anonymous: false,
            connect_timeout: Duration::from_secs(3),
            read_timeout: Duration::from_secs(30),
            open_timeout: Duration::from_secs(5),
            max_retries: 8,
            part_len: 8 << 20,
            conditional_writes: true,
        }
    }
}

impl BucketOptions {
    /// Returns the default options: the store of the provider, and what the environment says.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Sets the URL of a server that is compatible with the provider's. By default, it is the provider's, or for S3 that of the variables
    /// `AWS_ENDPOINT_URL_S3` and `AWS_ENDPOINT_URL`.
    #[must_use]
    pub fn endpoint(mut self, endpoint: impl Into<Option<String>>) -> Self {
        self.endpoint = endpoint.into();
        self
    }

    /// Sets the region of an S3 bucket. By default, it is that of the environment, of the profile in `~/.aws/config`, or `us-east-1`.
    #[must_use]
    pub fn region(mut self, region: impl Into<Option<String>>) -> Self {
        self.region = region.into();
        self
    }

    /// Sets whether the name of an S3 bucket is in the path of a request, instead of its host. By default, it is.
    #[must_use]
    pub fn path_style(mut self, path_style: impl Into<Option<bool>>) -> Self {
        self.path_style = path_style.into();
        self
    }

    /// Sets the access key of an S3 bucket. By default, it is that of the environment; see
    /// [`ObjectStorage::from_url`](crate::ObjectStorage::from_url).
    #[must_use]
    pub fn access_key(mut self, key_id: impl Into<String>, secret_key: impl Into<String>) -> Self {
        let (key_id, secret_key) = (key_id.into(), secret_key.into());
        self.credential = Some(Arc::new(AwsCredential { key_id, secret_key, token: None }));
        self
    }

    /// Sets whether an endpoint without TLS is allowed, for tests and trusted networks. By default, it is not.
    #[must_use]
    pub fn allow_http(mut self, allow_http: bool) -> Self {
        self.allow_http = allow_http;
        self
    }

    /// Sets whether requests are sent without credentials, as by a stranger. By default, they are not.
    #[must_use]
    pub fn anonymous(mut self, anonymous: bool) -> Self {
        self.anonymous = anonymous;
        self
    }

    /// Sets how long connecting may take. The default is 3 seconds.
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets how long the bucket may send nothing while it is read. There is no limit for a whole download. The default is 30 seconds.
    #[must_use]
    pub fn read_timeout(mut self, timeout: Duration) -> Self {
        self.read_timeout = timeout;
        self
    }

    /// Sets how long a request may take until its response begins, including all retries. The default is 5 seconds.
    #[must_use]
    pub fn open_timeout(mut self, timeout: Duration) -> Self {
        self.open_timeout = timeout;
        self
    }

    /// Sets how often a request is repeated after an error, including those that continue a broken download. The default is 8.
    #[must_use]
    pub fn max_retries(mut self, max_retries: usize) -> Self {
        self.max_retries = max_retries;
        self
    }

    /// Sets the length of the parts of a multipart upload, in bytes: at least 5 MiB. Shorter content is one request. Each running save needs this
    /// memory, and the largest file has 10,000 parts. The default is 8 MiB.
    #[must_use]
    pub fn part_len(mut self, len: usize) -> Self {
        self.part_len = len.max(MIN_PART_LEN);
        self
    }

    /// Sets whether saves depend on conditional writes, with the header `If-None-Match: *`. By default, they do, and a server that ignores the
    /// header is an error.
    ///
    /// Without them, a HEAD request checks each new name. Saves of one process replace no file then, but two processes that save the same
    /// name at the same time do. This is for servers without conditional writes, such as Garage, whose files one process alone saves.
    #[must_use]
    pub fn conditional_writes(mut self, conditional_writes: bool) -> Self {
        self.conditional_writes = conditional_writes;
        self
    }

    /// Returns the options of HTTP: a timeout for each step, and none for a whole request, because a download takes as long as its client.
    pub(crate) fn client(&self) -> ClientOptions {
        ClientOptions::new()
            .with_allow_http(self.allow_http)
            .with_timeout_disabled()
            .with_connect_timeout(self.connect_timeout)
            .with_read_timeout(self.read_timeout)
    }

    /// Returns when a request is repeated. Time alone ends no download: its rest is requested again however long it has taken.
    pub(crate) fn retry(&self) -> RetryConfig {
        RetryConfig {
            backoff: BackoffConfig {
                init_backoff: Duration::from_millis(100),
                max_backoff: Duration::from_secs(5),
                base: 2.0,
            },
            max_retries: self.max_retries,
            retry_timeout: Duration::MAX,
        }
    }
}

#[cfg(test)]
mod tests {
    use object_store::ClientConfigKey;

    use super::*;

    #[test]
    fn no_timeout_ends_a_whole_request() {
        let client = BucketOptions::new().client();
        assert_eq!(client.get_config_value(&ClientConfigKey::Timeout), None);
        let shown = |key| client.get_config_value(&key).unwrap();
        assert_eq!(
            (shown(ClientConfigKey::ReadTimeout), shown(ClientConfigKey::ConnectTimeout)),
            ("30s".into(), "3s".into())
        );
        assert_eq!(BucketOptions::new().retry().retry_timeout, Duration::MAX);
        // The defaults of the crate have both.
        assert!(ClientOptions::new().get_config_value(&ClientConfigKey::Timeout).is_some());
        assert!(RetryConfig::default().retry_timeout < Duration::from_secs(600));
    }

    #[test]
    fn the_secret_is_not_shown() {
        let options = BucketOptions::new().access_key("an id", "hunter2");
        assert!(!format!("{options:?}").contains("hunter2"), "{options:?}");
    }

    #[test]
    fn parts_are_not_too_small() {
        assert_eq!(BucketOptions::new().part_len(1).part_len, MIN_PART_LEN);
        assert_eq!(BucketOptions::new().part_len(9 << 20).part_len, 9 << 20);
    }
}
