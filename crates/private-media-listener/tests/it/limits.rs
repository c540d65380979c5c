//! The limits of a server.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use private_media_listener::{ConnectionLimit, Limits};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::support::{server, start};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";
/// Long enough for a response on a busy machine.
const LONG: Duration = Duration::from_secs(30);
/// Long enough to see that no response comes, if the test is repeated.
const SHORT: Duration = Duration::from_millis(100);

fn app() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// Sends a request and waits for its response, at most this long.
async fn responds(stream: &mut TcpStream, within: Duration) -> bool {
    stream.write_all(REQUEST).await.unwrap();
    read_response(stream, within).await
}

async fn read_response(stream: &mut TcpStream, within: Duration) -> bool {
    let mut received = Vec::new();
    while !received.ends_with(b"hello") {
        let mut buffer = [0; 1024];
        let Ok(len) = timeout(within, stream.read(&mut buffer)).await else { return false };
        let len = len.unwrap();
        assert!(len > 0, "the connection was closed");
        received.extend(buffer.iter().take(len));
    }
    true
}

#[tokio::test]
async fn connections_over_the_limit_wait() {
    let server = start!(app(), Limits::default().max_connections(1));
    let (mut first, mut second) = (server.connect().await, server.connect().await);
    assert!(responds(&mut first, LONG).await);
    assert!(!responds(&mut second, SHORT).await);
    assert!(responds(&mut first, LONG).await, "the first connection is still served");
    drop(first);
    assert!(read_response(&mut second, LONG).await, "the second one is served after the first has closed");
}

#[tokio::test]
async fn servers_share_a_connection_limit() {
    let limit = ConnectionLimit::new(1);
    let mut streams = Vec::new();
    for _ in 0..2 {
        let (server, prepared) = server(Limits::default()).await;
        let requested = prepared.requested;
        let server = server.connection_limit(limit.clone());
        tokio::spawn(server.serve(app(), async { drop(requested.await) }));
        streams.push((TcpStream::connect(prepared.addr).await.unwrap(), prepared.shutdown));
    }
    let [(mut first, _first_shutdown), (mut second, _second_shutdown)] = streams.try_into().unwrap();
    assert!(responds(&mut first, LONG).await);
    assert!(!responds(&mut second, SHORT).await);
    drop(first);
    assert!(read_response(&mut second, LONG).await);
}

/// Also for the head of a later request, and without any byte.
#[tokio::test]
async fn a_connection_without_a_complete_head_times_out() {
    let server = start!(app(), Limits::default().header_timeout(Duration::from_millis(200)));
    for begin in [&b""[..], b"GET / HTTP/1.1\r\nHost", &[REQUEST, b"GET /"].concat()] {
        let mut stream = server.connect().await;
        stream.write_all(begin).await.unwrap();
        let mut received = String::new();
        timeout(LONG, stream.read_to_string(&mut received)).await.unwrap().unwrap();
        assert_eq!(received.ends_with("hello"), begin.starts_with(REQUEST), "{received}");
    }
}
