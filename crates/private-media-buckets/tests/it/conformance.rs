//! The test suite of all storages.

use std::sync::Arc;

use object_store::memory::InMemory;
use private_media::storage::conformance::conformance;
use private_media_buckets::ObjectStorage;

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
