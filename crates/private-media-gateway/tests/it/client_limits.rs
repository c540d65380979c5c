//! Limits of each client.

use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use rustix::net::{AddressFamily, SocketType, bind, connect, socket};

use crate::support::{Gateway, Place, Response};

/// Connects from an address of the loopback network.
fn connect_from(from: Ipv4Addr, gateway: &Gateway) -> TcpStream {
    let client = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    bind(&client, &SocketAddr::from((from, 0))).unwrap();
    connect(&client, &gateway.address).unwrap();
    let stream = TcpStream::from(client);
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    stream
}

fn get(from: Ipv4Addr, gateway: &Gateway, fields: &str) -> Response {
    let mut stream = connect_from(from, gateway);
    write!(stream, "GET /private/cars/7/photo.jpg HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n")
        .unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// Returns how many of these requests were served.
fn served(count: usize, from: Ipv4Addr, gateway: &Gateway, fields: &str) -> usize {
    (0..count).filter(|_| get(from, gateway, fields).status == 404).count()
}

#[test]
fn each_client_has_a_rate_of_requests() {
    let place = Place::new();
    let gateway = place.serve(&["--requests-per-second", "2", "--trusted-proxy", "127.0.0.9"]);
    let [one, two] = [Ipv4Addr::new(127, 0, 0, 2), Ipv4Addr::new(127, 0, 0, 3)];
    // Some tokens are added while the requests are sent.
    let count = served(40, one, &gateway, "");
    assert!((10..30).contains(&count), "{count}");
    let refused = get(one, &gateway, "");
    assert_eq!((refused.status, refused.header("retry-after")), (429, Some("1")));
    assert!(refused.header("x-request-id").is_some());
    assert_eq!(get(two, &gateway, "").status, 404, "clients are independent");
    let mut stream = connect_from(one, &gateway);
    write!(stream, "GET /private/-/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut response = String::new();
    stream.read_to_string(&mut response).unwrap();
    assert!(response.starts_with("HTTP/1.1 200 "), "health checks are not limited: {response}");
    // The clients that a proxy names have limits of their own; the proxy itself has none.
    let proxy = Ipv4Addr::new(127, 0, 0, 9);
    let named = "x-forwarded-for: 198.51.100.7\r\n";
    assert!(served(40, proxy, &gateway, named) < 40);
    assert_eq!(served(40, proxy, &gateway, ""), 40);
    assert_eq!(get(proxy, &gateway, "x-forwarded-for: 198.51.100.8\r\n").status, 404);
    assert!(gateway.access_log().iter().any(|line| line["status"] == 429), "{}", gateway.log());
    let begin = Instant::now();
    while get(one, &gateway, "").status == 429 {
        assert!(begin.elapsed() < Duration::from_secs(10), "the client is served again");
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn each_client_has_a_number_of_connections() {
    let place = Place::new();
    let gateway = place.serve(&["--connections-per-client", "3", "--trusted-proxy", "127.0.0.9"]);
    let one = Ipv4Addr::new(127, 0, 0, 2);
    let is_open = |mut stream: TcpStream| {
        write!(stream, "GET /private/-/health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut beginning = [0; 12];
        stream.read_exact(&mut beginning).unwrap();
        let text = String::from_utf8(beginning.into()).unwrap();
        assert!(["HTTP/1.1 200", "HTTP/1.1 503"].contains(&&*text), "{text}");
        (text == "HTTP/1.1 200").then_some(stream)
    };
    let open: Vec<_> = (0..3).map(|_| is_open(connect_from(one, &gateway)).expect("a connection")).collect();
    let mut refused = String::new();
    let _ = connect_from(one, &gateway).read_to_string(&mut refused);
    assert!(
        refused.starts_with("HTTP/1.1 503 ") && refused.ends_with("\r\n\r\ntoo many connections\n"),
        "{refused}"
    );
    assert!(
        is_open(connect_from(Ipv4Addr::new(127, 0, 0, 3), &gateway)).is_some(),
        "clients are independent"
    );
    let proxied: Vec<_> =
        (0..9).map(|_| is_open(connect_from(Ipv4Addr::new(127, 0, 0, 9), &gateway))).collect();
    assert!(proxied.iter().all(Option::is_some), "a proxy has the connections of many clients");
    drop(open);
    let begin = Instant::now();
    while is_open(connect_from(one, &gateway)).is_none() {
        assert!(begin.elapsed() < Duration::from_secs(10), "closed connections make room");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn limits_are_numbers() {
    let place = Place::new();
    for flag in ["--connections-per-client", "--requests-per-second"] {
        for value in ["-1", "many", "99999999999999999999", "1.5"] {
            let error = place.refusal(&["serve", &format!("{flag}={value}")]);
            assert!(error.contains(flag) && error.contains("expected a number"), "{error}");
        }
    }
}
