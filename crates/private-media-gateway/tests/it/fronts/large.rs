//! A file of a gibibyte comes through each front server whole, and costs the gateway nothing where it is handed off.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;

use super::server::{FrontServer, Installed, open_to_all};
use super::{Deployment, ask};
use crate::support::{Place, credentials, send};

const LEN: u64 = 1 << 30;
const PATH: &str = "/private/cars/7/large.mp4";

/// Zeros, but for a mark at the begin of each 16 MiB, at the end, and around the 512th MiB.
fn write(place: &Place) {
    let mut file = std::fs::File::create(place.path("private/cars/7/large.mp4")).unwrap();
    for at in (0..LEN).step_by(16 << 20).chain([LEN / 2 - 1, LEN - 16]) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&(at + 1).to_be_bytes()).unwrap();
    }
    file.set_len(LEN).unwrap();
    open_to_all(&place.path("private"));
}

/// Reads the answer beside the file, and compares.
fn same_as_file(address: SocketAddr, place: &Place, range: Option<(u64, u64)>) {
    let value = range.map(|(start, end)| format!("bytes={start}-{end}"));
    let fields = value.as_deref().map(|value| ("range", value));
    let fields: Vec<_> = credentials("alice").into_iter().chain(fields).collect();
    let mut answer = BufReader::with_capacity(1 << 20, send(address, &format!("GET {PATH}"), &fields, b""));
    let mut line = String::new();
    answer.read_line(&mut line).unwrap();
    let status = if range.is_some() { "HTTP/1.1 206 " } else { "HTTP/1.1 200 " };
    assert!(line.starts_with(status), "{line}");
    while line != "\r\n" {
        line.clear();
        answer.read_line(&mut line).unwrap();
    }
    let (start, end) = range.unwrap_or((0, LEN - 1));
    let mut file = std::fs::File::open(place.path("private/cars/7/large.mp4")).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    let mut expected = BufReader::with_capacity(1 << 20, file.take(end + 1 - start));
    let mut compared = 0;
    loop {
        let (got, want) = (answer.fill_buf().unwrap(), expected.fill_buf().unwrap());
        let len = got.len().min(want.len());
        if len == 0 {
            assert_eq!((got.len(), want.len()), (0, 0), "of another length, at {compared}");
            break;
        }
        assert!(got[..len] == want[..len], "differs within {len} bytes of {compared}");
        compared += len as u64;
        answer.consume(len);
        expected.consume(len);
    }
    assert_eq!(compared, end + 1 - start);
}

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_here() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    write(&deployment.place);
    let front = deployment.front.address;
    same_as_file(front, &deployment.place, None);
    same_as_file(front, &deployment.place, Some((LEN / 2 - 100, LEN / 2 + (1 << 20))));
    same_as_file(front, &deployment.place, Some((LEN - 20, LEN - 1)));
    let head = ask(front, &format!("HEAD {PATH}"), &credentials("alice"));
    assert_eq!((head.status, head.field("content-length")), (200, Some("1073741824")), "{kind:?}");
    assert_eq!(ask(front, &format!("GET {PATH}"), &credentials("bob")).status, 404, "{kind:?}");
    let sent: u64 = deployment.gateway.access_log().iter().map(|line| line["bytes"].as_u64().unwrap()).sum();
    assert!(sent < 1000 || arguments.is_empty(), "{kind:?}: the gateway sent {sent} bytes itself");
}

/// What a client does not take waits in the file, and not in the front server's memory or on its disk.
fn check_stalled(kind: FrontServer) {
    if !kind.is_here() {
        return;
    }
    let deployment = Deployment::start(kind, &[]);
    write(&deployment.place);
    let io = format!("/proc/{}/io", deployment.gateway.child.id());
    let written = || {
        let io = std::fs::read_to_string(&io).unwrap();
        let line = io.lines().find_map(|line| line.strip_prefix("wchar: ")).unwrap();
        line.parse::<u64>().unwrap()
    };
    let before = written();
    let mut stalled = send(deployment.front.address, &format!("GET {PATH}"), &credentials("alice"), b"");
    stalled.read_exact(&mut [0; 100]).unwrap();
    std::thread::sleep(std::time::Duration::from_secs(2));
    let sent = written() - before;
    assert!(sent > 1 << 16, "{kind:?}: the gateway has begun to send ({sent} bytes)");
    assert!(sent < 64 << 20, "{kind:?}: the front server has taken {sent} bytes that nobody wants yet");
}

#[test]
fn stalled_clients() {
    for kind in [FrontServer::Nginx, FrontServer::Apache, FrontServer::Lighttpd, FrontServer::Caddy] {
        check_stalled(kind);
    }
}

#[test]
fn nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"]);
    check(FrontServer::Nginx, &[]);
}

#[test]
fn apache() {
    check(FrontServer::Apache, &["--mode", "apache"]);
    check(FrontServer::Apache, &[]);
}

#[test]
fn lighttpd() {
    check(FrontServer::Lighttpd, &["--mode", "apache"]);
    check(FrontServer::Lighttpd, &[]);
}

#[test]
fn caddy() {
    check(FrontServer::Caddy, &[]);
}
