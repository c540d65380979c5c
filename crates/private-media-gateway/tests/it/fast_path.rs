//! The listener's fast loop and its fallback behave the same.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::support::{Gateway, Place, Response, credentials};

/// A header that makes a request take the fallback, and has no other effect.
const FALLBACK: &str = "upgrade: nothing\r\n";

/// Returns the credentials of a user as a header line.
fn auth(user: &str) -> String {
    credentials(user).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect()
}

/// Reads one response of a persistent connection.
fn read_response(stream: &mut TcpStream, method: &str) -> Response {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let mut response = Response::parse(&bytes);
    if method != "HEAD" && response.status != 304 {
        response.body = vec![0; response.header("content-length").unwrap().parse().unwrap()];
        stream.read_exact(&mut response.body).unwrap();
    }
    response
}

fn fetch(stream: &mut TcpStream, request: &str) -> Response {
    stream.write_all(request.as_bytes()).unwrap();
    read_response(stream, request.split(' ').next().unwrap())
}

/// Returns the sorted lines of a response head, without the headers that differ for each response.
fn sorted_lines(response: &Response) -> Vec<&str> {
    let differs = |line: &&str| line.starts_with("date: ") || line.starts_with("x-request-id: ");
    let mut lines: Vec<_> = response.head.lines().filter(|line| !differs(line)).collect();
    lines[1..].sort_unstable();
    lines
}

#[test]
fn the_loop_and_the_fallback_respond_equally() {
    let place = Place::new();
    let content: Vec<u8> = (0..200_000_u32).map(|n| u8::try_from(n % 251).unwrap()).collect();
    place.write("private/cars/7/large.bin", &content);
    place.write("private/cars/7/empty.txt", "");
    place.write("private/cars/7/page.html", "<p>");
    place.write("private/cars/7/my café.jpg", "x");
    std::thread::sleep(Duration::from_millis(150));
    let gateway = place.serve(&[]);
    let mut stream = gateway.connect();
    let etag = fetch(
        &mut stream,
        &format!("HEAD /private/cars/7/large.bin HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice")),
    );
    let etag = etag.header("etag").unwrap();
    for method in ["GET", "HEAD"] {
        for user in ["alice", "bob", "nobody"] {
            for name in [
                "photo.jpg",
                "large.bin",
                "empty.txt",
                "page.html",
                "my%20caf%C3%A9.jpg",
                "none.jpg",
                "photo.jpg?download",
                "../7/photo.jpg",
                "%2e%2e/7/photo.jpg",
                ".hidden",
                "a%2fb",
                "",
            ] {
                for more in [
                    String::new(),
                    "range: bytes=1-5\r\n".into(),
                    "range: bytes=0-1,100-200\r\n".into(),
                    "range: bytes=9999999-\r\n".into(),
                    format!("if-none-match: {etag}\r\n"),
                    format!("if-match: {etag}\r\n"),
                    "accept: image/*;q=0.8\r\nuser-agent: a b\tc\r\nx-empty:\r\n".into(),
                ] {
                    let request = format!(
                        "{method} /private/cars/7/{name} HTTP/1.1\r\nhost: x\r\n{}{more}",
                        auth(user)
                    );
                    let fast = fetch(&mut stream, &format!("{request}\r\n"));
                    let fallback = fetch(&mut gateway.connect(), &format!("{request}{FALLBACK}\r\n"));
                    // Each multipart response has another boundary.
                    if fast.head.contains("multipart") {
                        assert_eq!((fast.status, fast.body.len()), (fallback.status, fallback.body.len()));
                        continue;
                    }
                    assert_eq!(sorted_lines(&fast), sorted_lines(&fallback), "{request}");
                    assert!(fast.body == fallback.body, "{request}");
                    for name in ["date", "x-request-id", "cache-control", "vary"] {
                        assert!(fast.header(name).is_some(), "{name}: {request}");
                    }
                }
            }
        }
    }
}

#[test]
fn each_request_is_authenticated() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let mut stream = gateway.connect();
    let turns = ["alice", "bob", "alice", "nobody", "alice", "alice", "carol", "bob", "nobody"];
    for (turn, user) in turns.into_iter().cycle().take(50).enumerate() {
        let request = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth(user));
        let expected = if matches!(user, "alice" | "carol") { 200 } else { 404 };
        assert_eq!(fetch(&mut stream, &request).status, expected, "{turn} {user}");
        // The same headers, and one more.
        let more = request.replace("\r\n\r\n", "\r\nrange: bytes=0-0\r\n\r\n");
        let expected = if expected == 200 { 206 } else { 404 };
        assert_eq!(fetch(&mut stream, &more).status, expected, "{turn} {user}");
    }
    let log = gateway.access_log();
    assert_eq!(log.len(), 100);
    assert!(log.iter().all(|line| (line["user"] == "-") == (line["status"] == 404 && line["user"] != "8")));
}

#[test]
fn a_head_may_arrive_in_any_pieces() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let mut stream = gateway.connect();
    stream.set_nodelay(true).unwrap();
    let request =
        format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice")).repeat(2);
    for split in 1..request.len() {
        let (begin, rest) = request.split_at(split);
        stream.write_all(begin.as_bytes()).unwrap();
        std::thread::sleep(Duration::from_millis(1));
        stream.write_all(rest.as_bytes()).unwrap();
        for _ in 0..2 {
            let response = read_response(&mut stream, "GET");
            assert_eq!((response.status, &*response.body), (200, &b"alice's photo"[..]), "{split}");
        }
    }
}

/// A request that is served leaves the connection open for the next one; a rejected one closes it.
#[test]
fn unusual_requests_are_served_and_ambiguous_ones_rejected() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let alice = auth("alice");
    let plain = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{alice}\r\n");
    let many: String = (0..70).map(|n| format!("x-{n}: {n}\r\n")).collect();
    let long = format!("x-long: {}\r\n", "a".repeat(10_000));
    for (request, status) in [
        (format!("GET http://x/private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{alice}\r\n"), 200),
        (plain.replace("\r\n", "\n"), 200),
        (plain.replacen("\r\n", "\n", 1), 200),
        (plain.replace("\r\n\r\n", "\n\n"), 200),
        (format!("\r\n{plain}"), 200),
        (plain.replace("\r\n\r\n", &format!("\r\n{many}\r\n")), 200),
        (plain.replace("\r\n\r\n", &format!("\r\n{long}\r\n")), 200),
        (plain.replace("\r\n\r\n", "\r\ncontent-length: 0\r\n\r\n"), 200),
        (plain.replace("\r\n\r\n", "\r\nconnection: x, keep-alive\r\n\r\n"), 200),
        (plain.replace("GET", "POST"), 405),
        (plain.replace("GET", "get"), 405),
        (plain.replace("host: x", "host: x\n").replacen("\n\r\n", "\n", 1), 200),
        (plain.replace("/private/cars/7/photo.jpg", "/private/-/health"), 200),
        (plain.replace("/private/cars/7/photo.jpg", "/elsewhere"), 404),
        (plain.replace("/private/cars/7/photo.jpg", "*"), 404),
    ] {
        let mut stream = gateway.connect();
        assert_eq!(fetch(&mut stream, &plain).status, 200);
        assert_eq!(fetch(&mut stream, &request).status, status, "{request:?}");
        assert_eq!(fetch(&mut stream, &plain).status, 200, "after {request:?}");
    }
    for (request, status) in [
        (plain.replace("HTTP/1.1", "HTTP/1.0"), "200"),
        (plain.replace("\r\n\r\n", "\r\nconnection: close\r\n\r\n"), "200"),
        (plain.replace("\r\n\r\n", "\r\nConnection: Close\r\n\r\n"), "200"),
        (plain.replace("\r\n\r\n", &format!("\r\n{}\r\n", long.repeat(3))), "431"),
        (plain.replace("host: x", "host : x"), "400"),
        (plain.replace("host: x", "host: x\r\n folded"), "400"),
        (plain.replace("GET ", "GET  "), "400"),
        (plain.replace("photo", "ph\0to"), "400"),
        (plain.replace("host: x", "host: x\r\ncontent-length: 3\r\ncontent-length: 4"), "400"),
        (plain.replace("host: x", "host: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked"), "400"),
        (plain.replace("host: x", "host: x\r\ntransfer-encoding: gzip"), "400"),
        (plain.replace("photo.jpg", "photo.jpg#x"), "400"),
        (plain.replace("photo.jpg", "#"), "400"),
        (plain.replace("host: x\r\n", ""), "400"),
        (plain.replace("host: x", "host: x\r\nHost: x"), "400"),
    ] {
        let mut stream = gateway.connect();
        assert_eq!(fetch(&mut stream, &plain).status, 200);
        stream.write_all(request.as_bytes()).unwrap();
        let _ = stream.write_all(plain.as_bytes());
        let mut response = Vec::new();
        // The connection may end with a reset or a close.
        let _ = stream.read_to_end(&mut response);
        let response = String::from_utf8_lossy(&response);
        assert!(
            response.starts_with(&format!("HTTP/1.1 {status}"))
                || response.starts_with(&format!("HTTP/1.0 {status}")),
            "{request:?}: {response}"
        );
        assert_eq!(response.matches("HTTP/1.").count(), 1, "the connection ends: {response}");
    }
}

/// The response does not wait for the rest of the head, neither in the loop nor after the fallback.
#[test]
fn malformed_requests_are_rejected_immediately() {
    let place = Place::new();
    let gateway = place.serve(&["--header-timeout", "1h"]);
    let plain = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice"));
    let fallback = plain.replace("host: x", &format!("host: x\r\n{}", FALLBACK.trim_end()));
    for (bytes, status) in [
        (&b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03"[..], "400"),
        (b"\0", "400"),
        (b"GET\0", "400"),
        (b"GET /a\0", "400"),
        (b"GET /a HTTP/3", "400"),
        (b"PRI * HTTP/2.0", "400"),
        (b"GET /a HTTP/1.1\r\nho st", "400"),
        (b"GET /a HTTP/1.1\r\nhost: x\ry", "400"),
        (b"GET /a HTTP/1.1\r\nhost: x\n\n", "404"),
        (b"GET /a HTTP/1.1\r\nhost: x\n\r\n", "404"),
        (b"GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\n\r\n", "404"),
        (b"GET /a HTTP/1.1\n\r\n", "400"),
    ] {
        for before in ["", &*plain, &*fallback] {
            let mut stream = gateway.connect();
            if !before.is_empty() {
                assert_eq!(fetch(&mut stream, before).status, 200);
            }
            let begin = Instant::now();
            stream.write_all(bytes).unwrap();
            let mut line = [0; 12];
            stream.read_exact(&mut line).unwrap();
            let line = String::from_utf8_lossy(&line);
            assert_eq!(line, format!("HTTP/1.1 {status}"), "{:?} after {before:?}", bytes.escape_ascii());
            assert!(begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
        }
    }
}

/// Without `Connection: close` in the response, the client may send the next request.
#[test]
fn after_a_body_the_connection_stays_open_or_announces_its_end() {
    let place = Place::new();
    let content = vec![b'x'; 2 << 20];
    place.write("private/cars/7/large.bin", &content);
    let gateway = place.serve(&[]);
    let plain = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice"));
    let with = |content: &str| plain.replace("\r\n\r\n", content);
    let chunked = "\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n";
    let sized = "\r\ncontent-length: 5\r\n\r\nhello";
    let form =
        "\r\ncontent-type: application/x-www-form-urlencoded\r\ncontent-length: 12\r\n\r\nname=x&next=";
    for (request, status, body_len, stays_open) in [
        (with(chunked), 200, 13, false),
        (with(chunked).replace("GET", "HEAD"), 200, 0, false),
        (with(chunked).replace("GET", "PUT"), 405, 19, false),
        (with(chunked).replace("photo", "none"), 404, 10, false),
        (with(chunked).replace("photo.jpg", "large.bin"), 200, content.len(), false),
        (with(chunked).replace("cars/7/photo.jpg", "-/health"), 200, 3, false),
        (with(sized), 200, 13, false),
        (with(sized).replace("photo.jpg", "large.bin"), 200, content.len(), false),
        (with("\r\ncontent-length: 0\r\n\r\n"), 200, 13, true),
        // The gateway reads the form.
        (with(form).replace("GET", "POST").replace("cars/7/photo.jpg", "-/sign-out"), 303, 0, true),
        (with("\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n"), 200, 13, false),
    ] {
        for split in [false, true] {
            let mut stream = gateway.connect();
            assert_eq!(fetch(&mut stream, &plain).status, 200);
            let (head, content) = request.split_once("\r\n\r\n").unwrap();
            if split {
                stream.write_all(format!("{head}\r\n\r\n").as_bytes()).unwrap();
                std::thread::sleep(Duration::from_millis(30));
                let _ = stream.write_all(content.as_bytes());
            } else {
                stream.write_all(request.as_bytes()).unwrap();
            }
            let method = request.split(' ').next().unwrap();
            let response = read_response(&mut stream, method);
            assert_eq!((response.status, response.body.len()), (status, body_len), "{request:?}");
            assert_eq!(
                response.header("connection") != Some("close"),
                stays_open,
                "{request:?}: {}",
                response.head
            );
            if stays_open {
                assert_eq!(fetch(&mut stream, &plain).status, 200, "after {request:?}");
            } else {
                let _ = stream.write_all(plain.as_bytes());
                time_until_close(&mut stream);
            }
        }
    }
}

/// Waits until the server closes the connection, without another byte.
fn time_until_close(stream: &mut TcpStream) -> Duration {
    let begin = Instant::now();
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty(), "{}", String::from_utf8_lossy(&rest));
    begin.elapsed()
}

#[test]
fn a_head_must_arrive_within_the_header_timeout() {
    let place = Place::new();
    let gateway = place.serve(&["--header-timeout", "1s"]);
    let plain = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice"));
    for beginning in ["", "GET /private/cars/7/photo.jpg HTTP/1.1\r\nho"] {
        let mut stream = gateway.connect();
        for _ in 0..3 {
            std::thread::sleep(Duration::from_millis(700));
            assert_eq!(fetch(&mut stream, &plain).status, 200);
        }
        stream.write_all(beginning.as_bytes()).unwrap();
        let time = time_until_close(&mut stream);
        assert!((900..5000).contains(&time.as_millis()), "{beginning:?}: {time:?}");
    }
    // The timeout applies to the whole head, not to each byte.
    let mut stream = gateway.connect();
    let begin = Instant::now();
    let ended = plain.bytes().any(|byte| {
        std::thread::sleep(Duration::from_millis(100));
        stream.write_all(&[byte]).is_err()
    });
    assert!(ended && begin.elapsed() < Duration::from_secs(5), "{:?}", begin.elapsed());
}

#[test]
fn idle_connections_are_closed_at_shutdown() {
    let place = Place::new();
    let mut gateway = place.serve(&[]);
    let plain = format!("GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice"));
    let mut idle: Vec<_> = (0..3).map(|_| gateway.connect()).collect();
    for stream in idle.iter_mut().skip(1) {
        assert_eq!(fetch(stream, &plain).status, 200);
    }
    // The last connection has used the fallback.
    assert_eq!(
        fetch(&mut idle[2], &plain.replace("host: x", &format!("host: x\r\n{}", FALLBACK.trim_end()))).status,
        200
    );
    gateway.signal(rustix::process::Signal::TERM);
    let begin = Instant::now();
    for stream in &mut idle {
        time_until_close(stream);
    }
    assert_eq!(gateway.child.wait().unwrap().code(), Some(0));
    assert!(begin.elapsed() < Duration::from_secs(10), "{:?}", begin.elapsed());
}

/// Runs the example `beside`.
#[test]
fn an_application_serves_pages_next_to_the_files() {
    // target/PROFILE/deps/it-HASH
    let profile = std::env::current_exe().unwrap().parent().unwrap().parent().unwrap().to_owned();
    let program = profile.join("examples/beside");
    if !program.exists() {
        let mut build = Command::new(env!("CARGO"));
        build.args(["build", "--package", "private-media-gateway", "--example", "beside"]);
        build.args(profile.ends_with("release").then_some("--release"));
        build.arg("--target-dir").arg(profile.parent().unwrap());
        assert!(build.status().unwrap().success(), "cannot build the example `beside`");
    }
    let place = Place::new();
    let mut command = Command::new(program);
    command.arg("127.0.0.1:0").arg(place.path("private"));
    let gateway = Gateway::spawn(command, place.path("log"));
    let mut stream = gateway.connect();
    let file = "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\n";
    for (request, status, body) in [
        (format!("{file}cookie: user=7\r\n\r\n"), 200, "alice's photo"),
        (format!("{file}cookie: user=8\r\n\r\n"), 404, "not found\n"),
        ("GET / HTTP/1.1\r\nhost: x\r\n\r\n".into(), 200, "all cars\n"),
        (format!("{file}cookie: user=7\r\n\r\n"), 200, "alice's photo"),
    ] {
        let response = fetch(&mut stream, &request);
        assert_eq!((response.status, &*response.body), (status, body.as_bytes()), "{request}");
        assert_eq!(response.header("x-request-id").map(str::len), Some(16));
    }
}

/// A client that sends requests and reads no response is throttled.
#[test]
fn unread_responses_use_bounded_memory() {
    let place = Place::new();
    place.write("private/cars/7/some.bin", vec![b'x'; 10_000]);
    let gateway: Gateway = place.serve(&[]);
    let plain = format!("GET /private/cars/7/some.bin HTTP/1.1\r\nhost: x\r\n{}\r\n", auth("alice"));
    let mut stream = gateway.connect();
    stream.set_write_timeout(Some(Duration::from_millis(500))).unwrap();
    let requests = plain.repeat(1000);
    // At some point the gateway stops reading.
    assert!((0..1000).any(|_| stream.write_all(requests.as_bytes()).is_err()));
    let memory = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    let peak = memory.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    let peak: u64 = peak.trim().trim_end_matches(" kB").parse().unwrap();
    assert!(peak < 200 << 10, "{peak} KiB");
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
}
