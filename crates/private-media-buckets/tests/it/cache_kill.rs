//! A process that is killed leaves nothing that is served wrongly.

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;

use crate::cache_store::{BLOCK, CountingStore, HOUR, assert_reads, open_cache};
use crate::support::bytes;

/// The variable with the folder of the child process.
const FOLDER: &str = "PRIVATE_MEDIA_TEST_CACHE";
const SIZE: u64 = 12 * BLOCK as u64;
const FILES: usize = 12;

/// The same objects in each process.
async fn store() -> (CountingStore, Vec<(String, Bytes)>) {
    let store = CountingStore::new();
    let mut files = Vec::new();
    for number in 0..FILES {
        let content = bytes(3 * BLOCK + number).slice(number..);
        let key = format!("file-{number}");
        store.put(&key, &content).await;
        files.push((key, content));
    }
    (store, files)
}

/// Fills a cache until it is killed. On its own, this test does nothing.
#[test]
fn child() {
    let Some(folder) = std::env::var_os(FOLDER) else { return };
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let (store, files) = store().await;
        let cache = open_cache(Path::new(&folder), SIZE).await;
        let storage = store.storage(&cache, HOUR);
        println!("filling");
        for round in 0.. {
            for (number, (key, content)) in files.iter().enumerate() {
                if (number * 7 + round) % 3 != 0 {
                    assert_reads(&storage, key, content, round % BLOCK..content.len()).await;
                }
            }
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_process_leaves_a_valid_cache() {
    let folder = tempfile::tempdir().unwrap();
    let (store, files) = store().await;
    let mut hits = 0;
    for round in 0..12_u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["cache_kill::child", "--exact", "--nocapture"])
            .env(FOLDER, folder.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
        assert!(lines.any(|line| line.unwrap().contains("filling")), "the child has begun");
        tokio::time::sleep(Duration::from_millis(round * round)).await;
        child.kill().unwrap();
        assert!(!child.wait().unwrap().success());
        if round % 2 == 1 {
            let cache = open_cache(folder.path(), SIZE).await;
            let storage = store.storage(&cache, HOUR);
            for (key, content) in &files {
                assert_reads(&storage, key, content, 0..content.len()).await;
            }
            hits += cache.stats().hits;
            assert_eq!(cache.stats().errors, 0, "{:?}", cache.stats());
            assert!(cache.stats().size <= SIZE);
        }
    }
    assert!(hits > 0, "the kills left something");
    let names = std::fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().path());
    let (data, maps): (Vec<_>, Vec<_>) =
        names.partition(|path| path.extension().is_some_and(|ending| ending == "data"));
    assert_eq!(data.len(), maps.len());
}
