//! Verifies that conditional writes work.

use std::io;

use object_store::path::Path;
use object_store::{Attributes, Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use private_media::StorageError;

use crate::error::{failed, storage_error};
use crate::parts::Part;
use crate::storage::ObjectStorage;
use crate::sweep::LEFTOVER_AGE;
use crate::upload::Upload;

const CHECKING: &str = "checking that the bucket supports conditional writes";

impl ObjectStorage {
    /// Verifies with a temporary object that the bucket supports conditional writes, so that no save replaces a file unless told to. Some
    /// servers ignore the header `If-None-Match`; there, this is an error of the kind [`io::ErrorKind::Unsupported`].
    ///
    /// The first save without [`SaveOptions::replace`](private_media::SaveOptions::replace) calls this, and it is done once, unless
    /// [`BucketOptions::conditional_writes`](crate::BucketOptions::conditional_writes) is off. An application that calls it at start learns
    /// earlier.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use private_media_buckets::ObjectStorage;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let storage = ObjectStorage::new(Arc::new(object_store::memory::InMemory::new()));
    /// assert!(storage.check_conditional_writes().await.is_ok());
    /// # }
    /// ```
    pub async fn check_conditional_writes(&self) -> Result<(), StorageError> {
        let check = async {
            let key = self.keys.temporary();
            let result = self.check_at(&key).await;
            if let Err(error) = self.store.delete(&key).await {
                tracing::warn!(%error, %key, "cannot delete a temporary object; the next sweep tries again");
            }
            result?;
            if let Err(error) = self.sweep(LEFTOVER_AGE).await {
                tracing::warn!(%error, "cannot delete old temporary objects");
            }
            Ok(())
        };
        self.shared.checked.get_or_try_init(|| check).await.copied()
    }

    async fn check_at(&self, key: &Path) -> Result<(), StorageError> {
        let create = || {
            let options = PutOptions { mode: PutMode::Create, ..PutOptions::default() };
            self.store.put_opts(key, PutPayload::from_static(b"1"), options)
        };
        match create().await {
            // No other object has this key, so a response got lost, and the request was repeated.
            Ok(_) | Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => {}
            Err(error) => return Err(storage_error(CHECKING, error)),
        }
        rejected(create().await.map(drop))?;
        let Some(create_only) = &self.create_only else { return Ok(()) };
        let mut upload = Upload::begin(&**create_only, key, Attributes::new()).await?;
        let part = Part { payload: PutPayload::from_static(b"2"), is_last: true };
        let sent = upload.send_last(part).await;
        let completed = match sent {
            Ok(()) => rejected(upload.complete().await),
            Err(error) => Err(error),
        };
        upload.abort().await;
        completed
    }
}

/// Checks that a write over an existing object was rejected.
fn rejected(write: Result<(), Error>) -> Result<(), StorageError> {
    match write {
        Err(Error::AlreadyExists { .. } | Error::Precondition { .. }) => Ok(()),
        Err(error) => Err(storage_error(CHECKING, error)),
        Ok(()) => Err(failed(
            CHECKING,
            io::ErrorKind::Unsupported,
            "the server ignores If-None-Match, so a save could replace a file; use another server, or set conditional_writes to false if one process alone saves files there",
        )),
    }
}
