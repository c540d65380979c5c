//! Requests, the way in which they are served, and their responses.

use std::convert::Infallible;
use std::fs::File;
use std::future::{Ready, ready};
use std::io::Write;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::Extension;
use axum::routing::get;
use futures_util::stream;
use http::{Request, Response};
use private_media_listener::{Drained, Limits, PeerState, RequestBody};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::support::{FileThenBytes, start};

/// Responds to `/LEN` with that many bytes of the file, followed by `the end`.
#[derive(Clone)]
struct Files(Arc<File>);

impl Service<Request<RequestBody>> for Files {
    type Response = Response<FileThenBytes>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<RequestBody>) -> Self::Future {
        let len = request.uri().path()[1..].parse().unwrap();
        ready(Ok(Response::new(FileThenBytes::new(&self.0, 3, len, "the end"))))
    }
}

fn content(len: usize) -> Vec<u8> {
    (0..len).map(|n| b'a' + u8::try_from(n % 23).unwrap()).collect()
}

fn files(len: usize) -> Files {
    let mut file = tempfile::tempfile().unwrap();
    file.write_all(&content(len)).unwrap();
    Files(Arc::new(file))
}

/// Without the loop or sendfile(2), everything would work, only slower. So the counters are checked.
#[tokio::test]
async fn requests_are_served_by_the_loop_and_files_by_sendfile() {
    const LEN: usize = 3 << 20;
    let server = start!(files(LEN + 3), Limits::default());
    let get = |len: usize| format!("GET /{len} HTTP/1.1\r\nHost: x\r\nCookie: a=b\r\n\r\n");
    for (requests, fast, fallback, sendfile) in [
        (get(1000), 1, 0, 0),
        (get(100_000), 1, 0, 100_000),
        (get(LEN), 1, 0, LEN),
        (get(10).repeat(5) + &get(50_000), 6, 0, 50_000),
        (get(50_000).replace("GET", "HEAD"), 1, 0, 0),
        (get(50_000).replace("GET", "POST"), 0, 1, 0),
        (get(50_000).replace("HTTP/1.1", "HTTP/1.0"), 0, 1, 0),
        (get(10) + &get(10).replace("GET", "DELETE") + &get(50_000), 2, 1, 50_000),
    ] {
        let stats = &server.stats;
        let before = (stats.fast_requests(), stats.fallback_requests(), stats.sendfile_bytes());
        let received = server.send(&requests).await;
        let after = (stats.fast_requests(), stats.fallback_requests(), stats.sendfile_bytes());
        let counted = (after.0 - before.0, after.1 - before.1, after.2 - before.2);
        let sendfile = if cfg!(target_os = "linux") { sendfile as u64 } else { 0 };
        assert_eq!(counted, (fast, fallback, sendfile), "{requests}");
        assert_eq!(received.matches("200 OK\r\n").count() as u64, fast + fallback, "{requests}");
        let ends = received.matches("the end").count() as u64;
        assert_eq!(ends, if requests.starts_with("HEAD") { 0 } else { fast + fallback }, "{requests}");
    }
}

/// At the lengths at which the way of sending changes.
#[tokio::test]
async fn file_slices_of_every_length_arrive_unchanged() {
    let server = start!(files((2 << 20) + 10), Limits::default());
    let content = content((2 << 20) + 10);
    for around in [1, 16 << 10, 64 << 10, 1 << 20, 2 << 20] {
        for len in around - 1..=around + 1 {
            let request = format!("GET /{len} HTTP/1.1\r\nHost: x\r\n\r\n");
            let received = server.send(request).await;
            let (head, body) = received.split_once("\r\n\r\n").unwrap();
            assert!(head.contains(&format!("content-length: {}\r\n", len + 7)), "{head}");
            let (file, end) = body.split_at(len);
            assert!(file.as_bytes() == &content[3..3 + len] && end == "the end", "{len}");
        }
    }
}

#[tokio::test]
async fn a_file_shorter_than_its_slice_ends_the_connection_without_padding() {
    let server = start!(files(20_000), Limits::default());
    for len in [20_000, 1_000_000] {
        let request = format!("GET /{len} HTTP/1.1\r\nHost: x\r\n\r\n").repeat(2);
        let received = server.send(request).await;
        let (_, body) = received.split_once("\r\n\r\n").unwrap();
        assert!(body.as_bytes() == &content(20_000)[3..], "{len}: {} bytes", body.len());
    }
}

fn app() -> Router {
    let streamed = || async {
        let pieces = ["one, ", "", "two, ", "three"].map(Ok::<_, Infallible>);
        Body::from_stream(stream::iter(pieces))
    };
    Router::new()
        .route("/", get(|| async { "hello" }).post(|content: Bytes| async move { content }))
        .route("/stream", get(streamed))
        .route("/peer", get(|Extension(peer): Extension<PeerState>| async move { peer.addr().to_string() }))
        .route("/close", get(|| async { ([("connection", "close")], "bye") }))
        .route("/none", get(|| async { http::StatusCode::NO_CONTENT }))
        .route("/info", get(|| async { http::StatusCode::PROCESSING }))
        .route(
            "/slow",
            get(|| async {
                tokio::time::sleep(Duration::from_millis(300)).await;
                "slow"
            }),
        )
}

/// Each row is a request, and the beginning and the end of the response.
#[tokio::test]
async fn an_axum_router_is_served() {
    let server = start!(app(), Limits::default());
    let get = |path: &str| format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    for (request, begin, end) in [
        (get("/"), "200 OK", "\r\n\r\nhello"),
        (get("/").replace("GET", "HEAD"), "200 OK", "\r\n\r\n"),
        (get("/stream"), "200 OK", "\r\n\r\n5\r\none, \r\n5\r\ntwo, \r\n5\r\nthree\r\n0\r\n\r\n"),
        (get("/stream").replace("GET", "HEAD"), "200 OK", "\r\n\r\n"),
        (get("/peer"), "200 OK", ""),
        (get("/none"), "204 No Content", "\r\n\r\n"),
        (get("/info"), "500 Internal Server Error", "\r\n\r\n"),
        (get("/elsewhere"), "404 Not Found", "\r\n\r\n"),
        ("POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc".into(), "200 OK", "\r\n\r\nabc"),
        (
            "POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n".into(),
            "200 OK",
            "\r\n\r\nabc",
        ),
        ("GET / HTTP/1.1\r\n\r\n".into(), "400 Bad Request", "bad request\n"),
        ("nonsense".into(), "", ""),
        ("\0".into(), "400 Bad Request", "bad request\n"),
    ] {
        let received = server.send(&request).await;
        assert!(
            received.strip_prefix("HTTP/1.1 ").unwrap_or_default().starts_with(begin),
            "{request}: {received}"
        );
        assert!(received.ends_with(end), "{request}: {received}");
    }
    // The service can close the connection.
    let received = server.send([get("/close"), get("/")].concat()).await;
    assert!(received.ends_with("bye") && received.contains("connection: close\r\n"), "{received}");
    // A streamed response leaves it open.
    let received = server.send([get("/stream"), get("/")].concat()).await;
    assert!(received.ends_with("hello"), "{received}");
}

#[tokio::test]
async fn streamed_chunks_are_sent_immediately() {
    let (pieces_in, pieces_out) = tokio::sync::mpsc::unbounded_channel::<Result<&str, Infallible>>();
    let pieces_out = Arc::new(std::sync::Mutex::new(Some(pieces_out)));
    let body = move || {
        let pieces_out = pieces_out.lock().unwrap().take().unwrap();
        let unfolded = stream::unfold(pieces_out, |mut pieces_out| async {
            Some((pieces_out.recv().await?, pieces_out))
        });
        ready(Body::from_stream(unfolded))
    };
    let server = start!(Router::new().route("/", get(body)), Limits::default());
    let mut stream = server.connect().await;
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    let mut received = String::new();
    for piece in ["one", "two", "three"] {
        pieces_in.send(Ok(piece)).unwrap();
        while !received.ends_with(&format!("{piece}\r\n")) {
            let mut buffer = [0; 1024];
            let len = stream.read(&mut buffer).await.unwrap();
            assert!(len > 0, "{received}");
            received += std::str::from_utf8(&buffer[..len]).unwrap();
        }
    }
}

#[tokio::test]
async fn a_shutdown_waits_for_running_responses() {
    let server = start!(app(), Limits::default());
    let (mut idle, mut slow) = (server.connect().await, server.connect().await);
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    while server.stats.fast_requests() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    let drained = tokio::spawn(server.shut_down());
    let (mut received, mut nothing) = (String::new(), String::new());
    slow.read_to_string(&mut received).await.unwrap();
    idle.read_to_string(&mut nothing).await.unwrap();
    assert!(received.ends_with("slow") && received.contains("connection: close"), "{received}");
    assert_eq!((drained.await.unwrap(), &*nothing), (Drained::Completed, ""));

    let limits = Limits::default().shutdown_timeout(Duration::from_millis(20));
    let server = start!(app(), limits);
    let mut slow = server.connect().await;
    slow.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
    while server.stats.fast_requests() == 0 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    assert_eq!(server.shut_down().await, Drained::TimedOut);
}

/// Closing a listening socket resets the connections that wait in its queue.
#[tokio::test]
async fn a_shutdown_serves_the_connections_that_wait_in_the_queue() {
    let (server, prepared) = crate::support::server(Limits::default()).await;
    let mut clients = Vec::new();
    for _ in 0..20 {
        let mut client = TcpStream::connect(prepared.addr).await.unwrap();
        client.write_all(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\n").await.unwrap();
        clients.push(client);
    }
    // The shutdown is requested before the first connection is accepted.
    let drained = tokio::spawn(server.serve(app(), async {}));
    for (number, mut client) in clients.into_iter().enumerate() {
        let mut received = String::new();
        client.read_to_string(&mut received).await.unwrap();
        assert!(received.ends_with("slow"), "{number}: {received}");
    }
    assert_eq!(drained.await.unwrap(), Drained::Completed);
}
