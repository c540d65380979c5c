//! Connects to the bucket of a URL.

use std::fmt;
use std::sync::Arc;

use object_store::StaticCredentialProvider;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey, AwsCredential};
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;

use crate::aws_files::{self, Profile, ProfileError};
use crate::clients::PerRuntime;
use crate::create_only::CreateOnly;
use crate::keys::Keys;
use crate::options::BucketOptions;
use crate::signed::UrlSigner;
use crate::storage::ObjectStorage;
use crate::tls;
use crate::url::{BucketUrl, Provider};

/// The variables of the environment that say where S3 gets its credentials, instead of the files.
const S3_CREDENTIALS: [&str; 2] = ["AWS_ACCESS_KEY_ID", "AWS_WEB_IDENTITY_TOKEN_FILE"];

impl ObjectStorage {
    /// Returns a storage in the bucket of a URL. It makes no request.
    ///
    /// Credentials are those of the environment, as in the provider's tools:
    ///
    /// - S3: the variables `AWS_…`, the profile `AWS_PROFILE` of `~/.aws/credentials` and `~/.aws/config`, a web identity, the endpoint of a
    ///   container, or the metadata service of the instance.
    /// - Google: the variables `GOOGLE_…` such as `GOOGLE_APPLICATION_CREDENTIALS`, the credentials of `gcloud`, or the metadata service.
    /// - Azure: the variables `AZURE_…` such as `AZURE_STORAGE_ACCOUNT_NAME`, a federated token, or the metadata service.
    pub fn from_url(url: &BucketUrl, options: BucketOptions) -> Result<Self, ConnectError> {
        tls::install_provider();
        options.check_for(url.provider())?;
        let keys = Keys::new(url.prefix())
            .ok_or_else(|| ConnectError("the prefix of the keys is invalid".into()))?;
        match url.provider() {
            Provider::S3 => s3(url, keys, options),
            Provider::Gcs => gcs(url, keys, options),
            Provider::Azure => azure(url, keys, options),
        }
    }
}

impl BucketOptions {
    pub(crate) fn check_for(&self, provider: Provider) -> Result<(), ConnectError> {
        let has_s3_option = self.region.is_some() || self.path_style.is_some() || self.credential.is_some();
        if provider != Provider::S3 && has_s3_option {
            return Err(ConnectError("region, path style and access key are options of s3:// only".into()));
        }
        match &self.endpoint {
            Some(endpoint) if endpoint.starts_with("http://") && !self.allow_http => {
                Err(ConnectError("the endpoint has no TLS; use https://, or allow HTTP".into()))
            }
            Some(endpoint) if !endpoint.starts_with("http://") && !endpoint.starts_with("https://") => {
                Err(ConnectError("invalid endpoint; expected e.g. https://s3.example.org".into()))
            }
            _ => Ok(()),
        }
    }
}

fn s3(url: &BucketUrl, keys: Keys, options: BucketOptions) -> Result<ObjectStorage, ConnectError> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let has_variables =
        options.credential.is_some() || S3_CREDENTIALS.into_iter().any(|name| variable(name).is_some());
    let profile = match aws_files::read(variable) {
        // The variables take precedence, so files do not matter.
        Err(_) if has_variables => Profile::default(),
        profile => profile?,
    };
    let mut builder = AmazonS3Builder::from_env()
        .with_bucket_name(url.bucket())
        .with_client_options(options.client())
        .with_retry(options.retry())
        .with_http_connector(PerRuntime)
        // Some compatible servers have no bulk deletion.
        .with_disable_bulk_delete(true);
    let region = options.region.clone().or_else(|| builder.get_config_value(&AmazonS3ConfigKey::Region));
    builder = builder.with_region(region.or(profile.region).unwrap_or_else(|| "us-east-1".to_owned()));
    if let Some(credential) = &options.credential {
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(copy(credential))));
    } else if let Some(credential) = profile.credential.filter(|_| !has_variables) {
        builder = builder.with_credentials(Arc::new(StaticCredentialProvider::new(credential)));
    }
    let endpoint = options.endpoint.clone().or_else(|| {
        [AmazonS3ConfigKey::S3Endpoint, AmazonS3ConfigKey::Endpoint]
            .iter()
            .find_map(|key| builder.get_config_value(key))
    });
    let path_style = options.path_style.unwrap_or(true);
    builder = builder.with_virtual_hosted_style_request(!path_style);
    if let Some(endpoint) = endpoint.clone() {
        let endpoint = if path_style { endpoint } else { with_bucket(&endpoint, url.bucket()) };
        builder = builder.with_config(AmazonS3ConfigKey::S3Endpoint, endpoint);
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let store = Arc::new(builder.clone().build()?);
    let credentials = Arc::clone(store.credentials());
    let create_only =
        Arc::new(builder.with_credentials(credentials).with_http_connector(CreateOnly).build()?);
    let mut storage = ObjectStorage::with_keys(store.clone(), keys, options).at(endpoint.as_deref());
    storage.pages = Some(store.clone());
    storage.url_signer = Some(UrlSigner { signer: store, version: "versionId" });
    storage.create_only = Some(create_only);
    Ok(storage)
}

fn copy(AwsCredential { key_id, secret_key, token }: &AwsCredential) -> AwsCredential {
    AwsCredential { key_id: key_id.clone(), secret_key: secret_key.clone(), token: token.clone() }
}

/// Returns an endpoint with the name of the bucket in its host.
fn with_bucket(endpoint: &str, bucket: &str) -> String {
    match endpoint.trim_end_matches('/').split_once("://") {
        Some((scheme, host)) => format!("{scheme}://{bucket}.{host}"),
        None => endpoint.to_owned(),
    }
}

fn gcs(url: &BucketUrl, keys: Keys, options: BucketOptions) -> Result<ObjectStorage, ConnectError> {
    let mut builder = gcs_builder(url, &options);
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let store = Arc::new(builder.build()?);
    let endpoint = options.endpoint.clone();
    let mut storage = ObjectStorage::with_keys(store.clone(), keys, options).at(endpoint.as_deref());
    storage.pages = Some(store.clone());
    storage.url_signer = Some(UrlSigner { signer: store, version: "generation" });
    Ok(storage)
}

pub(crate) fn gcs_builder(url: &BucketUrl, options: &BucketOptions) -> GoogleCloudStorageBuilder {
    let builder = GoogleCloudStorageBuilder::from_env()
        .with_bucket_name(url.bucket())
        .with_client_options(options.client())
        .with_retry(options.retry())
        .with_http_connector(PerRuntime);
    match &options.endpoint {
        Some(endpoint) => builder.with_base_url(endpoint),
        None => builder,
    }
}

fn azure(url: &BucketUrl, keys: Keys, options: BucketOptions) -> Result<ObjectStorage, ConnectError> {
    let mut builder = MicrosoftAzureBuilder::from_env()
        .with_container_name(url.bucket())
        .with_client_options(options.client())
        .with_retry(options.retry())
        .with_http_connector(PerRuntime);
    if let Some(endpoint) = &options.endpoint {
        builder = builder.with_endpoint(endpoint.clone());
    }
    if options.anonymous {
        builder = builder.with_skip_signature(true);
    }
    let store = Arc::new(builder.build()?);
    let endpoint = options.endpoint.clone();
    let mut storage = ObjectStorage::with_keys(store.clone(), keys, options).at(endpoint.as_deref());
    storage.pages = Some(store);
    Ok(storage)
}

/// The error of a bucket that cannot be used: its options or its credentials are invalid.
#[derive(Debug)]
pub struct ConnectError(String);

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for ConnectError {}

impl From<object_store::Error> for ConnectError {
    fn from(error: object_store::Error) -> Self {
        Self(error.to_string())
    }
}

impl From<ProfileError> for ConnectError {
    fn from(error: ProfileError) -> Self {
        Self(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn connect(url: &str, options: BucketOptions) -> Result<ObjectStorage, String> {
        ObjectStorage::from_url(&url.parse().unwrap(), options).map_err(|error| error.to_string())
    }

    #[test]
    fn options_are_checked() {
        let options = BucketOptions::new;
        for (url, options, expected) in [
            ("s3://b", options().endpoint("http://127.0.0.1:9".to_owned()), "TLS"),
            ("s3://b", options().endpoint("s3.example.org".to_owned()), "https://"),
            ("gs://b", options().region("eu".to_owned()), "s3:// only"),
            ("az://b", options().path_style(true), "s3:// only"),
        ] {
            let error = connect(url, options).unwrap_err();
            assert!(error.contains(expected), "{url}: {error}");
        }
        connect("s3://b/x", options().endpoint("http://127.0.0.1:9".to_owned()).allow_http(true)).unwrap();
        connect("s3://b/x", options().region("eu-central-1".to_owned()).path_style(false)).unwrap();
    }

    #[test]
    fn the_bucket_is_in_the_host() {
        assert_eq!(with_bucket("https://s3.example.org/", "b"), "https://b.s3.example.org");
        assert_eq!(with_bucket("http://[::1]:80", "b"), "http://b.[::1]:80");
    }
}
