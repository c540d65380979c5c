//! Lists the keys below a prefix, page by page.

use object_store::list::{PaginatedListOptions, PaginatedListResult, PaginatedListStore};
use object_store::path::Error as PathError;
use object_store::{Error, ListResult};

use crate::error::within;
use crate::storage::ObjectStorage;

/// The number of keys in a page of the stores.
const PAGE: usize = 1000;
/// How often a page is requested: `object_store` repeats no request whose response broke off.
const ATTEMPTS: usize = 2;

/// What is listed below a prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Depth {
    /// The entries of one folder.
    Folder,
    /// The keys of all folders.
    All,
}

/// Where a page begins.
#[derive(Default)]
struct Position {
    token: Option<String>,
    /// The key before the first one.
    after: Option<String>,
}

/// Some of the keys below a prefix.
pub(crate) enum Page {
    Listed(ListResult),
    /// A key that is no valid path of `object_store`, such as `folder//file`.
    Invalid(String),
}

/// The pages below a prefix, in order. `object_store` rejects a whole page if one of its keys is no valid path. Then shorter pages find
/// that key.
pub(crate) struct Pages<'a> {
    storage: &'a ObjectStorage,
    store: &'a dyn PaginatedListStore,
    prefix: &'a str,
    depth: Depth,
    /// `None` after the last page.
    next: Option<Position>,
    len: usize,
}

impl<'a> Pages<'a> {
    pub(crate) fn new(
        storage: &'a ObjectStorage,
        store: &'a dyn PaginatedListStore,
        prefix: &'a str,
        depth: Depth,
    ) -> Self {
        Self { storage, store, prefix, depth, next: Some(Position::default()), len: PAGE }
    }

    /// Returns the next page.
    pub(crate) async fn next(&mut self) -> Result<Option<Page>, Error> {
        while let Some(position) = &self.next {
            match self.request(position, self.len).await {
                Ok(PaginatedListResult { result, page_token }) => {
                    self.next = page_token.map(|token| Position { token: Some(token), after: None });
                    self.len = PAGE.min(self.len.saturating_mul(2));
                    return Ok(Some(Page::Listed(result)));
                }
                Err(error) => {
                    let Some(key) = invalid_key(&error) else { return Err(error) };
                    if self.len > 1 {
                        self.len /= 2;
                        continue;
                    }
                    let after = if self.depth == Depth::Folder { last_below(key) } else { key.to_owned() };
                    self.next = Some(Position { token: None, after: Some(after) });
                    return Ok(Some(Page::Invalid(key.to_owned())));
                }
            }
        }
        Ok(None)
    }

    /// Returns whether there is any key.
    pub(crate) async fn has_any(&self) -> Result<bool, Error> {
        match self.request(&Position::default(), 1).await {
            Ok(page) => Ok(!page.result.objects.is_empty() || !page.result.common_prefixes.is_empty()),
            Err(error) if invalid_key(&error).is_some() => Ok(true),
            Err(error) => Err(error),
        }
    }

    async fn request(&self, position: &Position, len: usize) -> Result<PaginatedListResult, Error> {
        let prefix = (!self.prefix.is_empty()).then_some(self.prefix);
        let mut attempt = 1;
        loop {
            let options = PaginatedListOptions {
                offset: position.after.clone(),
                delimiter: (self.depth == Depth::Folder).then(|| "/".into()),
                max_keys: (len < PAGE).then_some(len),
                page_token: position.token.clone(),
                ..PaginatedListOptions::default()
            };
            let page = self.store.list_paginated(prefix, options);
            match within(self.storage.options.open_timeout, page).await {
                Err(Error::Generic { .. }) if attempt < ATTEMPTS => attempt += 1,
                result => return result,
            }
        }
    }
}

/// Returns the key that is no valid path.
pub(crate) fn invalid_key(error: &Error) -> Option<&str> {
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
