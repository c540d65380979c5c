use std::fs::File;
use std::io::{Read, Write};

use super::*;
use crate::LocalStorage;
use crate::permission::Permit;
use crate::storage::{SaveOptions, Storage, content};

/// A root, and a storage with a cache.
struct Place {
    root: tempfile::TempDir,
    storage: LocalStorage,
}

const MAX_IN_MEMORY: u64 = 16 << 10;
const HOUR: Duration = Duration::from_secs(3600);

fn place(revalidate_after: Duration, max_bytes: usize, max_open_files: usize) -> Place {
    let root = tempfile::tempdir().unwrap();
    let storage = LocalStorage::open_root(root.path()).unwrap().cache(CacheOptions {
        revalidate_after,
        max_bytes,
        max_open_files,
        max_in_memory: Some(MAX_IN_MEMORY),
    });
    Place { root, storage }
}

impl Place {
    fn path(&self, name: &str) -> std::path::PathBuf {
        self.root.path().join(name)
    }

    /// Writes a file, and waits until it is settled.
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
            let place = place(revalidate_after, 1 << 20, 10);
            let (one, other) = (vec![b'1'; len], vec![b'2'; len + 1]);
            place.write("a.bin", &one);
            assert!(place.read("a.bin").await.as_ref() == Some(&one));
            // Editors and saves replace files.
            std::fs::write(place.path("b.bin"), &other).unwrap();
            std::fs::rename(place.path("b.bin"), place.path("a.bin")).unwrap();
            // An open file shows that it has lost its name.
            let expected = if revalidate_after.is_zero() || len == LARGE { &other } else { &one };
            assert!(place.read("a.bin").await.as_ref() == Some(expected), "{len} {revalidate_after:?}");
            if revalidate_after < HOUR {
                tokio::time::sleep(revalidate_after).await;
                assert!(place.read("a.bin").await == Some(other), "{len} {revalidate_after:?}");
                std::fs::remove_file(place.path("a.bin")).unwrap();
                tokio::time::sleep(revalidate_after).await;
                assert!(place.read("a.bin").await.is_none(), "{len} {revalidate_after:?}");
            }
        }
    }
}

/// The bytes of an open file would not match the cached tag and length, so the handle is checked each time.
#[tokio::test]
async fn a_large_file_that_changes_in_place_is_not_stale() {
    let place = place(HOUR, 1 << 20, 10);
    place.write("large.bin", &vec![b'1'; LARGE]);
    place.write("small.bin", b"1");
    let before = place.open("large.bin").await.unwrap().metadata().clone();
    assert!(place.is_in_memory("small.bin").await);
    std::fs::write(place.path("large.bin"), vec![b'2'; LARGE - 10]).unwrap();
    std::fs::write(place.path("small.bin"), b"22").unwrap();
    let after = place.open("large.bin").await.unwrap().metadata().clone();
    assert_eq!((before.len, after.len), (LARGE as u64, LARGE as u64 - 10));
    assert_ne!(before.etag, after.etag);
    // The bytes in memory stay the same, with their tag.
    assert_eq!(place.read("small.bin").await, Some(b"1".to_vec()));
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

/// Such a write does not change the time of the file while its page is dirty.
#[tokio::test]
async fn writes_through_a_mapping_are_served_after_revalidation() {
    let revalidate_after = Duration::from_millis(300);
    for len in [3, usize::try_from(MAX_IN_MEMORY).unwrap(), LARGE] {
        let place = place(revalidate_after, 1 << 20, 10);
        place.write("a.bin", &vec![b'0'; len]);
        let mut mapping = Mapping::of(&place.path("a.bin"));
        // Only the first write changes the time.
        mapping.write("one");
        tokio::time::sleep(Duration::from_millis(150)).await;
        assert_eq!(place.read("a.bin").await.unwrap()[..3], *b"one");
        assert_eq!(place.is_in_memory("a.bin").await, len < LARGE);
        let before = place.open("a.bin").await.unwrap().metadata().clone();
        let mut tags = vec![before.etag.clone()];
        for text in ["two", "six", "two"] {
            let written = FileVersion::of(&File::open(place.path("a.bin")).unwrap()).unwrap();
            mapping.write(text);
            assert_eq!(
                FileVersion::of(&File::open(place.path("a.bin")).unwrap()).unwrap(),
                written,
                "the write changed the time, which makes the test useless"
            );
            tokio::time::sleep(revalidate_after).await;
            assert_eq!(place.read("a.bin").await.unwrap()[..3], *text.as_bytes(), "{len}");
            assert_eq!(place.read("a.bin").await.unwrap().len(), len);
            let after = place.open("a.bin").await.unwrap().metadata().clone();
            assert_eq!((after.len, after.modified), (before.len, before.modified));
            tags.push(after.etag);
        }
        // The tag follows the content if the storage has seen both contents.
        if len < LARGE {
            assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[1] == tags[3], "{tags:?}");
        }
        // Unchanged content has the same tag.
        tokio::time::sleep(revalidate_after).await;
        assert_eq!(place.open("a.bin").await.unwrap().metadata().etag, tags[3]);
    }
}

#[tokio::test]
async fn saves_and_deletes_take_effect_at_once() {
    let place = place(HOUR, 1 << 20, 10);
    place.write("a.bin", b"one");
    assert_eq!(place.read("a.bin").await, Some(b"one".to_vec()));
    let replace = SaveOptions { replace: true, ..SaveOptions::default() };
    place.storage.save(&Permit::trusted(path("a.bin")), content("two"), &replace).await.unwrap();
    assert_eq!(place.read("a.bin").await, Some(b"two".to_vec()));
    place.storage.delete(&Permit::trusted(path("a.bin"))).await.unwrap();
    assert_eq!(place.read("a.bin").await, None);
}

/// A second change may have the same time, and would be missed.
#[tokio::test]
async fn a_file_that_has_just_changed_is_not_cached() {
    let place = place(HOUR, 1 << 20, 10);
    std::fs::write(place.path("a.bin"), "one").unwrap();
    assert!(!place.is_in_memory("a.bin").await);
    std::fs::write(place.path("a.bin"), "two").unwrap();
    assert_eq!(place.read("a.bin").await, Some(b"two".to_vec()));
    tokio::time::sleep(Duration::from_millis(120)).await;
    assert!(place.is_in_memory("a.bin").await && place.is_in_memory("a.bin").await);
}

#[tokio::test]
async fn bytes_and_open_files_are_bounded() {
    let place = place(HOUR, 20 << 10, 6);
    for n in 0..50 {
        std::fs::write(place.path(&format!("{n}.bin")), vec![b'x'; 2 << 10]).unwrap();
        std::fs::write(place.path(&format!("large{n}.bin")), vec![b'x'; LARGE]).unwrap();
    }
    // Over the limit of a generation, a file is not cached and evicts nothing.
    place.write("half.bin", &vec![b'x'; 14 << 10]);
    for round in 0..3 {
        for n in 0..50 {
            for name in [format!("{n}.bin"), format!("large{n}.bin")] {
                place.open(&name).await.unwrap();
                let (bytes, handles) = place.weight();
                assert!(bytes <= 20 << 10 && handles <= 6, "{round} {name}: {bytes}, {handles}");
            }
        }
        let before = place.weight();
        assert_eq!(place.read("half.bin").await.unwrap().len(), 14 << 10);
        assert_eq!(place.weight(), before);
    }
    assert!(place.weight().0 > 4 << 10);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn conforms() {
    for revalidate_after in [Duration::ZERO, HOUR] {
        let place = place(revalidate_after, 1 << 20, 10);
        crate::storage::conformance::conformance(Arc::new(place.storage)).await;
    }
}
