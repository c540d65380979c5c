//! The origin of presigned URLs.

use std::time::Duration;

use futures_util::FutureExt as _;
use object_store::gcp::GoogleConfigKey;
use object_store::path::Path;
use object_store::signer::{Method, Url};

use crate::connect::{ConnectError, gcs_builder};
use crate::options::BucketOptions;
use crate::storage::ObjectStorage;
use crate::url::{BucketUrl, Provider};

impl ObjectStorage {
    /// Returns scheme, host and port of the presigned URLs of a bucket. It needs no credentials and makes no request. `None` if the bucket has
    /// no such URLs.
    ///
    /// ```
    /// use private_media_buckets::{BucketOptions, ObjectStorage};
    ///
    /// let options = BucketOptions::new().endpoint("https://s3.example.org:9000/".to_owned());
    /// let origin = ObjectStorage::presigned_origin(&"s3://uploads".parse()?, &options)?;
    /// assert_eq!(origin.as_deref(), Some("https://s3.example.org:9000"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn presigned_origin(
        url: &BucketUrl,
        options: &BucketOptions,
    ) -> Result<Option<String>, ConnectError> {
        options.check_for(url.provider())?;
        let presigned = match url.provider() {
            Provider::S3 => presigned_by_s3(url, options)?,
            Provider::Gcs => {
                let base = gcs_builder(url, options).get_config_value(&GoogleConfigKey::BaseUrl);
                base.as_deref().unwrap_or("https://storage.googleapis.com").parse().ok()
            }
            Provider::Azure => None,
        };
        Ok(presigned.map(|url| url.origin().ascii_serialization()))
    }
}

/// Returns a URL that is signed with a key of nobody.
fn presigned_by_s3(url: &BucketUrl, options: &BucketOptions) -> Result<Option<Url>, ConnectError> {
    let storage = ObjectStorage::from_url(url, options.clone().access_key("id", "secret"))?;
    let Some(urls) = storage.url_signer else { return Ok(None) };
    let path = Path::from("x");
    let signing = urls.signer.signed_url(Method::GET, &path, Duration::from_secs(60));
    Ok(signing.now_or_never().and_then(Result::ok))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn origins_of_buckets() {
        let options = || BucketOptions::new().region("eu-central-1".to_owned());
        let at = |endpoint: &str| options().endpoint(endpoint.to_owned()).allow_http(true);
        for (url, options, origin) in [
            ("s3://b/x", options(), Some("https://s3.eu-central-1.amazonaws.com")),
            ("s3://b/x", options().path_style(false), Some("https://b.s3.eu-central-1.amazonaws.com")),
            ("s3://b", at("https://s3.example.org"), Some("https://s3.example.org")),
            ("s3://b", at("https://S3.example.org:443/base/"), Some("https://s3.example.org")),
            ("s3://b", at("http://localhost:9000").path_style(false), Some("http://b.localhost:9000")),
            ("s3://b", at("http://[::1]:9000"), Some("http://[::1]:9000")),
            ("gs://b", BucketOptions::new(), Some("https://storage.googleapis.com")),
            (
                "gs://b",
                BucketOptions::new().endpoint("https://g.example:8".to_owned()),
                Some("https://g.example:8"),
            ),
            ("az://b", BucketOptions::new(), None),
        ] {
            let found = ObjectStorage::presigned_origin(&url.parse().unwrap(), &options).unwrap();
            assert_eq!(found.as_deref(), origin, "{url} {options:?}");
        }
        let plain = BucketOptions::new().endpoint("http://127.0.0.1:9".to_owned());
        assert!(ObjectStorage::presigned_origin(&"s3://b".parse().unwrap(), &plain).is_err());
    }
}
