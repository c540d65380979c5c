//! Started, stopped and interrupted.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Answer, Gateway, Place, credentials};

const LEN: usize = 30 << 20;

/// A download whose client has taken the beginning and waits.
fn begin_download(place: &Place, gateway: &Gateway) -> (TcpStream, Vec<u8>) {
    place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
    let mut stream = gateway.connect();
    let (name, value) = credentials("alice")[0];
    write!(stream, "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n").unwrap();
    let mut taken = vec![0; 1000];
    stream.read_exact(&mut taken).unwrap();
    (stream, taken)
}

#[test]
fn a_signal_lets_downloads_end() {
    for signal in [Signal::TERM, Signal::INT] {
        let place = Place::new();
        let mut gateway = place.serve(&[]);
        let (mut stream, mut taken) = begin_download(&place, &gateway);
        let mut idle = gateway.connect();
        gateway.signal(signal);
        wait(|| TcpStream::connect(gateway.address).is_err());
        assert_eq!(idle.read(&mut [0; 10]).unwrap_or(0), 0, "who waits for nothing is let go");
        stream.read_to_end(&mut taken).unwrap();
        let answer = Answer::parse(&taken);
        assert_eq!((answer.status, answer.body.len()), (200, LEN));
        assert!(gateway.child.wait().unwrap().success());
    }
}

#[test]
fn but_not_for_ever() {
    let place = Place::new();
    let mut gateway = place.serve(&["--drain", "500ms"]);
    let (mut stream, mut taken) = begin_download(&place, &gateway);
    gateway.signal(Signal::TERM);
    assert!(gateway.child.wait().unwrap().success());
    let _ = stream.read_to_end(&mut taken);
    assert!(taken.len() < LEN);
    assert!(gateway.log().contains("cut off"), "{}", gateway.log());
}

#[test]
fn a_second_signal_stops_at_once() {
    let place = Place::new();
    let mut gateway = place.serve(&["--drain", "1h"]);
    let _download = begin_download(&place, &gateway);
    gateway.signal(Signal::INT);
    wait(|| gateway.log().contains("stopping"));
    gateway.signal(Signal::INT);
    assert_eq!(gateway.child.wait().unwrap().code(), Some(130));
}

#[test]
fn the_demo_shows_what_it_is_for_and_leaves_nothing() {
    let place = Place::new();
    std::fs::create_dir(place.path("tmp")).unwrap();
    let mut command = crate::support::program();
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", place.path("tmp"));
    let mut demo = Gateway::spawn(command, place.path("demo.log"));
    assert_eq!(place.path("tmp").read_dir().unwrap().count(), 1);
    let mut said = String::new();
    while !said.contains("ctrl-c") {
        std::io::BufRead::read_line(&mut demo.stdout, &mut said).unwrap();
    }
    for word in ["alice", "bob", "carol", "staff"] {
        assert!(said.contains(word), "{said}");
    }
    // The three lines do what they say.
    let lines: Vec<_> = said.lines().filter(|line| line.trim_start().starts_with("curl ")).collect();
    assert_eq!(lines.len(), 3, "{said}");
    for line in lines {
        let (command, says) = line.split_once('#').unwrap();
        let output = std::process::Command::new("sh").args(["-c", command]).output().unwrap();
        let answer = String::from_utf8(output.stdout).unwrap();
        let status = says.trim().split(':').next().unwrap();
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{line}: {answer}");
    }
    // Signalled twice, it stops at once, and leaves nothing all the same.
    let mut held = demo.connect();
    write!(held, "GET /private/cars/7/first%20drive.mp4 HTTP/1.1\r\n").unwrap();
    demo.signal(Signal::INT);
    demo.signal(Signal::TERM);
    demo.child.wait().unwrap();
    assert_eq!(place.path("tmp").read_dir().unwrap().count(), 0);
}

fn wait(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}
