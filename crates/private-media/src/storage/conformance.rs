//! A test suite for implementations of [`Storage`].
//!
//! ```no_run
//! # async fn doc() {
//! use std::sync::Arc;
//!
//! use private_media::storage::{MemoryStorage, conformance::conformance};
//!
//! conformance(Arc::new(MemoryStorage::new())).await;
//! # }
//! ```
#![expect(clippy::panic, reason = "a failed assertion stops the test")]

use std::collections::HashSet;
use std::fmt::Debug;
use std::io;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};

use super::{Content, MediaFile, SaveOptions, Storage, StorageError, content};
use crate::permission::Permit;
use crate::request::MediaPath;

/// File names that are handled incorrectly by some software.
pub const NAMES: [&str; 25] = [
    "photo.jpg",
    "café naïve Ångström.jpg",
    "e\u{301} decomposed.txt",
    "🚗🏎\u{fe0f}.png",
    "with  spaces .txt",
    "100%.txt",
    "%2e%2e%2f",
    "who?.txt",
    "a#b",
    "a+b",
    "\"double\" 'single' `back`",
    "<b>&amp;",
    "semi;colon,comma",
    "a:b|c*d",
    "-",
    "--help",
    "a.",
    "no extension",
    "Ελληνικά.txt",
    "日本語.jpg",
    "עברית.txt",
    "CON",
    "tilde~",
    "$(x)",
    "{a,b}",
];

/// Asserts that a storage satisfies the contract of [`Storage`]. The storage has to be empty and needs 10 MiB of free space. The files of
/// the suite remain in it. Run it in a multi-threaded Tokio runtime, so that concurrent saves race.
///
/// # Panics
/// Panics at the first violation, with a description.
pub async fn conformance(storage: Arc<dyn Storage>) {
    an_empty_storage_has_no_files(&*storage).await;
    saved_content_is_read_back(&*storage).await;
    valid_names_are_used_unchanged(&*storage).await;
    nothing_is_replaced_by_default(&*storage).await;
    a_new_file_replaces_nothing(&*storage).await;
    the_longest_name_has_an_alternative(&*storage).await;
    files_and_folders_are_distinct(&*storage).await;
    content_over_the_limit_is_rejected(&*storage).await;
    a_failed_save_leaves_nothing(&*storage).await;
    large_files_are_saved_in_pieces(&*storage).await;
    open_files_are_not_affected_by_changes(&*storage).await;
    lists_are_sorted_and_shallow(&*storage).await;
    deleted_files_do_not_exist(&*storage).await;
    racing_saves_all_succeed(storage).await;
}

async fn an_empty_storage_has_no_files(storage: &dyn Storage) {
    assert_eq!(
        must(storage.list(&Permit::trusted(None)).await, "list an empty root"),
        [],
        "the storage is empty"
    );
    let path = path("missing/file");
    assert_not_found(&open(storage, &path).await, "open a missing file");
    assert_not_found(&storage.metadata(&Permit::trusted(path.clone())).await, "metadata of a missing file");
    assert_not_found(&storage.delete(&Permit::trusted(path.clone())).await, "delete a missing file");
    assert_not_found(&storage.list(&Permit::trusted(path.clone())).await, "list a missing folder");
    assert!(!must(storage.exists(&Permit::trusted(path.clone())).await, "whether a missing file exists"));
}

async fn saved_content_is_read_back(storage: &dyn Storage) {
    for (name, bytes) in
        [("read/empty", Bytes::new()), ("read/small", "hello".into()), ("read/byte", "\0".into())]
    {
        let path = path(name);
        assert_eq!(save(storage, &path, bytes.clone()).await, path, "a free name is used");
        let file = must(open(storage, &path).await, name);
        assert_eq!(read(&file, 3).await, bytes, "{name}: its content");
        let whole = must(storage.open_whole(&Permit::trusted(path.clone())).await, name);
        assert_eq!(whole.metadata().etag, file.metadata().etag, "{name}: the entity tag of the whole file");
        // The second time, the content that came with the metadata is used up.
        for _ in 0..2 {
            assert_eq!(read_whole(&whole).await, bytes, "{name}: its whole content");
        }
        let metadata = must(storage.metadata(&Permit::trusted(path.clone())).await, name);
        assert_eq!(metadata.len, bytes.len() as u64, "{name}: its length");
        assert_eq!(metadata.etag, file.metadata().etag, "{name}: the entity tag of the open file");
        assert_eq!(metadata.modified, file.metadata().modified, "{name}: the time of the open file");
        assert!(must(storage.exists(&Permit::trusted(path.clone())).await, name), "{name} exists");
        let legal = |byte: u8| byte == b'!' || (b'#'..=b'~').contains(&byte);
        assert!(
            !metadata.etag.is_empty() && metadata.etag.bytes().all(legal),
            "entity tag {:?}",
            metadata.etag
        );
        for offset in [metadata.len, metadata.len + 1, u64::from(u32::MAX), i64::MAX.unsigned_abs(), u64::MAX]
        {
            let past = must(file.bytes().clone().read_at(offset, 10).await, "read after the end");
            assert!(past.is_empty(), "{name} has {past:?} at {offset}");
        }
    }
    let age =
        must(storage.metadata(&Permit::trusted(path("read/small"))).await, "metadata").modified.elapsed();
    assert!(age.is_ok_and(|age| age.as_secs() < 600), "the modification time is now");
}

async fn valid_names_are_used_unchanged(storage: &dyn Storage) {
    let longest = "é".repeat(125) + "x.jpg";
    for name in NAMES.into_iter().chain([&*longest]) {
        let path = path(&format!("names/{name}"));
        assert_eq!(save(storage, &path, name.to_owned()).await, path, "{name:?} is used unchanged");
        let file = must(open(storage, &path).await, name);
        assert_eq!(read(&file, 1000).await, name.as_bytes(), "{name:?}: its content");
    }
    let listed = must(storage.list(&Permit::trusted(path("names"))).await, "list the names");
    let listed: HashSet<&str> = listed.iter().map(|entry| entry.path.file_name()).collect();
    assert_eq!(listed, NAMES.into_iter().chain([&*longest]).collect(), "every name is listed unchanged");
}

async fn nothing_is_replaced_by_default(storage: &dyn Storage) {
    let path = path("replace/photo.tar.gz");
    save(storage, &path, "one").await;
    let first = must(storage.metadata(&Permit::trusted(path.clone())).await, "metadata");
    let other = save(storage, &path, "two").await;
    assert_ne!(other, path, "a taken name is not used");
    assert_eq!(other.parent(), path.parent(), "the other name is in the same folder");
    assert!(other.as_str().ends_with(".tar.gz"), "{other} keeps its extension");
    assert_eq!(text(storage, &path).await, "one");
    assert_eq!(text(storage, &other).await, "two");
    assert_eq!(
        must(storage.metadata(&Permit::trusted(path.clone())).await, "metadata").etag,
        first.etag,
        "the same content has the same entity tag"
    );

    let replace = SaveOptions::new().replace(true);
    let mut tags = HashSet::from([first.etag]);
    for bytes in ["six", "ten", "a longer one", ""] {
        let used =
            must(storage.save(&Permit::trusted(path.clone()), content(bytes), &replace).await, "replace");
        assert_eq!(used, path, "a replacement has the same name");
        assert_eq!(text(storage, &path).await, bytes);
        let tag = must(storage.metadata(&Permit::trusted(path.clone())).await, "metadata").etag;
        assert!(tags.insert(tag), "different content has a different entity tag: {bytes:?}");
    }
    let fresh = self::path("replace/fresh");
    assert_eq!(
        must(
            storage.save(&Permit::trusted(fresh.clone()), content("x"), &replace).await,
            "replace a missing file"
        ),
        fresh
    );
    assert_eq!(names(storage, "replace").await.len(), 3, "no other file exists");
}

async fn a_new_file_replaces_nothing(storage: &dyn Storage) {
    let (path, new) = (path("new/photo.jpg"), SaveOptions::new().create_new(true));
    let save =
        async |text: &'static str| storage.save(&Permit::trusted(path.clone()), content(text), &new).await;
    assert_eq!(must(save("one").await, "save a new file"), path);
    let again = save("two").await;
    assert!(matches!(again, Err(StorageError::Exists)), "save over an existing file: {again:?}");
    assert_eq!(text(storage, &path).await, "one");
    assert_eq!(names(storage, "new").await.len(), 1, "no other file exists");
}

async fn the_longest_name_has_an_alternative(storage: &dyn Storage) {
    let path = path(&format!("longest/{}.jpg", "n".repeat(251)));
    save(storage, &path, "one").await;
    let other = save(storage, &path, "two").await;
    assert!(other != path && other.as_str().contains(".jpg"), "{other}");
    assert_eq!(text(storage, &other).await, "two");
}

async fn files_and_folders_are_distinct(storage: &dyn Storage) {
    save(storage, &path("mix/folder/file"), "x").await;
    let folder = path("mix/folder");
    assert_not_found(&open(storage, &folder).await, "open a folder");
    assert_not_found(&storage.metadata(&Permit::trusted(folder.clone())).await, "metadata of a folder");
    assert_not_found(&storage.delete(&Permit::trusted(folder.clone())).await, "delete a folder");
    assert!(
        !must(storage.exists(&Permit::trusted(folder.clone())).await, "whether a folder exists as a file"),
        "a folder is not a file"
    );
    assert_ne!(save(storage, &folder, "y").await, folder, "the name of a folder is taken");
    let replace = SaveOptions::new().replace(true);
    assert!(
        storage.save(&Permit::trusted(folder.clone()), content("y"), &replace).await.is_err(),
        "a folder is not replaced"
    );
    let below = path("mix/folder/file/below");
    assert_not_found(&open(storage, &below).await, "open below a file");
    assert!(
        storage.save(&Permit::trusted(below.clone()), content("y"), &SaveOptions::default()).await.is_err(),
        "save below a file"
    );
    assert_not_found(&storage.list(&Permit::trusted(path("mix/folder/file"))).await, "list a file");
    assert_eq!(text(storage, &path("mix/folder/file")).await, "x", "the file still exists");
}

async fn content_over_the_limit_is_rejected(storage: &dyn Storage) {
    let path = path("limits/deep/file");
    for (len, options, fits) in [
        (10, SaveOptions::new().max_len(9), false),
        (10, SaveOptions::new().max_len(0), false),
        (1, SaveOptions::new().max_len(9).expected_len(10), false),
        (1 << 20, SaveOptions::new().max_len((1 << 20) - 1), false),
        (10, SaveOptions::new().max_len(10).expected_len(10), true),
        (10, SaveOptions::new().max_len(10).expected_len(3), true),
        (0, SaveOptions::new().max_len(0), true),
    ] {
        let result = storage.save(&Permit::trusted(path.clone()), pieces(vec![7; len], 3000), &options).await;
        match (fits, result) {
            (true, Ok(used)) => must(storage.delete(&Permit::trusted(used.clone())).await, "delete"),
            (false, Err(StorageError::TooLarge { max_len })) => assert_eq!(Some(max_len), options.max_len),
            (_, result) => panic!("{len} bytes by {options:?}: {result:?}"),
        }
        assert!(
            !must(storage.exists(&Permit::trusted(path.clone())).await, "whether it exists"),
            "no file remains with {options:?}"
        );
    }
}

async fn a_failed_save_leaves_nothing(storage: &dyn Storage) {
    for good in [0, 1, 100] {
        let piece = Bytes::from(vec![1; 10_000]);
        let broken = (0..good).map(|_| Ok(piece.clone())).chain([Err(io::ErrorKind::ConnectionReset.into())]);
        let broken = Box::pin(stream::iter(broken.collect::<Vec<_>>()));
        match storage.save(&Permit::trusted(path("broken/file")), broken, &SaveOptions::default()).await {
            Err(StorageError::Content(error)) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
            result => panic!("content with an error after {good} pieces: {result:?}"),
        }
        assert!(
            !must(storage.exists(&Permit::trusted(path("broken/file"))).await, "whether it exists"),
            "no file remains after {good} pieces"
        );
        assert_not_found(
            &storage.list(&Permit::trusted(path("broken"))).await,
            "the folder of a failed save",
        );
    }
}

async fn large_files_are_saved_in_pieces(storage: &dyn Storage) {
    let bytes: Vec<u8> = (0..1_100_000_u32).flat_map(u32::to_le_bytes).collect();
    let path = path("big/file.bin");
    for size in [1000, 65_536, 300_000, 5_000_000] {
        let options = SaveOptions::new().replace(true);
        must(
            storage.save(&Permit::trusted(path.clone()), pieces(bytes.clone(), size), &options).await,
            "save in pieces",
        );
        let file = must(open(storage, &path).await, "open");
        assert!(read(&file, 77_777).await == bytes, "content saved in pieces of {size} is unchanged");
    }
    let file = must(open(storage, &path).await, "open");
    for (offset, len) in [(0, 1), (4_399_999, 10), (4_000_001, 4), (1, 65_537), (12, 0)] {
        let start = usize::try_from(offset).unwrap_or_default();
        let wanted = bytes.get(start..(start + len).min(bytes.len())).unwrap_or_default();
        let part = must(file.bytes().clone().read_at(offset, len).await, "read a part");
        assert!(wanted.starts_with(&part), "{len} bytes at {offset}: the content");
        assert!(
            part.is_empty() == wanted.is_empty(),
            "{len} bytes at {offset}: at least one byte before the end"
        );
    }
}

async fn open_files_are_not_affected_by_changes(storage: &dyn Storage) {
    let path = path("stays/file");
    save(storage, &path, "before").await;
    let file = must(open(storage, &path).await, "open");
    let replace = SaveOptions::new().replace(true);
    must(storage.save(&Permit::trusted(path.clone()), content("afterwards"), &replace).await, "replace");
    assert_unaffected(&file, b"before", "a replacement").await;
    must(storage.delete(&Permit::trusted(path.clone())).await, "delete");
    assert_unaffected(&file, b"before", "a deletion").await;
}

/// Asserts that an open file has its content, or says that it is gone.
async fn assert_unaffected(file: &MediaFile, bytes: &[u8], by: &str) {
    match file.bytes().clone().read_at(0, bytes.len()).await {
        Ok(read) => assert_eq!(read, bytes, "an open file is not affected by {by}"),
        Err(error) => assert_eq!(error.kind(), io::ErrorKind::StaleNetworkFileHandle, "after {by}: {error}"),
    }
}

async fn lists_are_sorted_and_shallow(storage: &dyn Storage) {
    for name in ["list/b/deep/x", "list/a", "list/b/y", "list/é", "list/B", "list/b-c"] {
        save(storage, &path(name), "x").await;
    }
    let entries = must(storage.list(&Permit::trusted(path("list"))).await, "list");
    let entries: Vec<_> = entries.iter().map(|entry| (entry.path.as_str(), entry.is_folder)).collect();
    let wanted =
        [("list/B", false), ("list/a", false), ("list/b", true), ("list/b-c", false), ("list/é", false)];
    assert_eq!(entries, wanted);
    let root = must(storage.list(&Permit::trusted(None)).await, "list the root");
    assert!(
        root.iter().any(|entry| entry.path.as_str() == "list" && entry.is_folder),
        "the root lists its folders"
    );
    assert!(root.is_sorted_by_key(|entry| entry.path.clone()), "the root is sorted");
}

async fn deleted_files_do_not_exist(storage: &dyn Storage) {
    let path = path("deleted/file");
    save(storage, &path, "x").await;
    must(storage.delete(&Permit::trusted(path.clone())).await, "delete");
    assert!(!must(storage.exists(&Permit::trusted(path.clone())).await, "whether it exists"));
    assert_not_found(&open(storage, &path).await, "open a deleted file");
    assert_not_found(&storage.delete(&Permit::trusted(path.clone())).await, "delete twice");
    assert_eq!(save(storage, &path, "y").await, path, "the name of a deleted file is free");
}

async fn racing_saves_all_succeed(storage: Arc<dyn Storage>) {
    const RACERS: usize = 32;
    let tasks: Vec<_> = (0..RACERS)
        .map(|racer| {
            let storage = Arc::clone(&storage);
            tokio::spawn(async move {
                let bytes = format!("racer {racer} ").repeat(2000).into_bytes();
                let path = path("race/new/folder/photo.jpg");
                let used = storage
                    .save(
                        &Permit::trusted(path.clone()),
                        pieces(bytes.clone(), 1000),
                        &SaveOptions::default(),
                    )
                    .await;
                (must(used, "save in a race"), bytes)
            })
        })
        .collect();
    let mut used = HashSet::new();
    for task in tasks {
        let (path, bytes) = must(task.await, "a racer");
        let file = must(open(&*storage, &path).await, "open the file of a racer");
        assert!(read(&file, 9999).await == bytes, "{path} has the content of its racer");
        assert!(used.insert(path.clone()), "{path} was given to two racers");
    }
    assert!(used.contains(&path("race/new/folder/photo.jpg")), "one racer gets the requested name");
    assert_eq!(names(&*storage, "race/new/folder").await.len(), RACERS, "no other file exists in the folder");
}

fn path(name: &str) -> MediaPath {
    must(MediaPath::new(name), name)
}

/// Returns content in pieces, with a wait before each, as from a network.
fn pieces(bytes: Vec<u8>, size: usize) -> Content<'static> {
    let bytes = Bytes::from(bytes);
    let starts = (0..bytes.len()).step_by(size);
    let pieces: Vec<_> = starts.map(|start| bytes.slice(start..(start + size).min(bytes.len()))).collect();
    Box::pin(stream::iter(pieces).then(|piece| async {
        tokio::task::yield_now().await;
        Ok(piece)
    }))
}

async fn save(storage: &dyn Storage, path: &MediaPath, bytes: impl Into<Bytes>) -> MediaPath {
    must(
        storage.save(&Permit::trusted(path.clone()), content(bytes), &SaveOptions::default()).await,
        path.as_str(),
    )
}

async fn open(storage: &dyn Storage, path: &MediaPath) -> Result<MediaFile, StorageError> {
    let permit = Permit::trusted(path.clone());
    let opened = storage.open(&permit).await;
    if let Some(now) = storage.open_now(&permit) {
        let etag =
            |file: &Result<_, _>| file.as_ref().ok().map(|file: &MediaFile| file.metadata().etag.clone());
        assert_eq!(etag(&now), etag(&opened), "open_now gives another file than open: {path}");
    }
    opened
}

/// Reads a whole file, at most `step` bytes at a time.
async fn read(file: &MediaFile, step: usize) -> Vec<u8> {
    let mut bytes = Vec::new();
    loop {
        let piece = must(file.bytes().clone().read_at(bytes.len() as u64, step).await, "read");
        assert!(piece.len() <= step, "{} bytes were read, but {step} requested", piece.len());
        if piece.is_empty() {
            assert_eq!(bytes.len() as u64, file.metadata().len, "the length is that of the metadata");
            return bytes;
        }
        bytes.extend_from_slice(&piece);
    }
}

async fn read_whole(file: &MediaFile) -> Vec<u8> {
    match file.bytes().clone().read_range(0, file.metadata().len) {
        Some(content) => must(content.try_collect::<Vec<Bytes>>().await, "read a range").concat(),
        None => read(file, 1000).await,
    }
}

async fn text(storage: &dyn Storage, path: &MediaPath) -> String {
    must(String::from_utf8(read(&must(open(storage, path).await, path.as_str()), 1000).await), path.as_str())
}

async fn names(storage: &dyn Storage, folder: &str) -> Vec<MediaPath> {
    must(storage.list(&Permit::trusted(path(folder))).await, folder)
        .into_iter()
        .map(|entry| entry.path)
        .collect()
}

fn must<T, E: Debug>(result: Result<T, E>, what: &str) -> T {
    match result {
        Ok(value) => value,
        Err(error) => panic!("{what}: {error:?}"),
    }
}

fn assert_not_found<T: Debug>(result: &Result<T, StorageError>, what: &str) {
    assert!(matches!(result, Err(StorageError::NotFound { .. })), "{what}: {result:?}");
}
