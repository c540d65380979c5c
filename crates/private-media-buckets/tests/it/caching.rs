//! What is cached is current, is fetched once, and leaves without a request.

use std::ops::Range;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::BodyExt as _;
use private_media::{Permit, SaveOptions, Storage as _, StorageError};

use crate::cache_store::{
    BLOCK, CountingStore, HOUR, RangeBody, assert_reads, open, open_cache, range_body, read, until,
};
use crate::support::{bytes, get, path, respond, save, service};

const SIZE: u64 = 64 << 20;

fn blocks(range: &Range<usize>) -> Range<usize> {
    range.start / BLOCK..range.end.div_ceil(BLOCK)
}

#[tokio::test(flavor = "multi_thread")]
async fn each_range_requests_the_blocks_that_are_missing() {
    let content = bytes(3 * BLOCK + 12_345);
    let len = content.len();
    let block = |block: usize| block * BLOCK..((block + 1) * BLOCK).min(len);
    let store = CountingStore::new();
    store.put("film.mp4", &content).await;
    for present in 0..16_usize {
        let is_present = |block: usize| present & (1 << block) != 0;
        for range in [
            0..1,
            0..len,
            5..len,
            BLOCK - 1..BLOCK + 1,
            BLOCK..2 * BLOCK,
            BLOCK + 5..3 * BLOCK - 5,
            2 * BLOCK..len,
            len - 1..len,
            3 * BLOCK..3 * BLOCK + 1,
        ] {
            let folder = tempfile::tempdir().unwrap();
            let cache = open_cache(folder.path(), SIZE).await;
            let storage = store.storage(&cache, HOUR);
            for at in (0..4).filter(|at| is_present(*at)) {
                assert_reads(&storage, "film.mp4", &content, block(at).start + 7..block(at).start + 8).await;
            }
            open(&storage, "film.mp4").await.unwrap();
            store.take_requests();
            let is_local = assert_reads(&storage, "film.mp4", &content, range.clone()).await;
            let missing = blocks(&range).filter(|block| !is_present(*block));
            let expected: Vec<_> = missing
                .map(block)
                .map(|range| format!("GET film.mp4 {}-{}", range.start, range.end))
                .collect();
            let mut requests = store.take_requests();
            requests.sort();
            assert_eq!(requests, expected, "{present:04b} {range:?}");
            assert_eq!(is_local, expected.is_empty(), "{present:04b} {range:?}");
            // From now on, the kernel sends it.
            assert!(
                assert_reads(&storage, "film.mp4", &content, range.clone()).await,
                "{present:04b} {range:?}"
            );
            assert_eq!(store.take_requests(), [""; 0]);
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn responses_are_those_of_a_storage_without_a_cache() {
    let content = bytes(2 * BLOCK + 5);
    let store = CountingStore::new();
    for (key, content) in [("a.txt", &content), ("empty.txt", &Bytes::new())] {
        store.put(key, content).await;
    }
    let folder = tempfile::tempdir().unwrap();
    let cached = service(store.storage(&open_cache(folder.path(), SIZE).await, HOUR));
    let plain = service(private_media_buckets::ObjectStorage::new(Arc::new(store.clone())));
    let tag = respond(&plain, "GET /a.txt", &[]).await.headers()["etag"].to_str().unwrap().to_owned();
    for _ in 0..2 {
        for (request, headers) in [
            ("GET /a.txt", vec![]),
            ("HEAD /a.txt", vec![]),
            ("GET /empty.txt", vec![]),
            ("GET /none.txt", vec![]),
            ("GET /a.txt", vec![("range", "bytes=5-9")]),
            ("GET /a.txt", vec![("range", "bytes=-3")]),
            ("GET /a.txt", vec![("range", "bytes=9999999-")]),
            ("GET /a.txt", vec![("if-none-match", tag.as_str())]),
            ("GET /a.txt", vec![("if-match", "\"other\"")]),
        ] {
            let (one, other) =
                (respond(&cached, request, &headers).await, respond(&plain, request, &headers).await);
            assert_eq!(one.status(), other.status(), "{request} {headers:?}");
            assert_eq!(one.headers(), other.headers(), "{request} {headers:?}");
            let body = async |response: http::Response<private_media::MediaBody>| {
                response.into_body().collect().await.unwrap().to_bytes()
            };
            assert!(body(one).await == body(other).await, "{request} {headers:?}");
        }
        let (status, parts) = get(&cached, "/a.txt", &[("range", "bytes=0-4,2097150-")]).await;
        let parts = parts.unwrap();
        assert_eq!(status, 206);
        for part in [&content[..5], &content[2 * BLOCK - 2..]] {
            assert!(parts.windows(part.len()).any(|window| window == part));
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_cold_readers_of_a_block_are_one_request() {
    let content = bytes(BLOCK / 2);
    let store = CountingStore::new();
    store.put("a.jpg", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = open_cache(folder.path(), SIZE).await;
    let storage = store.storage(&cache, HOUR);
    store.hold(true);
    let waiting = Arc::new(AtomicUsize::new(0));
    let readers: Vec<_> = (0..100)
        .map(|number| {
            let (storage, content, waiting) = (storage.clone(), content.clone(), Arc::clone(&waiting));
            tokio::spawn(async move {
                waiting.fetch_add(1, Ordering::SeqCst);
                assert_reads(&storage, "a.jpg", &content, number..content.len() - number).await;
            })
        })
        .collect();
    // All of them are at the block, but for the time between the counter and the flight.
    until("all readers wait", || waiting.load(Ordering::SeqCst) == 100 && store.gets() == 1).await;
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.hold(false);
    for reader in readers {
        reader.await.unwrap();
    }
    assert_eq!(store.gets(), 1);
    let stats = cache.stats();
    assert_eq!((stats.misses, stats.bytes_from_bucket), (1, content.len() as u64), "{stats:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_fetched_although_its_first_reader_leaves() {
    let content = bytes(BLOCK + 7);
    let store = CountingStore::new();
    store.put("a.jpg", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let storage = store.storage(&open_cache(folder.path(), SIZE).await, HOUR);
    store.hold(true);
    let reader = |range: Range<usize>| {
        let (storage, content) = (storage.clone(), content.clone());
        tokio::spawn(async move { assert_reads(&storage, "a.jpg", &content, range).await })
    };
    let first = reader(0..10);
    until("the first reader waits", || store.gets() == 1).await;
    let second = reader(5..BLOCK);
    first.abort();
    assert!(first.await.unwrap_err().is_cancelled());
    store.hold(false);
    second.await.unwrap();
    assert_eq!(store.gets(), 1);

    // The runtime of the first reader ends, and with it the task.
    store.hold(true);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let own = storage.clone();
    runtime.spawn(async move { read(&own, "a.jpg", BLOCK..BLOCK + 7).await });
    until("the first reader waits", || store.gets() == 2).await;
    let second = reader(BLOCK..BLOCK + 5);
    tokio::time::sleep(Duration::from_millis(50)).await;
    runtime.shutdown_background();
    until("another reader takes over", || store.gets() == 3).await;
    store.hold(false);
    second.await.unwrap();
    assert_eq!(store.gets(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn only_a_sequence_is_read_ahead_and_no_further_than_its_range() {
    let content = bytes(12 * BLOCK);
    let store = CountingStore::new();
    store.put("film.mp4", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = open_cache(folder.path(), SIZE).await;
    let storage = store.storage(&cache, HOUR);
    let RangeBody { mut body, .. } = range_body(&storage, "film.mp4", 5..10 * BLOCK).await;
    let mut received = 0;
    for (position, expected) in
        [(1, 1), (BLOCK - 5, 1), (BLOCK + 1, 4), (2 * BLOCK + 1, 5), (10 * BLOCK - 5, 10)]
    {
        while received < position {
            let piece = body.frame().await.unwrap().unwrap().into_data().unwrap();
            assert!(piece.len() <= 128 << 10, "{}", piece.len());
            received += piece.len();
        }
        // The client reads nothing, so no more is fetched.
        tokio::time::sleep(Duration::from_millis(50)).await;
        assert_eq!(store.gets(), expected, "at {position}");
    }
    assert!(body.frame().await.is_none());
    // Jumps are no sequence.
    store.put("other.mp4", &content).await;
    store.take_requests();
    for at in [9, 2, 6] {
        assert_reads(&storage, "other.mp4", &content, at * BLOCK..at * BLOCK + 10).await;
    }
    assert_eq!(store.gets(), 3);
    assert_eq!(cache.stats().misses, 13);
}

#[tokio::test(start_paused = true)]
async fn a_replaced_file_is_seen_within_the_time() {
    let (old, new) = (bytes(BLOCK + 5), bytes(BLOCK + 6));
    let second = Duration::from_secs(1);
    let store = CountingStore::new();
    store.put("a.jpg", &old).await;
    let folder = tempfile::tempdir().unwrap();
    let storage = store.storage(&open_cache(folder.path(), SIZE).await, 10 * second);
    assert_reads(&storage, "a.jpg", &old, 0..old.len()).await;
    store.take_requests();
    tokio::time::advance(9 * second).await;
    assert_reads(&storage, "a.jpg", &old, 0..old.len()).await;
    assert_eq!(store.take_requests(), [""; 0]);
    // One HEAD says that it is the same.
    tokio::time::advance(2 * second).await;
    for _ in 0..3 {
        assert!(assert_reads(&storage, "a.jpg", &old, 0..old.len()).await);
    }
    assert_eq!(store.take_requests(), ["HEAD a.jpg"]);
    store.put("a.jpg", &new).await;
    tokio::time::advance(9 * second).await;
    assert_reads(&storage, "a.jpg", &old, 0..old.len()).await;
    assert_eq!(store.take_requests(), [""; 0]);
    tokio::time::advance(second).await;
    assert_reads(&storage, "a.jpg", &new, 0..new.len()).await;
    assert_eq!(store.take_requests()[0], "HEAD a.jpg");
    // Nothing remains of the old one.
    let count = || std::fs::read_dir(folder.path()).unwrap().count();
    assert_eq!(count(), 2);

    store.delete("a.jpg").await;
    tokio::time::advance(10 * second).await;
    for _ in 0..2 {
        assert!(matches!(open(&storage, "a.jpg").await, Err(StorageError::NotFound { .. })));
    }
    // That a file is missing is not cached.
    assert_eq!(store.take_requests(), ["HEAD a.jpg", "HEAD a.jpg"]);
    assert_eq!(count(), 0);
    store.put("a.jpg", &old).await;
    assert_reads(&storage, "a.jpg", &old, 0..old.len()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn own_changes_are_seen_at_once() {
    let (old, new) = (bytes(1000), bytes(2000));
    let store = CountingStore::new();
    let folder = tempfile::tempdir().unwrap();
    let storage = store.storage(&open_cache(folder.path(), SIZE).await, HOUR);
    let replace = SaveOptions::new().replace(true);
    save(&storage, "a.jpg", &old, replace).await.unwrap();
    assert_reads(&storage, "a.jpg", &old, 0..1000).await;
    save(&storage, "a.jpg", &new, replace).await.unwrap();
    assert_reads(&storage, "a.jpg", &new, 0..2000).await;
    assert_eq!(storage.metadata(&Permit::trusted(path("a.jpg"))).await.unwrap().len, 2000);
    storage.delete(&Permit::trusted(path("a.jpg"))).await.unwrap();
    assert!(open(&storage, "a.jpg").await.is_err());
    // Another process deletes the file, and this one stores another with its name.
    save(&storage, "b.jpg", &old, replace).await.unwrap();
    assert_reads(&storage, "b.jpg", &old, 0..1000).await;
    store.delete("b.jpg").await;
    assert_eq!(save(&storage, "b.jpg", &new, SaveOptions::new()).await.unwrap(), path("b.jpg"));
    assert_reads(&storage, "b.jpg", &new, 0..2000).await;
    // A save that was given up may have replaced the file.
    store.put("b.jpg", &old).await;
    let content = Box::pin(futures_util::stream::iter([Err(std::io::ErrorKind::ConnectionReset.into())]));
    storage.save(&Permit::trusted(path("b.jpg")), content, &replace).await.unwrap_err();
    assert_reads(&storage, "b.jpg", &old, 0..1000).await;
}

/// The metadata is cached, and the bucket has another version already.
#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_was_replaced_before_it_was_read_is_opened_again() {
    let (old, new) = (bytes(1000), bytes(2000));
    let store = CountingStore::new();
    store.put("a.txt", &old).await;
    let folder = tempfile::tempdir().unwrap();
    let media = service(store.storage(&open_cache(folder.path(), SIZE).await, HOUR));
    assert_eq!(respond(&media, "HEAD /a.txt", &[]).await.headers()["content-length"], "1000");
    store.put("a.txt", &new).await;
    let (status, body) = get(&media, "/a.txt", &[]).await;
    assert_eq!(status, 200);
    assert!(body.unwrap() == new);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replaced_file_is_read_to_its_end() {
    let (old, new) = (bytes(3 * BLOCK), bytes(2 * BLOCK));
    let store = CountingStore::new();
    store.put("film.mp4", &old).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = open_cache(folder.path(), SIZE).await;
    let storage = store.storage(&cache, Duration::ZERO);
    assert_reads(&storage, "film.mp4", &old, 0..old.len()).await;
    let RangeBody { body, is_local } = range_body(&storage, "film.mp4", 0..old.len()).await;
    assert!(is_local);
    let occupied = cache.stats().size;
    store.put("film.mp4", &new).await;
    assert_reads(&storage, "film.mp4", &new, 0..new.len()).await;
    assert!(cache.stats().size > occupied, "the old file still occupies its space");
    assert!(body.collect().await.unwrap().to_bytes() == old);
    assert!(cache.stats().size < occupied, "{:?}", cache.stats());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_least_recently_used_files_make_room() {
    let size = 8 * BLOCK;
    let store = CountingStore::new();
    let content = bytes(2 * BLOCK);
    for key in ["a", "b", "c", "d"] {
        store.put(key, &content).await;
    }
    let large = bytes(size);
    store.put("large", &large).await;
    let folder = tempfile::tempdir().unwrap();
    let occupied = || {
        let files = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().metadata().unwrap());
        files.map(|file| std::os::unix::fs::MetadataExt::blocks(&file) * 512).sum::<u64>()
    };
    {
        let cache = open_cache(folder.path(), size as u64).await;
        let storage = store.storage(&cache, HOUR);
        for key in ["a", "b", "c", "a", "d"] {
            assert_reads(&storage, key, &content, 0..content.len()).await;
            assert!(occupied() <= size as u64 && cache.stats().size <= size as u64, "{}", occupied());
            // The order of the next process is that of the files' times.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(cache.stats().evictions, 1);
        store.take_requests();
        for (key, requests) in [("a", 0), ("c", 0), ("d", 0), ("b", 2)] {
            assert_reads(&storage, key, &content, 0..content.len()).await;
            assert_eq!(store.gets(), requests, "{key}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        // What does not fit is not cached, and removes nothing.
        let evictions = cache.stats().evictions;
        assert!(!assert_reads(&storage, "large", &large, 5..size).await);
        assert!(!assert_reads(&storage, "large", &large, 5..size).await);
        assert_eq!(cache.stats().evictions, evictions);
    }
    // A smaller cache keeps what was used last.
    let cache = open_cache(folder.path(), 5 * BLOCK as u64).await;
    let storage = store.storage(&cache, HOUR);
    store.take_requests();
    for (key, requests) in [("b", 0), ("d", 0)] {
        assert_reads(&storage, key, &content, 0..content.len()).await;
        assert_eq!(store.gets(), requests, "{key}");
    }
    assert!(occupied() <= 5 * BLOCK as u64, "{}", occupied());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_restart_keeps_the_blocks() {
    let content = bytes(3 * BLOCK + 5);
    let store = CountingStore::new();
    store.put("film.mp4", &content).await;
    let folder = tempfile::tempdir().unwrap();
    for round in 0..3 {
        let cache = open_cache(folder.path(), SIZE).await;
        let storage = store.storage(&cache, HOUR);
        // Blocks of an earlier process are verified before the kernel sends them.
        assert!(!assert_reads(&storage, "film.mp4", &content, 0..content.len()).await);
        assert!(assert_reads(&storage, "film.mp4", &content, 0..content.len()).await);
        let expected = if round == 0 { 4 } else { 0 };
        assert_eq!((store.gets(), cache.stats().misses), (expected, expected as u64), "{round}");
        store.take_requests();
    }
}
