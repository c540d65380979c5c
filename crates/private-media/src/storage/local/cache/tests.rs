use std::fs::File;
use std::io::{Read, Write};

use super::*;
use crate::LocalStorage;
use crate::permission::Permit;
use crate::storage::{SaveOptions, Storage, content};

/// A root, and a storage with a cache.
struct CachedRoot {
    root: tempfile::TempDir,
    storage: LocalStorage,
}

const MAX_IN_MEMORY: u64 = 16 << 10;
const HOUR: Duration = Duration::from_secs(3600);

fn cached_root(revalidate_after: Duration, max_bytes: usize, max_open_files: usize) -> CachedRoot {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open_root(root.path()).unwrap().cache(CacheOptions {
        revalidate_after,
        max_bytes,
        max_open_files,
        max_in_memory: Some(MAX_IN_MEMORY),
    });
    CachedRoot { root, storage }
}

impl CachedRoot {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file, and waits until a further change would have another time.
    fn write(&self, name: &str, content: &[u8]) {
        std::fs::write(self.path(name), content).unwrap();
        std::thread::sleep(Duration::from_millis(120));
    }

    async fn open(&self, name: &str) -> Result<MediaFile, StorageError> {
        self.storage.open(&Permit::trusted(path(name))).await
    }

    async fn read(&self, name: &str) -> Option<Vec<u8>> {
        let file = self.open(name).await.ok()?;
        let len = usize::try_from(file.metadata().len).unwrap();
        let mut read = Vec::new();
        while read.len() < len {
            let piece = Arc::clone(file.bytes()).read_at(read.len() as u64, len - read.len()).await;
            read.extend_from_slice(&piece.unwrap());
        }
        Some(read)
    }

    async fn is_in_memory(&self, name: &str) -> bool {
        self.open(name).await.unwrap().bytes().as_bytes().is_some()
    }

    fn weight(&self) -> (usize, usize) {
        self.storage.cache.as_ref().unwrap().with(|files| {
            let weights = files.values().map(Entry::weight);
            weights.fold((0, 0), |(bytes, handles), [more_bytes, more_handles]| {
                (bytes + more_bytes, handles + more_handles)
            })
        })
    }
}

fn path(name: &str) -> MediaPath {
    MediaPath::new(name).unwrap()
}

const LARGE: usize = 100 << 10;

#[tokio::test]
async fn a_changed_file_is_stale_until_it_is_checked() {
    for len in [10, LARGE] {
        for revalidate_after in [Duration::ZERO, Duration::from_secs(1), HOUR] {
            let cached = cached_root(revalidate_after, 1 << 20, 10);
            let (one, other) = (vec![b'1'; len], vec![b'2'; len + 1]);
            cached.write("a.bin", &one);
            assert!(cached.read("a.bin").await.as_ref() == Some(&one));
            // As editors and saves do.
            std::fs::write(cached.path("b.bin"), &other).unwrap();
            std::fs::rename(cached.path("b.bin"), cached.path("a.bin")).unwrap();
            // The change time of an open file shows that it was renamed.
            let expected = if revalidate_after.is_zero() || len == LARGE { &other } else { &one };
            assert!(cached.read("a.bin").await.as_ref() == Some(expected), "{len} {revalidate_after:?}");
            if revalidate_after < HOUR {
                tokio::time::sleep(revalidate_after).await;
                assert!(cached.read("a.bin").await == Some(other), "{len} {revalidate_after:?}");
                std::fs::remove_file(cached.path("a.bin")).unwrap();
                tokio::time::sleep(revalidate_after).await;
                assert!(cached.read("a.bin").await.is_none(), "{len} {revalidate_after:?}");
            }
        }
    }
}

/// Otherwise its bytes would not match the cached entity tag and length.
#[tokio::test]
async fn a_large_file_that_changes_in_place_is_not_stale() {
    let cached = cached_root(HOUR, 1 << 20, 10);
    cached.write("large.bin", &vec![b'1'; LARGE]);
    cached.write("small.bin", b"1");
    let before = cached.open("large.bin").await.unwrap().metadata().clone();
    assert!(cached.is_in_memory("small.bin").await);
    std::fs::write(cached.path("large.bin"), vec![b'2'; LARGE - 10]).unwrap();
    std::fs::write(cached.path("small.bin"), b"22").unwrap();
    let after = cached.open("large.bin").await.unwrap().metadata().clone();
    assert_eq!((before.len, after.len), (LARGE as u64, LARGE as u64 - 10));
    assert_ne!(before.etag, after.etag);
    // The bytes in memory still match their entity tag.
    assert_eq!(cached.read("small.bin").await, Some(b"1".to_vec()));
}

/// A process that maps a file and writes to it, without msync.
struct Mapping(std::process::Child);

impl Mapping {
    fn of(path: &std::path::Path) -> Self {
        const SCRIPT: &str = r#"
import mmap, sys
with open(sys.argv[1], "r+b") as file:
    mapping = mmap.mmap(file.fileno(), 0)
print("mapped", flush=True)
for line in sys.stdin:
    mapping[:3] = line.encode()[:3]
    print("written", flush=True)
"#;
        let mut python = std::process::Command::new("python3");
        python.args(["-c", SCRIPT]).arg(path);
        python.stdin(std::process::Stdio::piped()).stdout(std::process::Stdio::piped());
        let mut mapping = Self(python.spawn().unwrap());
        mapping.wait();
        mapping
    }

    fn wait(&mut self) {
        let mut line = [0; 8];
        let len = self.0.stdout.as_mut().unwrap().read(&mut line).unwrap();
        assert!(len > 0, "the process ended");
    }

    fn write(&mut self, text: &str) {
        self.0.stdin.as_mut().unwrap().write_all(format!("{text}\n").as_bytes()).unwrap();
        self.wait();
    }
}

impl Drop for Mapping {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Such a write does not change the times of the file while the page is dirty.
#[tokio::test]
async fn writes_through_a_mapping_are_served_after_revalidation() {
    let revalidate_after = Duration::from_millis(300);
    for len in [3, usize::try_from(MAX_IN_MEMORY).unwrap(), LARGE] {
        let cached = cached_root(revalidate_after, 1 << 20, 10);
        cached.write("a.bin", &vec![b'0'; len]);
        let mut mapping = Mapping::of(&cached.path("a.bin"));
        // Only the first write changes the time.
        mapping.write("one");
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(cached.read("a.bin").await.unwrap()[..3], *b"one");
        assert_eq!(cached.is_in_memory("a.bin").await, len < LARGE);
        let before = cached.open("a.bin").await.unwrap().metadata().clone();
        let mut tags = vec![before.etag.clone()];
        for text in ["two", "six", "two"] {
            let written = FileVersion::of(&File::open(cached.path("a.bin")).unwrap()).unwrap();
            mapping.write(text);
            assert_eq!(
                FileVersion::of(&File::open(cached.path("a.bin")).unwrap()).unwrap(),
                written,
                "the write must not change the time"
            );
            tokio::time::sleep(revalidate_after).await;
            assert_eq!(cached.read("a.bin").await.unwrap()[..3], *text.as_bytes(), "{len}");
            assert_eq!(cached.read("a.bin").await.unwrap().len(), len);
            let after = cached.open("a.bin").await.unwrap().metadata().clone();
            assert_eq!((after.len, after.modified), (before.len, before.modified));
            tags.push(after.etag);
        }
        // The entity tag of a small file depends on its content.
        if len < LARGE {
            assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[1] == tags[3], "{tags:?}");
        }
        // Unchanged content keeps its entity tag.
        tokio::time::sleep(revalidate_after).await;
        assert_eq!(cached.open("a.bin").await.unwrap().metadata().etag, tags[3]);
    }
}

#[tokio::test]
async fn saves_and_deletes_take_effect_at_once() {
    let cached = cached_root(HOUR, 1 << 20, 10);
    cached.write("a.bin", b"one");
    assert_eq!(cached.read("a.bin").await, Some(b"one".to_vec()));
    let replace = SaveOptions { replace: true, ..SaveOptions::default() };
    cached.storage.save(&Permit::trusted(path("a.bin")), content("two"), &replace).await.unwrap();
    assert_eq!(cached.read("a.bin").await, Some(b"two".to_vec()));
    cached.storage.delete(&Permit::trusted(path("a.bin"))).await.unwrap();
    assert_eq!(cached.read("a.bin").await, None);
}

/// A second change could have the same time, and would not be detected.
#[tokio::test]
async fn a_file_that_has_just_changed_is_not_cached() {
    let cached = cached_root(HOUR, 1 << 20, 10);
    std::fs::write(cached.path("a.bin"), "one").unwrap();
    assert!(!cached.is_in_memory("a.bin").await);
    std::fs::write(cached.path("a.bin"), "two").unwrap();
    assert_eq!(cached.read("a.bin").await, Some(b"two".to_vec()));
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(cached.is_in_memory("a.bin").await && cached.is_in_memory("a.bin").await);
}

#[tokio::test]
async fn bytes_and_open_files_are_bounded() {
    let cached = cached_root(HOUR, 20 << 10, 6);
    for n in 0..50 {
        std::fs::write(cached.path(&format!("{n}.bin")), vec![b'x'; 2 << 10]).unwrap();
        std::fs::write(cached.path(&format!("large{n}.bin")), vec![b'x'; LARGE]).unwrap();
    }
    // A file over the limit of a generation is not cached, and evicts nothing.
    cached.write("half.bin", &vec![b'x'; 14 << 10]);
    for round in 0..3 {
        for n in 0..50 {
            for name in [format!("{n}.bin"), format!("large{n}.bin")] {
                cached.open(&name).await.unwrap();
                let (bytes, handles) = cached.weight();
                assert!(bytes <= 20 << 10 && handles <= 6, "{round} {name}: {bytes}, {handles}");
            }
        }
        let before = cached.weight();
        assert_eq!(cached.read("half.bin").await.unwrap().len(), 14 << 10);
        assert_eq!(cached.weight(), before);
    }
    assert!(cached.weight().0 > 4 << 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    for revalidate_after in [Duration::ZERO, HOUR] {
        let cached = cached_root(revalidate_after, 1 << 20, 10);
        crate::storage::conformance::conformance(Arc::new(cached.storage)).await;
    }
}
