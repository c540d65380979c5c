//! Finds out what a client without credentials can do.

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{Error, GetOptions, ObjectStore};
use private_media::StorageError;

use crate::error::{storage_error, within};
use crate::storage::ObjectStorage;

const CHECKING: &str = "checking whether the bucket is public";

/// How the statuses look in an error of `object_store`.
const DENIED: [&str; 3] = ["status code: 401", "status code: 403", "status code: 404"];

/// What a bucket gives to a client without credentials. It should be nothing: a client that reads the bucket itself bypasses all permissions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Exposure {
    /// Whether the names of the objects can be listed.
    pub is_listable: bool,
    /// Whether an object can be read. `None` if there is none.
    pub is_readable: Option<bool>,
}

impl ObjectStorage {
    /// Requests a list, and the first object below the prefix, as another client of the same bucket:
    /// [`BucketOptions::anonymous`](crate::BucketOptions::anonymous).
    ///
    /// What others can do from other networks, or with credentials of their own, is not known.
    pub async fn exposure_to(&self, stranger: &Self) -> Result<Exposure, StorageError> {
        let limit = self.options.open_timeout;
        let prefix = self.keys.prefix_path();
        let list = within(limit, first(&*stranger.store, prefix.as_ref())).await;
        let is_listable = is_granted(list.map(drop))?;
        let object = within(limit, first(&*self.store, prefix.as_ref())).await;
        let is_readable = match object.map_err(|error| storage_error(CHECKING, error))? {
            Some(key) => {
                let response = stranger.store.get_opts(&key, GetOptions::new().with_head(true));
                Some(is_granted(within(limit, response).await.map(drop))?)
            }
            None => None,
        };
        Ok(Exposure { is_listable, is_readable })
    }
}

/// Returns the key of an object.
async fn first(store: &dyn ObjectStore, prefix: Option<&Path>) -> Result<Option<Path>, Error> {
    let next = store.list(prefix).next().await.transpose()?;
    Ok(next.map(|object| object.location))
}

/// Returns whether a stranger got what was requested.
fn is_granted(response: Result<(), Error>) -> Result<bool, StorageError> {
    match response {
        Ok(()) => Ok(true),
        Err(Error::PermissionDenied { .. } | Error::Unauthenticated { .. } | Error::NotFound { .. }) => {
            Ok(false)
        }
        // The error of a list has no kind.
        Err(Error::Generic { source, .. })
            if DENIED.iter().any(|status| source.to_string().contains(status)) =>
        {
            Ok(false)
        }
        Err(error) => Err(storage_error(CHECKING, error)),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::aws::AmazonS3Builder;
    use object_store::memory::InMemory;
    use object_store::{ObjectStoreExt as _, PutPayload};
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpListener;

    use super::*;

    /// Returns a bucket that responds with this status.
    async fn responding(status: &'static str) -> Arc<dyn ObjectStore> {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let _ = stream.read(&mut [0; 4096]).await;
                let response = format!("HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
                let _ = stream.write_all(response.as_bytes()).await;
            }
        });
        let builder =
            AmazonS3Builder::new().with_bucket_name("b").with_endpoint(endpoint).with_allow_http(true);
        let retry = object_store::RetryConfig { max_retries: 0, ..Default::default() };
        Arc::new(builder.with_skip_signature(true).with_retry(retry).build().unwrap())
    }

    #[tokio::test]
    async fn only_a_public_bucket_is_exposed() {
        crate::tls::install_provider();
        let (empty, store) = (Arc::new(InMemory::new()), Arc::new(InMemory::new()));
        store.put(&"private/a".into(), PutPayload::from_static(b"x")).await.unwrap();
        let exposure = |is_listable, is_readable| Some((is_listable, is_readable));
        for (store, stranger, expected) in [
            (store.clone(), store.clone() as Arc<dyn ObjectStore>, exposure(true, Some(true))),
            (store.clone(), empty.clone(), exposure(true, Some(false))),
            (store.clone(), responding("403 Forbidden").await, exposure(false, Some(false))),
            (store.clone(), responding("401 Unauthorized").await, exposure(false, Some(false))),
            (empty, responding("403 Forbidden").await, exposure(false, None)),
            // It is not known.
            (store, responding("500 Internal Server Error").await, None),
        ] {
            let storage = ObjectStorage::new(store).prefix("private").unwrap();
            let found = storage.exposure_to(&ObjectStorage::new(stranger)).await.ok();
            assert_eq!(found.map(|found| (found.is_listable, found.is_readable)), expected);
        }
    }
}
