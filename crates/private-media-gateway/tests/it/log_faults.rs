//! The gateway serves while its log cannot be written.

use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, PipeReader, Read};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::OFlags;
use rustix::process::Signal;

use crate::support::{GRANT, Gateway, Place, needs, program};

/// A fault of standard error.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Fault {
    /// A pipe without a reader.
    Closed,
    /// A pipe with a stalled reader.
    Stalled,
    /// A non-blocking pipe with a stalled reader.
    StalledNonBlocking,
    /// A full disk.
    Full,
}

/// The log lines of this many requests exceed the capacity of the pipe and the queue.
const FLOOD: usize = 700;

/// Sends requests with long log lines.
fn flood(gateway: &Gateway) {
    let path = "x".repeat(8000);
    for _ in 0..FLOOD {
        assert_eq!(gateway.fetch(&format!("GET /{path}"), &[]).status, 404);
    }
}

fn serve(place: &Place, stderr: impl Into<Stdio>, log: PathBuf) -> Gateway {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT, "--cache-ttl", "200ms"]);
    command.current_dir(place.path(""));
    Gateway::spawn_with(command, stderr.into(), log)
}

/// Starts a gateway with this fault, and returns the guard that maintains the fault.
fn serve_with(fault: Fault, place: &Place) -> (Gateway, Option<PipeReader>) {
    if fault == Fault::Full {
        return (
            serve(place, OpenOptions::new().write(true).open("/dev/full").unwrap(), PathBuf::new()),
            None,
        );
    }
    let (reader, writer) = std::io::pipe().unwrap();
    if fault == Fault::StalledNonBlocking {
        rustix::fs::fcntl_setfl(&writer, OFlags::NONBLOCK).unwrap();
    }
    let gateway = serve(place, writer, PathBuf::new());
    (gateway, Some(reader).filter(|_| fault != Fault::Closed))
}

#[test]
fn log_faults_do_not_affect_serving_reloads_or_shutdown() {
    for fault in [Fault::Closed, Fault::Stalled, Fault::StalledNonBlocking, Fault::Full] {
        for stop in [Signal::TERM, Signal::INT] {
            let place = Place::new();
            let (mut gateway, _reader) = serve_with(fault, &place);
            flood(&gateway);
            let photo = |user: &str| gateway.get("/private/cars/7/photo.jpg", user).status;
            assert_eq!((photo("alice"), photo("carol"), photo("bob"), photo("nobody")), (200, 200, 404, 404));
            assert!(place.run(&["account", "remove", "alice"]).status.success());
            until(|| photo("alice") == 404);
            assert_eq!(photo("carol"), 200, "{fault:?}");
            for page in ["/private/-/health", "/private/-/sign-in"] {
                assert_eq!(gateway.get(page, "nobody").status, 200, "{fault:?} {page}");
            }
            gateway.signal(Signal::HUP);
            assert_eq!(photo("carol"), 200, "{fault:?}");
            gateway.signal(stop);
            let status = gateway.exit_within(Duration::from_secs(5));
            assert_eq!(status.code(), Some(0), "{fault:?}");
        }
    }
}

#[test]
fn log_faults_do_not_delay_a_forced_shutdown() {
    for fault in [Fault::Closed, Fault::Stalled, Fault::Full] {
        let place = Place::new();
        place.write("private/cars/7/big.bin", vec![b'x'; 30 << 20]);
        let (mut gateway, _reader) = serve_with(fault, &place);
        flood(&gateway);
        let (name, value) = crate::support::credentials("alice")[0];
        let mut download =
            crate::support::send(gateway.address, "GET /private/cars/7/big.bin", &[(name, value)], b"");
        download.read_exact(&mut [0; 1000]).unwrap();
        gateway.signal(Signal::TERM);
        until(|| std::net::TcpStream::connect(gateway.address).is_err());
        gateway.signal(Signal::TERM);
        assert_eq!(gateway.exit_within(Duration::from_secs(3)).code(), Some(130), "{fault:?}");
    }
}

/// Checks that the lines are complete, and that logged and dropped lines together are one for each request.
fn assert_complete(lines: impl Iterator<Item = String>, reason: &str) {
    let (mut access, mut dropped) = (0, 0);
    for line in lines {
        let line: serde_json::Value = serde_json::from_str(&line).unwrap_or_else(|_| panic!("torn: {line}"));
        access += usize::from(line["target"] == "access");
        if line["dropped"].is_u64() {
            dropped += usize::try_from(line["dropped"].as_u64().unwrap()).unwrap();
            let message = line["message"].as_str().unwrap();
            assert_eq!(message, format!("dropped {dropped} log lines: {reason}"));
            break;
        }
    }
    assert!(access > 0 && dropped > 0, "{access} {dropped}");
    assert_eq!(access + dropped, FLOOD);
}

#[test]
fn dropped_lines_are_reported_when_the_reader_resumes() {
    for fault in [Fault::Stalled, Fault::StalledNonBlocking] {
        let place = Place::new();
        let (gateway, reader) = serve_with(fault, &place);
        flood(&gateway);
        let mut lines = BufReader::new(reader.unwrap()).lines().map(Result::unwrap);
        assert_complete(&mut lines, "the log's reader is too slow");
        // No further line is dropped.
        assert_eq!(gateway.fetch("GET /again", &[]).status, 404);
        assert!(lines.next().unwrap().contains("/again"));
    }
}

#[test]
fn dropped_lines_are_reported_to_a_new_reader() {
    let place = Place::new();
    let fifo = place.path("fifo");
    assert!(Command::new("mkfifo").arg(&fifo).status().unwrap().success());
    let open = |path: &Path| {
        let mut options = OpenOptions::new();
        options.read(true);
        std::os::unix::fs::OpenOptionsExt::custom_flags(&mut options, OFlags::NONBLOCK.bits().cast_signed());
        let reader = options.open(path).unwrap();
        rustix::fs::fcntl_setfl(&reader, OFlags::empty()).unwrap();
        reader
    };
    let reader = open(&fifo);
    let gateway = serve(&place, OpenOptions::new().write(true).open(&fifo).unwrap(), PathBuf::new());
    drop(reader);
    flood(&gateway);
    let lines = BufReader::new(open(&fifo)).lines().map(Result::unwrap);
    assert_complete(lines, "Broken pipe (os error 32)");
}

/// A file system in memory that is unmounted at the end of the test.
struct SmallDisk(PathBuf);

impl SmallDisk {
    fn mount(path: PathBuf) -> Option<Self> {
        std::fs::create_dir(&path).unwrap();
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", "size=8m", "tmpfs"]).arg(&path).stderr(Stdio::null());
        mount.status().is_ok_and(|status| status.success()).then_some(Self(path))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // A lazy unmount, because the gateway may still have its log open.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn dropped_lines_are_reported_when_the_disk_has_space() {
    let place = Place::new();
    let disk = SmallDisk::mount(place.path("disk"));
    if !needs("right to mount a file system", disk.is_some()) {
        return;
    }
    let (filler, log) = (place.path("disk/filler"), place.path("disk/log"));
    // The last free page ends in the middle of a line.
    let _ = std::io::copy(&mut std::io::repeat(0), &mut File::create(&filler).unwrap()).unwrap_err();
    File::options().write(true).open(&filler).unwrap().set_len((8 << 20) - (64 << 10)).unwrap();
    let gateway = serve(&place, File::create(&log).unwrap(), log);
    flood(&gateway);
    std::fs::remove_file(filler).unwrap();
    assert!(gateway.logs("\"dropped\":"), "{} bytes", gateway.log().len());
    assert_complete(gateway.log().lines().map(str::to_owned), "No space left on device (os error 28)");
}

#[test]
fn the_last_lines_are_written_before_exit() {
    let place = Place::new();
    let mut gateway = place.serve(&[]);
    assert_eq!(gateway.fetch("GET /last", &[]).status, 404);
    gateway.signal(Signal::TERM);
    assert!(gateway.exit_within(Duration::from_secs(5)).success());
    let log = gateway.log();
    assert!(log.contains("/last") && log.lines().last().unwrap().contains("\"stopped\""), "{log}");
}

fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout");
        std::thread::sleep(Duration::from_millis(20));
    }
}
