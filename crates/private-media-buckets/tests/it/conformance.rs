//! The test suite of all storages.

use std::sync::Arc;
use std::time::Duration;

use object_store::memory::InMemory;
use private_media::storage::conformance::conformance;
use private_media_buckets::{BlockCache, CacheOptions, ObjectStorage};

use crate::server::Server;
use crate::support::{patient, storage_at};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_in_memory_conforms() {
    conformance(Arc::new(ObjectStorage::new(Arc::new(InMemory::new())))).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_prefix_conforms() {
    let storage = ObjectStorage::new(Arc::new(InMemory::new())).prefix("a b/%20/é").unwrap();
    conformance(Arc::new(storage)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_cached_storage_conforms() {
    // Zero asks the store each time. With an hour, all that this storage changes must be noticed.
    for revalidate_after in [Duration::ZERO, Duration::from_secs(3600)] {
        let place = tempfile::tempdir().unwrap();
        let cache = BlockCache::open(place.path(), CacheOptions::new(64 << 20)).unwrap();
        let storage = ObjectStorage::new(Arc::new(InMemory::new())).cached(cache.clone(), revalidate_after);
        conformance(Arc::new(storage)).await;
        let stats = cache.stats();
        assert!(stats.hits > 0 && stats.misses > 0 && stats.errors == 0, "{stats:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn s3_conforms() {
    let Some(server) = Server::start() else { return };
    conformance(Arc::new(storage_at(server.port, patient()))).await;
    let uploads = server.python("result = s3.list_multipart_uploads(Bucket='uploads').get('Uploads', [])");
    assert_eq!(uploads, "[]", "no upload remains");
    let hidden = server.python(
        "result = s3.list_objects_v2(Bucket='uploads', Prefix='private/.private-media-uploads')['KeyCount']",
    );
    assert_eq!(hidden, "0", "no temporary object remains");
}
