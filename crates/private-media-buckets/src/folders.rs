//! Checks the names of folders before a save.

use std::collections::HashSet;
use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::{TryStreamExt as _, stream};
use private_media::{MediaPath, StorageError};
use tokio::sync::OnceCell;

use crate::error::{failed, storage_error};
use crate::storage::ObjectStorage;

/// How many folders above a file are checked at the same time.
const CHECKED_AT_ONCE: usize = 8;
/// How many folders are remembered.
const REMEMBERED: usize = 10_000;
const NAMING: &str = "naming the file";

/// What a sole writer knows about the folders.
#[derive(Debug, Default)]
pub(crate) struct Folders {
    /// Whether nothing was below the prefix before the first save.
    was_empty: OnceCell<bool>,
    /// Folders whose names are not those of files.
    checked: Mutex<HashSet<MediaPath>>,
}

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
        let unknown = above.filter(|folder| !self.is_known_folder(folder));
        stream::iter(unknown.map(Ok))
            .try_for_each_concurrent(CHECKED_AT_ONCE, |folder| async move {
                if self.is_object(&self.key(&folder)?).await? {
                    let problem = format!("{folder} is a file");
                    return Err(failed("creating the folder", io::ErrorKind::NotADirectory, &problem));
                }
                self.remember_folder(folder);
                Ok(())
            })
            .await?;
        has_any(&self.keys.folder(Some(path))).await
    }

    fn is_known_folder(&self, folder: &MediaPath) -> bool {
        self.folders.as_ref().is_some_and(|folders| folders.lock().contains(folder))
    }

    fn remember_folder(&self, folder: MediaPath) {
        if let Some(folders) = &self.folders {
            let mut checked = folders.lock();
            // Files come folder by folder, so the older folders are rarely needed again.
            if checked.len() >= REMEMBERED {
                checked.clear();
            }
            checked.insert(folder);
        }
    }
}

impl Folders {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashSet<MediaPath>> {
        // No panic leaves the set inconsistent, so a poisoned lock is usable.
        self.checked.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
