//! Requests over HTTP/2: their responses are those over HTTP/1.1.

use std::time::{Duration, Instant};

use super::frames::{
    DATA, END_STREAM, GOAWAY, HEADERS, PREFACE, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, frame, get, post,
    request, settings,
};
use super::{Client, start};
use crate::support::{PASSWORD, Place, base64};

/// The response on a stream, without its head.
struct Received {
    content: Vec<u8>,
    is_reset: bool,
}

/// Receives a stream up to its end. With `opens_windows`, the client opens its windows again for what it has received.
fn receive(client: &mut Client, stream: u32, opens_windows: bool) -> Received {
    let mut received = Received { content: Vec::new(), is_reset: false };
    loop {
        let next = client.receive().unwrap();
        if next.stream != stream {
            continue;
        }
        if next.kind == DATA {
            received.content.extend_from_slice(&next.payload);
            if opens_windows && !next.payload.is_empty() {
                let increment = u32::try_from(next.payload.len()).unwrap().to_be_bytes();
                client.send(
                    &[frame(WINDOW_UPDATE, 0, 0, &increment), frame(WINDOW_UPDATE, 0, stream, &increment)]
                        .concat(),
                );
            }
        }
        received.is_reset = next.kind == RST_STREAM;
        if next.ends_stream() || received.is_reset {
            return received;
        }
    }
}

fn of_alice(path: &str, more: &[(&str, &str)]) -> Vec<u8> {
    let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
    request("GET", path, &[&[("authorization", &*basic)][..], more].concat())
}

#[test]
fn files_and_ranges_arrive_unchanged() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &[]);
    let mut client = Client::connect(&gateway, &pair);
    let mut stream = 1;
    for len in [0, 1, 16_384, 16_385, 65_536, 1_000_000, 3 << 20] {
        let expected = crate::tls::content(len);
        place.write(&format!("private/cars/7/{len}.bin"), &expected);
        let path = format!("/private/cars/7/{len}.bin");
        client.send(&frame(HEADERS, WHOLE, stream, &of_alice(&path, &[])));
        let received = receive(&mut client, stream, true);
        assert!(received.content == expected && !received.is_reset, "{len}: {}", received.content.len());
        if len > 70_000 {
            stream += 2;
            client.send(&frame(HEADERS, WHOLE, stream, &of_alice(&path, &[("range", "bytes=1-70000")])));
            assert!(receive(&mut client, stream, true).content == expected[1..=70_000]);
        }
        stream += 2;
        // A response to HEAD has no content.
        let head = request("HEAD", &path, &[]);
        client.send(&frame(HEADERS, WHOLE, stream, &head));
        assert_eq!(receive(&mut client, stream, true).content.len(), 0);
        stream += 2;
    }
}

#[test]
fn many_streams_are_served_at_once() {
    let place = Place::new();
    let expected = crate::tls::content(200_000);
    place.write("private/cars/7/a.bin", &expected);
    let (gateway, pair) = start(&place, &[]);
    let mut client = Client::connect(&gateway, &pair);
    // Large windows, so that no stream waits.
    client.send(&frame(SETTINGS, 0, 0, &settings(&[(4, (1 << 31) - 1)])));
    client.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    let streams: Vec<u32> = (0..50).map(|n| 2 * n + 1).collect();
    let block = of_alice("/private/cars/7/a.bin", &[]);
    client
        .send(&streams.iter().flat_map(|stream| frame(HEADERS, WHOLE, *stream, &block)).collect::<Vec<_>>());
    let mut contents = vec![Vec::new(); streams.len()];
    let mut open = streams.len();
    while open > 0 {
        let next = client.receive().unwrap();
        assert!(!matches!(next.kind, GOAWAY | RST_STREAM), "{next:?}");
        if next.kind == DATA {
            contents[next.stream as usize / 2].extend_from_slice(&next.payload);
        }
        open -= usize::from(next.ends_stream());
    }
    assert!(contents.iter().all(|content| *content == expected));
}

/// A stalled stream delays no other, and a reset one costs nothing more.
#[test]
fn streams_are_independent() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 4 << 20]);
    let (gateway, pair) = start(&place, &[]);
    let mut client = Client::connect(&gateway, &pair);
    client.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    for stream in [1, 3] {
        client.send(&frame(HEADERS, WHOLE, stream, &of_alice("/private/cars/7/big.bin", &[])));
    }
    // Both wait for their windows.
    client.send(&get(5));
    assert_eq!(receive(&mut client, 5, false).content, b"ok\n");
    client.send(&frame(RST_STREAM, 0, 1, &8_u32.to_be_bytes()));
    client.send(&frame(WINDOW_UPDATE, 0, 3, &(1_u32 << 30).to_be_bytes()));
    let received = receive(&mut client, 3, false);
    // A part was received while the client waited for stream 5.
    assert!(!received.is_reset && received.content.len() >= (4 << 20) - 65_535);
    // The log has both.
    assert!(gateway.logs("\"bytes\":4194304"), "{}", gateway.log());
}

/// Clients split `Cookie` (RFC 9113 section 8.2.3).
#[test]
fn split_cookies_are_one() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &[]);
    let form = format!("name=alice&password={}&next=/", PASSWORD.replace(' ', "+"));
    let response = crate::tls::fetch(&gateway, &pair, "POST /private/-/sign-in", &[], form.as_bytes());
    let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let mut client = Client::connect(&gateway, &pair);
    for (stream, cookies, is_alice) in [
        (1, vec![("cookie", &*cookie)], true),
        (3, vec![("cookie", "a=b"), ("cookie", &*cookie), ("cookie", "c=d")], true),
        (5, vec![("cookie", "a=b")], false),
    ] {
        client.send(&frame(HEADERS, WHOLE, stream, &request("GET", "/private/cars/7/photo.jpg", &cookies)));
        let received = receive(&mut client, stream, true);
        assert_eq!(received.content == b"alice's photo", is_alice, "{stream}");
    }
}

#[test]
fn forms_are_read_and_limited() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &[]);
    let mut client = Client::connect(&gateway, &pair);
    client.send(&post(1, &[]));
    client.send(&frame(DATA, 0, 1, b"name=alice&password="));
    client.send(&frame(DATA, END_STREAM, 1, b"wrong&next=/"));
    let page = receive(&mut client, 1, true);
    assert!(String::from_utf8(page.content).unwrap().contains("value=\"alice\""));
    // More than the form may have: the response comes before the client has sent everything.
    client.send(&post(3, &[]));
    client.send(&frame(DATA, 0, 3, &[b'x'; 16_000]));
    assert!(!receive(&mut client, 3, true).content.is_empty());
    client.send(&get(5));
    assert_eq!(receive(&mut client, 5, false).content, b"ok\n");
}

#[test]
fn a_shutdown_finishes_streams_and_says_goodbye() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 2 << 20]);
    let (mut gateway, pair) = start(&place, &[]);
    let mut client = Client::connect(&gateway, &pair);
    let mut idle = Client::connect(&gateway, &pair);
    client.send(&frame(HEADERS, WHOLE, 1, &of_alice("/private/cars/7/big.bin", &[])));
    while client.receive().unwrap().kind != HEADERS {}
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.logs("stopping"), "{}", gateway.log());
    let received = receive(&mut client, 1, true);
    assert_eq!((received.content.len(), received.is_reset), (2 << 20, false));
    let begin = Instant::now();
    let mut goodbye = false;
    while let Ok(frame) = idle.receive() {
        goodbye |= frame.kind == GOAWAY && frame.error() == Some(0);
    }
    assert!(goodbye && begin.elapsed() < Duration::from_secs(20));
    drop(client);
    assert!(gateway.exit_within(Duration::from_secs(40)).success());
}

#[test]
fn an_idle_connection_ends() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &["--header-timeout", "500ms"]);
    let mut client = Client::connect(&gateway, &pair);
    client.send(&get(1));
    receive(&mut client, 1, false);
    let begin = Instant::now();
    let mut goodbye = false;
    while let Ok(frame) = client.receive() {
        goodbye |= frame.kind == GOAWAY && frame.error() == Some(0);
    }
    assert!(goodbye && begin.elapsed() < Duration::from_secs(30), "{:?}", begin.elapsed());
}

/// HTTP/2 without TLS is off: the preface is no request of HTTP/1.1.
#[test]
fn http_2_needs_tls() {
    use std::io::{Read, Write};

    let place = Place::new();
    let gateway = place.serve(&[]);
    let mut stream = gateway.connect();
    stream.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b"")].concat()).unwrap();
    let mut received = Vec::new();
    let _ = stream.read_to_end(&mut received);
    assert!(received.starts_with(b"HTTP/1.1 400 "), "{}", String::from_utf8_lossy(&received));
    let upgrade = [("connection", "Upgrade, HTTP2-Settings"), ("upgrade", "h2c"), ("http2-settings", "")];
    assert_eq!(gateway.fetch("GET /private/-/health", &upgrade).status, 200);
}
