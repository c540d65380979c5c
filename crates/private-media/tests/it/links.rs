//! Symbolic links below the root: every operation rejects them, or follows them with `follow_links(true)`.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::Duration;

use bytes::Bytes;
use private_media::storage::{
    CacheOptions, Entry, LocalStorage, OpenOptions, SaveOptions, StorageError, content,
};
use private_media::{Permit, Storage as _};

use crate::escapes::{ATTEMPTS, strace_without_openat2, swap_until_dropped};
use crate::support::{Root, open, path, read};

const REPLACE: SaveOptions = SaveOptions::new().replace(true);

/// A link, and a name whose path contains it.
struct Case {
    link: &'static str,
    target: &'static str,
    name: &'static str,
    /// The target of the name if links are followed.
    followed: Followed,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Followed {
    File,
    Folder,
    /// Nothing, or a target that is rejected in both modes.
    Nothing,
}

const CASES: [Case; 11] = [
    case("file", "folder/file.txt", "file", Followed::File),
    case("dot", "./folder/./file.txt", "dot", Followed::File),
    case("folder/up", "../top.txt", "folder/up", Followed::File),
    case("in", "folder", "in/file.txt", Followed::File),
    case("folder/middle", "deep", "folder/middle/deeper/file.txt", Followed::File),
    case("in", "folder", "in", Followed::Folder),
    case("absolute", "/", "absolute", Followed::Nothing),
    case("absolute", "/", "absolute/etc/passwd", Followed::Nothing),
    case("dangling", "none", "dangling", Followed::Nothing),
    case("self", "self", "self", Followed::Nothing),
    case("self", "self", "self/x", Followed::Nothing),
];

const fn case(link: &'static str, target: &'static str, name: &'static str, followed: Followed) -> Case {
    Case { link, target, name, followed }
}

/// Returns a root with `top.txt`, `folder/file.txt` and `folder/deep/deeper/file.txt`.
fn root() -> Root {
    let root = Root::new();
    fs::create_dir_all(root.path.join("folder/deep/deeper")).unwrap();
    for name in ["top.txt", "folder/file.txt", "folder/deep/deeper/file.txt"] {
        fs::write(root.path.join(name), "inside").unwrap();
    }
    root
}

/// Opens a root in each way with this setting: without and with a cache, and with named temporary files.
fn storages(root: &Path, follow_links: bool) -> [LocalStorage; 3] {
    let storage = || LocalStorage::open_root(root).unwrap().follow_links(follow_links);
    let cache = CacheOptions::new(Duration::ZERO).max_bytes(1 << 20).max_open_files(10);
    [storage(), storage().cache(cache), storage().named_temporaries()]
}

/// Asserts that the error contains the link.
#[track_caller]
fn assert_link_refused<T: std::fmt::Debug>(result: &Result<T, StorageError>, case: &Case, operation: &str) {
    let expected = format!("{} is a symbolic link, and storage.follow_links is off", case.link);
    match result {
        Err(StorageError::NotFound { reason, .. }) => {
            assert_eq!(*reason, expected, "{operation} of {}", case.name);
        }
        other => panic!("{operation} of {}: {other:?}", case.name),
    }
}

#[tokio::test]
async fn no_operation_follows_a_link_by_default() {
    for case in &CASES {
        for n in 0..3 {
            let root = root();
            symlink(case.target, root.path.join(case.link)).unwrap();
            let before = root.tree();
            let storage = &storages(&root.path, false)[n];
            let name = path(case.name);
            let below = path(&format!("{}/new.txt", case.name));
            let blocking = [Ok(Bytes::from("x"))];
            let edits = [
                OpenOptions::default(),
                OpenOptions::new().create(true),
                OpenOptions::new().read(true).truncate(true),
                OpenOptions::new().append(true),
            ];

            assert_link_refused(&open(storage, case.name).await, case, "open");
            assert_link_refused(&storage.metadata(&Permit::trusted(name.clone())).await, case, "metadata");
            assert!(!storage.exists(&Permit::trusted(name.clone())).await.unwrap(), "{} exists", case.name);
            assert_link_refused(&storage.trusted_stat(case.name), case, "stat");
            assert_link_refused(&storage.list(&Permit::trusted(name.clone())).await, case, "list");
            assert_link_refused(&storage.delete(&Permit::trusted(name.clone())).await, case, "delete");
            assert_link_refused(
                &storage.remove_folder(&Permit::trusted(name.clone())),
                case,
                "remove_folder",
            );
            for options in edits {
                assert_link_refused(&storage.edit(&Permit::trusted(name.clone()), options), case, "edit");
            }
            assert_link_refused(
                &storage.save(&Permit::trusted(below.clone()), content("x"), &REPLACE).await,
                case,
                "save",
            );
            let saved = storage.save_blocking(
                &Permit::trusted(below.clone()),
                blocking.into_iter(),
                &SaveOptions::default(),
            );
            assert_link_refused(&saved, case, "save_blocking");
            assert_link_refused(&storage.delete(&Permit::trusted(below.clone())).await, case, "delete below");
            assert_link_refused(
                &storage.trusted_remove(below.as_str()).map(|()| "removed"),
                case,
                "remove below",
            );

            let names: Vec<_> = names(storage.list(&Permit::trusted(None)).await);
            assert!(!names.contains(&case.link.to_owned()), "{} is listed: {names:?}", case.link);
            let folder = names_in(storage, "folder").await;
            assert!(!folder.contains(&case.link.to_owned()), "{} is listed: {folder:?}", case.link);
            let visible: Vec<_> = root.tree().into_iter().filter(|name| !name.starts_with('.')).collect();
            assert_eq!(visible, before, "an operation changed the root");
        }
    }
}

#[tokio::test]
async fn every_operation_follows_links_if_configured() {
    for case in &CASES {
        for n in 0..3 {
            let root = root();
            symlink(case.target, root.path.join(case.link)).unwrap();
            let storage = &storages(&root.path, true)[n];
            let name = path(case.name);
            let (is_file, is_folder) = (case.followed == Followed::File, case.followed == Followed::Folder);

            let opened = open(storage, case.name).await;
            assert_eq!(opened.is_ok(), is_file, "open {}: {opened:?}", case.name);
            if let Ok(file) = opened {
                assert_eq!(read(&file).await, b"inside", "{}", case.name);
            }
            assert_eq!(
                storage.metadata(&Permit::trusted(name.clone())).await.is_ok(),
                is_file,
                "metadata of {}",
                case.name
            );
            let found = storage.trusted_stat(case.name).map(|found| found.is_dir());
            assert_eq!(found.ok(), (is_file || is_folder).then_some(is_folder), "stat of {}", case.name);
            assert_eq!(
                storage.list(&Permit::trusted(name.clone())).await.is_ok(),
                is_folder,
                "list of {}",
                case.name
            );
            let edited = storage.edit(&Permit::trusted(name.clone()), OpenOptions::new().read(true));
            assert_eq!(edited.is_ok(), is_file, "edit of {}: {edited:?}", case.name);
            let below = path(&format!("{}/new.txt", case.name));
            let saved = storage.save(&Permit::trusted(below.clone()), content("x"), &REPLACE).await;
            assert_eq!(saved.is_ok(), is_folder, "save below {}: {saved:?}", case.name);
            if is_folder {
                assert!(root.path.join(case.target).join("new.txt").exists());
                storage.delete(&Permit::trusted(below.clone())).await.unwrap();
            }
            let deleted = storage.delete(&Permit::trusted(name.clone())).await;
            assert_eq!(
                deleted.is_ok(),
                case.name == case.link || is_file,
                "delete {}: {deleted:?}",
                case.name
            );
            assert!(root.path.join("folder/deep/deeper/file.txt").exists() || case.link == "folder/middle");
        }
    }
}

#[tokio::test]
async fn a_save_does_not_write_through_a_link_in_either_mode() {
    for follow_links in [false, true] {
        let root = root();
        for storage in storages(&root.path, follow_links) {
            for (link, target) in [("link", "top.txt"), ("dangling", "none"), ("in", "folder")] {
                symlink(target, root.path.join(link)).unwrap();
                let used = storage
                    .save(&Permit::trusted(path(link)), content("new"), &SaveOptions::default())
                    .await
                    .unwrap();
                assert_ne!(used, path(link), "the name is taken");
                storage.delete(&Permit::trusted(used)).await.unwrap();
                let options = OpenOptions::new().create_new(true);
                assert!(storage.edit(&Permit::trusted(path(link)), options).is_err());
                let used =
                    storage.save(&Permit::trusted(path(link)), content("new"), &REPLACE).await.unwrap();
                assert_eq!(used, path(link));
                assert_eq!(read(&open(&storage, link).await.unwrap()).await, b"new");
                assert!(!root.path.join(link).is_symlink() && !root.path.join("none").exists());
                storage.delete(&Permit::trusted(path(link))).await.unwrap();
            }
        }
        assert_eq!(fs::read(root.path.join("top.txt")).unwrap(), b"inside");
    }
}

#[tokio::test]
async fn remove_removes_the_link_and_not_its_target() {
    for follow_links in [false, true] {
        let root = root();
        let storage = root.storage().follow_links(follow_links);
        for (link, target) in [("link", "top.txt"), ("in", "folder"), ("dangling", "none"), ("self", "self")]
        {
            symlink(target, root.path.join(link)).unwrap();
            storage.trusted_remove(link).unwrap();
            assert!(!root.path.join(link).is_symlink(), "{link}");
        }
        assert!(root.path.join("top.txt").exists() && root.path.join("folder/file.txt").exists());
    }
}

/// Deployments often use links to the current release.
#[tokio::test]
async fn the_path_of_the_root_may_contain_links() {
    let root = root();
    let [link, around] = ["link", "around"].map(|name| root.outside.path().join(name));
    symlink("root", &link).unwrap();
    symlink(".", &around).unwrap();
    for place in [&link, &around.join("root"), &around.join("link")] {
        for storage in storages(place, false) {
            assert_eq!(read(&open(&storage, "folder/file.txt").await.unwrap()).await, b"inside");
            let used = storage
                .save(&Permit::trusted(path("new/a.txt")), content("x"), &SaveOptions::default())
                .await
                .unwrap();
            storage.delete(&Permit::trusted(used)).await.unwrap();
        }
    }
}

/// A file that was opened before the swap may be served, but never the target of the link.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_link_that_is_swapped_in_is_not_followed() {
    let root = root();
    fs::create_dir(root.path.join("other")).unwrap();
    fs::write(root.path.join("other/file.txt"), "other").unwrap();
    symlink("other", root.path.join("link")).unwrap();
    symlink("other/file.txt", root.path.join("file-link")).unwrap();
    for (name, link) in [("folder", "link"), ("top.txt", "file-link")] {
        let swapping = swap_until_dropped(root.path.join(name), root.path.join(link));
        let requested = if name == "folder" { "folder/file.txt" } else { name };
        let storage = root.storage().durable(false);
        let (mut served, mut refused) = (0, 0);
        for _ in 0..ATTEMPTS {
            if served >= 100 && refused >= 100 {
                break;
            }
            match open(&storage, requested).await {
                Ok(file) => {
                    assert_eq!(read(&file).await, b"inside", "{requested}");
                    served += 1;
                }
                Err(StorageError::NotFound { .. }) => refused += 1,
                Err(error) => panic!("{requested}: {error:?}"),
            }
            let options = OpenOptions::new().append(true);
            if let Ok(file) = storage.edit(&Permit::trusted(path(requested)), options) {
                assert_eq!(file.metadata().unwrap().len(), 6, "{requested}");
            }
            let _ = storage.delete(&Permit::trusted(path("folder/new.txt"))).await;
            let _ = storage.save(&Permit::trusted(path("folder/new.txt")), content("x"), &REPLACE).await;
            let _ = storage.save(&Permit::trusted(path("folder/new/deep.txt")), content("x"), &REPLACE).await;
            let _ = storage.trusted_remove("folder/new/deep.txt");
            let _ = storage.remove_folder(&Permit::trusted(path("folder/new")));
        }
        drop(swapping);
        assert!(
            served >= 100 && refused >= 100,
            "both outcomes have to occur: {served} served, {refused} refused"
        );
        let names: Vec<_> = fs::read_dir(root.path.join("other")).unwrap().collect();
        assert_eq!(names.len(), 1, "{names:?}");
    }
}

#[tokio::test]
async fn a_cached_file_that_becomes_a_link_is_rejected() {
    let root = root();
    std::thread::sleep(Duration::from_millis(120));
    let [_, storage, _] = storages(&root.path, false);
    for name in ["top.txt", "folder/file.txt"] {
        assert_eq!(read(&open(&storage, name).await.unwrap()).await, b"inside");
        assert_eq!(read(&open(&storage, name).await.unwrap()).await, b"inside");
    }
    fs::rename(root.path.join("top.txt"), root.path.join("moved.txt")).unwrap();
    fs::rename(root.path.join("folder"), root.path.join("moved")).unwrap();
    symlink("moved.txt", root.path.join("top.txt")).unwrap();
    symlink("moved", root.path.join("folder")).unwrap();
    for name in ["top.txt", "folder/file.txt"] {
        let result = open(&storage, name).await;
        assert!(matches!(result, Err(StorageError::NotFound { .. })), "{name}: {result:?}");
    }
}

#[test]
fn without_openat2_links_are_treated_the_same() {
    strace_without_openat2("links::", "no_operation_follows_a_link_by_default");
}

async fn names_in(storage: &LocalStorage, folder: &str) -> Vec<String> {
    names(storage.list(&Permit::trusted(path(folder))).await)
}

fn names(listed: Result<Vec<Entry>, StorageError>) -> Vec<String> {
    listed.unwrap().into_iter().map(|entry| entry.path.to_string()).collect()
}
