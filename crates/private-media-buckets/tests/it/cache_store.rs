//! A store in memory that counts requests and fails on demand, and a cached storage in it.

use std::fmt;
use std::path::Path as FilePath;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use futures_util::StreamExt as _;
use futures_util::stream::BoxStream;
use object_store::memory::InMemory;
use object_store::path::Path;
use object_store::{
    CopyOptions, Error, GetOptions, GetResult, ListResult, MultipartUpload, ObjectMeta, ObjectStore,
    ObjectStoreExt as _, PutMultipartOptions, PutOptions, PutPayload, PutResult, Result,
};
use private_media::raw::FileRanges as _;
use private_media::storage::ReadAt;
use private_media::{MediaBody, Permit, Storage as _, StorageError};
use private_media_buckets::{BlockCache, CacheOptions, ObjectStorage};
use tokio::sync::watch;

use crate::support::path;

/// The length of a block, in bytes.
pub(crate) const BLOCK: usize = 1 << 20;
pub(crate) const HOUR: Duration = Duration::from_secs(3600);

/// A store that records requests. Clones share it.
#[derive(Debug, Clone)]
pub(crate) struct CountingStore {
    inner: Arc<InMemory>,
    requests: Arc<Mutex<Vec<String>>>,
    pub(crate) is_down: Arc<AtomicBool>,
    is_open: watch::Sender<bool>,
}

impl CountingStore {
    pub(crate) fn new() -> Self {
        Self {
            inner: Arc::default(),
            requests: Arc::default(),
            is_down: Arc::default(),
            is_open: watch::Sender::new(true),
        }
    }

    /// Replaces an object, as another process does.
    pub(crate) async fn put(&self, key: &str, content: &Bytes) {
        self.inner.put(&key.into(), content.clone().into()).await.unwrap();
    }

    pub(crate) async fn delete(&self, key: &str) {
        self.inner.delete(&key.into()).await.unwrap();
    }

    /// Returns the requests since the last call: `HEAD key` and `GET key from-to`.
    pub(crate) fn take_requests(&self) -> Vec<String> {
        std::mem::take(&mut self.requests.lock().unwrap())
    }

    pub(crate) fn gets(&self) -> usize {
        self.requests.lock().unwrap().iter().filter(|request| request.starts_with("GET")).count()
    }

    /// Lets GET requests wait, or go on.
    pub(crate) fn hold(&self, is_held: bool) {
        self.is_open.send_replace(!is_held);
    }

    pub(crate) fn set_down(&self, is_down: bool) {
        self.is_down.store(is_down, Ordering::SeqCst);
    }

    pub(crate) fn storage(&self, cache: &BlockCache, revalidate_after: Duration) -> ObjectStorage {
        ObjectStorage::new(Arc::new(self.clone())).cached(cache.clone(), revalidate_after)
    }
}

impl fmt::Display for CountingStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CountingStore")
    }
}

#[async_trait]
impl ObjectStore for CountingStore {
    async fn put_opts(&self, key: &Path, content: PutPayload, options: PutOptions) -> Result<PutResult> {
        self.inner.put_opts(key, content, options).await
    }

    async fn put_multipart_opts(
        &self,
        key: &Path,
        options: PutMultipartOptions,
    ) -> Result<Box<dyn MultipartUpload>> {
        self.inner.put_multipart_opts(key, options).await
    }

    async fn get_opts(&self, key: &Path, options: GetOptions) -> Result<GetResult> {
        let request = match &options.range {
            _ if options.head => format!("HEAD {key}"),
            Some(object_store::GetRange::Bounded(range)) => {
                format!("GET {key} {}-{}", range.start, range.end)
            }
            range => format!("GET {key} {range:?}"),
        };
        self.requests.lock().unwrap().push(request);
        if !options.head {
            drop(self.is_open.subscribe().wait_for(|is_open| *is_open).await);
        }
        if self.is_down.load(Ordering::SeqCst) {
            return Err(Error::Generic { store: "test", source: "the store is down".into() });
        }
        self.inner.get_opts(key, options).await
    }

    fn delete_stream(&self, keys: BoxStream<'static, Result<Path>>) -> BoxStream<'static, Result<Path>> {
        let inner = Arc::clone(&self.inner);
        keys.then(move |key| {
            let inner = Arc::clone(&inner);
            async move {
                let key = key?;
                inner.delete(&key).await?;
                Ok(key)
            }
        })
        .boxed()
    }

    fn list(&self, prefix: Option<&Path>) -> BoxStream<'static, Result<ObjectMeta>> {
        self.inner.list(prefix)
    }

    async fn list_with_delimiter(&self, prefix: Option<&Path>) -> Result<ListResult> {
        self.inner.list_with_delimiter(prefix).await
    }

    async fn copy_opts(&self, from: &Path, to: &Path, options: CopyOptions) -> Result<()> {
        self.inner.copy_opts(from, to, options).await
    }
}

/// Opens a cache, once no task of an earlier one uses its folder.
pub(crate) async fn open_cache(folder: &FilePath, size: u64) -> BlockCache {
    for _ in 0..2000 {
        let cache = BlockCache::open(folder, CacheOptions::new(size)).unwrap();
        if cache.is_active() {
            return cache;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("the cache is still in use");
}

/// Opens a file as the service does.
pub(crate) async fn open(
    storage: &ObjectStorage,
    key: &str,
) -> std::result::Result<private_media::MediaFile, StorageError> {
    let permit = Permit::trusted(path(key));
    match storage.open_now(&permit) {
        Some(opened) => opened,
        None => storage.open(&permit).await,
    }
}

/// A range of a file, as a response has it.
pub(crate) struct RangeBody {
    pub(crate) body: MediaBody,
    /// Whether the kernel can send it.
    pub(crate) is_local: bool,
}

pub(crate) async fn range_body(
    storage: &ObjectStorage,
    key: &str,
    range: std::ops::Range<usize>,
) -> RangeBody {
    let file = open(storage, key).await.unwrap();
    let body =
        MediaBody::empty().push_file(file.bytes(), range.start as u64, (range.end - range.start) as u64);
    let is_local = body.next_file_range().is_some_and(|(file, ..)| file.as_file().is_some());
    RangeBody { body, is_local }
}

/// Reads a range as a response does. Returns whether the kernel could send it, and its bytes.
pub(crate) async fn read(
    storage: &ObjectStorage,
    key: &str,
    range: std::ops::Range<usize>,
) -> (bool, std::io::Result<Bytes>) {
    let RangeBody { body, is_local } = range_body(storage, key, range).await;
    if is_local {
        // What sendfile(2) would send.
        let (file, offset, len) = body.next_file_range().unwrap();
        let mut bytes = vec![0; usize::try_from(len).unwrap()];
        let file: &Arc<dyn ReadAt> = file;
        let sent = std::os::unix::fs::FileExt::read_exact_at(&**file.as_file().unwrap(), &mut bytes, offset);
        assert!(sent.is_ok(), "{sent:?}");
        let copied = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        assert!(copied == bytes, "a connection with TLS gets the same bytes");
        return (true, Ok(bytes.into()));
    }
    let collected = http_body_util::BodyExt::collect(body).await;
    (false, collected.map(http_body_util::Collected::to_bytes))
}

/// Reads a whole range, which has to be this one.
pub(crate) async fn assert_reads(
    storage: &ObjectStorage,
    key: &str,
    content: &Bytes,
    range: std::ops::Range<usize>,
) -> bool {
    let (is_local, bytes) = read(storage, key, range.clone()).await;
    assert!(bytes.unwrap() == content[range.clone()], "{key} {range:?}: other bytes");
    is_local
}

/// Waits until a condition is true.
pub(crate) async fn until(what: &str, condition: impl Fn() -> bool) {
    for _ in 0..4000 {
        if condition() {
            return;
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    panic!("still not: {what}");
}
