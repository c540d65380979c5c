//! Saves content under a free name.

use std::io;

use object_store::path::Path;
use object_store::{CopyMode, CopyOptions, Error, ObjectStoreExt as _, PutMode, PutOptions, PutPayload};
use private_media::request::alternative_paths;
use private_media::storage::Content;
use private_media::{MediaPath, SaveOptions, StorageError};

use crate::error::{failed, storage_error};
use crate::keys::unique;
use crate::metadata::{attributes, is_from};
use crate::parts::{Part, Parts};
use crate::storage::{ObjectStorage, Reservation};
use crate::upload::Upload;

/// The number of parts of content with an expected length. It leaves room for longer content.
const EXPECTED_PARTS: u64 = 5000;
const STORING: &str = "storing the file";
const NAMING: &str = "naming the file";

/// One save.
struct Save<'a> {
    storage: &'a ObjectStorage,
    path: &'a MediaPath,
    options: &'a SaveOptions,
    /// Whether the name is that of a folder.
    is_folder: bool,
    /// Marks the objects of this save.
    id: String,
}

impl ObjectStorage {
    pub(crate) async fn save_content(
        &self,
        path: &MediaPath,
        content: Content<'_>,
        options: &SaveOptions,
    ) -> Result<MediaPath, StorageError> {
        options.check_expected_len()?;
        let is_folder = self.check_names(path).await?;
        if is_folder && options.replace {
            return Err(failed(NAMING, io::ErrorKind::IsADirectory, "a folder has this name"));
        }
        if is_folder && options.create_new {
            return Err(StorageError::Exists);
        }
        if !options.replace && self.options.conditional_writes {
            self.check_conditional_writes().await?;
        }
        let save = Save { storage: self, path, options, is_folder, id: unique() };
        let mut parts = Parts::new(content, options, self.part_len(options));
        let first = parts.next().await?;
        if first.is_last { save.small(first.payload).await } else { save.large(first, parts).await }
    }

    /// Returns the length of parts, in bytes: longer ones if the content would have too many.
    fn part_len(&self, options: &SaveOptions) -> usize {
        let expected = options.expected_len.unwrap_or(0).div_ceil(EXPECTED_PARTS);
        self.options.part_len.max(usize::try_from(expected).unwrap_or(usize::MAX))
    }
}

impl Save<'_> {
    /// Returns the names to try, in order.
    fn names(&self) -> impl Iterator<Item = MediaPath> {
        let others = if self.options.create_new { 0 } else { usize::MAX };
        let own = (!self.is_folder).then(|| self.path.clone());
        own.into_iter().chain(alternative_paths(self.path).take(others))
    }

    fn no_name(&self) -> StorageError {
        if self.options.create_new {
            return StorageError::Exists;
        }
        failed(NAMING, io::ErrorKind::AlreadyExists, "no other name is free")
    }

    fn key(&self, path: &MediaPath) -> Result<Path, StorageError> {
        let too_long =
            || failed(NAMING, io::ErrorKind::InvalidFilename, "the key would be longer than 1024 bytes");
        self.storage.keys.of(path).ok_or_else(too_long)
    }

    /// Saves content with one request.
    async fn small(&self, content: PutPayload) -> Result<MediaPath, StorageError> {
        if self.options.replace {
            self.put(&self.key(self.path)?, content, PutMode::Overwrite).await?;
            return Ok(self.path.clone());
        }
        if !self.storage.options.conditional_writes {
            let (path, _reservation) = self.free_name().await?;
            self.put(&self.key(&path)?, content, PutMode::Overwrite).await?;
            return Ok(path);
        }
        for path in self.names() {
            match self.put(&self.key(&path)?, content.clone(), PutMode::Create).await {
                Err(StorageError::Exists) => {}
                result => return result.map(|()| path),
            }
        }
        Err(self.no_name())
    }

    async fn put(&self, key: &Path, content: PutPayload, mode: PutMode) -> Result<(), StorageError> {
        let attributes = attributes(self.path, &self.id, self.options.modified);
        let options = PutOptions { mode, attributes, ..PutOptions::default() };
        match self.storage.store.put_opts(key, content, options).await {
            Ok(_) => Ok(()),
            Err(error) => self.unless_stored(key, error).await,
        }
    }

    /// Returns the error of storing an object, unless this save has stored it and only the response got lost.
    async fn unless_stored(&self, key: &Path, error: Error) -> Result<(), StorageError> {
        if self.storage.head(key).await.is_ok_and(|object| is_from(&object, &self.id)) {
            return Ok(());
        }
        Err(match error {
            Error::AlreadyExists { .. } | Error::Precondition { .. } => StorageError::Exists,
            error => storage_error(STORING, error),
        })
    }

    /// Saves content in several parts.
    async fn large(&self, first: Part, mut parts: Parts<'_>) -> Result<MediaPath, StorageError> {
        if self.options.replace {
            self.upload(&*self.storage.store, &self.key(self.path)?, first, &mut parts).await?;
            return Ok(self.path.clone());
        }
        let store = if self.storage.options.conditional_writes {
            self.storage.create_only.as_ref()
        } else {
            Some(&self.storage.store)
        };
        let Some(store) = store else {
            return self.upload_and_copy(first, parts).await;
        };
        // Parts belong to a name, so it is chosen first. Another process may take it meanwhile: then this save fails, and replaces nothing,
        // if the store has conditional writes.
        let (path, _reservation) = self.free_name().await?;
        self.upload(&**store, &self.key(&path)?, first, &mut parts).await?;
        Ok(path)
    }

    /// Returns a free name that no other save of this process gets.
    async fn free_name(&self) -> Result<(MediaPath, Reservation), StorageError> {
        for path in self.names() {
            let Some(reservation) = self.storage.reserve(&path) else { continue };
            if !self.storage.is_object(&self.key(&path)?).await? {
                return Ok((path, reservation));
            }
        }
        Err(self.no_name())
    }

    async fn upload(
        &self,
        store: &dyn object_store::ObjectStore,
        key: &Path,
        first: Part,
        parts: &mut Parts<'_>,
    ) -> Result<(), StorageError> {
        let attributes = attributes(self.path, &self.id, self.options.modified);
        let mut upload = Upload::begin(store, key, attributes).await?;
        if let Err(error) = upload.send(first, parts).await {
            upload.abort().await;
            return Err(error);
        }
        let Err(error) = upload.complete().await else { return Ok(()) };
        let result = self.unless_stored(key, error).await;
        match result {
            Ok(()) => upload.forget(),
            Err(_) => upload.abort().await,
        }
        result
    }

    /// Uploads to a temporary object, and copies that to the first free name.
    async fn upload_and_copy(&self, first: Part, mut parts: Parts<'_>) -> Result<MediaPath, StorageError> {
        let temporary = self.storage.keys.temporary();
        self.upload(&*self.storage.store, &temporary, first, &mut parts).await?;
        let copied = self.copy(&temporary).await;
        if let Err(error) = self.storage.store.delete(&temporary).await {
            tracing::warn!(%error, key = %temporary, "cannot delete a temporary object; the next sweep tries again");
        }
        copied
    }

    async fn copy(&self, temporary: &Path) -> Result<MediaPath, StorageError> {
        for path in self.names() {
            let key = self.key(&path)?;
            let create = CopyOptions::new().with_mode(CopyMode::Create);
            let copied = match self.storage.store.copy_opts(temporary, &key, create).await {
                Ok(()) => Ok(()),
                Err(error) => self.unless_stored(&key, error).await,
            };
            match copied {
                Err(StorageError::Exists) => {}
                result => return result.map(|()| path),
            }
        }
        Err(self.no_name())
    }
}
