//! Lists folders.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use object_store::path::Path;
use object_store::{Error, ListResult};
use private_media::permission::{List, Permit};
use private_media::storage::Entry;
use private_media::{MediaPath, StorageError};

use crate::error::{bucket_error, within};
use crate::pages::{Depth, Page, Pages, invalid_key};
use crate::storage::ObjectStorage;

const LISTING: &str = "listing the folder";

impl ObjectStorage {
    /// Returns the entries of a folder.
    pub(crate) async fn list_folder(&self, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
        let prefix = self.keys.folder(folder);
        let mut found = Found::new(self, &prefix);
        self.find(&prefix, &mut found).await.map_err(|error| bucket_error(LISTING, error))?;
        if folder.is_some() && !found.any {
            return Err(StorageError::not_found("no such folder"));
        }
        Ok(found.into_entries())
    }

    async fn find(&self, prefix: &str, found: &mut Found<'_>) -> Result<(), Error> {
        let Some(pages) = &self.pages else {
            found.add(self.store.list_with_delimiter(Some(&Path::parse(prefix)?)).await?);
            return Ok(());
        };
        let mut pages = Pages::new(self, &**pages, prefix, Depth::Folder);
        while let Some(page) = pages.next().await? {
            match page {
                Page::Listed(page) => found.add(page),
                Page::Invalid(_) => found.any = true,
            }
        }
        Ok(())
    }

    /// Returns whether a folder exists: whether any object is below it. The root always exists.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use private_media::storage::{SaveOptions, Storage, content};
    /// use private_media::{MediaPath, Permit};
    /// use private_media_buckets::ObjectStorage;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let storage = ObjectStorage::new(Arc::new(object_store::memory::InMemory::new()));
    /// let cars = MediaPath::new("cars")?;
    /// assert!(!storage.is_folder(&Permit::trusted(cars.clone())).await?);
    /// let permit = Permit::trusted(MediaPath::new("cars/7/photo.jpg")?);
    /// storage.save(&permit, content("…"), &SaveOptions::new()).await?;
    /// assert!(storage.is_folder(&Permit::trusted(cars)).await?);
    /// # Ok(())
    /// # }
    /// ```
    pub async fn is_folder(&self, permit: &Permit<List>) -> Result<bool, StorageError> {
        let Some(folder) = permit.path() else { return Ok(true) };
        let found = self.has_any(&self.keys.folder(Some(folder))).await;
        found.map_err(|error| bucket_error(LISTING, error))
    }

    /// Returns whether any key begins with a prefix, which is empty or ends with a slash.
    pub(crate) async fn has_any(&self, prefix: &str) -> Result<bool, Error> {
        if let Some(pages) = &self.pages {
            return Pages::new(self, &**pages, prefix, Depth::Folder).has_any().await;
        }
        let prefix = Path::parse(prefix)?;
        let mut objects = self.store.list(Some(&prefix));
        let first = async { objects.next().await.transpose() };
        match within(self.options.open_timeout, first).await {
            Err(error) if invalid_key(&error).is_some() => Ok(true),
            found => found.map(|object| object.is_some()),
        }
    }
}

/// The entries that were found.
struct Found<'a> {
    storage: &'a ObjectStorage,
    prefix: &'a str,
    /// Whether any key was found, also one that cannot be served.
    any: bool,
    /// Sorted, each with whether it is a folder.
    entries: BTreeSet<(MediaPath, bool)>,
}

impl<'a> Found<'a> {
    fn new(storage: &'a ObjectStorage, prefix: &'a str) -> Self {
        Self { storage, prefix, any: false, entries: BTreeSet::new() }
    }

    fn add(&mut self, page: ListResult) {
        self.any |= !page.objects.is_empty() || !page.common_prefixes.is_empty();
        let objects = page.objects.into_iter().map(|object| (object.location, false));
        let folders = page.common_prefixes.into_iter().map(|folder| (folder, true));
        let storage = self.storage;
        for (key, is_folder) in objects.chain(folders) {
            // The key of a folder itself, with a slash at its end, is not below it.
            let is_below = key.as_ref().strip_prefix(self.prefix).is_some_and(|name| !name.is_empty());
            if let Some(path) = storage.keys.path(key.as_ref()).filter(|_| is_below) {
                self.entries.insert((path, is_folder));
            }
        }
    }

    fn into_entries(self) -> Vec<Entry> {
        let entries = self.entries.into_iter();
        entries
            .map(|(path, is_folder)| if is_folder { Entry::folder(path) } else { Entry::file(path) })
            .collect()
    }
}
