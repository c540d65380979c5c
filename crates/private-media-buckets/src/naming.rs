//! Checks the names of folders before a save.

use std::io;
use std::sync::Arc;

use futures_util::{TryStreamExt as _, stream};
use private_media::{MediaPath, StorageError};

use crate::error::{failed, storage_error};
use crate::storage::ObjectStorage;

/// How many folders above a file are checked at the same time.
const CHECKED_AT_ONCE: usize = 8;
const NAMING: &str = "naming the file";

impl ObjectStorage {
    /// Assumes that nothing else adds files below the prefix meanwhile, for programs that save many files. Then each folder is checked
    /// once instead of for each save, and none is if nothing was below the prefix before the first save. If the assumption is wrong, a file
    /// and a folder may get the same name. Neither replaces a file.
    #[must_use]
    pub fn sole_writer(mut self) -> Self {
        self.folders = Some(Arc::default());
        self
    }

    /// Checks that no folder of a path is a file. Returns whether the path itself is a folder.
    pub(crate) async fn check_names(&self, path: &MediaPath) -> Result<bool, StorageError> {
        let has_any =
            async |prefix: &str| self.has_any(prefix).await.map_err(|error| storage_error(NAMING, error));
        if let Some(folders) = &self.folders {
            let is_empty = async || has_any(self.keys.prefix()).await.map(|any| !any);
            if *folders.was_empty.get_or_try_init(is_empty).await? {
                return Ok(false);
            }
        }
        let above = std::iter::successors(path.parent(), MediaPath::parent);
        let unknown =
            above.filter(|folder| !self.folders.as_ref().is_some_and(|folders| folders.knows(folder)));
        stream::iter(unknown.map(Ok))
            .try_for_each_concurrent(CHECKED_AT_ONCE, |folder| async move {
                if self.is_object(&self.key(&folder)?).await? {
                    let problem = format!("{folder} is a file");
                    return Err(failed("creating the folder", io::ErrorKind::NotADirectory, &problem));
                }
                if let Some(folders) = &self.folders {
                    folders.remember(folder);
                }
                Ok(())
            })
            .await?;
        has_any(&self.keys.folder(Some(path))).await
    }
}
