//! A file is stored whole and durable, or not at all.

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

/// Content of so many pieces of 64 KiB.
fn pieces(count: usize) -> Content<'static> {
    let piece = Bytes::from(vec![7; 64 << 10]);
    Box::pin(stream::iter((0..count).map(move |_| Ok(piece.clone()))))
}

/// Both ways to write: unnamed, where the file system has it, and by a hidden name.
fn both(root: &Path) -> [LocalStorage; 2] {
    [LocalStorage::open_root(root).unwrap(), LocalStorage::open_root(root).unwrap().named_temporaries()]
}

/// What is visible: everything but the folder for temporaries itself.
fn visible(root: &Root) -> Vec<String> {
    root.tree().into_iter().filter(|name| name != ".private-media-uploads/").collect()
}

#[tokio::test]
async fn a_full_device_refuses_and_gives_everything_back() {
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
            assert_eq!(free(&root.path), before, "{options:?} took nothing");
        }
        // What is announced to be too much is refused before a byte of it is asked for.
        let untouched = Box::pin(stream::poll_fn(|_| panic!("content was read")));
        let options = SaveOptions::new().expected_len(3 << 20);
        let result = storage.save(&Permit::trusted(path("big")), untouched, &options).await;
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        let untouched = Box::pin(stream::poll_fn(|_| panic!("content was read")));
        let options = SaveOptions::new().min_free(3 << 20);
        let result = storage.save(&Permit::trusted(path("big")), untouched, &options).await;
        assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
        // What fits, and leaves what it has to, is stored.
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
async fn free_space_is_watched_while_the_content_comes() {
    let root = Root::new();
    let mounted = Mount::tmpfs(&root.path, "24m");
    if !needs("root and mount, to make a small tmpfs", mounted.is_some()) {
        return;
    }
    let storage = root.storage();
    let options = SaveOptions::new().min_free(12 << 20);
    let mut taken = 0;
    let content = pieces(320).inspect(|_| taken += 1);
    let result = storage.save(&Permit::trusted(path("big")), Box::pin(content), &options).await;
    assert!(matches!(result, Err(StorageError::Full)), "{result:?}");
    assert!(taken < 320, "it was refused on the way, after {taken} of 320 pieces");
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
            // What a dropped save leaves is cleared away on the blocking pool.
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
async fn a_failed_save_leaves_the_folders_of_others() {
    let root = Root::new();
    let storage = root.storage();
    let other = storage.clone();
    // The folder is this save's, but the other one stores there before this one fails.
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
    // And a save whose folder goes while it writes makes it again.
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
async fn failed_saves_do_not_take_a_folder_from_under_others() {
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
        // So that the next folder is made, and taken back, again.
        let _ = fs::remove_dir(root.path.join("a/b")).and_then(|()| fs::remove_dir(root.path.join("a")));
    }
    for task in failing {
        assert!(!task.is_finished(), "every failure was the content's: {:?}", task.await);
        task.abort();
    }
}

#[tokio::test]
async fn modes_are_as_told() {
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
        assert_eq!(left.count(), 1, "the dead one is swept, and the one that is being written is left");
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
    // The file's own fsync, then its folder's; a new folder is made durable before either.
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
            assert!(!output.status.success(), "fsync {failing} of {name} {option:?} fails the save");
            assert_eq!(visible(&root), Vec::<String>::new(), "fsync {failing} of {name} {option:?}");
        }
    }
    let root = Root::new();
    let status =
        Command::new(program).arg(&root.path).arg("file").stdin(Stdio::null()).output().unwrap().status;
    assert!(status.success(), "with no fault it succeeds");
}

#[test]
fn a_save_that_is_not_durable_waits_for_no_disk() {
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

/// Free blocks and inodes.
fn free(path: &Path) -> (u64, u64) {
    let device = rustix::fs::statvfs(path).unwrap();
    (device.f_bfree, device.f_ffree)
}

/// A file system that is there for as long as this lives.
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
        // Lazily, since the handles of a test that failed may still be open.
        let _ = Command::new("umount").arg("-l").arg(self.0).status();
    }
}
