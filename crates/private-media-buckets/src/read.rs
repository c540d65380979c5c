//! The bytes of an open object.

use std::fmt;
use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use futures_core::future::BoxFuture;
use futures_core::stream::BoxStream;
use futures_util::{Stream, StreamExt as _, TryStreamExt as _, stream};
use object_store::path::Path;
use object_store::{GetOptions, GetResult, ObjectStore};
use private_media::StorageError;
use private_media::storage::{ByteStream, ReadAt, SignedHeaders};

use crate::error::{read_error, storage_error, within};
use crate::metadata::raw_tag;
use crate::signed::SignedUrls;

/// The most bytes that one read returns. A longer range is a stream.
const MAX_READ: u64 = 8 << 20;

/// Requests the metadata of an object.
pub(crate) async fn head(
    store: &dyn ObjectStore,
    key: &Path,
    timeout: Duration,
) -> Result<GetResult, StorageError> {
    let response = store.get_opts(key, GetOptions::new().with_head(true));
    within(timeout, response).await.map_err(|error| storage_error("opening the file", error))
}

/// Requests the metadata and the whole content of an object.
pub(crate) async fn whole(
    store: &dyn ObjectStore,
    key: &Path,
    timeout: Duration,
) -> Result<GetResult, StorageError> {
    let response = store.get_opts(key, GetOptions::new());
    within(timeout, response).await.map_err(|error| storage_error("opening the file", error))
}

/// Where objects are read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Source<'a> {
    pub(crate) store: &'a Arc<dyn ObjectStore>,
    /// Names the bucket in a cache.
    pub(crate) scope: &'a str,
    /// `None` if no URLs are signed.
    pub(crate) signed: Option<&'a Arc<SignedUrls>>,
    pub(crate) open_timeout: Duration,
}

/// One version of an object.
#[derive(Debug)]
pub(crate) struct ObjectFile {
    pub(crate) store: Arc<dyn ObjectStore>,
    pub(crate) key: Path,
    pub(crate) len: u64,
    /// The entity tag, as the store writes it. Each read requires it.
    pub(crate) tag: String,
    /// The version, if the bucket has several.
    pub(crate) version: Option<String>,
    pub(crate) open_timeout: Duration,
    /// `None` if no URLs are signed.
    pub(crate) signed: Option<Arc<SignedUrls>>,
    /// The whole content, if it was requested with the metadata. The first read of it takes it.
    pub(crate) whole: Whole,
}

/// The content of a response that nobody has read yet.
#[derive(Default)]
pub(crate) struct Whole(Mutex<Option<ByteStream>>);

impl Whole {
    pub(crate) fn new(content: ByteStream) -> Self {
        Self(Mutex::new(Some(content)))
    }

    fn take(&self) -> Option<ByteStream> {
        // No panic leaves the value inconsistent, so a poisoned lock is usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl fmt::Debug for Whole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Whole")
    }
}

impl ObjectFile {
    /// Returns the version that a response describes.
    pub(crate) fn new(source: Source<'_>, key: Path, object: &GetResult) -> Result<Self, StorageError> {
        Ok(Self {
            store: Arc::clone(source.store),
            key,
            len: object.meta.size,
            tag: raw_tag(&object.meta)?.to_owned(),
            version: object.meta.version.clone(),
            signed: source.signed.filter(|urls| urls.is_for(&object.attributes)).cloned(),
            open_timeout: source.open_timeout,
            whole: Whole::default(),
        })
    }

    /// Returns the bytes of a range that is not empty, with one request. `object_store` continues after a broken connection.
    pub(crate) async fn get(&self, range: Range<u64>) -> io::Result<ByteStream> {
        let len = range.end.saturating_sub(range.start);
        let options = GetOptions::new().with_range(Some(range)).with_if_match(Some(self.tag.clone()));
        let result =
            within(self.open_timeout, self.store.get_opts(&self.key, options)).await.map_err(read_error)?;
        Ok(exactly(result.into_stream(), len).boxed())
    }
}

impl ReadAt for ObjectFile {
    fn read_at(self: Arc<Self>, offset: u64, len: usize) -> BoxFuture<'static, io::Result<Bytes>> {
        Box::pin(async move {
            let len = u64::try_from(len).unwrap_or(MAX_READ).min(MAX_READ);
            let end = offset.saturating_add(len).min(self.len);
            if offset >= end {
                return Ok(Bytes::new());
            }
            let mut pieces = self.get(offset..end).await?;
            let first = pieces.try_next().await?.unwrap_or_default();
            let Some(second) = pieces.try_next().await? else { return Ok(first) };
            let mut bytes = BytesMut::from(first);
            bytes.extend_from_slice(&second);
            while let Some(piece) = pieces.try_next().await? {
                bytes.extend_from_slice(&piece);
            }
            Ok(bytes.freeze())
        })
    }

    fn read_range(self: Arc<Self>, offset: u64, len: u64) -> Option<ByteStream> {
        let end = offset.saturating_add(len).min(self.len);
        if (offset, end) == (0, self.len)
            && let Some(content) = self.whole.take()
        {
            return Some(content);
        }
        let opening = async move {
            if offset >= end {
                return Ok(stream::empty().boxed());
            }
            self.get(offset..end).await
        };
        Some(stream::once(opening).try_flatten().boxed())
    }

    fn signed_url(&self, headers: &SignedHeaders<'_>) -> Option<String> {
        self.signed.as_ref()?.url(&self.key, &self.tag, self.version.as_deref(), headers)
    }
}

/// Returns exactly this many bytes of a stream, or an error. No piece is empty.
pub(crate) fn exactly(
    pieces: BoxStream<'static, object_store::Result<Bytes>>,
    len: u64,
) -> impl Stream<Item = io::Result<Bytes>> + use<> {
    stream::try_unfold((pieces, len), |(mut pieces, missing)| async move {
        if missing == 0 {
            return Ok(None);
        }
        loop {
            let Some(piece) = pieces.next().await else {
                let problem = format!("the bucket ended the response {missing} bytes early");
                return Err(io::Error::new(io::ErrorKind::UnexpectedEof, problem));
            };
            let mut piece = piece.map_err(read_error)?;
            piece.truncate(usize::try_from(missing).unwrap_or(usize::MAX));
            if !piece.is_empty() {
                let missing = missing.saturating_sub(piece.len() as u64);
                return Ok(Some((piece, (pieces, missing))));
            }
        }
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn run<T>(future: impl Future<Output = T>) -> T {
        tokio::runtime::Builder::new_current_thread().build().unwrap().block_on(future)
    }

    proptest! {
        #[test]
        fn a_range_has_its_length_or_an_error(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..5), 0..6),
            len in 0_usize..20,
        ) {
            let all = pieces.concat();
            let sent = stream::iter(pieces.into_iter().map(|piece| Ok(Bytes::from(piece)))).boxed();
            let received = run(exactly(sent, len as u64).try_collect::<Vec<_>>());
            if let Some(expected) = all.get(..len) {
                let received = received.unwrap();
                prop_assert!(received.iter().all(|piece| !piece.is_empty()));
                prop_assert_eq!(received.concat(), expected);
            } else {
                prop_assert_eq!(received.unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
            }
        }
    }
}
