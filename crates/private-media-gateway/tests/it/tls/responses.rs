//! Responses over TLS are those over plain HTTP, byte for byte.

use std::io::{Read, Write};

use super::client::{connect, fetch};
use super::serve;
use crate::support::{PASSWORD, Place, Response, credentials};

/// Returns content in which no part equals another.
pub(crate) fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| u8::try_from((n ^ (n >> 8) ^ (n >> 16).wrapping_mul(31)) & 0xff).unwrap()).collect()
}

#[test]
fn files_and_ranges_of_every_length_arrive_unchanged() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    let alice = credentials("alice")[0];
    for len in [0, 1, 1000, 16_383, 16_384, 16_385, 65_535, 65_536, 65_537, 200_000, 3 << 20] {
        let expected = content(len);
        place.write(&format!("private/cars/7/{len}.bin"), &expected);
        let line = format!("GET /private/cars/7/{len}.bin");
        let response = fetch(&gateway, &pair, &line, &[alice], b"");
        assert_eq!(response.status, 200);
        assert!(response.body == expected, "{len}: {} bytes", response.body.len());
        let head = fetch(&gateway, &pair, &format!("HEAD /private/cars/7/{len}.bin"), &[alice], b"");
        assert_eq!((head.header("content-length"), head.body.len()), (Some(&*len.to_string()), 0));
        for (first, last) in [(0, 0), (1, 16_384), (65_535, 65_537), (100, 2_000_000)] {
            if last >= len {
                continue;
            }
            let range = format!("bytes={first}-{last}");
            let response = fetch(&gateway, &pair, &line, &[alice, ("range", &range)], b"");
            assert_eq!(response.status, 206);
            assert!(response.body == expected[first..=last], "{len} {range}");
        }
    }
}

#[test]
fn a_connection_serves_many_requests_and_uploads() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    let expected = content(100_000);
    place.write("private/cars/7/a.bin", &expected);
    let (name, value) = credentials("alice")[0];
    let mut client = connect(&gateway, &pair);
    for _ in 0..20 {
        // hyper serves the POST.
        let form = "name=&password=&next=/";
        write!(
            client,
            "POST /private/-/sign-in HTTP/1.1\r\nhost: localhost\r\ncontent-length: {}\r\n\r\n{form}\
             GET /private/cars/7/a.bin HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\n\r\n",
            form.len()
        )
        .unwrap();
        let first = read_response(&mut client);
        assert!(matches!(first.status, 403 | 429), "{}", first.head);
        let second = read_response(&mut client);
        assert!(second.status == 200 && second.body == expected, "{}", second.head);
    }
}

/// Reads one response with a length.
fn read_response(stream: &mut impl Read) -> Response {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.extend(byte);
    }
    let mut response = Response::parse(&bytes);
    let len = response.header("content-length").unwrap().parse().unwrap();
    response.body.resize(len, 0);
    stream.read_exact(&mut response.body).unwrap();
    response
}

#[test]
fn cookies_are_secure_and_hsts_is_in_every_response() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &["--hsts", "365d"]);
    let form = format!("name=alice&password={}&next=/", PASSWORD.replace(' ', "+"));
    let alice = credentials("alice")[0];
    for (line, headers, body, status) in [
        // Without `Origin`, which tells the scheme elsewhere.
        ("POST /private/-/sign-in", &[][..], &*form, 303),
        ("GET /private/-/sign-in", &[], "", 200),
        ("GET /private/cars/7/photo.jpg", &[alice], "", 200),
        ("GET /private/cars/7/photo.jpg", &[], "", 404),
        ("GET /", &[], "", 303),
    ] {
        let response = fetch(&gateway, &pair, line, headers, body.as_bytes());
        assert_eq!(response.header("strict-transport-security"), Some("max-age=31536000"), "{line}");
        assert_eq!(response.status, status, "{line}");
        if let Some(cookie) = response.header("set-cookie") {
            assert!(cookie.contains("; Secure"), "{cookie}");
        }
        assert_eq!(line.starts_with("POST"), response.header("set-cookie").is_some());
    }
    // Not over plain HTTP (RFC 6797 section 7.2), and not unless it is set.
    let (gateway, pair) = serve(&Place::new(), &[]);
    let response = fetch(&gateway, &pair, "GET /private/-/sign-in", &[], b"");
    assert_eq!(response.header("strict-transport-security"), None);
}
