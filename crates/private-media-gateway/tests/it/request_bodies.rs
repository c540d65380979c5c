//! Request bodies: every route limits their size and rate, and reads none without permission.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Gateway, Place, Response, credentials, program};

/// How a client sends the body that it has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    /// The whole body, as fast as possible.
    All,
    /// Nothing.
    Nothing,
    /// One byte per second.
    Drips,
}

/// The HTTP Basic credentials of alice in the demo.
const ALICE: &str = "Basic YWxpY2U6cm9hZHN0ZXItNw==";

fn demo(place: &Place) -> Gateway {
    let mut command = program();
    std::fs::create_dir_all(place.path("tmp")).unwrap();
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", place.path("tmp"));
    Gateway::spawn(command, place.path("demo.log"))
}

/// Sends a request whose body has a length and a beginning. Returns the response and its time. The server closes the connection.
fn send(
    mut stream: TcpStream,
    head: &str,
    beginning: &[u8],
    len: usize,
    sends: Sends,
) -> (Response, Duration) {
    let begin = Instant::now();
    write!(stream, "{head}\r\n").unwrap();
    let mut sending = stream.try_clone().unwrap();
    let first = beginning.to_vec();
    // The response may arrive while the client is still sending.
    let sender = std::thread::spawn(move || match sends {
        Sends::All => {
            let rest = io::repeat(b'x').take((len - first.len()) as u64);
            drop(io::copy(&mut BufReader::with_capacity(64 << 10, first.chain(rest)), &mut sending));
        }
        Sends::Nothing => {}
        Sends::Drips => {
            let is_sent = |byte: &u8| {
                std::thread::sleep(Duration::from_secs(1));
                sending.write_all(&[*byte]).is_ok()
            };
            let _ = first.iter().chain(std::iter::repeat_n(&b'x', len)).all(is_sent);
        }
    });
    let mut response = Vec::new();
    stream.read_to_end(&mut response).unwrap_or_else(|error| panic!("{head:?} {sends:?}: {error}"));
    let time = begin.elapsed();
    sender.join().unwrap();
    (Response::parse(&response), time)
}

/// The beginning of a form with one file.
const MULTIPART: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";

#[test]
fn every_route_limits_the_size_and_rate_of_bodies() {
    let place = Place::new();
    let (demo, gateway) = (demo(&place), place.serve(&[]));
    let (form, multipart) = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b");
    let large = 80 << 20;
    let (all, nothing, drips) = (Sends::All, Sends::Nothing, Sends::Drips);
    // The times are in seconds, with a margin for a loaded machine.
    let at_once = 5;
    let of_form = 10..=20;
    let of_rate = 29..=45;
    let mut running = Vec::new();
    for (server, request, user, content_type, len, sends, status, time) in [
        // Without permission: rejected before the body arrives.
        (&demo, "POST /delete", None, form, 64 << 10, nothing, 403, 0..=at_once),
        (&demo, "POST /delete", None, form, large, all, 403, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", None, "text/plain", large, nothing, 403, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", None, "text/plain", large, all, 403, 0..=at_once),
        (&demo, "POST /upload", None, multipart, large, nothing, 403, 0..=at_once),
        (&demo, "POST /upload", None, multipart, large, all, 403, 0..=at_once),
        // Too large: rejected by the announced length, or when the limit is reached.
        (&demo, "POST /delete", Some(ALICE), form, 64 << 10, all, 413, 0..=at_once),
        (&demo, "POST /delete", Some(ALICE), form, large, all, 413, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 201 << 20, nothing, 413, 0..=at_once),
        (&demo, "POST /upload", Some(ALICE), multipart, large, all, 413, 0..=20),
        (&demo, "POST /private/-/sign-in", None, form, 64 << 10, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-in", None, form, 64 << 10, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-in", None, form, large, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-out", None, form, 64 << 10, all, 413, 0..=at_once),
        // Too slow.
        (&demo, "POST /delete", Some(ALICE), form, 100, nothing, 408, of_form.clone()),
        (&demo, "POST /delete", Some(ALICE), form, 100, drips, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-in", None, form, 100, nothing, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-in", None, form, 100, drips, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-out", None, form, 100, drips, 408, of_form.clone()),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 1000, nothing, 408, of_rate.clone()),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 1000, drips, 408, of_rate.clone()),
        (&demo, "POST /upload", Some(ALICE), multipart, 1000, nothing, 408, of_rate.clone()),
        (&demo, "POST /upload", Some(ALICE), multipart, 1000, drips, 408, of_rate.clone()),
        // Routes that take no body.
        (&gateway, "PUT /private/cars/7/photo.jpg", None, "text/plain", large, nothing, 405, 0..=at_once),
        (&gateway, "POST /private/-/health", None, form, large, all, 405, 0..=at_once),
        (&gateway, "POST /elsewhere", None, form, large, all, 404, 0..=at_once),
        (&demo, "POST /", Some(ALICE), form, large, nothing, 405, 0..=at_once),
        (&demo, "POST /elsewhere", None, form, large, all, 404, 0..=at_once),
        (&demo, "POST /-/demo.css", None, form, large, nothing, 405, 0..=at_once),
    ] {
        let user = user.map_or(String::new(), |user| format!("authorization: {user}\r\n"));
        let head = format!(
            "{request} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {len}\r\n{user}"
        );
        let beginning = if content_type == multipart { MULTIPART } else { "" };
        let stream = server.connect();
        running.push(std::thread::spawn(move || {
            let (response, took) = send(stream, &head, beginning.as_bytes(), len, sends);
            assert_eq!(response.status, status, "{head} {sends:?} after {took:?}: {}", response.head);
            assert_eq!(response.header("connection"), Some("close"), "{head} {sends:?}");
            assert!(time.contains(&took.as_secs()), "{head} {sends:?}: {took:?}");
        }));
    }
    let failed = running.into_iter().filter_map(|request| request.join().err()).count();
    assert_eq!(failed, 0, "see above");
    // No rejected upload was stored, and uploads still work.
    let stored = b"hello".to_vec();
    let response = demo.send("PUT /upload?name=b.bin", &[("authorization", ALICE)], &stored);
    assert_eq!(response.status, 201, "{}", response.head);
    let list = demo.fetch("GET /", &[("authorization", ALICE)]);
    let list = String::from_utf8(list.body).unwrap();
    assert!(list.contains("b.bin") && !list.contains("a.bin"), "{list}");
    assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &credentials("alice")).status, 200);
}

#[test]
fn bodies_within_the_limits_keep_the_connection_open() {
    let place = Place::new();
    let demo = demo(&place);
    let mut stream = demo.connect();
    let files = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"one.txt\"\r\n\r\none\r\n\
        --b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"two.txt\"\r\n\r\ntwo\r\n--b--\r\n";
    let large = "x".repeat(3 << 20);
    let large_form = format!("{MULTIPART}{large}\r\n--b--\r\n");
    for (request, content_type, content, status) in [
        ("PUT /upload?name=c.bin", "text/plain", "hello", 201),
        ("PUT /upload?name=d.bin", "text/plain", &large, 201),
        ("POST /upload", "multipart/form-data; boundary=b", &large_form, 303),
        ("POST /upload", "multipart/form-data; boundary=b", files, 303),
        ("POST /delete", "application/x-www-form-urlencoded", "path=cars%2F7%2Fone.txt", 303),
        ("POST /delete", "application/x-www-form-urlencoded", "path=cars%2F7%2Fone.txt", 404),
        ("POST /delete", "application/x-www-form-urlencoded", "path=cars%2F8%2Fhatchback.jpg", 404),
        ("POST /delete", "application/x-www-form-urlencoded", "way=x", 400),
        ("POST /delete", "text/plain", "path=cars%2F7%2Ftwo.txt", 400),
    ] {
        let len = content.len();
        write!(
            stream,
            "{request} HTTP/1.1\r\nhost: x\r\nauthorization: {ALICE}\r\ncontent-type: {content_type}\r\n\
             content-length: {len}\r\n\r\n{content}"
        )
        .unwrap();
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            stream.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let response = Response::parse(&bytes);
        assert_eq!(response.status, status, "{request} {content}");
        assert_eq!(response.header("connection"), None, "{request} {content}");
        let mut body = vec![0; response.header("content-length").unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
    }
}
