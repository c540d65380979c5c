//! Nothing outside the root is ever opened, by whatever link, name or race.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use private_media::storage::{SaveOptions, Storage, StorageError, content};
use private_media::{LocalStorage, MediaPath};

use crate::support::{has, is_root, open, read, run};

const SECRET: &str = "the secret";

/// A root with a file, and a folder beside it with a secret.
fn place() -> (tempfile::TempDir, std::path::PathBuf, LocalStorage) {
    let place = tempfile::tempdir().unwrap();
    let root = place.path().join("root");
    std::fs::create_dir_all(root.join("inside/deep")).unwrap();
    std::fs::create_dir(place.path().join("outside")).unwrap();
    std::fs::write(root.join("inside/file"), "inside").unwrap();
    std::fs::write(place.path().join("outside/secret"), SECRET).unwrap();
    let storage = LocalStorage::open_root(&root).unwrap();
    (place, root, storage)
}

async fn assert_not_found(storage: &LocalStorage, path: &str) {
    let opened = read(storage, path).await;
    assert!(matches!(opened, Err(StorageError::NotFound { .. })), "{path}: {opened:?}");
}

#[tokio::test]
async fn links_that_lead_out_lead_nowhere() {
    let (place, root, storage) = place();
    let outside = place.path().join("outside");
    for (name, target) in [
        ("absolute", outside.join("secret").to_str().unwrap().to_owned()),
        ("relative", "../outside/secret".into()),
        ("roundabout", "inside/../../outside/secret".into()),
        ("deep-out", "inside/deep/../../../outside/secret".into()),
        ("dot-dot", "..".into()),
        ("chain", "relative".into()),
        ("to-folder", "../outside".into()),
        ("to-root", "/".into()),
        ("etc", "/etc/passwd".into()),
        ("proc-root", "/proc/self/root/etc/passwd".into()),
        ("proc-cwd", "/proc/self/cwd".into()),
        ("proc-fd", "/proc/self/fd/0".into()),
        ("dev-fd", "/dev/fd/0".into()),
        ("dev-stdin", "/dev/stdin".into()),
        ("dev-null", "/dev/null".into()),
        ("dev-zero", "/dev/zero".into()),
        ("loop", "loop".into()),
        ("loop-a", "loop-b".into()),
        ("loop-b", "loop-a".into()),
        ("dangling", "nothing".into()),
        ("empty-name", "inside/".into()),
        // Even to what lies inside: an absolute name begins at the system's root, which is not beneath ours.
        ("absolute-inside", root.join("inside/file").to_str().unwrap().to_owned()),
    ] {
        symlink(&target, root.join(name)).unwrap();
        assert_not_found(&storage, name).await;
    }
    for through in ["to-folder/secret", "dot-dot/outside/secret", "to-root/etc/passwd", "proc-cwd/Cargo.toml"]
    {
        assert_not_found(&storage, through).await;
    }
    symlink("../../../outside", root.join("inside/deep/out")).unwrap();
    assert_not_found(&storage, "inside/deep/out/secret").await;
    let listed = storage.list(None).await.unwrap();
    let names: Vec<_> = listed.iter().map(|entry| entry.path.as_str()).collect();
    assert_eq!(names, ["empty-name", "inside"], "only what can be reached is listed");
}

#[tokio::test]
async fn links_that_stay_inside_are_served() {
    let (_place, root, storage) = place();
    for (name, target) in [("direct", "inside/file"), ("again", "direct"), ("up", "inside/deep/../file")] {
        symlink(target, root.join(name)).unwrap();
        assert_eq!(read(&storage, name).await.unwrap(), b"inside", "{name}");
    }
    symlink("../file", root.join("inside/deep/up")).unwrap();
    symlink("inside", root.join("folder")).unwrap();
    for path in ["inside/deep/up", "folder/file", "folder/deep/up"] {
        assert_eq!(read(&storage, path).await.unwrap(), b"inside", "{path}");
    }
    // A hard link is the file itself; whoever can make one in the root publishes what it is. The documentation says so.
    std::fs::hard_link(root.join("inside/file"), root.join("hard")).unwrap();
    assert_eq!(read(&storage, "hard").await.unwrap(), b"inside");
}

#[tokio::test]
async fn what_is_no_regular_file_is_not_found() {
    let (_place, root, storage) = place();
    run("mkfifo", &[root.join("fifo").to_str().unwrap()]);
    let _socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();
    let mut kinds = vec!["fifo", "socket", "inside", "inside/deep"];
    if has("root, to make a device", is_root()) {
        run("mknod", &[root.join("device").to_str().unwrap(), "c", "1", "5"]);
        run("mknod", &[root.join("disk").to_str().unwrap(), "b", "7", "0"]);
        kinds.extend(["device", "disk"]);
    }
    for kind in kinds {
        // A FIFO without a writer must not make anybody wait.
        tokio::time::timeout(Duration::from_secs(5), assert_not_found(&storage, kind)).await.unwrap();
        assert!(matches!(
            storage.delete(&MediaPath::new(kind).unwrap()).await,
            Err(StorageError::NotFound { .. })
        ));
    }
}

#[tokio::test]
async fn what_cannot_be_read_is_not_found() {
    if !has("root, to be somebody else", is_root()) {
        return;
    }
    let (place, root, _) = place();
    std::fs::write(root.join("inside/sealed"), SECRET).unwrap();
    for (path, mode) in [("inside/sealed", 0o000), ("inside", 0o755), ("", 0o755)] {
        use std::os::unix::fs::PermissionsExt;
        std::fs::set_permissions(root.join(path), PermissionsExt::from_mode(mode)).unwrap();
    }
    std::fs::set_permissions(place.path(), std::os::unix::fs::PermissionsExt::from_mode(0o755)).unwrap();
    // Root may read everything, so a thread of its own becomes nobody for the time of the test.
    let outcome = std::thread::spawn(move || {
        let nobody = rustix::process::Uid::from_raw(65_534);
        rustix::thread::set_thread_res_uid(nobody, nobody, nobody).unwrap();
        let storage = LocalStorage::open_root(&root).unwrap();
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        runtime.block_on(async {
            let sealed = read(&storage, "inside/sealed").await;
            assert!(matches!(sealed, Err(StorageError::NotFound { .. })), "{sealed:?}");
            assert_eq!(read(&storage, "inside/file").await.unwrap(), b"inside");
        });
    });
    outcome.join().unwrap();
}

#[tokio::test]
async fn saves_stay_inside() {
    let (place, root, storage) = place();
    symlink("../outside", root.join("out")).unwrap();
    symlink("../outside/secret", root.join("secret")).unwrap();
    symlink("../outside/new", root.join("dangling")).unwrap();
    let outside = place.path().join("outside");
    for (path, replace) in [("out/new", false), ("out/deep/new", false), ("out/secret", true)] {
        let options = SaveOptions { replace, ..SaveOptions::default() };
        let saved = storage.save(&MediaPath::new(path).unwrap(), content("x"), &options).await;
        assert!(saved.is_err(), "{path}: {saved:?}");
    }
    // A link is a name that is taken; one that is to be replaced is replaced itself, and not what it leads to.
    for path in ["secret", "dangling"] {
        let saved = storage
            .save(&MediaPath::new(path).unwrap(), content("x"), &SaveOptions::default())
            .await
            .unwrap();
        assert_ne!(saved.as_str(), path);
        let options = SaveOptions { replace: true, ..SaveOptions::default() };
        storage.save(&MediaPath::new(path).unwrap(), content("x"), &options).await.unwrap();
        assert!(root.join(path).symlink_metadata().unwrap().is_file());
    }
    assert_eq!(std::fs::read_to_string(outside.join("secret")).unwrap(), SECRET);
    assert_eq!(outside.read_dir().unwrap().count(), 1, "nothing was made outside");
}

#[tokio::test]
async fn deleting_a_link_leaves_what_it_leads_to() {
    let (place, root, storage) = place();
    symlink("../outside/secret", root.join("link")).unwrap();
    storage.delete(&MediaPath::new("link").unwrap()).await.unwrap();
    assert!(root.join("link").symlink_metadata().is_err());
    assert_eq!(std::fs::read_to_string(place.path().join("outside/secret")).unwrap(), SECRET);
    symlink("../outside", root.join("out")).unwrap();
    let deleted = storage.delete(&MediaPath::new("out/secret").unwrap()).await;
    assert!(matches!(deleted, Err(StorageError::NotFound { .. })), "{deleted:?}");
}

/// While a folder and a link that leads out change places as fast as they can, no open ever reads the secret.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_race_does_not_lead_out() {
    let (_place, root, storage) = place();
    std::fs::create_dir(root.join("a")).unwrap();
    std::fs::write(root.join("a/secret"), "inside").unwrap();
    symlink("../outside", root.join("b")).unwrap();
    let stop = Arc::new(AtomicBool::new(false));
    let swapping = std::thread::spawn({
        let (stop, root) = (Arc::clone(&stop), root.clone());
        move || {
            let mut swaps = 0_u64;
            while !stop.load(Ordering::Relaxed) {
                exchange(&root.join("a"), &root.join("b"));
                swaps += 1;
            }
            swaps
        }
    });
    let (begin, mut served) = (Instant::now(), 0);
    while begin.elapsed() < Duration::from_secs(2) {
        match read(&storage, "a/secret").await {
            Ok(bytes) => {
                assert_eq!(bytes, b"inside");
                served += 1;
            }
            Err(StorageError::NotFound { .. } | StorageError::Io { .. }) => {}
            Err(error) => panic!("{error}"),
        }
    }
    stop.store(true, Ordering::Relaxed);
    let swaps = swapping.join().unwrap();
    assert!(served > 10 && swaps > 10, "the race was run: {served} served, {swaps} swaps");
}

fn exchange(a: &Path, b: &Path) {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
}

#[tokio::test]
async fn the_handle_is_the_truth() {
    let (_place, root, storage) = place();
    let file = open(&storage, "inside/file").await.unwrap();
    // What the name leads to afterwards does not matter to who has the file open, nor where the root is moved.
    std::fs::remove_file(root.join("inside/file")).unwrap();
    std::fs::rename(&root, root.with_file_name("moved")).unwrap();
    assert_eq!(&file.bytes().clone().read_at(0, 10).await.unwrap()[..], b"inside");
    std::fs::write(root.with_file_name("moved").join("inside/file"), "new").unwrap();
    assert_eq!(read(&storage, "inside/file").await.unwrap(), b"new");
}

#[tokio::test]
async fn a_root_that_is_none() {
    let (place, root, _) = place();
    for path in [place.path().join("nothing"), root.join("inside/file")] {
        assert!(LocalStorage::open_root(&path).is_err(), "{path:?}");
    }
}
