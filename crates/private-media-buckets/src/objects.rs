//! Lists, reads and deletes whole objects, for programs that move many files.

use std::collections::VecDeque;
use std::io;

use futures_core::stream::BoxStream;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use object_store::{Error, ObjectMeta};
use private_media::permission::{Delete, Permit, Read};
use private_media::storage::{ByteStream, Metadata};
use private_media::{MediaPath, StorageError};

use crate::error::{bucket_error, failed};
use crate::metadata::metadata;
use crate::pages::{Depth, Page, Pages};
use crate::read::{exactly, whole};
use crate::storage::ObjectStorage;

const LISTING: &str = "listing the bucket";
const DELETING: &str = "deleting the file";

/// An object below the prefix of a storage, as [`ObjectStorage::objects`] lists it.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum ListedObject {
    /// An object whose key is a valid path, and its length in bytes. A key with a slash at its end, as some tools use it for folders, is
    /// listed without that slash; [`StorageError::NotFound`] tells when the object is opened.
    File(MediaPath, u64),
    /// The key of an object that no path leads to, without the prefix.
    Invalid(String),
}

/// A listing, and the objects of its last page that are not returned yet.
struct Listed<'a> {
    listing: Listing<'a>,
    found: VecDeque<ListedObject>,
}

/// Where objects are listed.
enum Listing<'a> {
    Pages(Pages<'a>),
    /// A store without pages of its own.
    Stream(BoxStream<'static, Result<ObjectMeta, Error>>),
}

impl ObjectStorage {
    /// Lists all objects below the prefix, of all folders, with one request for 1000 objects. It holds one page in memory. The stream ends
    /// with its first error.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// use futures_util::TryStreamExt;
    /// use private_media::storage::{SaveOptions, Storage, content};
    /// use private_media::{MediaPath, Permit};
    /// use private_media_buckets::{ListedObject, ObjectStorage};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
    /// let storage = ObjectStorage::new(Arc::new(object_store::memory::InMemory::new()));
    /// let path = MediaPath::new("cars/7/photo.jpg")?;
    /// storage.save(&Permit::trusted(path.clone()), content("…"), &SaveOptions::new()).await?;
    /// let listed: Vec<_> = storage.objects().try_collect().await?;
    /// assert_eq!(listed, [ListedObject::File(path, 3)]);
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn objects(&self) -> BoxStream<'_, Result<ListedObject, StorageError>> {
        let prefix = self.keys.prefix();
        let listing = match &self.pages {
            Some(pages) => Listing::Pages(Pages::new(self, &**pages, prefix, Depth::All)),
            None => Listing::Stream(self.store.list(self.keys.prefix_path().as_ref())),
        };
        let begin = Listed { listing, found: VecDeque::new() };
        let objects = stream::try_unfold(begin, |listed| self.next_object(listed));
        objects.map_err(|error| bucket_error(LISTING, error)).boxed()
    }

    async fn next_object<'a>(
        &'a self,
        mut listed: Listed<'a>,
    ) -> Result<Option<(ListedObject, Listed<'a>)>, Error> {
        loop {
            if let Some(object) = listed.found.pop_front() {
                return Ok(Some((object, listed)));
            }
            match &mut listed.listing {
                Listing::Pages(pages) => match pages.next().await? {
                    Some(Page::Listed(page)) => {
                        listed.found.extend(page.objects.iter().map(|object| self.listed(object)));
                    }
                    Some(Page::Invalid(key)) => listed.found.push_back(self.invalid(&key)),
                    None => return Ok(None),
                },
                Listing::Stream(objects) => match objects.next().await.transpose()? {
                    Some(object) => listed.found.push_back(self.listed(&object)),
                    None => return Ok(None),
                },
            }
        }
    }

    fn listed(&self, object: &ObjectMeta) -> ListedObject {
        let key = object.location.as_ref();
        self.keys.path(key).map_or_else(|| self.invalid(key), |path| ListedObject::File(path, object.size))
    }

    fn invalid(&self, key: &str) -> ListedObject {
        ListedObject::Invalid(key.strip_prefix(self.keys.prefix()).unwrap_or(key).to_owned())
    }

    /// Opens a file whose whole content is read: with one GET request, where [`Storage::open`](private_media::Storage::open) needs a HEAD
    /// request before it. The content is that of one version of the object, has the length of the metadata, or ends with an error.
    pub async fn read(&self, permit: &Permit<Read>) -> Result<(Metadata, ByteStream), StorageError> {
        let key = self.key(permit.path())?;
        let object = whole(&*self.store, &key, self.options.open_timeout).await?;
        let metadata = metadata(&object)?;
        let content = exactly(object.into_stream(), metadata.len).boxed();
        Ok((metadata, content))
    }

    /// Deletes a file if its entity tag is still this one. Otherwise it is an error of the kind
    /// [`StaleNetworkFileHandle`](io::ErrorKind::StaleNetworkFileHandle), and the file stays. `object_store` has no conditional deletion,
    /// so a file that is replaced between the check and the deletion is lost.
    pub async fn delete_version(&self, permit: &Permit<Delete>, etag: &str) -> Result<(), StorageError> {
        let key = self.key(permit.path())?;
        if metadata(&self.head(&key).await?)?.etag != etag {
            let kind = io::ErrorKind::StaleNetworkFileHandle;
            return Err(failed(DELETING, kind, "the file was replaced after it was read"));
        }
        self.delete_object(&key).await
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use object_store::memory::InMemory;
    use private_media::storage::content;
    use private_media::{SaveOptions, Storage as _};

    use super::*;

    #[tokio::test]
    async fn a_replaced_file_is_not_deleted() {
        let storage = ObjectStorage::new(Arc::new(InMemory::new())).prefix("private").unwrap();
        let path = MediaPath::new("a/b").unwrap();
        let save = async |text: &'static str| {
            let options = SaveOptions::new().replace(true);
            storage.save(&Permit::trusted(path.clone()), content(text), &options).await.unwrap();
        };
        save("one").await;
        let (read, bytes) = storage.read(&Permit::trusted(path.clone())).await.unwrap();
        assert_eq!(bytes.try_collect::<Vec<_>>().await.unwrap().concat(), b"one");
        save("two").await;
        let permit = Permit::trusted(path.clone());
        let error = storage.delete_version(&permit, &read.etag).await.unwrap_err();
        assert!(
            matches!(&error, StorageError::Io { source, .. } if source.kind() == io::ErrorKind::StaleNetworkFileHandle)
        );
        let (read, _) = storage.read(&Permit::trusted(path.clone())).await.unwrap();
        storage.delete_version(&permit, &read.etag).await.unwrap();
        assert!(matches!(
            storage.delete_version(&permit, &read.etag).await,
            Err(StorageError::NotFound { .. })
        ));
    }
}
