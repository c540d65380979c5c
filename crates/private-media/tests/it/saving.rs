//! A file is saved completely and durably, or not at all.

use std::fs;
use std::io;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use bytes::Bytes;
use futures_util::{StreamExt as _, stream};
use private_media::storage::{Content, LocalStorage, SaveOptions, StorageError, content};
use private_media::{Permit, Storage as _};

use crate::support::{Root, has_command, needs, open, path, read, save_program};

/// Returns content of `count` pieces of 64 KiB.
fn pieces(count: usize) -> Content<'static> {
    let piece = Bytes::from(vec![7; 64 << 10]);
    Box::pin(stream::iter((0..count).map(move |_| Ok(piece.clone()))))
}

/// Returns storages with unnamed and with named temporary files.
fn both(root: &Path) -> [LocalStorage; 2] {
    [LocalStorage::open_root(root).unwrap(), LocalStorage::open_root(root).unwrap().named_temporaries()]
}

/// Returns everything in the root except the folder of temporary files.
fn visible(root: &Root) -> Vec<String> {
    root.tree().into_iter().filter(|name| name != ".private-media-uploads/").collect()
}

#[tokio::test]
async fn a_save_on_a_full_device_fails_and_frees_its_space() {
    let root = Root::new();
    let mounted = Mount::tmpfs(&root.path, "2m");
    if !needs("root and mount, to make a small tmpfs", mounted.is_some()) {
        return;
    }
    for storage in both(&root.path) {
        storage.save(&Permit::trusted(path("kept")), content("kept"), &SaveOptions::default()).await.unwrap();
        let before = free(&root.path);
        for options in [
            SaveOptions::default(),
            SaveOptions::new().replace(true),
            SaveOptions::new().expected_len(100),
            SaveOptions::new().min_free(1 << 20),
        ] {
            let result = storage.save(&Permit::trusted(path("new/folder/big")), pieces(64), &options).await;
            assert!(matches!(result, Err(StorageError::Full)), "{options:?}: {result:?}");
            assert_eq!(free(&root.path), before, "{options:?}: the free space is unchanged");
        }
        // Content that is expected not to fit is rejected before it is read.
        let untouched = Box::pin(stream::poll_fn(|_| panic!("content was read")));
        let options = SaveOptions::new().expected_len(3 << 20);
        let result = storage.save(&Permit::trusted(path("big")), untouched, &options).await;
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        let untouched = Box::pin(stream::poll_fn(|_| panic!("content was read")));
        let options = SaveOptions::new().min_free(3 << 20);
        let result = storage.save(&Permit::trusted(path("big")), untouched, &options).await;
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        // Content that fits, and leaves the minimum, is saved.
        let options = SaveOptions::new().expected_len(1 << 20).min_free(100 << 10);
        storage.save(&Permit::trusted(path("fits")), pieces(16), &options).await.unwrap();
        let file = open(&storage, "fits").await.unwrap();
        assert_eq!(read(&file).await, vec![7; 1 << 20]);
        for name in ["fits", "kept"] {
            storage.delete(&Permit::trusted(path(name))).await.unwrap();
        }
        assert_eq!(visible(&root), Vec::<String>::new());
    }
}

#[tokio::test]
async fn the_free_space_is_checked_during_a_save() {
    let root = Root::new();
    let mounted = Mount::tmpfs(&root.path, "24m");
    if !needs("root and mount, to make a small tmpfs", mounted.is_some()) {
        return;
    }
    let storage = root.storage();
    let options = SaveOptions::new().min_free(12 << 20);
    let mut read = 0;
    let content = pieces(320).inspect(|_| read += 1);
    let result = storage.save(&Permit::trusted(path("big")), Box::pin(content), &options).await;
    assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
    assert!(read < 320, "it failed only after {read} of 320 pieces");
    assert_eq!(visible(&root), Vec::<String>::new());
}

#[tokio::test]
async fn an_incomplete_file_is_not_visible() {
    let root = Root::new();
    for storage in both(&root.path) {
        let seen = |storage: LocalStorage| async move {
            assert!(!storage.exists(&Permit::trusted(path("a/file"))).await.unwrap());
            assert_eq!(storage.list(&Permit::trusted(path("a"))).await.unwrap(), []);
            Ok(Bytes::from(vec![7; 300_000]))
        };
        let content = stream::iter(0..8).then(|_| seen(storage.clone()));
        let used = storage
            .save(&Permit::trusted(path("a/file")), Box::pin(content), &SaveOptions::default())
            .await
            .unwrap();
        assert_eq!(read(&open(&storage, "a/file").await.unwrap()).await, vec![7; 2_400_000]);
        storage.delete(&Permit::trusted(used)).await.unwrap();
        fs::remove_dir(root.path.join("a")).unwrap();
    }
}

#[tokio::test]
async fn a_dropped_save_leaves_nothing() {
    let root = Root::new();
    for storage in both(&root.path) {
        for good in [0, 1, 20] {
            let content: Content<'_> = Box::pin(pieces(good).chain(stream::pending::<io::Result<Bytes>>()));
            let (permit, options) = (Permit::trusted(path("new/folder/file")), SaveOptions::default());
            let save = storage.save(&permit, content, &options);
            let result = tokio::time::timeout(Duration::from_millis(300), save).await;
            assert!(result.is_err(), "content that never ends was stored");
            // The blocking pool removes the temporary file.
            for _ in 0..500 {
                if visible(&root).is_empty() {
                    break;
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            assert_eq!(visible(&root), Vec::<String>::new(), "after {good} pieces");
        }
    }
}

#[tokio::test]
async fn a_failed_save_does_not_remove_the_folders_of_others() {
    let root = Root::new();
    let storage = root.storage();
    let other = storage.clone();
    // This save creates the folder, and another one saves a file in it before this one fails.
    let failing = Box::pin(stream::once(async move {
        other
            .save(&Permit::trusted(path("shared/deep/other")), content("x"), &SaveOptions::default())
            .await
            .unwrap();
        Err(io::ErrorKind::BrokenPipe.into())
    }));
    assert!(
        storage
            .save(&Permit::trusted(path("shared/deep/one")), failing, &SaveOptions::default())
            .await
            .is_err()
    );
    assert_eq!(visible(&root), ["shared/", "shared/deep/", "shared/deep/other"]);
    // A save whose folder is removed meanwhile creates it again.
    for storage in both(&root.path) {
        let folder = root.path.join("gone");
        let content = Box::pin(stream::once(async move {
            fs::remove_dir(folder).unwrap();
            Ok(Bytes::from("x"))
        }));
        let used = storage
            .save(&Permit::trusted(path("gone/file")), content, &SaveOptions::default())
            .await
            .unwrap();
        assert_eq!(used, path("gone/file"));
        storage.delete(&Permit::trusted(used)).await.unwrap();
        fs::remove_dir(root.path.join("gone")).unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn failing_saves_do_not_disturb_others_in_the_same_folder() {
    let root = Root::new();
    let storage = root.storage();
    let failing: Vec<_> = (0..8)
        .map(|_| {
            let storage = storage.clone();
            tokio::spawn(async move {
                loop {
                    let broken = Box::pin(stream::once(async { Err(io::ErrorKind::BrokenPipe.into()) }));
                    let result = storage
                        .save(&Permit::trusted(path("a/b/broken")), broken, &SaveOptions::default())
                        .await;
                    assert!(matches!(result, Err(StorageError::Content(_))), "{result:?}");
                }
            })
        })
        .collect();
    for round in 0..150 {
        let result =
            storage.save(&Permit::trusted(path("a/b/file")), pieces(1), &SaveOptions::default()).await;
        assert!(result.is_ok(), "round {round}: {result:?}");
        storage.delete(&Permit::trusted(path("a/b/file"))).await.unwrap();
        // So that the next save creates the folder again.
        let _ = fs::remove_dir(root.path.join("a/b")).and_then(|()| fs::remove_dir(root.path.join("a")));
    }
    for task in failing {
        assert!(!task.is_finished(), "only reading the content may fail: {:?}", task.await);
        task.abort();
    }
}

#[tokio::test]
async fn files_and_folders_have_the_configured_modes() {
    use std::os::unix::fs::PermissionsExt as _;
    let root = Root::new();
    for storage in both(&root.path) {
        let storage = storage.file_mode(0o600).dir_mode(0o700);
        let used = storage
            .save(&Permit::trusted(path("folder/file")), content("x"), &SaveOptions::default())
            .await
            .unwrap();
        let mode = |name: &str| fs::metadata(root.path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("folder"), mode("folder/file")), (0o700, 0o600));
        storage.delete(&Permit::trusted(used)).await.unwrap();
        fs::remove_dir(root.path.join("folder")).unwrap();
    }
}

#[tokio::test]
async fn opening_a_root_removes_abandoned_uploads_only() {
    let root = Root::new();
    let storage = root.storage().named_temporaries();
    let other = root.path.clone();
    let content = Box::pin(stream::once(async move {
        fs::write(other.join(".private-media-uploads/dead"), "half").unwrap();
        drop(LocalStorage::open_root(&other).unwrap());
        let left = fs::read_dir(other.join(".private-media-uploads")).unwrap();
        assert_eq!(left.count(), 1, "only the abandoned file is removed");
        Ok(Bytes::from("whole"))
    }));
    storage.save(&Permit::trusted(path("file")), content, &SaveOptions::default()).await.unwrap();
    assert_eq!(fs::read_to_string(root.path.join("file")).unwrap(), "whole");
    assert_eq!(visible(&root), ["file"]);
}

#[test]
fn a_failed_fsync_is_a_failed_save() {
    if !needs("strace", has_command("strace")) {
        return;
    }
    let program = save_program();
    // The fsync of the file, then that of its folder. A new folder is synced before both.
    for (name, failing) in [("file", 1), ("file", 2), ("new/file", 1), ("new/file", 2), ("new/file", 3)] {
        for option in [None, Some("--named-temporary"), Some("--blocking")] {
            let root = Root::new();
            let inject = format!("inject=fsync:error=EIO:when={failing}");
            let mut command = Command::new("strace");
            command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]).arg(program);
            command.arg(&root.path).arg(name).args(option).stdin(Stdio::null());
            let output = command.output().unwrap();
            if !needs("ptrace, for strace", !output.stderr.starts_with(b"strace:")) {
                return;
            }
            assert!(!output.status.success(), "fsync {failing} of {name} {option:?} did not fail the save");
            assert_eq!(visible(&root), Vec::<String>::new(), "fsync {failing} of {name} {option:?}");
        }
    }
    let root = Root::new();
    let status =
        Command::new(program).arg(&root.path).arg("file").stdin(Stdio::null()).output().unwrap().status;
    assert!(status.success(), "without a fault, the save succeeds");
}

#[test]
fn a_save_that_is_not_durable_calls_no_fsync() {
    if !needs("strace", has_command("strace")) {
        return;
    }
    for option in ["--named-temporary", "--blocking"] {
        let root = Root::new();
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "-o", "/dev/null", "-e", "inject=fsync,fdatasync,sync,syncfs:error=EIO"]);
        command.arg(save_program()).arg(&root.path).args(["new/file", "--not-durable", option]);
        let output = command.stdin(Stdio::null()).output().unwrap();
        if !needs("ptrace, for strace", !output.stderr.starts_with(b"strace:")) {
            return;
        }
        assert!(output.status.success(), "{option}: {output:?}");
        assert_eq!(visible(&root), ["new/", "new/file"], "{option}");
    }
}

/// Returns the free blocks and inodes.
fn free(path: &Path) -> (u64, u64) {
    let device = rustix::fs::statvfs(path).unwrap();
    (device.f_bfree, device.f_ffree)
}

/// A file system that is mounted until this is dropped.
struct Mount<'a>(&'a Path);

impl<'a> Mount<'a> {
    fn tmpfs(path: &'a Path, size: &str) -> Option<Self> {
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &format!("size={size}"), "tmpfs"]).arg(path);
        mount.output().is_ok_and(|output| output.status.success()).then_some(Self(path))
    }
}

impl Drop for Mount<'_> {
    fn drop(&mut self) {
        // Lazily, because a failed test may still have open handles.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
