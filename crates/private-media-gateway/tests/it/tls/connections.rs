//! Handshakes, and the end of connections.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{ClientConnection, StreamOwned};

use super::client::{Offer, config, connect, is_resumed, try_connect};
use super::serve;
use crate::support::{Place, Response, credentials, needs};

/// Each row is what the client offers, and the protocol that the server chooses; `None` is no handshake.
#[test]
fn clients_with_tls_1_2_and_1_3_choose_their_protocol() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    for (protocols, expected) in [
        (&["h2", "http/1.1"][..], Some(Some("h2"))),
        (&["http/1.1", "h2"], Some(Some("h2"))),
        (&["http/1.1"], Some(Some("http/1.1"))),
        (&["h2"], Some(Some("h2"))),
        (&[], Some(None)),
        (&["spdy/3"], None),
    ] {
        for version in [&TLS12, &TLS13] {
            // An address is no server name (RFC 6066 section 3), so the client sends none.
            for name in ["localhost", "127.0.0.1"] {
                let offer = Offer { versions: vec![version], protocols, name };
                let client = try_connect(gateway.address, &config(&[&pair], &offer), name).ok();
                let chosen = client.as_ref().map(|client| {
                    assert_eq!(client.conn.protocol_version(), Some(version.version));
                    client.conn.alpn_protocol().map(|name| std::str::from_utf8(name).unwrap())
                });
                assert_eq!(chosen, expected, "{protocols:?} {version:?} {name}");
            }
        }
    }
}

#[test]
fn older_versions_of_tls_are_refused() {
    if !needs("openssl", Command::new("openssl").arg("version").output().is_ok()) {
        return;
    }
    let place = Place::new();
    let (gateway, _) = serve(&place, &[]);
    let address = gateway.address.to_string();
    for (version, is_accepted) in [("-tls1", false), ("-tls1_1", false), ("-tls1_2", true), ("-tls1_3", true)]
    {
        let arguments = ["s_client", "-connect", &address, version, "-cipher", "DEFAULT@SECLEVEL=0"];
        let output = Command::new("openssl").args(arguments).stdin(Stdio::null()).output().unwrap();
        let text = String::from_utf8_lossy(&output.stdout);
        assert_eq!(text.contains("\nServer certificate\n"), is_accepted, "{version}: {text}");
    }
}

#[test]
fn sessions_are_resumed_by_every_worker() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &["--workers", "4"]);
    for version in [&TLS12, &TLS13] {
        let offer = Offer { versions: vec![version], ..Offer::default() };
        let config = config(&[&pair], &offer);
        let mut resumed = 0;
        for _ in 0..20 {
            let mut client = try_connect(gateway.address, &config, offer.name).unwrap();
            resumed += u32::from(is_resumed(&client));
            // In TLS 1.3, tickets follow the handshake.
            client.write_all(b"GET / HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n").unwrap();
            client.read_to_end(&mut Vec::new()).unwrap();
        }
        assert_eq!(resumed, 19, "{version:?}");
    }
}

#[test]
fn clients_without_tls_get_a_clear_response() {
    let place = Place::new();
    let (gateway, _) = serve(&place, &["--log", "debug"]);
    let response = gateway.fetch("GET /private/cars/7/photo.jpg", &[]);
    assert_eq!((response.status, &*response.body), (400, &b"this port expects https\n"[..]));
    // Anything else is closed.
    for bytes in [&b"\0\0\0\0"[..], b"SSH-2.0-x\r\n", b"\x16\x03\x01\x00\x05hello", b"\x16\x03"] {
        let mut stream = gateway.connect();
        stream.write_all(bytes).unwrap();
        stream.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        let _ = stream.read_to_end(&mut received);
        // An alert, or the response for uppercase letters.
        assert!(received.len() < 10 || received.starts_with(b"HTTP/1.1 400 "), "{received:?}");
    }
    let log = gateway.log();
    let above_debug = log.lines().filter(|line| !line.contains("\"DEBUG\"") && line.contains("TLS"));
    assert_eq!(above_debug.count(), 0, "{log}");
    assert!(log.contains("TLS handshake"), "{log}");
}

/// A client that sends nothing, half of a handshake, a handshake alone, or half of a request.
#[test]
fn slow_clients_are_disconnected() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &["--header-timeout", "500ms"]);
    let begin = Instant::now();
    for bytes in [&b""[..], b"\x16\x03\x01\x02\x00\x01"] {
        let mut stream = gateway.connect();
        stream.write_all(bytes).unwrap();
        assert_eq!(stream.read(&mut [0; 10]).unwrap_or(0), 0);
    }
    for bytes in [&b""[..], b"GET /private/cars"] {
        let mut client = connect(&gateway, &pair);
        client.write_all(bytes).unwrap();
        assert_eq!(client.read(&mut [0; 10]).unwrap(), 0, "closed, with an alert");
    }
    for begun in [&b""[..], b"PRI * HTTP/2.0\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0"] {
        let offer = Offer { protocols: &["h2"], ..Offer::default() };
        let mut client = try_connect(gateway.address, &config(&[&pair], &offer), offer.name).unwrap();
        client.write_all(begun).unwrap();
        // SETTINGS and GOAWAY of the server, and then the end.
        let _ = client.read_to_end(&mut Vec::new());
    }
    assert!(begin.elapsed() < Duration::from_secs(50), "{:?}", begin.elapsed());
}

#[test]
fn a_client_that_closes_its_sending_side_still_gets_the_response() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    let (name, value) = credentials("alice")[0];
    // With an alert, and without one.
    for has_alert in [true, false] {
        let mut client = connect(&gateway, &pair);
        write!(
            client,
            "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: localhost\r\n{name}: {value}\r\n\r\n"
        )
        .unwrap();
        if has_alert {
            client.conn.send_close_notify();
            client.flush().unwrap();
        }
        client.sock.shutdown(Shutdown::Write).unwrap();
        let mut received = Vec::new();
        client.read_to_end(&mut received).unwrap();
        let response = Response::parse(&received);
        assert_eq!((response.status, &*response.body), (200, &b"alice's photo"[..]), "{has_alert}");
    }
}

/// Requests may share a record, and may be split into records of one byte.
#[test]
fn records_do_not_matter() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    let request = "GET /private/-/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let last = "GET /private/-/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n";
    let requests = format!("{request}{request}{last}");
    for size in [1, 7, requests.len()] {
        let mut client = connect(&gateway, &pair);
        for part in requests.as_bytes().chunks(size) {
            client.write_all(part).unwrap();
            client.flush().unwrap();
        }
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert_eq!(received.matches("HTTP/1.1 200 OK\r\n").count(), 3, "{received}");
    }
}

#[test]
fn connections_with_tls_count_for_the_limit() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &["--max-connections", "4", "--workers", "1"]);
    let clients: Vec<_> = (0..4).map(|_| connect(&gateway, &pair)).collect();
    // The kernel accepts it, and the gateway does not.
    let stream = TcpStream::connect(gateway.address).unwrap();
    stream.set_read_timeout(Some(Duration::from_millis(200))).unwrap();
    let offer = Offer::default();
    let mut session =
        ClientConnection::new(config(&[&pair], &offer), offer.name.try_into().unwrap()).unwrap();
    let mut stream = stream;
    let error = session.complete_io(&mut stream).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut), "{error}");
    drop(clients);
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    session.complete_io(&mut stream).unwrap();
}

/// A client whose handshake begins shortly after the signal, or is half done then, gets its response.
#[test]
fn a_handshake_on_its_way_is_completed_before_a_shutdown() {
    let request = "GET /private/-/health HTTP/1.1\r\nhost: localhost\r\n\r\n";
    for sent_before in [0, 1, 100] {
        let place = Place::new();
        let (mut gateway, pair) = serve(&place, &["--shutdown-timeout", "20s"]);
        let mut stream = gateway.connect();
        let config = config(&[&pair], &Offer::default());
        let mut session = ClientConnection::new(config, ServerName::try_from("localhost").unwrap()).unwrap();
        let mut hello = Vec::new();
        session.write_tls(&mut hello).unwrap();
        stream.write_all(&hello[..sent_before]).unwrap();
        // The server has accepted the connection when it serves a later one.
        connect(&gateway, &pair).write_all(request.as_bytes()).unwrap();
        gateway.signal(Signal::TERM);
        std::thread::sleep(Duration::from_millis(50));
        stream.write_all(&hello[sent_before..]).unwrap();
        let mut client = StreamOwned::new(session, stream);
        client.write_all(request.as_bytes()).unwrap();
        let mut received = String::new();
        client.read_to_string(&mut received).unwrap();
        assert!(received.contains("connection: close\r\n"), "{sent_before}: {received}");
        assert!(gateway.child.wait().unwrap().success(), "{sent_before}");
    }
}
