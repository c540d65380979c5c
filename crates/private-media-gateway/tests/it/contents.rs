//! The content of requests has a largest size and a least rate, on every route, and is read for nobody who may not send it.

use std::io::{self, BufReader, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Answer, Gateway, Place, credentials, program};

/// How the client sends the content that it has announced.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Sends {
    /// All of it, as fast as it can.
    All,
    /// Nothing.
    Nothing,
    /// A byte a second.
    Drips,
}

/// Alice's password in the demo.
const ALICE: &str = "Basic YWxpY2U6cm9hZHN0ZXItNw==";

fn demo(place: &Place) -> Gateway {
    let mut command = program();
    std::fs::create_dir_all(place.path("tmp")).unwrap();
    command.args(["demo", "--listen", "127.0.0.1:0"]).env("TMPDIR", place.path("tmp"));
    Gateway::spawn(command, place.path("demo.log"))
}

/// The answer to a request with `len` bytes of content that begin with these, and when it came. The connection ends with it.
fn send(
    mut stream: TcpStream,
    head: &str,
    begin_of_content: &[u8],
    len: usize,
    sends: Sends,
) -> (Answer, Duration) {
    let begin = Instant::now();
    write!(stream, "{head}\r\n").unwrap();
    let mut sending = stream.try_clone().unwrap();
    let first = begin_of_content.to_vec();
    // A client that is refused may learn it while it still sends.
    let sender = std::thread::spawn(move || match sends {
        Sends::All => {
            let rest = io::repeat(b'x').take((len - first.len()) as u64);
            drop(io::copy(&mut BufReader::with_capacity(64 << 10, first.chain(rest)), &mut sending));
        }
        Sends::Nothing => {}
        Sends::Drips => {
            let is_taken = |byte: &u8| {
                std::thread::sleep(Duration::from_secs(1));
                sending.write_all(&[*byte]).is_ok()
            };
            let _ = first.iter().chain(std::iter::repeat_n(&b'x', len)).all(is_taken);
        }
    });
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).unwrap_or_else(|error| panic!("{head:?} {sends:?}: {error}"));
    let time = begin.elapsed();
    sender.join().unwrap();
    (Answer::parse(&answer), time)
}

/// A form of one file, up to its content.
const MULTIPART: &str = "--b\r\ncontent-disposition: form-data; name=\"file\"; filename=\"a.bin\"\r\n\r\n";

#[test]
fn every_route_has_its_limits() {
    let place = Place::new();
    let (demo, gateway) = (demo(&place), place.serve(&[]));
    let (form, multipart) = ("application/x-www-form-urlencoded", "multipart/form-data; boundary=b");
    let large = 80 << 20;
    let (all, nothing, drips) = (Sends::All, Sends::Nothing, Sends::Drips);
    // The times are in seconds: the limit, and what a loaded machine may take longer.
    let at_once = 5;
    let of_form = 10..=20;
    let of_rate = 29..=45;
    let mut running = Vec::new();
    for (server, request, user, content_type, len, sends, status, time) in [
        // Who may not delete or store is told so before any content has come.
        (&demo, "POST /delete", None, form, 64 << 10, nothing, 403, 0..=at_once),
        (&demo, "POST /delete", None, form, large, all, 403, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", None, "text/plain", large, nothing, 403, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", None, "text/plain", large, all, 403, 0..=at_once),
        (&demo, "POST /upload", None, multipart, large, nothing, 403, 0..=at_once),
        (&demo, "POST /upload", None, multipart, large, all, 403, 0..=at_once),
        // What is too large is refused when it is announced, or when so much has come.
        (&demo, "POST /delete", Some(ALICE), form, 64 << 10, all, 413, 0..=at_once),
        (&demo, "POST /delete", Some(ALICE), form, large, all, 413, 0..=at_once),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 201 << 20, nothing, 413, 0..=at_once),
        (&demo, "POST /upload", Some(ALICE), multipart, large, all, 413, 0..=20),
        (&demo, "POST /private/-/sign-in", None, form, 64 << 10, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-in", None, form, 64 << 10, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-in", None, form, large, all, 413, 0..=at_once),
        (&gateway, "POST /private/-/sign-out", None, form, 64 << 10, all, 413, 0..=at_once),
        // What does not come.
        (&demo, "POST /delete", Some(ALICE), form, 100, nothing, 408, of_form.clone()),
        (&demo, "POST /delete", Some(ALICE), form, 100, drips, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-in", None, form, 100, nothing, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-in", None, form, 100, drips, 408, of_form.clone()),
        (&gateway, "POST /private/-/sign-out", None, form, 100, drips, 408, of_form.clone()),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 1000, nothing, 408, of_rate.clone()),
        (&demo, "PUT /upload?name=a.bin", Some(ALICE), "text/plain", 1000, drips, 408, of_rate.clone()),
        (&demo, "POST /upload", Some(ALICE), multipart, 1000, nothing, 408, of_rate.clone()),
        (&demo, "POST /upload", Some(ALICE), multipart, 1000, drips, 408, of_rate.clone()),
        // Where nothing is sent to.
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
        let begin = if content_type == multipart { MULTIPART } else { "" };
        let stream = server.connect();
        running.push(std::thread::spawn(move || {
            let (answer, took) = send(stream, &head, begin.as_bytes(), len, sends);
            assert_eq!(answer.status, status, "{head} {sends:?} after {took:?}: {}", answer.head);
            assert_eq!(answer.field("connection"), Some("close"), "{head} {sends:?}");
            assert!(time.contains(&took.as_secs()), "{head} {sends:?}: {took:?}");
        }));
    }
    let failed = running.into_iter().filter_map(|request| request.join().err()).count();
    assert_eq!(failed, 0, "see above");
    // Nothing of all that was stored, and nobody is kept from storing.
    let stored = b"hello".to_vec();
    let answer = demo.send("PUT /upload?name=b.bin", &[("authorization", ALICE)], &stored);
    assert_eq!(answer.status, 201, "{}", answer.head);
    let list = demo.ask("GET /", &[("authorization", ALICE)]);
    let list = String::from_utf8(list.body).unwrap();
    assert!(list.contains("b.bin") && !list.contains("a.bin"), "{list}");
    assert_eq!(gateway.ask("GET /private/cars/7/photo.jpg", &credentials("alice")).status, 200);
}

/// What is deleted by a form of the right size, and uploads that are fast enough.
#[test]
fn within_the_limits_all_goes_on_one_connection() {
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
        let answer = Answer::parse(&bytes);
        assert_eq!(answer.status, status, "{request} {content}");
        assert_eq!(answer.field("connection"), None, "{request} {content}");
        let mut body = vec![0; answer.field("content-length").unwrap().parse().unwrap()];
        stream.read_exact(&mut body).unwrap();
    }
}
