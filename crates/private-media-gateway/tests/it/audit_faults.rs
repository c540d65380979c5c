//! The audit when its disk, its folder or its owner is not what it should be.

use std::fs::File;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::metrics::{scrape, serve};
use crate::support::{GRANT, Gateway, Place, credentials, needs, program};

const PHOTO: &str = "/private/cars/7/photo.jpg";

fn until(what: &str, gateway: &Gateway, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout: {what}: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn health(gateway: &Gateway) -> u16 {
    gateway.get("/private/-/health", "nobody").status
}

/// A file system that is unmounted at the end of the test.
struct Disk(std::path::PathBuf);

impl Disk {
    /// Mounts a small disk in memory.
    fn mount(path: std::path::PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=1m,mode=755", "tmpfs"]).arg(&path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }

    fn remount(&self, option: &str) {
        let option = format!("remount,{option}");
        assert!(Command::new("mount").args(["-o", &option]).arg(&self.0).status().unwrap().success());
    }

    /// Takes all space.
    fn fill(&self) {
        let mut filler = File::create(self.0.join("filler")).unwrap();
        std::io::copy(&mut std::io::repeat(0), &mut filler).unwrap_err();
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

fn verify(place: &Place, path: &str) -> (Option<i32>, String) {
    let output = place.run(&["audit", "verify", "--audit-path", path]);
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
    )
}

fn events(place: &Place, path: &str) -> String {
    let output = place.run(&["audit", "show", "--action", "audit", "--audit-path", path]);
    String::from_utf8(output.stdout).unwrap()
}

fn reads(place: &Place, path: &str) -> usize {
    let output = place.run(&["audit", "show", "--action", "read", "--audit-path", path]);
    String::from_utf8(output.stdout).unwrap().lines().count()
}

fn stop(gateway: &mut Gateway) {
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(0), "{}", gateway.log());
}

/// A file system without space, or one that became read-only.
fn a_disk_that_fails_and_recovers(break_it: impl Fn(&Disk), mend: impl Fn(&Disk), problem: &str, fix: &str) {
    for overflow in ["drop", "deny"] {
        let place = Place::new();
        let Some(disk) = Disk::mount(place.path("disk")) else {
            needs("right to mount a file system", false);
            return;
        };
        let path = "disk/audit.jsonl";
        let (mut gateway, admin) = serve(&place, &["--audit-path", path, "--audit-overflow", overflow]);
        let metric = |name: &str| scrape(admin)[&format!("private_media_audit_{name}")];
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
        until("the first record", &gateway, || reads(&place, path) == 1);
        break_it(&disk);
        // Until the page of the file is full, there is room. Requests before the failure is noticed are served and not lost.
        let mut served = 1;
        until("not ready", &gateway, || {
            gateway.get(PHOTO, "nobody");
            health(&gateway) == 503
        });
        let log = gateway.log();
        assert!(log.contains(path) && log.contains(problem) && log.contains(fix), "{log}");
        let status = gateway.get(PHOTO, "alice").status;
        assert_eq!(status, if overflow == "drop" { 200 } else { 503 });
        assert!(metric("write_errors_total") > 0.0);
        assert_eq!(metric("refused_requests_total") > 0.0, overflow == "deny");
        served += usize::from(status == 200);
        // Pages are not refused.
        assert_eq!(gateway.get("/private/-/sign-in", "nobody").status, 200);
        mend(&disk);
        until("ready", &gateway, || health(&gateway) == 200);
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
        served += 1;
        stop(&mut gateway);
        let (code, text) = verify(&place, path);
        assert_eq!(code, Some(0), "{text}");
        let output = place.run(&["audit", "show", "--user", "alice", "--audit-path", path]);
        assert_eq!(String::from_utf8(output.stdout).unwrap().lines().count(), served, "nothing is lost");
        let events = events(&place, path);
        assert_eq!(events.contains("refused requests="), overflow == "deny", "{events}");
    }
}

#[test]
fn a_full_disk() {
    let unfill = |disk: &Disk| std::fs::remove_file(disk.0.join("filler")).unwrap();
    a_disk_that_fails_and_recovers(Disk::fill, unfill, "no space left", "free space in disk");
}

#[test]
fn a_read_only_disk() {
    let place = Place::new();
    let Some(disk) = Disk::mount(place.path("disk")) else {
        needs("right to mount a file system", false);
        return;
    };
    disk.remount("ro");
    let line = place.refusal(&["serve", "--audit-path", "disk/audit.jsonl"]);
    assert!(
        line.contains("--audit-path \"disk/audit.jsonl\"") && line.contains("the file system is read-only"),
        "{line}"
    );
    assert!(line.contains("remount,rw"), "{line}");
    disk.remount("rw");
    let mut gateway = place.serve(&["--audit-path", "disk/audit.jsonl"]);
    stop(&mut gateway);
    assert_eq!(verify(&place, "disk/audit.jsonl").0, Some(0));
}

#[test]
fn a_queue_that_overflows_counts_what_it_drops() {
    let place = Place::new();
    let Some(disk) = Disk::mount(place.path("disk")) else {
        needs("right to mount a file system", false);
        return;
    };
    let path = "disk/audit.jsonl";
    let long = format!("/private/{}", vec!["x".repeat(250); 4].join("/"));
    let (mut gateway, admin) = serve(&place, &["--audit-path", path, "--log", "warn"]);
    disk.fill();
    // More than the queue holds.
    let requests: usize = 9000;
    let mut client = gateway.connect();
    let address = gateway.address;
    let sender = client.try_clone().unwrap();
    let line = format!("GET {long} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    std::thread::scope(|scope| {
        scope.spawn(move || {
            let mut sender = sender;
            for _ in 0..requests {
                std::io::Write::write_all(&mut sender, line.as_bytes()).unwrap();
            }
            sender.shutdown(std::net::Shutdown::Write).unwrap();
        });
        let mut responses = Vec::new();
        std::io::Read::read_to_end(&mut client, &mut responses).unwrap();
        let text = String::from_utf8(responses).unwrap();
        assert_eq!(text.matches("HTTP/1.1 404").count(), requests);
    });
    let counted = scrape(admin)["private_media_audit_records_total{result=\"dropped\"}"];
    assert!(scrape(admin)["private_media_audit_queue_bytes"] > 4e6);
    std::fs::remove_file(disk.0.join("filler")).unwrap();
    // A larger disk, for all that is in the queue.
    disk.remount("size=64m");
    until("ready", &gateway, || {
        health(&gateway) == 200 && gateway.log().contains("audit records were dropped")
    });
    stop(&mut gateway);
    let (code, text) = verify(&place, path);
    assert_eq!(code, Some(0), "{text}");
    let output = place.run(&["audit", "show", "--action", "audit", "--format", "json", "--audit-path", path]);
    let events = String::from_utf8(output.stdout).unwrap();
    let events = events.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let dropped: u64 = events.filter_map(|event| event["records"].as_u64()).sum();
    let dropped = usize::try_from(dropped).unwrap();
    assert!(dropped > 0);
    assert_eq!(reads(&place, path) + dropped, requests);
    assert_eq!(counted.to_string(), dropped.to_string());
}

/// Delays the next sendfile(2) of a gateway by six seconds, so that its worker hangs. `None` without strace.
fn hang_in_sendfile(gateway: &Gateway, place: &Place) -> Option<std::process::Child> {
    let log = place.path("strace.log");
    let mut strace = Command::new("strace");
    strace.args([
        "-f",
        "-o",
        "/dev/null",
        "-e",
        "trace=sendfile",
        "-e",
        "inject=sendfile:delay_enter=6000000:when=1",
    ]);
    strace.args(["-p", &gateway.child.id().to_string()]).stdin(Stdio::null()).stdout(Stdio::null());
    let child = strace.stderr(File::create(&log).unwrap()).spawn().ok()?;
    until("strace", gateway, || std::fs::read_to_string(&log).unwrap().contains("attached"));
    Some(child)
}

/// The worker cannot stop, so a second signal ends the process without it.
#[test]
fn a_forced_exit_writes_the_last_records() {
    let place = Place::new();
    place.write("private/cars/7/film.mp4", vec![b'x'; 4 << 20]);
    let path = "audit.jsonl";
    let mut gateway = place.serve(&["--audit-path", path, "--workers", "1", "--shutdown-timeout", "1h"]);
    let range = |bytes: &str| {
        let bytes = format!("bytes={bytes}");
        let headers = [credentials("alice")[0], ("range", bytes.as_str())];
        assert_eq!(gateway.fetch(&format!("GET {PHOTO}"), &headers).status, 206);
    };
    // The second and third range are summed up in memory, for five minutes.
    ["0-1", "2-5", "6-7"].into_iter().for_each(range);
    until("the first range", &gateway, || reads(&place, path) == 1);
    let strace = hang_in_sendfile(&gateway, &place);
    if !needs("strace", strace.is_some()) {
        return;
    }
    let mut stalled = gateway.connect();
    let (name, value) = credentials("alice")[0];
    let request = format!("GET /private/cars/7/film.mp4 HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n");
    std::io::Write::write_all(&mut stalled, request.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(300));
    gateway.signal(Signal::TERM);
    assert!(gateway.logs("stopping"), "{}", gateway.log());
    let begin = Instant::now();
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(130), "{}", gateway.log());
    assert!(begin.elapsed() > Duration::from_secs(2), "the worker did not hang");
    assert!(gateway.log().contains("the workers did not stop in time"), "{}", gateway.log());
    strace.unwrap().wait().unwrap();
    let output = place.run(&["audit", "show", "--action", "read", "--format", "json", "--audit-path", path]);
    let records = String::from_utf8(output.stdout).unwrap();
    let sum: serde_json::Value = serde_json::from_str(records.lines().last().unwrap()).unwrap();
    assert_eq!((sum["ranges"].as_u64(), sum["bytes"].as_u64()), (Some(2), Some(6)), "{records}");
    assert!(events(&place, path).contains("stopped"), "{}", events(&place, path));
    let (code, text) = verify(&place, path);
    assert_eq!(code, Some(0), "{text}");
}

#[test]
fn a_file_that_is_removed_or_shortened() {
    let place = Place::new();
    let path = "audit.jsonl";
    let mut gateway = place.serve(&["--audit-path", path, "--audit-sync", "0s"]);
    gateway.get(PHOTO, "alice");
    until("the record", &gateway, || reads(&place, path) == 1);
    std::fs::remove_file(place.path(path)).unwrap();
    gateway.get(PHOTO, "bob");
    until("a new file", &gateway, || place.path(path).exists() && reads(&place, path) == 1);
    assert!(gateway.logs("was removed while the gateway was running"), "{}", gateway.log());
    let (code, text) = verify(&place, path);
    assert!(code == Some(1) && text.contains("removed: records 1 to 3 are missing"), "{text}");
    // Service goes on, and so does the audit.
    let content = std::fs::read_to_string(place.path(path)).unwrap();
    let first = content.lines().next().unwrap();
    File::options().write(true).open(place.path(path)).unwrap().set_len(first.len() as u64 + 1).unwrap();
    gateway.get(PHOTO, "carol");
    until("the record", &gateway, || reads(&place, path) == 1);
    assert!(gateway.logs("records at the end of the audit file are missing"));
    stop(&mut gateway);
    let (code, text) = verify(&place, path);
    assert!(code == Some(1) && text.contains("removed: "), "{text}");
}

#[test]
fn folders_that_are_missing_and_files_that_are_folders() {
    let place = Place::new();
    std::fs::create_dir(place.path("folder")).unwrap();
    for (path, parts) in [
        ("none/audit.jsonl", ["no such folder: none", "install -d -m 750 none"]),
        ("folder", ["not a regular file", "name a file"]),
        ("private/audit.jsonl", ["the file is inside the root", "move it"]),
    ] {
        let line = place.refusal(&["serve", "--audit-path", path]);
        for part in parts {
            assert!(line.contains(part) && line.contains(path), "{line}");
        }
    }
}

/// Runs the program as another user, without root's rights.
fn as_user(id: u32, place: &Place, arguments: &[&str]) -> Command {
    let mut command = Command::new("setpriv");
    let id = id.to_string();
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program().get_program());
    command.args(arguments).current_dir(place.path(""));
    command
}

/// Gives a folder and everything in it to a user.
fn give(path: &Path, user: u32) {
    chown(path, Some(user), Some(user)).unwrap();
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            give(&entry.unwrap().path(), user);
        }
    }
}

/// The files of a service belong to somebody else, as after a command that ran as root.
#[test]
fn files_of_another_owner() {
    const USER: u32 = 12_345;
    if !needs("root, who may give files away", rustix::process::geteuid().is_root()) {
        return;
    }
    let serve = ["serve", "--listen", "127.0.0.1:0", "--grant", GRANT, "--audit-path", "audit.jsonl"];
    for (file, parts) in [
        ("accounts.toml", ["accounts.toml", "Permission denied", ""]),
        ("private", ["private", "cannot be read", "give this user read access to it"]),
        ("state.db", ["state.db", "state store", "write to"]),
        (
            "audit.jsonl",
            [
                "--audit-path \"audit.jsonl\"",
                "cannot be written by user 12345",
                "run as root: chown 12345 audit.jsonl",
            ],
        ),
        (
            "audit.jsonl.head",
            [
                "--audit-path \"audit.jsonl\"",
                "cannot be written by user 12345",
                "chown 12345 audit.jsonl.head",
            ],
        ),
    ] {
        let place = Place::new();
        std::fs::set_permissions(place.path(""), PermissionsExt::from_mode(0o755)).unwrap();
        give(&place.path(""), USER);
        // Creates the files of the service.
        let mut gateway = Gateway::spawn(as_user(USER, &place, &serve), place.path("gateway.log"));
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(0));
        let content = std::fs::read(place.path("audit.jsonl")).unwrap();
        chown(place.path(file), Some(0), Some(0)).unwrap();
        let mode = if file == "private" { 0o700 } else { 0o600 };
        std::fs::set_permissions(place.path(file), PermissionsExt::from_mode(mode)).unwrap();
        let output = as_user(USER, &place, &serve).stdin(Stdio::null()).output().unwrap();
        let line = crate::support::refusal(&output);
        for part in parts {
            assert!(line.contains(part), "{file}: {line}");
        }
        assert!(std::fs::read(place.path("audit.jsonl")).unwrap().starts_with(&content), "nothing is lost");
        // The fix of the message is one.
        chown(place.path(file), Some(USER), Some(USER)).unwrap();
        let mut gateway = Gateway::spawn(as_user(USER, &place, &serve), place.path("gateway.log"));
        assert_eq!(gateway.fetch(&format!("GET {PHOTO}"), &credentials("alice")).status, 200);
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(0));
        assert_eq!(verify(&place, "audit.jsonl").0, Some(0));
    }
}
