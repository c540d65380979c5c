//! A save stores the whole file under a name of its own, or leaves nothing behind.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Command;

use bytes::Bytes;
use futures_util::StreamExt;
use private_media::storage::{LocalOptions, SaveOptions, Storage, StorageError, content};
use private_media::{LocalStorage, MediaPath};

use crate::support::{has, is_root, read, run};

fn options(named_drafts: bool) -> LocalOptions {
    let mut options = LocalOptions::default();
    options.named_drafts = named_drafts;
    options
}

/// Everything in a tree, but the folder for drafts itself.
fn tree(root: &Path) -> Vec<String> {
    let mut found = Vec::new();
    let mut folders = vec![root.to_path_buf()];
    while let Some(folder) = folders.pop() {
        for entry in folder.read_dir().unwrap() {
            let path = entry.unwrap().path();
            if path.file_name().unwrap() != ".private-media-uploads" {
                found.push(path.strip_prefix(root).unwrap().to_str().unwrap().to_owned());
            }
            if path.is_dir() {
                folders.push(path);
            }
        }
    }
    found.sort();
    found
}

#[tokio::test]
async fn a_full_disk_refuses_and_is_left_as_it_was() {
    if !has("root, to mount a small disk", is_root()) {
        return;
    }
    let place = tempfile::tempdir().unwrap();
    run(
        "mount",
        &["-t", "tmpfs", "-o", "size=2m,mode=755", "private-media-test", place.path().to_str().unwrap()],
    );
    let _mounted = Mounted(place.path());
    for named in [false, true] {
        let storage = LocalStorage::open_root_with(place.path(), options(named)).unwrap();
        let path = MediaPath::new("cars/7/big.bin").unwrap();
        let free = || rustix::fs::statvfs(place.path()).unwrap().f_bavail;
        storage
            .save(
                &MediaPath::new("cars/7/small").unwrap(),
                content("x"),
                &SaveOptions { replace: true, ..Default::default() },
            )
            .await
            .unwrap();
        let before = free();
        let endless = futures_util::stream::repeat_with(|| Ok(Bytes::from(vec![7; 100_000])));
        let saved = storage.save(&path, Box::pin(endless.take(1000)), &SaveOptions::default()).await;
        assert!(matches!(saved, Err(StorageError::Full)), "{saved:?}");
        assert_eq!(
            (free(), tree(place.path())),
            (before, vec!["cars".into(), "cars/7".into(), "cars/7/small".into()])
        );

        // What says that it is too large is refused before a byte of it is read.
        for announced in [
            SaveOptions { expected_len: Some(3 << 20), ..SaveOptions::default() },
            SaveOptions { expected_len: Some(1000), min_free: 2 << 20, ..SaveOptions::default() },
        ] {
            let unread = futures_util::stream::poll_fn(|_| panic!("it was read"));
            let saved = storage.save(&path, Box::pin(unread), &announced).await;
            assert!(matches!(saved, Err(StorageError::Full)), "{saved:?}");
        }
        // What does not say so is stopped before it takes what has to stay free.
        let keep = SaveOptions { min_free: 1 << 20, ..SaveOptions::default() };
        let endless = futures_util::stream::repeat_with(|| Ok(Bytes::from(vec![7; 100_000])));
        let saved = storage.save(&path, Box::pin(endless.take(1000)), &keep).await;
        assert!(matches!(saved, Err(StorageError::Full)), "{saved:?}");
        assert_eq!(free(), before);
    }
}

struct Mounted<'a>(&'a Path);

impl Drop for Mounted<'_> {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("--lazy").arg(self.0).status();
    }
}

/// A failed fsync is a failed save, at whichever of its syncs it happens.
#[test]
fn a_failed_sync_is_a_failed_save() {
    if !has("strace", Command::new("strace").arg("-V").output().is_ok()) {
        return;
    }
    for named in [false, true] {
        let mut failures = 0;
        for when in 1.. {
            let root = tempfile::tempdir().unwrap();
            let mut strace = Command::new("strace");
            strace.args(["-f", "-o", "/dev/null", "-e", "trace=fsync", "-e"]);
            strace.arg(format!("inject=fsync:error=EIO:when={when}")).arg(crate::crashes::save_program());
            strace.arg(root.path()).arg("cars/7/photo.jpg").stdin(std::fs::File::open("Cargo.toml").unwrap());
            let output = strace.args(named.then_some("--named-draft")).output().unwrap();
            let files: Vec<_> = tree(root.path()).into_iter().filter(|path| path.contains('.')).collect();
            if output.status.success() {
                assert_eq!(files, ["cars/7/photo.jpg"]);
                break;
            }
            failures += 1;
            assert_eq!(files, Vec::<String>::new(), "{}", String::from_utf8_lossy(&output.stderr));
        }
        // Two folders are made, then the file is synced, then its folder.
        assert_eq!(failures, 4, "each sync was made to fail");
    }
}

#[tokio::test]
async fn a_save_that_is_given_up_leaves_nothing() {
    for named in [false, true] {
        let root = tempfile::tempdir().unwrap();
        let storage = LocalStorage::open_root_with(root.path(), options(named)).unwrap();
        let path = MediaPath::new("photo.jpg").unwrap();
        let some = futures_util::stream::iter([Ok(Bytes::from(vec![1; 1 << 20]))]);
        let stalled = Box::pin(some.chain(futures_util::stream::pending()));
        let options = SaveOptions::default();
        let save = storage.save(&path, stalled, &options);
        assert!(tokio::time::timeout(std::time::Duration::from_millis(300), save).await.is_err());
        // What was being written to the disk when the save was dropped ends a moment later.
        for _ in 0..100 {
            if drafts(root.path()) == 0 {
                break;
            }
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        assert_eq!((tree(root.path()), drafts(root.path())), (vec![], 0));
    }
}

fn drafts(root: &Path) -> usize {
    root.join(".private-media-uploads").read_dir().map_or(0, Iterator::count)
}

#[tokio::test]
async fn litter_is_swept_and_running_uploads_are_not() {
    let root = tempfile::tempdir().unwrap();
    let litter = root.path().join(".private-media-uploads");
    std::fs::create_dir(&litter).unwrap();
    std::fs::write(litter.join("0123456789abcdef"), "half a file").unwrap();
    let running = LocalStorage::open_root_with(root.path(), options(true)).unwrap();
    assert_eq!(drafts(root.path()), 0, "the litter is gone");

    let path = MediaPath::new("photo.jpg").unwrap();
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let some = futures_util::stream::iter([Ok(Bytes::from(vec![1; 1 << 20]))]);
    let rest = futures_util::stream::once(async { Ok(receiver.await.unwrap()) });
    let save = tokio::spawn({
        let path = path.clone();
        async move { running.save(&path, Box::pin(some.chain(rest)), &SaveOptions::default()).await }
    });
    while drafts(root.path()) == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let second = LocalStorage::open_root(root.path()).unwrap();
    assert_eq!(drafts(root.path()), 1, "what somebody is writing is not litter");
    sender.send(Bytes::from_static(b"the end")).unwrap();
    assert_eq!(save.await.unwrap().unwrap(), path);
    assert_eq!(read(&second, "photo.jpg").await.unwrap().len(), (1 << 20) + 7);
    assert_eq!(drafts(root.path()), 0);
}

#[tokio::test]
async fn modes_are_as_told() {
    let root = tempfile::tempdir().unwrap();
    for (named, mode) in [(false, 0o600), (true, 0o644)] {
        let mut options = options(named);
        options.file_mode = mode;
        options.folder_mode = 0o700;
        let storage = LocalStorage::open_root_with(root.path(), options).unwrap();
        let path = MediaPath::new(&format!("folder-{mode:o}/file")).unwrap();
        storage.save(&path, content("x"), &SaveOptions::default()).await.unwrap();
        let mode_of = |path: &Path| path.metadata().unwrap().permissions().mode() & 0o777;
        let umask = rustix::process::umask(rustix::fs::Mode::empty());
        rustix::process::umask(umask);
        assert_eq!(mode_of(&root.path().join(path.as_str())), mode & !umask.bits());
        assert_eq!(mode_of(&root.path().join(path.parent().unwrap().as_str())), 0o700 & !umask.bits());
    }
}

#[tokio::test]
async fn hidden_files_are_neither_listed_nor_named() {
    let root = tempfile::tempdir().unwrap();
    for name in [".hidden", ".git", "visible", "-", "bad\\name", "line\nfeed"] {
        std::fs::write(root.path().join(name), "x").unwrap();
    }
    std::fs::write(
        root.path().join(<std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"latin\xe9")),
        "x",
    )
    .unwrap();
    let storage = LocalStorage::open_root(root.path()).unwrap();
    let listed = storage.list(None).await.unwrap();
    assert_eq!(listed.iter().map(|entry| entry.path.as_str()).collect::<Vec<_>>(), ["visible"]);
}
