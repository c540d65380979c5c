//! Deletes temporary objects that remained.

use std::time::{Duration, SystemTime};

use futures_util::TryStreamExt as _;
use object_store::ObjectStoreExt as _;
use private_media::StorageError;

use crate::error::bucket_error;
use crate::storage::ObjectStorage;

/// The age of a temporary object that no running save needs.
pub(crate) const LEFTOVER_AGE: Duration = Duration::from_hours(24);
const SWEEPING: &str = "deleting temporary objects";

impl ObjectStorage {
    /// Deletes the temporary objects of this age, and returns their number. A process that was killed may have left some.
    ///
    /// The first save does the same with those that are older than a day. The parts of incomplete multipart uploads are no objects: they are
    /// deleted by a lifecycle rule of the bucket.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use std::time::Duration;
    /// # use private_media_buckets::ObjectStorage;
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), private_media::StorageError> {
    /// let storage = ObjectStorage::new(Arc::new(object_store::memory::InMemory::new()));
    /// assert_eq!(storage.sweep(Duration::from_hours(24)).await?, 0);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn sweep(&self, age: Duration) -> Result<usize, StorageError> {
        let Some(before) = SystemTime::now().checked_sub(age) else { return Ok(0) };
        let mut objects = self.store.list(Some(self.keys.uploads()));
        let mut swept = 0;
        while let Some(object) = objects.try_next().await.map_err(|error| bucket_error(SWEEPING, error))? {
            if SystemTime::from(object.last_modified) <= before {
                self.store.delete(&object.location).await.map_err(|error| bucket_error(SWEEPING, error))?;
                swept += 1;
            }
        }
        Ok(swept)
    }
}
