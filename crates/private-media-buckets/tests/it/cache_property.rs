//! Whatever happens to objects, to the cache's files and to processes, a read returns the current version.

use std::collections::HashMap;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use bytes::Bytes;
use private_media::{Permit, SaveOptions, Storage as _};
use proptest::prelude::*;

use crate::cache_store::{BLOCK, CountingStore, open, open_cache, read};
use crate::support::{bytes, path, save};

/// A file has up to three blocks, so not all of them fit.
const SIZE: u64 = 4 * BLOCK as u64;
const LENGTHS: [usize; 6] = [0, 1, 4097, BLOCK, 2 * BLOCK - 1, 2 * BLOCK + 4096];

#[derive(Debug, Clone)]
enum Step {
    /// Reads a range of a file, whose ends are in thousandths of its length.
    Read(u8, usize, usize),
    /// Reads several files at the same time.
    ReadAll,
    Save(u8, usize, usize),
    Delete(u8),
    /// Another process replaces a file, and the time is over.
    Replace(u8, usize, usize),
    /// The process ends, and a new one finds damaged files.
    Restart(Vec<Damage>),
    /// Another program truncates a file of the cache.
    Truncate(usize, u64),
}

#[derive(Debug, Clone)]
enum Damage {
    /// Up to 100 kB are this byte.
    Bytes(usize, u64, u8),
    Truncate(usize, u64),
    Remove(usize),
    /// A file gets the content of another.
    Copy(usize, usize),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let damage = prop_oneof![
        (any::<usize>(), any::<u64>(), any::<u8>())
            .prop_map(|(file, at, byte)| Damage::Bytes(file, at, byte)),
        (any::<usize>(), any::<u64>()).prop_map(|(file, len)| Damage::Truncate(file, len)),
        any::<usize>().prop_map(Damage::Remove),
        (any::<usize>(), any::<usize>()).prop_map(|(from, to)| Damage::Copy(from, to)),
    ];
    let (file, seed) = (0_u8..4, 0_usize..5);
    let step = prop_oneof![
        6 => (file.clone(), 0_usize..1000, 0_usize..1000).prop_map(|(file, a, b)| Step::Read(file, a, b)),
        2 => Just(Step::ReadAll),
        2 => (file.clone(), seed.clone(), 0..LENGTHS.len()).prop_map(|(file, seed, len)| Step::Save(file, seed, len)),
        1 => file.clone().prop_map(Step::Delete),
        2 => (file, seed, 0..LENGTHS.len()).prop_map(|(file, seed, len)| Step::Replace(file, seed, len)),
        2 => prop::collection::vec(damage, 0..4).prop_map(Step::Restart),
        1 => (any::<usize>(), any::<u64>()).prop_map(|(file, len)| Step::Truncate(file, len)),
    ];
    prop::collection::vec(step, 1..30)
}

/// Returns content that differs for each seed.
fn content(seed: usize, len: usize) -> Bytes {
    bytes(len + seed).slice(seed..)
}

/// Returns a file of a folder.
fn pick(folder: &Path, number: usize, ending: &str) -> Option<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let mut paths: Vec<_> = paths.filter(|path| path.to_str().unwrap().ends_with(ending)).collect();
    paths.sort();
    (!paths.is_empty()).then(|| paths[number % paths.len()].clone())
}

fn apply(folder: &Path, damage: &Damage) {
    let options = || std::fs::File::options().read(true).write(true).clone();
    let (Damage::Bytes(number, ..)
    | Damage::Truncate(number, _)
    | Damage::Remove(number)
    | Damage::Copy(number, _)) = damage;
    let Some(path) = pick(folder, *number, "") else { return };
    let len = path.metadata().unwrap().len();
    match damage {
        Damage::Bytes(_, at, byte) => {
            let bytes = vec![*byte; usize::try_from(len.min(100_000)).unwrap()];
            options().open(&path).unwrap().write_all_at(&bytes, at % (len - bytes.len() as u64 + 1)).unwrap();
        }
        Damage::Truncate(_, to) => options().open(&path).unwrap().set_len(to % (len + 2)).unwrap(),
        Damage::Remove(_) => std::fs::remove_file(&path).unwrap(),
        Damage::Copy(_, other) => {
            let from = std::fs::read(pick(folder, *other, "").unwrap()).unwrap();
            std::fs::write(&path, from).unwrap();
        }
    }
}

async fn run(steps: Vec<Step>) {
    let folder = tempfile::tempdir().unwrap();
    let store = CountingStore::new();
    let revalidate_after = Duration::from_secs(10);
    let mut storage = store.storage(&open_cache(folder.path(), SIZE).await, revalidate_after);
    let mut files: HashMap<String, Bytes> = HashMap::new();
    let key = |file: u8| format!("file-{file}");
    // Most damages need something to damage.
    let first = (0..3).map(|file| Step::Save(file, 0, 4));
    for step in first.chain([Step::ReadAll]).chain(steps) {
        match step {
            Step::Read(file, a, b) => {
                let key = key(file);
                let Some(expected) = files.get(&key) else {
                    assert!(open(&storage, &key).await.is_err());
                    continue;
                };
                let at = |thousandths: usize| expected.len() * thousandths / 999;
                let range = at(a.min(b))..at(a.max(b));
                let (_, received) = read(&storage, &key, range.clone()).await;
                assert!(received.unwrap() == expected[range.clone()], "{key} {range:?}");
            }
            Step::ReadAll => {
                let reads = files.iter().map(|(key, expected)| {
                    let storage = &storage;
                    async move {
                        let (_, received) = read(storage, key, 0..expected.len()).await;
                        assert!(received.unwrap() == expected, "{key}");
                    }
                });
                futures_util::future::join_all(reads).await;
            }
            Step::Save(file, seed, len) => {
                let content = content(seed, LENGTHS[len]);
                save(&storage, &key(file), &content, SaveOptions::new().replace(true)).await.unwrap();
                files.insert(key(file), content);
            }
            Step::Delete(file) => {
                let deleted = storage.delete(&Permit::trusted(path(&key(file)))).await;
                assert_eq!(deleted.is_ok(), files.remove(&key(file)).is_some());
            }
            Step::Replace(file, seed, len) => {
                let content = content(seed, LENGTHS[len]);
                store.put(&key(file), &content).await;
                files.insert(key(file), content);
                tokio::time::advance(revalidate_after).await;
            }
            Step::Restart(damages) => {
                drop(storage);
                drop(open_cache(folder.path(), SIZE).await);
                for damage in &damages {
                    apply(folder.path(), damage);
                }
                storage = store.storage(&open_cache(folder.path(), SIZE).await, revalidate_after);
            }
            Step::Truncate(number, len) => {
                if let Some(path) = pick(folder.path(), number, ".data") {
                    let file = std::fs::File::options().write(true).open(path).unwrap();
                    file.set_len(len % (file.metadata().unwrap().len() + 1)).unwrap();
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 60, max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn reads_return_the_current_version(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_current_thread();
        let runtime = { runtime }.enable_all().start_paused(true).build().unwrap();
        runtime.block_on(run(steps));
    }
}
