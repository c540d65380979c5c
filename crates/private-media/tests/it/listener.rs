//! Media and an application on one address, by the listener.

use std::net::{IpAddr, SocketAddr};

use axum::Router;
use axum::routing::get;
use http::request::Parts;
use private_media::storage::{SaveOptions, Storage, content};
use private_media::{Grants, Identity, LocalStorage, MediaOr, Permit, PrivateMedia, User};
use private_media_listener::{Limits, PeerState, serve, serve_handler};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use crate::support::path;

/// The client is user 7 if the service knows its connection.
fn user(head: &Parts) -> Identity {
    let peer = head.extensions.get::<PeerState>().and_then(|peer| peer.addr().ip());
    peer.filter(IpAddr::is_loopback).map_or(Identity::Anonymous, |_| User::new("7").into())
}

async fn site(root: &tempfile::TempDir) -> MediaOr<Router> {
    let storage = LocalStorage::open_root(root.path()).unwrap();
    for (name, len) in [("cars/7/small.txt", 100), ("cars/7/large.jpg", 100_000), ("cars/8/photo.jpg", 10)] {
        let bytes: Vec<u8> = (0..len).map(|n| u8::try_from(n % 251).unwrap()).collect();
        storage.save(&Permit::trusted(path(name)), content(bytes), &SaveOptions::new()).await.unwrap();
    }
    let media = PrivateMedia::builder(storage)
        .identify(user)
        .permissions("cars/{owner}/{*file}=owner".parse::<Grants>().unwrap())
        .build();
    let pages = Router::new().route("/", get(|| async { "all cars" }).post(|text: String| async { text }));
    media.service().at("/private/").or(pages)
}

/// Sends a request, and returns the response with its header in alphabetical order and without its date.
async fn send(address: SocketAddr, request: &str) -> (Vec<String>, Vec<u8>) {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut received = Vec::new();
    stream.read_to_end(&mut received).await.unwrap();
    let end = received.windows(4).position(|bytes| bytes == b"\r\n\r\n").unwrap();
    let content = received.split_off(end + 4);
    let head = String::from_utf8(received).unwrap();
    let mut lines: Vec<_> = head.trim_end().lines().map(str::to_owned).collect();
    lines.retain(|line| !line.starts_with("date: "));
    // The status line stays the first: the names of fields are in lower case.
    lines.sort();
    (lines, content)
}

/// Each row is a request without its last fields, the status, and the length of the content.
#[tokio::test]
async fn a_handler_responds_like_the_service() {
    let root = tempfile::tempdir().unwrap();
    let site = site(&root).await;
    let listen = || TcpListener::bind("127.0.0.1:0");
    let (first, second) = (listen().await.unwrap(), listen().await.unwrap());
    let (handler, service) = (first.local_addr().unwrap(), second.local_addr().unwrap());
    tokio::spawn(serve_handler(first, site.clone(), Limits::default()));
    tokio::spawn(serve(second, site, Limits::default()));
    let (whole, _) =
        send(handler, "GET /private/cars/7/small.txt HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await;
    let etag = whole.iter().find_map(|line| line.strip_prefix("etag: ")).unwrap();
    let if_none_match = format!("GET /private/cars/7/small.txt HTTP/1.1\r\nIf-None-Match: {etag}\r\n");
    for (request, status, len) in [
        ("GET /private/cars/7/small.txt HTTP/1.1\r\n", "200 OK", 100),
        ("HEAD /private/cars/7/small.txt HTTP/1.1\r\n", "200 OK", 0),
        ("GET /private/cars/7/large.jpg HTTP/1.1\r\n", "200 OK", 100_000),
        ("HEAD /private/cars/7/large.jpg HTTP/1.1\r\n", "200 OK", 0),
        ("GET /private/cars/7/large.jpg?download HTTP/1.1\r\n", "200 OK", 100_000),
        ("GET /private/cars/7/large.jpg HTTP/1.1\r\nRange: bytes=1-50000\r\n", "206 Partial Content", 50_000),
        ("GET /private/cars/7/small.txt HTTP/1.1\r\nRange: bytes=200-\r\n", "416 Range Not Satisfiable", 22),
        (&if_none_match, "304 Not Modified", 0),
        ("GET /private/cars/8/photo.jpg HTTP/1.1\r\n", "404 Not Found", 10),
        ("GET /private/cars/7/none.jpg HTTP/1.1\r\n", "404 Not Found", 10),
        ("GET /private/ HTTP/1.1\r\n", "404 Not Found", 10),
        ("POST /private/cars/7/small.txt HTTP/1.1\r\nContent-Length: 0\r\n", "405 Method Not Allowed", 19),
        ("GET /private/cars/7/small.txt HTTP/1.0\r\n", "200 OK", 100),
        ("GET /private HTTP/1.1\r\n", "404 Not Found", 0),
        ("GET / HTTP/1.1\r\n", "200 OK", 8),
        ("HEAD / HTTP/1.1\r\n", "200 OK", 0),
        ("PUT / HTTP/1.1\r\n", "405 Method Not Allowed", 0),
    ] {
        let request = format!("{request}Host: x\r\nConnection: close\r\n\r\n");
        let response = send(handler, &request).await;
        assert_eq!(response, send(service, &request).await, "{request}");
        assert!(response.0[0].ends_with(status), "{request}{response:?}");
        assert_eq!(response.1.len(), len, "{request}");
    }
    let posted = "POST / HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 2\r\n\r\nhi";
    assert_eq!(send(handler, posted).await.1, b"hi");
}
