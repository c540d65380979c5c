//! Multipart uploads.

use std::io;

use object_store::path::Path;
use object_store::{Attributes, Error, MultipartUpload, ObjectStore, PutMultipartOptions};
use private_media::StorageError;
use tokio::runtime::Handle;

use crate::error::{failed, storage_error};
use crate::parts::{Part, Parts};

/// The number of parts that all stores accept.
const MAX_PARTS: usize = 10_000;
const STORING: &str = "storing the file";

/// A multipart upload. Unless it is completed, it is aborted, also if the client disconnects.
#[derive(Debug)]
pub(crate) struct Upload(Option<Box<dyn MultipartUpload>>);

impl Upload {
    /// Begins an upload.
    pub(crate) async fn begin(
        store: &dyn ObjectStore,
        key: &Path,
        attributes: Attributes,
    ) -> Result<Self, StorageError> {
        let options = PutMultipartOptions { attributes, ..PutMultipartOptions::default() };
        let upload = store.put_multipart_opts(key, options).await;
        Ok(Self(Some(upload.map_err(|error| storage_error(STORING, error))?)))
    }

    /// Uploads a first part, and all others.
    pub(crate) async fn send(&mut self, first: Part, parts: &mut Parts<'_>) -> Result<(), StorageError> {
        let Some(upload) = self.0.as_mut() else { return Ok(()) };
        let (mut part, mut count) = (first, 1_usize);
        loop {
            let is_last = part.is_last;
            if part.payload.content_length() > 0 {
                upload.put_part(part.payload).await.map_err(|error| storage_error(STORING, error))?;
            }
            if is_last {
                return Ok(());
            }
            count = count.saturating_add(1);
            part = parts.next().await?;
            if count > MAX_PARTS && part.payload.content_length() > 0 {
                let problem =
                    "the content has more than 10,000 parts; give its expected length, or set longer parts";
                return Err(failed(STORING, io::ErrorKind::FileTooLarge, problem));
            }
        }
    }

    /// Uploads the only part.
    pub(crate) async fn send_last(&mut self, part: Part) -> Result<(), StorageError> {
        let Some(upload) = self.0.as_mut() else { return Ok(()) };
        upload.put_part(part.payload).await.map_err(|error| storage_error(STORING, error))
    }

    /// Makes the object appear.
    pub(crate) async fn complete(&mut self) -> Result<(), Error> {
        if let Some(upload) = self.0.as_mut() {
            upload.complete().await?;
            self.0 = None;
        }
        Ok(())
    }

    /// Deletes the parts.
    pub(crate) async fn abort(mut self) {
        if let Some(upload) = self.0.take() {
            abort(upload).await;
        }
    }

    /// Treats the upload as completed.
    pub(crate) fn forget(mut self) {
        self.0 = None;
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        if let (Some(upload), Ok(runtime)) = (self.0.take(), Handle::try_current()) {
            runtime.spawn(abort(upload));
        }
    }
}

async fn abort(mut upload: Box<dyn MultipartUpload>) {
    if let Err(error) = upload.abort().await {
        tracing::warn!(%error, "cannot abort a multipart upload; a lifecycle rule of the bucket can delete its parts");
    }
}
