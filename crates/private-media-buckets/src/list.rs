//! Lists folders.

use std::collections::BTreeSet;

use futures_util::StreamExt as _;
use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::{Error as PathError, Path};
use object_store::{Error, ListResult};
use private_media::storage::Entry;
use private_media::{MediaPath, StorageError};

use crate::error::{bucket_error, within};
use crate::storage::ObjectStorage;

const LISTING: &str = "listing the folder";
/// The number of keys in a page of the stores.
const PAGE: usize = 1000;

/// Where a page begins.
#[derive(Default)]
struct Position {
    token: Option<String>,
    /// The key before the first one.
    after: Option<String>,
}

impl ObjectStorage {
    /// Returns the entries of a folder.
    pub(crate) async fn list_folder(&self, folder: Option<&MediaPath>) -> Result<Vec<Entry>, StorageError> {
        let prefix = self.keys.folder(folder);
        let mut found = Found::new(self, &prefix);
        let listed = if let Some(pages) = &self.pages {
            self.list_pages(&**pages, &prefix, &mut found).await
        } else {
            self.list_whole(&prefix, &mut found).await
        };
        listed.map_err(|error| bucket_error(LISTING, error))?;
        if folder.is_some() && !found.any {
            return Err(StorageError::not_found("no such folder"));
        }
        Ok(found.into_entries())
    }

    async fn list_whole(&self, prefix: &str, found: &mut Found<'_>) -> Result<(), Error> {
        found.add(self.store.list_with_delimiter(Some(&Path::parse(prefix)?)).await?);
        Ok(())
    }

    /// Lists all pages of a folder. `object_store` rejects a whole page if one of its keys is no valid path, such as `folder//file`. Then
    /// shorter pages find that key, and it is skipped.
    async fn list_pages(
        &self,
        pages: &dyn PaginatedListStore,
        prefix: &str,
        found: &mut Found<'_>,
    ) -> Result<(), Error> {
        let (mut position, mut len) = (Position::default(), PAGE);
        loop {
            match self.page(pages, prefix, &position, len).await {
                Ok(PaginatedListResult { result, page_token }) => {
                    found.add(result);
                    let Some(token) = page_token else { return Ok(()) };
                    (position, len) =
                        (Position { token: Some(token), after: None }, PAGE.min(len.saturating_mul(2)));
                }
                Err(error) => {
                    let Some(key) = invalid_key(&error) else { return Err(error) };
                    found.any = true;
                    if len > 1 {
                        len /= 2;
                    } else {
                        position = Position { token: None, after: Some(last_below(key)) };
                    }
                }
            }
        }
    }

    async fn page(
        &self,
        pages: &dyn PaginatedListStore,
        prefix: &str,
        position: &Position,
        len: usize,
    ) -> Result<PaginatedListResult, Error> {
        let options = PaginatedListOptions {
            offset: position.after.clone(),
            delimiter: Some("/".into()),
            max_keys: (len < PAGE).then_some(len),
            page_token: position.token.clone(),
            ..PaginatedListOptions::default()
        };
        let prefix = (!prefix.is_empty()).then_some(prefix);
        within(self.options.open_timeout, pages.list_paginated(prefix, options)).await
    }

    /// Returns whether any key begins with a prefix, which is empty or ends with a slash.
    pub(crate) async fn has_any(&self, prefix: &str) -> Result<bool, Error> {
        let found = if let Some(pages) = &self.pages {
            let page = self.page(&**pages, prefix, &Position::default(), 1).await;
            page.map(|page| !page.result.objects.is_empty() || !page.result.common_prefixes.is_empty())
        } else {
            let prefix = Path::parse(prefix)?;
            let mut objects = self.store.list(Some(&prefix));
            let first = async { objects.next().await.transpose() };
            within(self.options.open_timeout, first).await.map(|object| object.is_some())
        };
        match found {
            Err(error) if invalid_key(&error).is_some() => Ok(true),
            found => found,
        }
    }
}

/// Returns the key that is no valid path.
fn invalid_key(error: &Error) -> Option<&str> {
    match error {
        Error::InvalidPath {
            source: PathError::EmptySegment { path } | PathError::BadSegment { path, .. },
        } => Some(path.as_str()),
        _ => None,
    }
}

/// Returns a text after which no key of a folder sorts, if the key is a folder; otherwise the key.
fn last_below(key: &str) -> String {
    if key.ends_with('/') { format!("{key}{}", char::MAX) } else { key.to_owned() }
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
