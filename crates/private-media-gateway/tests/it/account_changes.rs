//! Account commands that run concurrently, are killed, or cannot write.

use std::io::Write;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, needs, program, refusal};

/// Starts a command that reads a password from standard input.
fn spawn(mut command: Command, place: &Place, arguments: &[&str]) -> Child {
    command.args(arguments).current_dir(place.path(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    // A command that failed early has closed its standard input.
    let _ = writeln!(child.stdin.take().unwrap(), "long enough");
    child
}

fn add(place: &Place, name: &str) -> Child {
    spawn(program(), place, &["account", "add", name, "--password-stdin"])
}

fn wait(child: Child) {
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn names(place: &Place) -> Vec<String> {
    let output = place.run(&["account", "list"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let list = String::from_utf8(output.stdout).unwrap();
    list.lines().map(|line| line.split('\t').next().unwrap().to_owned()).collect()
}

/// Returns the accounts file and its drafts.
fn files(place: &Place) -> Vec<PathBuf> {
    let entries = place.path("").read_dir().unwrap().map(|entry| entry.unwrap().path());
    entries.filter(|path| path.to_string_lossy().contains("accounts.toml")).collect()
}

#[test]
fn concurrent_adds_and_removals_all_take_effect() {
    let place = Place::new();
    let old: Vec<_> = (0..15).map(|n| format!("old{n}")).collect();
    for name in &old {
        wait(add(&place, name));
    }
    let removals = old.iter().map(|name| spawn(program(), &place, &["account", "remove", name]));
    let adds = (0..12).map(|n| add(&place, &format!("new{n}")));
    let running: Vec<_> = removals.chain(adds).collect();
    running.into_iter().for_each(wait);
    let mut names = names(&place);
    names.sort();
    let mut expected: Vec<_> = (0..12).map(|n| format!("new{n}")).collect();
    expected.extend(["alice", "bob", "carol"].map(str::to_owned));
    expected.sort();
    assert_eq!(names, expected);
    assert_eq!(files(&place).len(), 1, "no draft remains");
}

#[test]
fn concurrent_first_adds_create_one_file() {
    let place = Place::new();
    std::fs::remove_file(place.path("accounts.toml")).unwrap();
    let running: Vec<_> = (0..12).map(|n| add(&place, &format!("new{n}"))).collect();
    running.into_iter().for_each(wait);
    assert_eq!(names(&place).len(), 12);
    assert_eq!(files(&place).len(), 1);
}

/// Kills the command at each system call that changes something. The next command removes the draft.
#[test]
fn a_kill_at_any_step_leaves_the_old_or_the_new_file() {
    if !needs("strace", Command::new("strace").arg("-V").output().is_ok()) {
        return;
    }
    for is_first in [false, true] {
        let mut kills = 0;
        let rename = "?rename,?renameat,?renameat2";
        for step in ["flock", "write", "fchmod", "fsync", rename, "linkat", "?unlink,?unlinkat"] {
            for when in 1..10 {
                let place = Place::new();
                let mut expected = vec!["alice", "bob", "carol"];
                if is_first {
                    std::fs::remove_file(place.path("accounts.toml")).unwrap();
                    expected.clear();
                }
                let before = std::fs::read(place.path("accounts.toml")).ok();
                let mut command = Command::new("strace");
                let inject = format!("inject={step}:signal=SIGKILL:when={when}");
                command.args(["-f", "-qq", "-o", "/dev/null", "-e", &inject]).arg(program().get_program());
                let child = spawn(command, &place, &["account", "add", "dave", "--password-stdin"]);
                let is_killed = !child.wait_with_output().unwrap().status.success();
                kills += u32::from(is_killed);
                let after = std::fs::read(place.path("accounts.toml")).ok();
                let is_new = after != before;
                let what = format!("{step} {when}, first: {is_first}, killed: {is_killed}, new: {is_new}");
                if is_new {
                    expected.push("dave");
                    assert_eq!(names(&place), expected, "{what}");
                }
                assert!(is_killed || is_new, "{what}");
                wait(add(&place, "erin"));
                expected.push("erin");
                assert_eq!(names(&place), expected, "{what}");
                assert_eq!(files(&place).len(), 1, "{what}: {:?}", files(&place));
                if !is_killed {
                    break;
                }
            }
        }
        assert!(kills >= 6, "{kills}");
    }
}

#[test]
fn only_drafts_of_killed_commands_are_swept() {
    let place = Place::new();
    let draft = |random: &str| format!("accounts.toml.{random}.draft");
    let (dead, running) = (draft("0123456789abcdef"), draft("fedcba9876543210"));
    let others = ["accounts.toml.bak".to_owned(), draft("0123"), "accounts.toml.0123456789abcdef".into()];
    for name in others.iter().chain([&dead, &running]) {
        place.write(name, "x");
    }
    let held = std::fs::File::open(place.path(&running)).unwrap();
    held.lock().unwrap();
    std::fs::create_dir(place.path(&draft("00000000deadbeef"))).unwrap();
    wait(add(&place, "dave"));
    assert!(!place.path(&dead).exists());
    assert!(others.iter().chain([&running]).all(|name| place.path(name).exists()));
    assert!(place.path(&draft("00000000deadbeef")).is_dir());
}

#[test]
fn waiting_for_the_lock_ends_after_a_timeout() {
    let place = Place::new();
    let before = std::fs::read(place.path("accounts.toml")).unwrap();
    let held = std::fs::File::open(place.path("accounts.toml")).unwrap();
    held.lock().unwrap();
    let begin = Instant::now();
    let line = refusal(&add(&place, "dave").wait_with_output().unwrap());
    assert!(line.contains("locked by another process"), "{line}");
    assert!((10..20).contains(&begin.elapsed().as_secs()), "{:?}", begin.elapsed());
    assert_eq!(std::fs::read(place.path("accounts.toml")).unwrap(), before);
    let waiting = add(&place, "dave");
    std::thread::sleep(Duration::from_millis(500));
    drop(held);
    wait(waiting);
    assert_eq!(names(&place).len(), 4);
}

#[test]
fn a_symlink_is_kept_and_its_target_changed() {
    let place = Place::new();
    std::fs::create_dir(place.path("etc")).unwrap();
    std::fs::rename(place.path("accounts.toml"), place.path("etc/real.toml")).unwrap();
    std::os::unix::fs::symlink("etc/real.toml", place.path("accounts.toml")).unwrap();
    wait(add(&place, "dave"));
    assert!(place.path("accounts.toml").symlink_metadata().unwrap().is_symlink());
    assert!(!place.path("etc/real.toml").symlink_metadata().unwrap().is_symlink());
    assert_eq!(names(&place).len(), 4);
    std::fs::remove_file(place.path("etc/real.toml")).unwrap();
    let line = refusal(&add(&place, "erin").wait_with_output().unwrap());
    assert!(line.contains("symlink to a file that does not exist"), "{line}");
}

fn is_root() -> bool {
    needs("root", rustix::process::geteuid().is_root())
}

/// Runs the program as another user, without root's rights.
fn as_user(id: u32) -> Command {
    let mut command = Command::new("setpriv");
    let id = id.to_string();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program().get_program());
    command
}

/// Returns a folder and accounts file of another user.
fn place_of(uid: u32, gid: u32) -> Place {
    let place = Place::new();
    for path in ["", "accounts.toml"] {
        std::os::unix::fs::chown(place.path(path), Some(uid), Some(gid)).unwrap();
    }
    std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(0o755)).unwrap();
    place
}

#[test]
fn owner_group_and_mode_are_kept() {
    if !is_root() {
        return;
    }
    for mode in [0o600, 0o400] {
        let place = place_of(12_345, 23_456);
        std::fs::set_permissions(place.path("accounts.toml"), PermissionsExt::from_mode(mode)).unwrap();
        wait(add(&place, "dave"));
        let metadata = place.path("accounts.toml").metadata().unwrap();
        let found = (metadata.uid(), metadata.gid(), metadata.mode() & 0o7777);
        assert_eq!(found, (12_345, 23_456, mode));
    }
    // A command that cannot keep the group changes nothing.
    let place = place_of(12_345, 23_456);
    let before = std::fs::read(place.path("accounts.toml")).unwrap();
    let add = spawn(as_user(12_345), &place, &["account", "add", "dave", "--password-stdin"]);
    let line = refusal(&add.wait_with_output().unwrap());
    assert!(line.contains("cannot preserve its owner 12345:23456"), "{line}");
    assert_eq!(std::fs::read(place.path("accounts.toml")).unwrap(), before);
    assert_eq!(files(&place).len(), 1);
}

#[test]
fn a_folder_without_write_permission_is_an_error() {
    if !is_root() {
        return;
    }
    let place = place_of(12_345, 12_345);
    std::os::unix::fs::chown(place.path(""), Some(0), Some(0)).unwrap();
    let before = std::fs::read(place.path("accounts.toml")).unwrap();
    let add = spawn(as_user(12_345), &place, &["account", "add", "dave", "--password-stdin"]);
    let line = refusal(&add.wait_with_output().unwrap());
    assert!(line.contains("accounts.toml: cannot create a file next to it"), "{line}");
    assert_eq!(std::fs::read(place.path("accounts.toml")).unwrap(), before);
}

#[test]
fn a_full_disk_changes_nothing() {
    if !is_root() {
        return;
    }
    let place = Place::new();
    std::fs::create_dir(place.path("disk")).unwrap();
    let script = "mount -t tmpfs -o size=16k,mode=700 none disk; cp -p accounts.toml disk/
        cat /dev/zero > disk/filler 2> /dev/null || true
        echo 'long enough' | \"$1\" account add dave --password-stdin --accounts disk/accounts.toml && exit 9
        cmp accounts.toml disk/accounts.toml
        test \"$(ls disk)\" = \"$(printf 'accounts.toml\\nfiller')\"";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-euc", script, "sh"]).arg(program().get_program());
    let output: Output = command.current_dir(place.path("")).output().unwrap();
    let problem = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{problem}");
    assert!(problem.contains("No space left on device"), "{problem}");
}

#[test]
fn passwd_changes_the_password() {
    let place = Place::new();
    let gateway = place.serve(&["--cache-ttl", "200ms"]);
    let passwd = |name: &str, arguments: &[&str]| {
        spawn(program(), &place, &[&["account", "passwd", name], arguments].concat())
            .wait_with_output()
            .unwrap()
    };
    let line = refusal(&passwd("dave", &["--password-stdin"]));
    assert!(line.contains("\"dave\"") && line.contains("account list"), "{line}");
    let line = refusal(&passwd("alice", &[]));
    assert!(line.contains("--password-stdin"), "{line}");
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let output = passwd("alice", &["--password-stdin", "--wait"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 404, "the old password");
    // base64 of "alice:long enough"
    let new = [("authorization", "Basic YWxpY2U6bG9uZyBlbm91Z2g=")];
    assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &new).status, 200);
}

/// Each problem is logged once.
#[test]
fn an_invalid_missing_or_incomplete_file_changes_nothing() {
    let place = Place::new();
    let gateway = place.serve(&["--cache-ttl", "200ms"]);
    let status = |user: &str| gateway.get("/private/cars/7/photo.jpg", user).status;
    let path = place.path("accounts.toml");
    let good = std::fs::read(&path).unwrap();
    let errors = || gateway.log().matches("the accounts stay as they were").count();
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let begin = Instant::now();
        while !condition() {
            assert!(begin.elapsed() < Duration::from_secs(20), "timeout: {what}: {}", gateway.log());
            std::thread::sleep(Duration::from_millis(20));
        }
    };
    let steps: [(&str, &dyn Fn()); 4] = [
        ("half", &|| std::fs::write(&path, &good[..good.len() / 2]).unwrap()),
        ("empty", &|| std::fs::write(&path, "").unwrap()),
        ("missing", &|| std::fs::remove_file(&path).unwrap()),
        ("open to others", &|| {
            std::fs::write(&path, &good).unwrap();
            std::fs::set_permissions(&path, PermissionsExt::from_mode(0o644)).unwrap();
        }),
    ];
    for (number, (what, break_it)) in steps.iter().enumerate() {
        break_it();
        until(what, &|| errors() == number + 1);
        assert_eq!((status("alice"), status("carol")), (200, 200), "{what}");
    }
    // The problem is not logged again at the next checks.
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(errors(), steps.len(), "{}", gateway.log());
    std::fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
    until("repaired", &|| gateway.log().contains("the accounts have changed"));
    assert_eq!(status("alice"), 200);

    // Other content with the same modification time, length and inode is detected.
    let before = path.metadata().unwrap();
    let text = String::from_utf8(good).unwrap().replace("\"alice\"", "\"elica\"");
    let mut file = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_modified(before.modified().unwrap()).unwrap();
    let after = path.metadata().unwrap();
    assert_eq!(
        (before.mtime_nsec(), before.ino(), before.len()),
        (after.mtime_nsec(), after.ino(), after.len())
    );
    until("reloaded", &|| status("alice") == 404);
}
