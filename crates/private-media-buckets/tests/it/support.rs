//! Requests and content.

use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use http::{Request, Response};
use http_body_util::BodyExt as _;
use private_media::storage::Content;
use private_media::{
    Identity, MediaBody, MediaPath, MediaService, Permit, PrivateMedia, SaveOptions, Storage, StorageError,
};
use private_media_buckets::{BucketOptions, ObjectStorage};
use tower_service::Service as _;

use crate::server::{BUCKET, credentials, is_conditional};

/// Returns a storage at a port, which is that of a server or of a proxy.
pub(crate) fn storage_at(port: u16, options: BucketOptions) -> ObjectStorage {
    let (key, secret) = credentials();
    let options = options.endpoint(format!("http://127.0.0.1:{port}")).allow_http(true);
    let options = options.access_key(key, secret).conditional_writes(is_conditional());
    ObjectStorage::from_url(&format!("s3://{BUCKET}/private").parse().unwrap(), options).unwrap()
}

/// Returns options for a machine that is busy with other tests.
pub(crate) fn patient() -> BucketOptions {
    BucketOptions::new().open_timeout(Duration::from_secs(60)).read_timeout(Duration::from_secs(60))
}

/// Returns a service for everyone.
pub(crate) fn service(storage: ObjectStorage) -> MediaService {
    let everyone = |_: &Identity, _: &MediaPath| true;
    PrivateMedia::builder(storage).permissions(everyone).build().service()
}

/// Returns the response to a request, without its content.
pub(crate) async fn respond(
    service: &MediaService,
    request: &str,
    headers: &[(&str, &str)],
) -> Response<MediaBody> {
    let (method, path) = request.split_once(' ').unwrap();
    let mut builder = Request::builder().method(method).uri(path);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    service.clone().call(builder.body(()).unwrap()).await.unwrap()
}

/// Returns the status and the content of a response. The content is an error if it breaks.
pub(crate) async fn get(
    service: &MediaService,
    path: &str,
    headers: &[(&str, &str)],
) -> (u16, Result<Bytes, std::io::Error>) {
    let response = respond(service, &format!("GET {path}"), headers).await;
    let status = response.status().as_u16();
    (status, response.into_body().collect().await.map(http_body_util::Collected::to_bytes))
}

pub(crate) fn path(name: &str) -> MediaPath {
    MediaPath::new(name).unwrap()
}

/// Saves bytes in pieces.
pub(crate) async fn save(
    storage: &ObjectStorage,
    name: &str,
    bytes: &Bytes,
    options: SaveOptions,
) -> Result<MediaPath, StorageError> {
    storage.save(&Permit::trusted(path(name)), pieces(bytes), &options).await
}

pub(crate) fn pieces(bytes: &Bytes) -> Content<'static> {
    let bytes = bytes.clone();
    let starts = (0..bytes.len()).step_by(300_000);
    let pieces: Vec<_> =
        starts.map(|start| Ok(bytes.slice(start..bytes.len().min(start + 300_000)))).collect();
    stream::iter(pieces).boxed()
}

/// Returns bytes in which each position differs from its surroundings.
pub(crate) fn bytes(len: usize) -> Bytes {
    let words = (0..len.div_ceil(4))
        .flat_map(|word| u32::try_from(word).unwrap().wrapping_mul(2_654_435_761).to_le_bytes());
    words.take(len).collect()
}
