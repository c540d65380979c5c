//! A file of one gibibyte arrives complete through each front server, and the gateway sends no byte of a hand-off.

use std::io::{BufRead, BufReader, Read, Seek, SeekFrom, Write};
use std::net::SocketAddr;

use super::server::{FrontServer, Installed, open_to_all};
use super::{Deployment, fetch};
use crate::support::{Place, credentials, send};

const LEN: u64 = 1 << 30;
const PATH: &str = "/private/cars/7/large.mp4";

/// Writes a file of zeros with a mark at the start of each 16 MiB, at the end, and in the middle.
fn write(place: &Place) {
    let mut file = std::fs::File::create(place.path("private/cars/7/large.mp4")).unwrap();
    for at in (0..LEN).step_by(16 << 20).chain([LEN / 2 - 1, LEN - 16]) {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(&(at + 1).to_be_bytes()).unwrap();
    }
    file.set_len(LEN).unwrap();
    open_to_all(&place.path("private"));
}

/// Compares the response with the file.
fn assert_equals_file(address: SocketAddr, place: &Place, range: Option<(u64, u64)>) {
    let value = range.map(|(start, end)| format!("bytes={start}-{end}"));
    let headers = value.as_deref().map(|value| ("range", value));
    let headers: Vec<_> = credentials("alice").into_iter().chain(headers).collect();
    let mut response =
        BufReader::with_capacity(1 << 20, send(address, &format!("GET {PATH}"), &headers, b""));
    let mut line = String::new();
    response.read_line(&mut line).unwrap();
    let status = if range.is_some() { "HTTP/1.1 206 " } else { "HTTP/1.1 200 " };
    assert!(line.starts_with(status), "{line}");
    while line != "\r\n" {
        line.clear();
        response.read_line(&mut line).unwrap();
    }
    let (start, end) = range.unwrap_or((0, LEN - 1));
    let mut file = std::fs::File::open(place.path("private/cars/7/large.mp4")).unwrap();
    file.seek(SeekFrom::Start(start)).unwrap();
    let mut expected = BufReader::with_capacity(1 << 20, file.take(end + 1 - start));
    let mut compared = 0;
    loop {
        let (got, want) = (response.fill_buf().unwrap(), expected.fill_buf().unwrap());
        let len = got.len().min(want.len());
        if len == 0 {
            assert_eq!((got.len(), want.len()), (0, 0), "the length differs at {compared}");
            break;
        }
        assert!(got[..len] == want[..len], "differs within {len} bytes of {compared}");
        compared += len as u64;
        response.consume(len);
        expected.consume(len);
    }
    assert_eq!(compared, end + 1 - start);
}

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    write(&deployment.place);
    let front = deployment.front.address;
    assert_equals_file(front, &deployment.place, None);
    assert_equals_file(front, &deployment.place, Some((LEN / 2 - 100, LEN / 2 + (1 << 20))));
    assert_equals_file(front, &deployment.place, Some((LEN - 20, LEN - 1)));
    let head = fetch(front, &format!("HEAD {PATH}"), &credentials("alice"));
    assert_eq!((head.status, head.header("content-length")), (200, Some("1073741824")), "{kind:?}");
    assert_eq!(fetch(front, &format!("GET {PATH}"), &credentials("bob")).status, 404, "{kind:?}");
    let sent: u64 = deployment.gateway.access_log().iter().map(|line| line["bytes"].as_u64().unwrap()).sum();
    assert!(sent < 1000 || arguments.is_empty(), "{kind:?}: the gateway itself sent {sent} bytes");
}

/// The front server buffers only a small part of a download whose client is stalled.
fn check_stalled(kind: FrontServer) {
    if !kind.is_installed() {
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
    assert!(sent > 1 << 16, "{kind:?}: the gateway sent only {sent} bytes");
    assert!(sent < 64 << 20, "{kind:?}: the front server buffered {sent} bytes");
}

#[test]
fn downloads_of_stalled_clients_are_not_buffered() {
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
