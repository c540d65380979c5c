//! Start, shutdown and signals.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Gateway, Place, Response, credentials};

const LEN: usize = 30 << 20;

/// Starts a download, and reads only its beginning.
fn begin_download(place: &Place, gateway: &Gateway) -> (TcpStream, Vec<u8>) {
    place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
    let mut stream = gateway.connect();
    let (name, value) = credentials("alice")[0];
    write!(stream, "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n").unwrap();
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).unwrap();
    (stream, received)
}

#[test]
fn downloads_finish_after_a_signal() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut gateway = place.serve(&[]);
        let (mut stream, mut received) = begin_download(&place, &gateway);
        let mut idle = gateway.connect();
        gateway.signal(signal);
        wait(|| TcpStream::connect(gateway.address).is_err());
        assert_eq!(idle.read(&mut [0; 10]).unwrap_or(0), 0, "idle connections are closed");
        stream.read_to_end(&mut received).unwrap();
        let response = Response::parse(&received);
        assert_eq!((response.status, response.body.len()), (200, LEN));
        assert!(gateway.child.wait().unwrap().success());
    }
}

#[test]
fn downloads_are_cut_off_after_the_shutdown_timeout() {
    let place = Place::new();
    let mut gateway = place.serve(&["--shutdown-timeout", "500ms"]);
    let (mut stream, mut received) = begin_download(&place, &gateway);
    gateway.signal(Signal::TERM);
    assert!(gateway.child.wait().unwrap().success());
    let _ = stream.read_to_end(&mut received);
    assert!(received.len() < LEN);
    assert!(gateway.log().contains("aborted"), "{}", gateway.log());
}

#[test]
fn a_second_signal_stops_immediately() {
    let place = Place::new();
    let mut gateway = place.serve(&["--shutdown-timeout", "1h"]);
    let _download = begin_download(&place, &gateway);
    gateway.signal(Signal::INT);
    wait(|| gateway.log().contains("stopping"));
    gateway.signal(Signal::INT);
    assert_eq!(gateway.child.wait().unwrap().code(), Some(130));
}

/// SIGHUP does not affect clients.
#[test]
fn sighup_interrupts_no_download() {
    let place = Place::new();
    let mut gateway = place.serve(&[]);
    let (mut stream, mut received) = begin_download(&place, &gateway);
    for _ in 0..10 {
        gateway.signal(Signal::HUP);
    }
    assert!(gateway.logs("SIGHUP"), "{}", gateway.log());
    for _ in 0..10 {
        gateway.signal(Signal::HUP);
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
    gateway.signal(Signal::TERM);
    wait(|| TcpStream::connect(gateway.address).is_err());
    gateway.signal(Signal::HUP);
    stream.read_to_end(&mut received).unwrap();
    let response = Response::parse(&received);
    assert_eq!((response.status, response.body.len()), (200, LEN));
    assert!(gateway.exit_within(Duration::from_secs(10)).success());
}

#[test]
fn sighup_reloads_the_accounts_immediately() {
    let place = Place::new();
    let gateway = place.serve(&["--cache-ttl", "1m"]);
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    assert!(place.run(&["account", "remove", "alice"]).status.success());
    gateway.signal(Signal::HUP);
    wait(|| gateway.get("/private/cars/7/photo.jpg", "alice").status == 404);
}

#[test]
fn sighup_under_nohup_stays_ignored() {
    let place = Place::new();
    let mut command = std::process::Command::new("sh");
    command.args(["-c", "trap '' HUP; exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_private-media")]);
    command.args(["serve", "--listen", "127.0.0.1:0", "--root", "private"]).current_dir(place.path(""));
    let mut gateway = Gateway::spawn(command, place.path("gateway.log"));
    gateway.signal(Signal::HUP);
    gateway.signal(Signal::TERM);
    assert!(gateway.exit_within(Duration::from_secs(10)).success());
    assert!(!gateway.log().contains("SIGHUP"), "{}", gateway.log());
}

#[test]
fn the_demo_survives_sighup() {
    let place = Place::new();
    let mut command = crate::support::program();
    command.args(["demo", "--listen", "127.0.0.1:0"]);
    let mut demo = Gateway::spawn(command, place.path("demo.log"));
    for _ in 0..10 {
        demo.signal(Signal::HUP);
    }
    assert_eq!(demo.fetch("GET /", &[]).status, 200);
    demo.signal(Signal::TERM);
    assert!(demo.exit_within(Duration::from_secs(10)).success());
}

/// SIGTERM ends a start that waits for a database; SIGHUP does not.
#[test]
fn signals_stop_the_gateway_before_it_serves() {
    let place = Place::new();
    let database = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    database.set_nonblocking(true).unwrap();
    place.write("secret", "a secret key of Django's");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(place.path("secret"), mode).unwrap();
    let url = format!("postgres://django@{}/django", database.local_addr().unwrap());
    let mut command = crate::support::program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--identity", "django", "--secret-file", "secret"]);
    command.args(["--database", &url]).current_dir(place.path(""));
    command.stdin(Stdio::null()).stdout(Stdio::null());
    let log = place.path("gateway.log");
    let begin = Instant::now();
    let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    let mut connection = None;
    wait(|| {
        connection = database.accept().ok();
        connection.is_some()
    });
    let id = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(id, Signal::HUP).unwrap();
    wait(|| std::fs::read_to_string(&log).unwrap().contains("SIGHUP"));
    rustix::process::kill_process(id, Signal::TERM).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(3), "the shutdown waited for the database");
}

#[test]
fn the_commands_of_the_demo_work_and_its_files_are_removed() {
    let place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = crate::support::program();
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", place.path("tmp"));
    let mut demo = Gateway::spawn(command, place.path("demo.log"));
    assert_eq!(place.path("tmp").read_dir().unwrap().count(), 1);
    let mut printed = String::new();
    while !printed.contains("ctrl-c") {
        std::io::BufRead::read_line(&mut demo.stdout, &mut printed).unwrap();
    }
    for word in ["alice", "bob", "carol", "staff"] {
        assert!(printed.contains(word), "{printed}");
    }
    // Each of the three commands has the printed status.
    let lines: Vec<_> = printed.lines().filter(|line| line.trim_start().starts_with("curl ")).collect();
    assert_eq!(lines.len(), 3, "{printed}");
    for line in lines {
        let (command, comment) = line.split_once('#').unwrap();
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        let response = String::from_utf8(output.stdout).unwrap();
        let status = comment.trim().split(':').next().unwrap();
        assert!(response.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {response}");
    }
    // After a second signal it stops immediately, and still removes its files.
    let mut held = demo.connect();
    write!(held, "GET /private/cars/7/first%20drive.mp4 HTTP/1.1\r\n").unwrap();
    demo.signal(Signal::INT);
    demo.signal(Signal::TERM);
    demo.child.wait().unwrap();
    assert_eq!(place.path("tmp").read_dir().unwrap().count(), 0);
}

fn wait(mut condition: impl FnMut() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout");
        std::thread::sleep(Duration::from_millis(20));
    }
}
