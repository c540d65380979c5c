//! Nothing outside the root is read or written, and only regular files are served.

use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use private_media::storage::{LocalStorage, SaveOptions, StorageError, content};
use private_media::{Permit, Storage as _};
use rustix::fs::{CWD, FileType, Mode, RenameFlags, makedev, mknodat, renameat_with};

use crate::support::{Root, has_command, is_root, needs, open, path, read};

const SECRET: &str = "the secret outside";

/// Returns the storage of the root without and with following links.
fn both(root: &Root) -> [LocalStorage; 2] {
    [false, true].map(|follow_links| root.storage().follow_links(follow_links))
}

/// Returns a root with `inside.txt` and `folder/file.txt`, next to a secret file and folder.
fn root() -> Root {
    let root = Root::new();
    fs::write(root.path.join("inside.txt"), "inside").unwrap();
    fs::create_dir(root.path.join("folder")).unwrap();
    fs::write(root.path.join("folder/file.txt"), "inside").unwrap();
    fs::write(root.outside.path().join("secret.txt"), SECRET).unwrap();
    fs::create_dir(root.outside.path().join("secrets")).unwrap();
    fs::write(root.outside.path().join("secrets/secret.txt"), SECRET).unwrap();
    root
}

async fn assert_not_found(storage: &LocalStorage, name: &str) {
    assert_not_served(storage, name).await;
    // Only a folder below the root may have metadata.
    let result = storage.trusted_stat(name);
    assert!(!result.as_ref().is_ok_and(|found| !found.is_dir()), "stat of {name}: {result:?}");
}

async fn assert_not_served(storage: &LocalStorage, name: &str) {
    let opening = tokio::time::timeout(Duration::from_secs(10), open(storage, name));
    let result = opening.await.unwrap_or_else(|_| panic!("opening {name} blocks"));
    assert!(matches!(result, Err(StorageError::NotFound { .. })), "{name}: {result:?}");
    let result = storage.metadata(&Permit::trusted(path(name))).await;
    assert!(matches!(result, Err(StorageError::NotFound { .. })), "metadata of {name}: {result:?}");
    assert!(!storage.exists(&Permit::trusted(path(name))).await.unwrap(), "{name} does not exist");
}

#[tokio::test]
async fn links_that_lead_out_are_not_found() {
    let root = root();
    let outside = root.outside.path().to_owned();
    let absolute = |name: &str| outside.join(name).display().to_string();
    let own = |name: &str| root.path.join(name).display().to_string();
    let fd = fs::File::open(outside.join("secret.txt")).unwrap();
    let fd = std::os::fd::AsRawFd::as_raw_fd(&fd);
    // Each row: links as (name, target), and the requested name.
    let shapes: Vec<(Vec<(&str, String)>, &str)> = vec![
        (vec![("s01", "/etc/passwd".into())], "s01"),
        (vec![("s02", absolute("secret.txt"))], "s02"),
        (vec![("s03", "../secret.txt".into())], "s03"),
        (vec![("s04", "./../secret.txt".into())], "s04"),
        (vec![("s05", "folder/../../secret.txt".into())], "s05"),
        (vec![("folder/s06", "../../secret.txt".into())], "folder/s06"),
        (vec![("s07", "../root/../secret.txt".into())], "s07"),
        // Out and back in: leaving the root is rejected, wherever the link ends.
        (vec![("s08", "../root/inside.txt".into())], "s08"),
        (vec![("s09", "../../../../../../../../etc/passwd".into())], "s09"),
        (vec![("s10a", "s10b".into()), ("s10b", "s10c".into()), ("s10c", "../secret.txt".into())], "s10a"),
        (vec![("s11a", "folder/s11b".into()), ("folder/s11b", "/etc/passwd".into())], "s11a"),
        (vec![("s12", absolute("secrets"))], "s12/secret.txt"),
        (vec![("s13", "../secrets".into())], "s13/secret.txt"),
        (vec![("s14", "..".into())], "s14/secret.txt"),
        (vec![("s15", "..".into())], "s15/root/inside.txt"),
        (vec![("s16", "/".into())], "s16/etc/passwd"),
        (vec![("s17a", "s17b".into()), ("s17b", "../secrets".into())], "s17a/secret.txt"),
        (vec![("s18", "s18".into())], "s18"),
        (vec![("s19a", "s19b".into()), ("s19b", "s19a".into())], "s19a"),
        (vec![("folder/s20", "../folder".into())], "folder/s20/s20/s20/missing"),
        // An absolute link is resolved from the root of the machine, even if it ends inside.
        (vec![("s21", own("inside.txt"))], "s21"),
        (vec![("s22", own("folder"))], "s22/file.txt"),
        (vec![("s23", "/proc/self/root/etc/passwd".into())], "s23"),
        (vec![("s24", "/proc/self/root".into())], "s24/etc/passwd"),
        (vec![("s25", format!("/proc/self/fd/{fd}"))], "s25"),
        (vec![("s26", format!("/dev/fd/{fd}"))], "s26"),
        (vec![("s27", "/proc/self/cwd".into())], "s27/Cargo.toml"),
        (vec![("s28", "/dev/stdin".into())], "s28"),
        (vec![("s29", "/dev/zero".into())], "s29"),
        (vec![("s30", "/dev/tty".into())], "s30"),
        (vec![("s31", "missing".into())], "s31"),
        (vec![("s32", "inside.txt/".into())], "s32"),
        (vec![("s33", "inside.txt/..".into())], "s33/inside.txt"),
        (vec![("s34", "inside.txt/../../secret.txt".into())], "s34"),
        (vec![("s35", "//etc/passwd".into())], "s35"),
        (vec![("s36", "x".repeat(300))], "s36"),
        (vec![("s37", "../".repeat(1000) + "etc/passwd")], "s37"),
    ];
    assert!(shapes.len() >= 30);
    for (links, requested) in &shapes {
        for (name, target) in links {
            symlink(target, root.path.join(name)).unwrap();
        }
        for storage in both(&root) {
            assert_not_found(&storage, requested).await;
        }
    }
    // Lists omit entries that cannot be opened.
    for storage in both(&root) {
        let listed = storage.list(&Permit::trusted(None)).await.unwrap();
        let names: Vec<&str> = listed.iter().map(|entry| entry.path.as_str()).collect();
        assert_eq!(names, ["folder", "inside.txt"]);
        for folder in ["s12", "s13", "s14", "s16", "s22", "s24"] {
            let result = storage.list(&Permit::trusted(path(folder))).await;
            assert!(matches!(result, Err(StorageError::NotFound { .. })), "list {folder}: {result:?}");
        }
    }
}

#[tokio::test]
async fn links_that_stay_inside_are_served_if_followed() {
    let root = root();
    let storage = root.storage().follow_links(true);
    for (name, target) in [
        ("l1", "inside.txt"),
        ("l2", "folder/file.txt"),
        ("folder/l3", "../inside.txt"),
        ("l4", "folder/../inside.txt"),
        ("l5", "l1"),
        ("l6", "./folder/./l3"),
    ] {
        symlink(target, root.path.join(name)).unwrap();
        let file = open(&storage, name).await.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert_eq!(read(&file).await, b"inside", "{name}");
    }
    symlink("folder", root.path.join("l7")).unwrap();
    assert_eq!(read(&open(&storage, "l7/l3").await.unwrap()).await, b"inside");
    // A hard link cannot be distinguished from the first name of a file.
    fs::hard_link(root.outside.path().join("secret.txt"), root.path.join("hard")).unwrap();
    assert_eq!(read(&open(&root.storage(), "hard").await.unwrap()).await, SECRET.as_bytes());
}

#[tokio::test]
async fn only_regular_files_are_served() {
    let root = root();
    mknodat(CWD, root.path.join("fifo"), FileType::Fifo, Mode::RWXU, 0).unwrap();
    let _listener = UnixListener::bind(root.path.join("socket")).unwrap();
    symlink("fifo", root.path.join("to-fifo")).unwrap();
    for storage in both(&root) {
        for name in ["fifo", "socket", "to-fifo", "folder", "inside.txt/x", "missing", "missing/x"] {
            assert_not_found(&storage, name).await;
        }
        assert_not_found(&storage, &"n".repeat(255)).await;
        let listed = storage.list(&Permit::trusted(None)).await.unwrap();
        assert_eq!(listed.len(), 2, "a list contains only regular files: {listed:?}");
    }
}

#[tokio::test]
async fn devices_are_never_read() {
    let root = root();
    let zero = root.path.join("zero");
    let made = mknodat(CWD, &zero, FileType::CharacterDevice, Mode::RWXU, makedev(1, 5));
    if !needs("root, to make a device", made.is_ok()) {
        return;
    }
    symlink("zero", root.path.join("to-zero")).unwrap();
    for storage in both(&root) {
        for name in ["zero", "to-zero"] {
            assert_not_found(&storage, name).await;
        }
        assert_eq!(storage.list(&Permit::trusted(None)).await.unwrap().len(), 2);
    }
}

#[test]
fn unreadable_files_are_not_found() {
    let root = root();
    fs::create_dir(root.path.join("closed")).unwrap();
    fs::write(root.path.join("closed/file"), SECRET).unwrap();
    for name in ["inside.txt", "closed"] {
        fs::set_permissions(root.path.join(name), fs::Permissions::from_mode(0o000)).unwrap();
    }
    // Capabilities are per thread, and the threads of the runtime inherit them. Without them, modes apply to root, too.
    let thread = std::thread::spawn(move || {
        if is_root() {
            use rustix::thread::{CapabilitySet, capabilities, set_capabilities};
            let mut sets = capabilities(None).unwrap();
            sets.effective.remove(CapabilitySet::DAC_OVERRIDE | CapabilitySet::DAC_READ_SEARCH);
            set_capabilities(None, sets).unwrap();
        }
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
        runtime.block_on(async {
            assert_not_found(&root.storage(), "closed/file").await;
            // The folder is searchable, so stat(2) succeeds.
            assert_not_served(&root.storage(), "inside.txt").await;
            assert!(
                open(&root.storage(), "folder/file.txt").await.is_ok(),
                "readable files are still served"
            );
        });
        fs::set_permissions(root.path.join("closed"), fs::Permissions::from_mode(0o700)).unwrap();
    });
    thread.join().unwrap();
}

#[test]
fn hidden_names_are_not_valid_paths() {
    for name in [".hidden", "folder/.hidden", ".private-media-uploads/x", "..", "folder/../inside.txt"] {
        assert!(private_media::MediaPath::new(name).is_err(), "{name}");
    }
}

#[tokio::test]
async fn hidden_names_are_not_listed() {
    let root = root();
    fs::write(root.path.join(".hidden"), SECRET).unwrap();
    fs::create_dir(root.path.join(".git")).unwrap();
    fs::create_dir(root.path.join("-")).unwrap();
    let bytes: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(b"not\xffutf-8");
    let _ = fs::write(root.path.join(bytes), "x");
    fs::write(root.path.join("line\nbreak"), "x").unwrap();
    assert_eq!(root.storage().list(&Permit::trusted(None)).await.unwrap().len(), 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_swapped_for_a_link_does_not_lead_out() {
    let root = root();
    fs::write(root.path.join("folder/secret.txt"), "inside").unwrap();
    symlink("../secrets", root.path.join("link")).unwrap();
    let storage = root.storage().follow_links(true);
    let swapping = swap_until_dropped(root.path.join("folder"), root.path.join("link"));
    let (mut served, mut refused) = (0_u32, 0_u32);
    let end = Instant::now() + Duration::from_secs(2);
    let mut attempts = 0..ATTEMPTS;
    while Instant::now() < end || ((served == 0 || refused == 0) && attempts.next().is_some()) {
        match open(&storage, "folder/secret.txt").await {
            Ok(file) => {
                assert_eq!(read(&file).await, b"inside", "only the file inside is read");
                served += 1;
            }
            Err(StorageError::NotFound { .. }) => refused += 1,
            Err(error) => panic!("{error:?}"),
        }
    }
    assert!(served > 0 && refused > 0, "both outcomes have to occur: {served} served, {refused} refused");
    drop(swapping);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn racing_saves_and_deletes_change_nothing_outside() {
    let root = root();
    symlink("../secrets", root.path.join("link")).unwrap();
    let storage = root.storage().follow_links(true);
    let swapping = swap_until_dropped(root.path.join("folder"), root.path.join("link"));
    let end = Instant::now() + Duration::from_secs(2);
    let mut saved = 0_u32;
    let mut attempts = 0..ATTEMPTS;
    while Instant::now() < end || (saved == 0 && attempts.next().is_some()) {
        let name = format!("folder/new/{saved}");
        saved += u32::from(
            storage.save(&Permit::trusted(path(&name)), content("x"), &SaveOptions::default()).await.is_ok(),
        );
        let _ = storage.delete(&Permit::trusted(path("folder/secret.txt"))).await;
    }
    drop(swapping);
    assert!(saved > 0, "no save found the folder");
    let outside: Vec<_> = fs::read_dir(root.outside.path().join("secrets")).unwrap().collect();
    assert_eq!(outside.len(), 1, "{outside:?}");
}

#[tokio::test]
async fn saves_and_deletes_through_links_change_nothing_outside() {
    let root = root();
    let secrets = root.outside.path().join("secrets");
    symlink(&secrets, root.path.join("absolute")).unwrap();
    symlink("../secrets", root.path.join("relative")).unwrap();
    symlink("../secrets/secret.txt", root.path.join("file.txt")).unwrap();
    symlink("../secrets/new.txt", root.path.join("dangling.txt")).unwrap();
    symlink("../new-folder", root.path.join("dangling")).unwrap();
    for storage in both(&root).into_iter().flat_map(|storage| [storage.clone(), storage.named_temporaries()])
    {
        for replace in [false, true] {
            let options = SaveOptions::new().replace(replace);
            for folder in
                ["absolute", "relative", "absolute/new", "relative/new/deep", "dangling", "dangling/x"]
            {
                let result = storage
                    .save(&Permit::trusted(path(&format!("{folder}/x.txt"))), content("x"), &options)
                    .await;
                assert!(result.is_err(), "save into {folder}: {result:?}");
            }
        }
        // The name of the link is taken, so another one is used.
        for name in ["file.txt", "dangling.txt"] {
            let used = storage
                .save(&Permit::trusted(path(name)), content("x"), &SaveOptions::default())
                .await
                .unwrap();
            assert_ne!(used, path(name));
        }
        assert!(storage.delete(&Permit::trusted(path("relative/secret.txt"))).await.is_err());
    }
    let replace = SaveOptions::new().replace(true);
    assert_eq!(
        root.storage().save(&Permit::trusted(path("file.txt")), content("new"), &replace).await.unwrap(),
        path("file.txt")
    );
    assert_eq!(
        read(&open(&root.storage(), "file.txt").await.unwrap()).await,
        b"new",
        "the link itself was replaced"
    );
    let follows = root.storage().follow_links(true);
    follows.delete(&Permit::trusted(path("dangling.txt"))).await.unwrap();
    assert!(root.path.join("dangling.txt").symlink_metadata().is_err(), "the link itself is deleted");
    assert_eq!(fs::read_to_string(secrets.join("secret.txt")).unwrap(), SECRET);
    assert_eq!(fs::read_dir(&secrets).unwrap().count(), 1);
    assert!(!root.outside.path().join("new-folder").exists());
}

#[tokio::test]
async fn a_linked_uploads_folder_is_not_followed() {
    let root = root();
    let secrets = root.outside.path().join("secrets");
    symlink(&secrets, root.path.join(".private-media-uploads")).unwrap();
    let storage = root.storage().named_temporaries();
    assert!(storage.save(&Permit::trusted(path("x")), content("x"), &SaveOptions::default()).await.is_err());
    assert_eq!(fs::read_dir(&secrets).unwrap().count(), 1, "the target was neither swept nor written to");
}

/// If the kernel lacks `openat2`, a sandbox forbids it, or it always races with renames, the fallback is as strict.
#[test]
fn without_openat2_the_same_links_are_rejected() {
    strace_without_openat2("escapes::", "links_that_lead_out_are_not_found");
}

/// Runs the tests of a module with an openat2 that always fails. `one` is one of these tests.
pub(crate) fn strace_without_openat2(module: &str, one: &str) {
    if !needs("strace", has_command("strace")) {
        return;
    }
    for error in ["ENOSYS", "EPERM", "EAGAIN"] {
        let mut command = Command::new("strace");
        command.args(["-f", "-qq", "--seccomp-bpf", "-o", "/dev/null"]);
        command.args(["-e", "trace=openat2", "-e", &format!("inject=openat2:error={error}")]);
        command.arg(std::env::current_exe().unwrap()).args([module, "--skip", "without_openat2"]);
        let output = command.output().unwrap();
        let stdout = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && stdout.contains(&format!("{one} ... ok")), "{error}: {stdout}");
    }
}

/// How often an operation races with a swap until all outcomes have occurred. On a busy machine that takes longer, but no more attempts.
pub(crate) const ATTEMPTS: usize = 50_000;

/// Exchanges two names continuously on its own thread, and restores them at the end.
pub(crate) fn swap_until_dropped(a: PathBuf, b: PathBuf) -> Swapping {
    let stop = Arc::new(AtomicBool::new(false));
    let stopped = Arc::clone(&stop);
    let thread = std::thread::spawn(move || {
        let swap = |a: &Path, b: &Path| renameat_with(CWD, a, CWD, b, RenameFlags::EXCHANGE).unwrap();
        while !stopped.load(Ordering::Relaxed) {
            swap(&a, &b);
            swap(&a, &b);
        }
    });
    Swapping { stop, thread: Some(thread) }
}

pub(crate) struct Swapping {
    stop: Arc<AtomicBool>,
    thread: Option<std::thread::JoinHandle<()>>,
}

impl Drop for Swapping {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}
