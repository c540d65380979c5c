//! No fault of the cache's disk fails a response, and no damaged block is served.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use private_media_buckets::{BlockCache, CacheOptions};

use crate::cache_store::{BLOCK, CountingStore, HOUR, assert_reads, open, open_cache, read};
use crate::support::{bytes, get, service};

const SIZE: u64 = 64 << 20;

#[tokio::test(flavor = "multi_thread")]
async fn an_outage_is_a_503_although_the_file_is_cached() {
    let content = bytes(BLOCK);
    let store = CountingStore::new();
    store.put("a.txt", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let cache = open_cache(folder.path(), SIZE).await;
    let (fresh, checked) =
        (service(store.storage(&cache, HOUR)), service(store.storage(&cache, Duration::ZERO)));
    for media in [&fresh, &checked] {
        assert_eq!(get(media, "/a.txt", &[]).await.0, 200);
    }
    store.set_down(true);
    // Within the time, the bucket is not needed.
    assert!(get(&fresh, "/a.txt", &[]).await.1.unwrap() == content);
    assert_eq!(get(&checked, "/a.txt", &[]).await.0, 503);
    store.set_down(false);
    assert_eq!(get(&checked, "/a.txt", &[]).await.0, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_failed_fetch_fails_those_who_wait_and_no_later_reader() {
    let content = bytes(3 * BLOCK);
    let store = CountingStore::new();
    store.put("a.bin", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let storage = store.storage(&open_cache(folder.path(), SIZE).await, HOUR);
    open(&storage, "a.bin").await.unwrap();
    store.set_down(true);
    store.hold(true);
    let readers: Vec<_> = (0..10)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move { read(&storage, "a.bin", 0..10).await.1 })
        })
        .collect();
    tokio::time::sleep(Duration::from_millis(100)).await;
    store.hold(false);
    for reader in readers {
        assert!(reader.await.unwrap().is_err());
    }
    store.set_down(false);
    assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
    assert!(assert_reads(&storage, "a.bin", &content, 0..content.len()).await);
}

/// Returns the files of a cache with this ending.
fn files(folder: &Path, ending: &str) -> Vec<std::path::PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|own| own == ending)).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_folder_that_vanishes_costs_requests_only() {
    let content = bytes(2 * BLOCK);
    let store = CountingStore::new();
    for key in ["a.bin", "b.bin"] {
        store.put(key, &content).await;
    }
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("cache");
    let cache = open_cache(&folder, SIZE).await;
    let storage = store.storage(&cache, HOUR);
    assert_reads(&storage, "a.bin", &content, 0..10).await;
    std::fs::remove_dir_all(&folder).unwrap();
    // The second block cannot be stored, and neither can another file.
    for key in ["a.bin", "b.bin", "a.bin", "b.bin"] {
        assert_reads(&storage, key, &content, 0..content.len()).await;
    }
    assert!(cache.stats().errors > 0, "{:?}", cache.stats());
}

/// A file system of this size. It ends with the test.
struct Disk(tempfile::TempDir);

impl Disk {
    /// `None` without the right to mount.
    fn mount(options: &str) -> Option<Self> {
        let place = tempfile::tempdir().unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", options, "none"]).arg(place.path());
        let is_mounted = mount.output().is_ok_and(|output| output.status.success());
        if !is_mounted {
            eprintln!("skipped: cannot mount a tmpfs");
        }
        is_mounted.then_some(Self(place))
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(self.0.path()).status();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_full_disk_costs_requests_only() {
    let Some(disk) = Disk::mount("size=4m,mode=700") else { return };
    let content = bytes(8 * BLOCK);
    let store = CountingStore::new();
    store.put("large.bin", &content).await;
    store.put("small.bin", &content.slice(..BLOCK)).await;
    let cache = open_cache(disk.0.path(), SIZE).await;
    let storage = store.storage(&cache, HOUR);
    assert_reads(&storage, "small.bin", &content, 0..BLOCK).await;
    for _ in 0..2 {
        assert_reads(&storage, "large.bin", &content, 0..content.len()).await;
    }
    let stats = cache.stats();
    assert!(stats.errors > 0 && stats.errors < 20, "{stats:?}");
    // What is there stays useful.
    assert!(assert_reads(&storage, "small.bin", &content, 0..BLOCK).await);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_disk_that_becomes_read_only_costs_requests_only() {
    let Some(disk) = Disk::mount("size=16m,mode=700") else { return };
    let content = bytes(4 * BLOCK);
    let store = CountingStore::new();
    store.put("a.bin", &content).await;
    store.put("b.bin", &content).await;
    let cache = open_cache(disk.0.path(), SIZE).await;
    let storage = store.storage(&cache, HOUR);
    assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
    drop(cache);
    drop(storage);
    let mut remount = Command::new("mount");
    remount.args(["-o", "remount,ro"]).arg(disk.0.path());
    // Tasks that mark a file as used may still have it open.
    let mut is_remounted = false;
    for _ in 0..100 {
        is_remounted = is_remounted || remount.output().unwrap().status.success();
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert!(is_remounted);
    let cache = open_cache(disk.0.path(), SIZE).await;
    let storage = store.storage(&cache, HOUR);
    for key in ["a.bin", "b.bin", "a.bin"] {
        assert_reads(&storage, key, &content, 0..content.len()).await;
    }
    assert!(cache.stats().errors > 0, "{:?}", cache.stats());
}

/// Damages the content or the map of an entry.
type Damage = fn(&Path, &Path);

/// A power failure may lose what was written to one file but not what was written to the other.
#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_block_is_fetched_again() {
    let content = bytes(3 * BLOCK);
    let store = CountingStore::new();
    store.put("a.bin", &content).await;
    let damages: [(&str, Damage, usize); 7] = [
        ("a changed byte", |data, _| write_at(data, BLOCK as u64 + 17, b"?"), 1),
        ("a lost block", |data, _| write_at(data, 0, &vec![0; BLOCK]), 1),
        ("a shorter file", |data, _| set_len(data, BLOCK as u64), 3),
        ("an empty file", |data, _| set_len(data, 0), 3),
        ("a lost map", |_, map| write_at(map, 0, &[0; 48 + 3 * 48]), 3),
        ("a lost record", |_, map| write_at(map, 48 + 48, &[0; 48]), 1),
        ("a removed map", |_, map| std::fs::remove_file(map).unwrap(), 3),
    ];
    for (name, damage, requests) in damages {
        let folder = tempfile::tempdir().unwrap();
        {
            let storage = store.storage(&open_cache(folder.path(), SIZE).await, HOUR);
            assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
        }
        drop(open_cache(folder.path(), SIZE).await);
        damage(&files(folder.path(), "data")[0], &files(folder.path(), "map")[0]);
        let cache = open_cache(folder.path(), SIZE).await;
        let storage = store.storage(&cache, HOUR);
        store.take_requests();
        assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
        assert_eq!(store.gets(), requests, "{name}");
        assert!(assert_reads(&storage, "a.bin", &content, 0..content.len()).await, "{name}");
        assert_eq!(files(folder.path(), "data").len() + files(folder.path(), "map").len(), 2, "{name}");
    }
}

fn write_at(path: &Path, position: u64, bytes: &[u8]) {
    let file = std::fs::File::options().write(true).open(path).unwrap();
    std::os::unix::fs::FileExt::write_all_at(&file, bytes, position).unwrap();
}

fn set_len(path: &Path, len: u64) {
    std::fs::File::options().write(true).open(path).unwrap().set_len(len).unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_truncated_meanwhile_is_not_sent() {
    let content = bytes(3 * BLOCK);
    let store = CountingStore::new();
    store.put("a.bin", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let storage = store.storage(&open_cache(folder.path(), SIZE).await, HOUR);
    for len in [0, 1, BLOCK as u64] {
        assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
        assert!(assert_reads(&storage, "a.bin", &content, 0..content.len()).await);
        set_len(&files(folder.path(), "data")[0], len);
        assert!(!assert_reads(&storage, "a.bin", &content, 0..content.len()).await);
    }
}

/// As in an upgrade, during which two processes run.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_process_uses_the_cache_after_the_first_has_ended() {
    let content = bytes(BLOCK);
    let store = CountingStore::new();
    store.put("a.bin", &content).await;
    let folder = tempfile::tempdir().unwrap();
    let first = open_cache(folder.path(), SIZE).await;
    assert_reads(&store.storage(&first, HOUR), "a.bin", &content, 0..content.len()).await;
    let second = BlockCache::open(folder.path(), CacheOptions::new(SIZE)).unwrap();
    assert!(!second.is_active());
    let storage = store.storage(&second, Duration::ZERO);
    for _ in 0..2 {
        store.take_requests();
        assert!(!assert_reads(&storage, "a.bin", &content, 0..content.len()).await);
        assert_eq!(store.gets(), 1, "it serves without a cache");
    }
    drop(first);
    for _ in 0..1000 {
        assert_reads(&storage, "a.bin", &content, 0..content.len()).await;
        if second.is_active() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    store.take_requests();
    assert!(assert_reads(&storage, "a.bin", &content, 0..content.len()).await);
    assert_eq!(store.take_requests(), ["HEAD a.bin"]);
}
