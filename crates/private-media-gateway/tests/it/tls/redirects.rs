//! The redirect of plain HTTP to HTTPS.

use super::client::fetch;
use super::serve;
use crate::support::{Place, Response, free_address};

fn get(address: std::net::SocketAddr, target: &str, host: &str) -> Response {
    use std::io::{Read, Write};

    let mut stream = std::net::TcpStream::connect(address).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

#[test]
fn clients_of_http_are_redirected_to_the_same_url() {
    let place = Place::new();
    let http = free_address();
    let (mut gateway, pair) = serve(&place, &["--redirect-http", &http.to_string()]);
    let port = gateway.address.port();
    for (target, host, location) in [
        ("/private/cars/7/a%20b.jpg?x=1&y", "localhost", Some("/private/cars/7/a%20b.jpg?x=1&y")),
        ("/", "localhost:80", Some("/")),
        ("//evil.example/", "localhost", Some("//evil.example/")),
        ("/", "evil.example", None),
        ("/", "localhost.evil.example", None),
    ] {
        let response = get(http, target, host);
        let expected = location.map(|path| format!("https://localhost:{port}{path}"));
        assert_eq!(response.header("location"), expected.as_deref(), "{target} {host}");
        assert_eq!(response.status, if location.is_some() { 308 } else { 421 });
        assert_eq!(response.header("cache-control"), Some("no-store"));
    }
    assert_eq!(fetch(&gateway, &pair, "GET /private/-/health", &[], b"").body, b"ok\n");
    gateway.signal(rustix::process::Signal::TERM);
    assert!(gateway.exit_within(std::time::Duration::from_secs(30)).success());
}
