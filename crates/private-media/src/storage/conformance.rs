//! What every storage has to do, as a suite that its author runs: `check(|| storage)` on an empty root.

#![expect(clippy::panic, clippy::expect_used, reason = "a suite tells by panicking which promise is broken")]

use std::collections::BTreeMap;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt, stream};

use super::{Content, MediaFile, SaveOptions, Storage, StorageError, content};
use crate::identity::Identity;
use crate::permission::Permit;
use crate::request::MediaPath;

/// File names that have broken software of this kind.
pub const NAMES: [&str; 18] = [
    "photo.jpg",
    "mon café.jpg",
    "日本語 ファイル.txt",
    "🚗💨.png",
    "two  spaces.txt",
    " lead and trail ",
    "100%.txt",
    "a%41b%2Fc.txt",
    "what?.txt",
    "#1.txt",
    "a+b=c&d;e.txt",
    "it's \"quoted\".txt",
    "<script>.txt",
    "a:b|c*d.txt",
    "~tilde.txt",
    "dots...txt",
    "cafe\u{301}.txt",
    "e\u{301}\u{200d}zwj.txt",
];

/// Checks every promise of [`Storage`] on an empty storage. It panics at the first that is broken, and leaves files behind.
pub async fn check(storage: Arc<dyn Storage>) {
    names(&*storage).await;
    reading(&*storage).await;
    never_replacing(&*storage).await;
    replacing(&*storage).await;
    limits(&*storage).await;
    broken_content(&*storage).await;
    listing(&*storage).await;
    deleting(&*storage).await;
    racing(storage).await;
}

async fn names(storage: &dyn Storage) {
    let longest = format!("{}.jpg", "é".repeat(125) + "x");
    assert_eq!(longest.len(), 255, "the longest name there is");
    for name in NAMES.iter().copied().chain([longest.as_str()]) {
        let path = path(&format!("names/{name}"));
        let used = save(storage, &path, name.as_bytes()).await;
        assert_eq!(used, path, "a free name is taken as it is");
        assert_eq!(read(storage, &path).await, name.as_bytes(), "{name:?}");
    }
    let taken = path(&format!("names/{longest}"));
    let used = save(storage, &taken, b"other").await;
    assert!(used != taken && used.file_name().len() <= 255, "a long name that is taken: {used}");
}

async fn reading(storage: &dyn Storage) {
    let bytes: Bytes = (0..1_000_000_u32).map(|n| u8::try_from(n % 251).unwrap_or_default()).collect();
    let path = path("reading/big.bin");
    let pieces: Vec<io::Result<Bytes>> =
        bytes.chunks(7919).map(|piece| Ok(Bytes::copy_from_slice(piece))).collect();
    storage
        .save(&path, Box::pin(stream::iter(pieces)), &SaveOptions::default())
        .await
        .expect("a save in pieces");
    let file = open(storage, &path).await.expect("what was saved opens");
    assert_eq!(file.metadata().len, bytes.len() as u64, "the length");
    assert_eq!(*file.metadata(), storage.metadata(&path).await.expect("metadata"), "open and metadata agree");
    for (offset, len) in [(0, 1), (0, 100), (999_999, 1), (999_990, 100), (500_000, 4096)] {
        let part = file.bytes().clone().read_at(offset, len).await.expect("a read");
        let start = usize::try_from(offset).unwrap_or_default();
        assert!(!part.is_empty() && part.len() <= len, "a read gives something, and no more than asked for");
        assert!(bytes.get(start..).is_some_and(|rest| rest.starts_with(&part)), "the bytes at {offset}");
    }
    for offset in [1_000_000, 1_000_001, u64::MAX / 2, u64::MAX] {
        assert!(
            file.bytes().clone().read_at(offset, 10).await.expect("a read").is_empty(),
            "nothing at {offset}"
        );
    }
    let empty = save(storage, &self::path("reading/empty"), b"").await;
    assert_eq!(read(storage, &empty).await, b"", "an empty file");
    for missing in ["reading/none", "reading", "none/none", "reading/big.bin/none"] {
        let opened = open(storage, &self::path(missing)).await;
        assert!(matches!(opened, Err(StorageError::NotFound { .. })), "{missing}: {opened:?}");
        assert!(!storage.exists(&self::path(missing)).await.expect("exists"), "{missing}");
    }
    assert!(storage.exists(&path).await.expect("exists"), "what is there exists");
}

async fn never_replacing(storage: &dyn Storage) {
    let wanted = path("never/photo.jpg");
    let first = save(storage, &wanted, b"one").await;
    let second = save(storage, &wanted, b"two").await;
    assert_eq!(first, wanted, "the first save has the name");
    assert_ne!(first, second, "the second has another");
    let name = second.file_name();
    assert!(
        name.starts_with("photo_")
            && name.strip_suffix(".jpg").is_some()
            && second.parent() == wanted.parent(),
        "{second}"
    );
    assert_eq!(
        (read(storage, &first).await, read(storage, &second).await),
        (b"one".to_vec(), b"two".to_vec())
    );
}

async fn replacing(storage: &dyn Storage) {
    let path = path("replacing/photo.jpg");
    save(storage, &path, b"one").await;
    let old = open(storage, &path).await.expect("open");
    let options = SaveOptions { replace: true, ..SaveOptions::default() };
    let used = storage.save(&path, content("three"), &options).await.expect("a replacing save");
    assert_eq!(used, path, "a replacing save keeps the name");
    let new = open(storage, &path).await.expect("open");
    assert_ne!(old.metadata().etag, new.metadata().etag, "another version has another entity tag");
    assert_eq!(all(&old).await, b"one", "who had it open goes on reading the old one");
    assert_eq!(all(&new).await, b"three", "and others read the new one");
}

async fn limits(storage: &dyn Storage) {
    let path = path("limits/photo.jpg");
    let options = SaveOptions { max_len: Some(5), ..SaveOptions::default() };
    let over = storage.save(&path, content("123456"), &options).await;
    assert!(matches!(over, Err(StorageError::TooLarge { max_len: 5 })), "{over:?}");
    let announced = SaveOptions { expected_len: Some(6), ..options };
    let untouched: Content<'_> =
        Box::pin(stream::poll_fn(|_| panic!("what is too large by its own word is not read")));
    let over = storage.save(&path, untouched, &announced).await;
    assert!(matches!(over, Err(StorageError::TooLarge { max_len: 5 })), "{over:?}");
    assert!(!storage.exists(&path).await.expect("exists"), "nothing is left of what was refused");
    assert_eq!(storage.save(&path, content("12345"), &options).await.expect("a save at the limit"), path);
}

async fn broken_content(storage: &dyn Storage) {
    let path = path("broken/photo.jpg");
    let pieces = [Ok(Bytes::from("some")), Err(io::Error::other("the client has gone"))];
    let broken = storage.save(&path, Box::pin(stream::iter(pieces)), &SaveOptions::default()).await;
    assert!(matches!(broken, Err(StorageError::Content(_))), "{broken:?}");
    assert!(!storage.exists(&path).await.expect("exists"), "nothing is left of what broke off");
}

async fn listing(storage: &dyn Storage) {
    for name in ["listing/b.txt", "listing/a.txt", "listing/c/d.txt"] {
        save(storage, &path(name), b"x").await;
    }
    let entries = storage.list(Some(&path("listing"))).await.expect("a list");
    let found: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
    assert_eq!(found, [("listing/a.txt", false), ("listing/b.txt", false), ("listing/c", true)]);
    let root = storage.list(None).await.expect("a list of the root");
    assert!(root.iter().any(|entry| entry.path.as_str() == "listing" && entry.is_folder), "{root:?}");
    assert!(matches!(storage.list(Some(&path("none"))).await, Err(StorageError::NotFound { .. })));
}

async fn deleting(storage: &dyn Storage) {
    let path = path("deleting/photo.jpg");
    save(storage, &path, b"x").await;
    storage.delete(&path).await.expect("a delete");
    assert!(!storage.exists(&path).await.expect("exists"), "what was deleted is gone");
    for missing in [&path, &self::path("deleting"), &self::path("none/none")] {
        let deleted = storage.delete(missing).await;
        assert!(matches!(deleted, Err(StorageError::NotFound { .. })), "{missing}: {deleted:?}");
    }
}

/// Thirty-two saves of one name at once: each is stored, under a name of its own.
async fn racing(storage: Arc<dyn Storage>) {
    let saves = (0..32_u8).map(|n| {
        let storage = Arc::clone(&storage);
        let bytes = vec![n; 100_000];
        tokio::spawn(async move { (n, save(&*storage, &path("racing/photo.jpg"), &bytes).await) })
    });
    let mut used = BTreeMap::new();
    for save in saves.collect::<Vec<_>>() {
        let (n, path) = save.await.expect("a racing save");
        assert!(used.insert(path.clone(), n).is_none(), "two saves have {path}");
    }
    assert_eq!(used.len(), 32);
    assert!(used.contains_key(&path("racing/photo.jpg")), "one of them has the name");
    for (path, n) in &used {
        assert_eq!(read(&*storage, path).await, vec![*n; 100_000], "{path}");
    }
    let listed = storage.list(Some(&path("racing"))).await.expect("a list");
    assert_eq!(listed.len(), 32, "nothing else is there");
}

fn path(name: &str) -> MediaPath {
    MediaPath::new(name).expect("a legal path")
}

async fn save(storage: &dyn Storage, path: &MediaPath, bytes: &[u8]) -> MediaPath {
    let bytes = Bytes::copy_from_slice(bytes);
    storage.save(path, content(bytes), &SaveOptions::default()).await.expect("a save")
}

async fn open(storage: &dyn Storage, path: &MediaPath) -> Result<MediaFile, StorageError> {
    let everybody = |_: &Identity, _: &MediaPath| true;
    let permit = Permit::ask(&everybody, Identity::Anonymous, path.clone()).await.expect("everybody may");
    storage.open(&permit).await
}

async fn read(storage: &dyn Storage, path: &MediaPath) -> Vec<u8> {
    all(&open(storage, path).await.expect("what was saved opens")).await
}

async fn all(file: &MediaFile) -> Vec<u8> {
    let parts = stream::unfold(0, |offset| async move {
        let part = file.bytes().clone().read_at(offset, 65_536).await.expect("a read");
        (!part.is_empty()).then(|| (part.clone(), offset + part.len() as u64))
    });
    parts.collect::<Vec<_>>().await.concat()
}

#[cfg(test)]
mod tests {
    use super::super::{LocalOptions, LocalStorage, MemoryStorage};
    use super::*;

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn memory() {
        check(Arc::new(MemoryStorage::new())).await;
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_folder() {
        let root = tempfile::tempdir().unwrap();
        check(Arc::new(LocalStorage::open_root(root.path()).unwrap())).await;
        assert!(
            !root.path().join(".private-media-uploads").read_dir().unwrap().any(|_| true),
            "no drafts are left"
        );
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
    async fn a_folder_without_unnamed_files() {
        let root = tempfile::tempdir().unwrap();
        let options = LocalOptions { named_drafts: true, ..LocalOptions::default() };
        check(Arc::new(LocalStorage::open_root_with(root.path(), options).unwrap())).await;
        assert!(
            !root.path().join(".private-media-uploads").read_dir().unwrap().any(|_| true),
            "no drafts are left"
        );
    }
}
