//! Files that were opened a moment ago: small ones are kept by their bytes, others by their handle.

use std::fs::File;
use std::os::unix::fs::MetadataExt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use bytes::{Bytes, BytesMut};
use sha2::{Digest, Sha256};

use super::super::memory::InMemory;
use super::super::{MediaFile, StorageError};
use super::resolve::io_error;
use super::root::OpenRoot;
use super::{LocalStorage, read};
use crate::request::MediaPath;
use crate::two_generation_cache::{TwoGenerationCache, Weigh, Weight};

/// What an entry takes beside its content, about, in bytes.
const OVERHEAD: usize = 1 << 10;

/// What [`LocalStorage::keep`] keeps of the files that were opened last.
#[derive(Debug, Clone, Copy)]
pub struct CacheOptions {
    /// How long after a look a file counts as what it was then. With nothing, it is looked at each time. A look at a small file reads
    /// it anew, as writes through a shared mapping (mmap) need not change its time.
    pub fresh: Duration,
    /// How much of them may be in memory, in bytes.
    pub bytes: usize,
    /// How many may be open.
    pub handles: usize,
    /// Up to this length, in bytes, the content of a file is in memory rather than the file open. `None` keeps all of them open, which a
    /// front server that sends them needs: content in memory has no [`MediaFile::local_name`].
    pub max_content: Option<u64>,
}

/// The files that were opened last. It is asked by a permit's path alone, as it stands behind [`Storage::open`](crate::Storage::open).
#[derive(Debug)]
pub(super) struct FileCache {
    keep: CacheOptions,
    files: Mutex<Entries>,
}

#[derive(Debug, Clone)]
struct Entry {
    file: MediaFile,
    version: Version,
    seen: Instant,
    /// Of the root in which it was opened.
    generation: u64,
}

impl FileCache {
    pub(super) fn new(keep: CacheOptions) -> Self {
        let half = [keep.bytes / 2, keep.handles / 2];
        Self { keep, files: Mutex::new(Entries::new(half)) }
    }

    /// The file of this path in this generation of the root, if it is known as it was at most `fresh` ago.
    pub(super) fn get(&self, path: &MediaPath, generation: u64) -> Option<MediaFile> {
        let known = self.with(|files| files.get(path).cloned())?;
        (known.generation == generation && known.seen.elapsed() < self.keep.fresh && known.is_unchanged())
            .then_some(known.file)
    }

    /// Opens the file of this path, and keeps it.
    pub(super) async fn open(
        &self,
        storage: &LocalStorage,
        path: &MediaPath,
    ) -> Result<MediaFile, StorageError> {
        let (now, generation) = (Instant::now(), storage.root.generation());
        let known =
            self.with(|files| files.get(path).cloned()).filter(|known| known.generation == generation);
        let (file, version) = match storage.find(path, look).await {
            Ok(found) => found,
            Err(error) => {
                self.with(|files| files.remove(path));
                return Err(error);
            }
        };
        let known = known.filter(|known| known.version == version).map(|known| known.file);
        let file = match known {
            Some(known) if known.bytes().as_file().is_some() => known,
            known if self.keep.max_content.is_some_and(|max| file.metadata().len <= max) => {
                match in_memory(&file, version).await? {
                    Some(content) => with_content(&file, known, content),
                    None => return Ok(file),
                }
            }
            _ => storage.named(file, path)?,
        };
        if storage.root.generation() != generation {
            return Ok(file);
        }
        let entry = Entry { file: file.clone(), version, seen: now, generation };
        // What was driven out is let go when nobody waits for it any more.
        drop(self.with(|files| files.insert(path.clone(), entry)));
        Ok(file)
    }

    pub(super) fn forget(&self, path: &MediaPath) {
        self.with(|files| files.remove(path));
    }

    /// Lets go of all that is kept: it is of a root that is not served any more.
    pub(super) fn clear(&self) {
        drop(self.with(Entries::clear));
    }

    fn with<T>(&self, work: impl FnOnce(&mut Entries) -> T) -> T {
        work(&mut self.files.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Entry {
    /// What is in memory cannot change; what is read from an open file can, and the handle says so.
    fn is_unchanged(&self) -> bool {
        match self.file.bytes().as_file() {
            Some(file) => Version::of(file).is_ok_and(|version| version == self.version),
            None => true,
        }
    }
}

impl Weigh for Entry {
    /// Bytes and handles.
    fn weight(&self) -> Weight {
        if self.file.bytes().as_file().is_some() {
            return [OVERHEAD, 1];
        }
        let len = usize::try_from(self.file.metadata().len).unwrap_or(usize::MAX);
        [len.saturating_add(OVERHEAD), 0]
    }
}

fn look(root: &Arc<OpenRoot>, file: File) -> Result<(MediaFile, Version), StorageError> {
    let version = Version::of(&file)?;
    Ok((read::media_file(root, file)?, version))
}

/// The content of the file; `None` if it may be changing.
async fn in_memory(file: &MediaFile, version: Version) -> Result<Option<Bytes>, StorageError> {
    if !version.is_settled(SystemTime::now()) {
        return Ok(None);
    }
    let reading = io_error("reading the file");
    let len = usize::try_from(file.metadata().len).unwrap_or(usize::MAX);
    let mut content = BytesMut::new();
    while content.len() < len {
        let read = Arc::clone(file.bytes()).read_at(content.len() as u64, len - content.len()).await;
        match read.map_err(&reading)? {
            read if read.is_empty() => return Ok(None),
            read => content.extend_from_slice(&read),
        }
    }
    let is_same =
        file.bytes().as_file().is_some_and(|file| Version::of(file).is_ok_and(|now| now == version));
    Ok(is_same.then(|| content.freeze()))
}

/// The file with this content, which has just been read, in memory. `known` is the same version of it as it was kept.
///
/// Writes through a shared mapping change a file without a new time until the kernel writes its pages back, and on tmpfs for good. So
/// the content is compared each time, and what differs gets an entity tag of its own: it is not the one that clients have.
fn with_content(file: &MediaFile, known: Option<MediaFile>, content: Bytes) -> MediaFile {
    match known {
        Some(known) if known.bytes().as_bytes() == Some(&content) => known,
        None => file.with_bytes(Arc::new(InMemory(content))),
        Some(_) => {
            let digest = Sha256::digest(&content);
            let mark = digest.iter().take(8).fold(0_u64, |mark, byte| mark << 8 | u64::from(*byte));
            let mut metadata = file.metadata().clone();
            metadata.etag = format!("{}-{mark:x}", metadata.etag);
            MediaFile::new(metadata, Arc::new(InMemory(content)))
        }
    }
}

/// Which file it is and when it changed last: another one whenever the bytes are others, except for writes through a shared mapping.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Version {
    device: u64,
    inode: u64,
    len: u64,
    modified: (i64, i64),
    /// Of the inode: nobody can set it back.
    changed: (i64, i64),
}

impl Version {
    fn of(file: &File) -> Result<Self, StorageError> {
        let metadata = file.metadata().map_err(io_error("asking for the file's metadata"))?;
        Ok(Self {
            device: metadata.dev(),
            inode: metadata.ino(),
            len: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        })
    }

    /// Whether another change would have another time. The clock of files is coarse: it ticks some hundred times a second, and where
    /// it knows no parts of a second, once in one or two.
    fn is_settled(&self, now: SystemTime) -> bool {
        let (seconds, nanoseconds) = self.changed;
        let tick = Duration::from_millis(if nanoseconds == 0 { 2_100 } else { 100 });
        let changed = SystemTime::UNIX_EPOCH
            + Duration::new(u64::try_from(seconds).unwrap_or(0), u32::try_from(nanoseconds).unwrap_or(0));
        now.duration_since(changed).is_ok_and(|since| since > tick)
    }
}

type Entries = TwoGenerationCache<MediaPath, Entry>;

#[cfg(test)]
mod tests {
    use std::io::{Read, Write};

    use super::*;
    use crate::permission::Permit;
    use crate::storage::{SaveOptions, Storage, content};

    /// A root whose files were there before anybody asked, and a storage that keeps them.
    struct Place {
        root: tempfile::TempDir,
        storage: LocalStorage,
    }

    const HOUR: Duration = Duration::from_secs(3600);

    fn place(fresh: Duration, bytes: usize, handles: usize) -> Place {
        let root = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open_root(root.path()).unwrap().keep(CacheOptions {
            fresh,
            bytes,
            handles,
            max_content: Some(SMALL as u64),
        });
        Place { root, storage }
    }

    impl Place {
        fn path(&self, name: &str) -> std::path::PathBuf {
            self.root.path().join(name)
        }

        /// Writes a file, and waits until it counts as settled.
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
            self.storage.kept.as_ref().unwrap().with(|files| {
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

    const SMALL: usize = 16 << 10;
    const LARGE: usize = 100 << 10;

    #[tokio::test]
    async fn for_so_long_it_is_what_it_was_and_then_what_it_is() {
        for len in [10, LARGE] {
            for fresh in [Duration::ZERO, Duration::from_secs(1), HOUR] {
                let place = place(fresh, 1 << 20, 10);
                let (one, other) = (vec![b'1'; len], vec![b'2'; len + 1]);
                place.write("a.bin", &one);
                assert!(place.read("a.bin").await.as_ref() == Some(&one));
                // Replaced, as editors and saves do.
                std::fs::write(place.path("b.bin"), &other).unwrap();
                std::fs::rename(place.path("b.bin"), place.path("a.bin")).unwrap();
                // A handle tells that its file has lost its name.
                let expected = if fresh.is_zero() || len == LARGE { &other } else { &one };
                assert!(place.read("a.bin").await.as_ref() == Some(expected), "{len} {fresh:?}");
                if fresh < HOUR {
                    tokio::time::sleep(fresh).await;
                    assert!(place.read("a.bin").await == Some(other), "{len} {fresh:?}");
                    std::fs::remove_file(place.path("a.bin")).unwrap();
                    tokio::time::sleep(fresh).await;
                    assert!(place.read("a.bin").await.is_none(), "{len} {fresh:?}");
                }
            }
        }
    }

    /// Of an open file the handle tells at once: its bytes would be others than its tag and its length say.
    #[tokio::test]
    async fn what_is_changed_in_place_is_seen() {
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
        // What is in memory stays what it is, together with its tag.
        assert_eq!(place.read("small.bin").await, Some(b"1".to_vec()));
    }

    /// Maps a file, and writes to it at each line that it is given, without msync.
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
            let said = self.0.stdout.as_mut().unwrap().read(&mut line).unwrap();
            assert!(said > 0, "it ended");
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

    /// Such a write has no time of its own while its page is dirty.
    #[tokio::test]
    async fn what_is_written_through_a_mapping_is_served_when_fresh_is_over() {
        let fresh = Duration::from_millis(300);
        for len in [3, SMALL, LARGE] {
            let place = place(fresh, 1 << 20, 10);
            place.write("a.bin", &vec![b'0'; len]);
            let mut mapping = Mapping::of(&place.path("a.bin"));
            // The first write has a time; what follows has not.
            mapping.write("one");
            tokio::time::sleep(Duration::from_millis(150)).await;
            assert_eq!(place.read("a.bin").await.unwrap()[..3], *b"one");
            assert_eq!(place.is_in_memory("a.bin").await, len < LARGE);
            let before = place.open("a.bin").await.unwrap().metadata().clone();
            let mut tags = vec![before.etag.clone()];
            for text in ["two", "six", "two"] {
                let written = Version::of(&File::open(place.path("a.bin")).unwrap()).unwrap();
                mapping.write(text);
                assert_eq!(
                    Version::of(&File::open(place.path("a.bin")).unwrap()).unwrap(),
                    written,
                    "no test"
                );
                tokio::time::sleep(fresh).await;
                assert_eq!(place.read("a.bin").await.unwrap()[..3], *text.as_bytes(), "{len}");
                assert_eq!(place.read("a.bin").await.unwrap().len(), len);
                let after = place.open("a.bin").await.unwrap().metadata().clone();
                assert_eq!((after.len, after.modified), (before.len, before.modified));
                tags.push(after.etag);
            }
            // The same content has the same tag, and other content another one, where the storage has seen both.
            if len < LARGE {
                assert!(tags[0] != tags[1] && tags[1] != tags[2] && tags[1] == tags[3], "{tags:?}");
            }
            // Unchanged content keeps its tag and its place in memory.
            tokio::time::sleep(fresh).await;
            assert_eq!(place.open("a.bin").await.unwrap().metadata().etag, tags[3]);
        }
    }

    #[tokio::test]
    async fn what_is_saved_and_deleted_here_counts_at_once() {
        let place = place(HOUR, 1 << 20, 10);
        place.write("a.bin", b"one");
        assert_eq!(place.read("a.bin").await, Some(b"one".to_vec()));
        let replace = SaveOptions { replace: true, ..SaveOptions::default() };
        place.storage.save(&Permit::trusted(path("a.bin")), content("two"), &replace).await.unwrap();
        assert_eq!(place.read("a.bin").await, Some(b"two".to_vec()));
        place.storage.delete(&Permit::trusted(path("a.bin"))).await.unwrap();
        assert_eq!(place.read("a.bin").await, None);
    }

    /// The next change might have the same time, and would not be noticed.
    #[tokio::test]
    async fn what_changed_a_moment_ago_is_not_kept() {
        let place = place(HOUR, 1 << 20, 10);
        std::fs::write(place.path("a.bin"), "one").unwrap();
        assert!(!place.is_in_memory("a.bin").await);
        std::fs::write(place.path("a.bin"), "two").unwrap();
        assert_eq!(place.read("a.bin").await, Some(b"two".to_vec()));
        tokio::time::sleep(Duration::from_millis(120)).await;
        assert!(place.is_in_memory("a.bin").await && place.is_in_memory("a.bin").await);
    }

    #[tokio::test]
    async fn it_is_bounded() {
        let place = place(HOUR, 20 << 10, 6);
        for n in 0..50 {
            std::fs::write(place.path(&format!("{n}.bin")), vec![b'x'; 2 << 10]).unwrap();
            std::fs::write(place.path(&format!("large{n}.bin")), vec![b'x'; LARGE]).unwrap();
        }
        // Larger than its half of what there is: not kept, and drives out nobody.
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
        for fresh in [Duration::ZERO, HOUR] {
            let place = place(fresh, 1 << 20, 10);
            crate::storage::conformance::conformance(Arc::new(place.storage)).await;
        }
    }
}
