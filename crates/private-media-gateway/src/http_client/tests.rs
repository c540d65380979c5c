//! Servers that respond well and badly.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};

use super::*;

const OPTIONS: HttpOptions = HttpOptions {
    connect_timeout: Duration::from_secs(1),
    timeout: Duration::from_secs(1),
    max_body: 1 << 20,
};

/// Reads a request; an error if the client has closed the connection.
async fn read_request(stream: &mut TcpStream) -> io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    Ok(())
}

/// What a server does with a connection.
#[derive(Debug, Clone, Copy)]
enum Act {
    /// Responds to each request with these bytes.
    Sends(&'static str),
    /// Responds to one request with these bytes and a head or body of this length, and closes the connection.
    SendsMuch(&'static str, usize),
    /// Responds with one byte each 100 ms.
    Dribbles(&'static str),
    /// Never responds.
    Waits,
    /// Responds to the first request of each connection, and resets the connection at the second.
    ServesOne(&'static str),
    /// Responds to the first request of each connection, and closes the connection some time later.
    ClosesIdle(&'static str),
    /// Resets each connection at its first request.
    Resets,
}

impl Act {
    async fn perform(self, mut stream: TcpStream) -> io::Result<()> {
        let mut requests = 0;
        while read_request(&mut stream).await.is_ok() {
            requests += 1;
            match self {
                Self::Sends(bytes) => stream.write_all(bytes.as_bytes()).await?,
                Self::SendsMuch(bytes, len) => {
                    let (before, after) = bytes.split_once("MUCH").unwrap();
                    let much = [before, &"x".repeat(len), after].concat();
                    stream.write_all(much.as_bytes()).await?;
                    return Ok(());
                }
                Self::Dribbles(bytes) => {
                    for byte in bytes.bytes() {
                        stream.write_all(&[byte]).await?;
                        tokio::time::sleep(Duration::from_millis(100)).await;
                    }
                }
                Self::Waits => std::future::pending().await,
                Self::ServesOne(bytes) if requests == 1 => stream.write_all(bytes.as_bytes()).await?,
                Self::ClosesIdle(bytes) => {
                    stream.write_all(bytes.as_bytes()).await?;
                    tokio::time::sleep(Duration::from_millis(30)).await;
                    return Ok(());
                }
                Self::ServesOne(_) | Self::Resets => return stream.set_zero_linger(),
            }
        }
        Ok(())
    }
}

/// Starts a server. Returns its address and the number of its connections.
async fn start(act: Act) -> (SocketAddr, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, connections) = (listener.local_addr().unwrap(), Arc::new(AtomicUsize::new(0)));
    let count = Arc::clone(&connections);
    tokio::spawn(async move {
        loop {
            let (stream, _) = listener.accept().await.unwrap();
            count.fetch_add(1, Ordering::SeqCst);
            tokio::spawn(act.perform(stream));
        }
    });
    (address, connections)
}

fn client() -> HttpClient {
    HttpClient::new(OPTIONS).unwrap()
}

async fn get(client: &HttpClient, url: &str) -> Result<(u16, String), String> {
    let request = Request::get(url).body(Full::default()).unwrap();
    let response = client.send(request).await.map_err(|error| error.to_string())?;
    Ok((response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap()))
}

#[tokio::test]
async fn whole_responses_are_returned_and_others_are_errors() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok";
    for (act, expected) in [
        (Act::Sends(OK), Ok((200, "ok"))),
        (Act::Sends("HTTP/1.1 204 No Content\r\n\r\n"), Ok((204, ""))),
        (Act::Sends("HTTP/1.1 302 Found\r\nLocation: /\r\nContent-Length: 0\r\n\r\n"), Ok((302, ""))),
        (Act::Sends("HTTP/1.1 401 Unauthorized\r\nContent-Length: 0\r\n\r\n"), Ok((401, ""))),
        (
            Act::Sends("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
            Ok((200, "ok")),
        ),
        (
            Act::Sends(
                "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n",
            ),
            Ok((200, "")),
        ),
        (Act::SendsMuch("HTTP/1.1 200 OK\r\n\r\nMUCH", 3), Ok((200, "xxx"))),
        (Act::SendsMuch("HTTP/1.0 200 OK\r\n\r\nMUCH", 1 << 20), Ok((200, ""))),
        (
            Act::SendsMuch("HTTP/1.1 200 OK\r\n\r\nMUCH", (1 << 20) + 1),
            Err("the body of the response exceeds 1048576 bytes"),
        ),
        (
            Act::SendsMuch("HTTP/1.1 200 OK\r\nContent-Length: 9999999\r\n\r\nMUCH", 2 << 20),
            Err("exceeds 1048576 bytes"),
        ),
        (Act::SendsMuch("HTTP/1.1 200 OK\r\nX: MUCH\r\n\r\n", 1 << 20), Err("too large")),
        (Act::SendsMuch("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nMUCH", 3), Err("")),
        (Act::Sends("nonsense\r\n\r\n"), Err("HTTP version")),
        (Act::Sends("HTTP/1.1 2000 OK\r\n\r\n"), Err("status-code")),
        (
            Act::Sends("HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nok"),
            Err("content-length"),
        ),
        (Act::Sends("HTTP/1.1 200 OK\r\nX Y: z\r\n\r\n"), Err("header")),
        (Act::Sends("HTTP/1.1 200 OK\r\nX: a\0b\r\n\r\n"), Err("header")),
        (Act::Sends("\u{16}\u{3}\u{1}"), Err("")),
        (Act::Sends("HTTP/1.1 100 Continue\r\n\r\n"), Err("no response within 1s")),
        (Act::Dribbles(OK), Err("no response within 1s")),
        (Act::Dribbles("HTTP/1.1 200 OK\r\n\r\nand so on"), Err("no response within 1s")),
        (Act::Waits, Err("no response within 1s")),
        (Act::Resets, Err("")),
    ] {
        let (address, _) = start(act).await;
        let response = get(&client(), &format!("http://{address}/")).await;
        match (&response, expected) {
            (Ok((status, body)), Ok((expected, text))) => {
                assert!(
                    *status == expected && (text.is_empty() || body == text),
                    "{act:?}: {status} {body:?}"
                );
            }
            (Err(error), Err(text)) => {
                assert!(
                    error.starts_with(&format!("http://{address}/: ")) && error.contains(text),
                    "{act:?}: {error}"
                );
            }
            _ => panic!("{act:?}: {response:?}"),
        }
    }
}

#[tokio::test]
async fn connections_are_reused() {
    let (address, connections) = start(Act::Sends("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")).await;
    let client = client();
    for _ in 0..10 {
        assert_eq!(get(&client, &format!("http://{address}/")).await.unwrap().0, 200);
        // The connection returns to the pool a moment after its response.
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(connections.load(Ordering::SeqCst), 1);
}

/// Application servers close idle connections, sometimes just as the next request is on its way.
#[tokio::test]
async fn a_connection_that_the_server_closes_fails_no_request() {
    const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n";
    for act in [Act::ServesOne(OK), Act::ClosesIdle(OK)] {
        let (address, connections) = start(act).await;
        let client = client();
        for n in 0..20 {
            let response = get(&client, &format!("http://{address}/")).await;
            assert_eq!(response, Ok((200, String::new())), "{act:?} {n}");
            tokio::time::sleep(Duration::from_millis(n % 4 * 10)).await;
        }
        assert!(connections.load(Ordering::SeqCst) > 1, "{act:?}");
    }
}

/// Bytes behind a response are not the response to the next request, which may be that of another client.
#[tokio::test]
async fn a_second_response_is_no_response_to_another_request() {
    const TWO: &str =
        "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\noneHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    const NONE: &str = "HTTP/1.1 204 No Content\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\ntwo";
    for (act, expected) in [(Act::Sends(TWO), (200, "one")), (Act::Sends(NONE), (204, ""))] {
        let (address, _) = start(act).await;
        let (client, url) = (client(), format!("http://{address}/"));
        for _ in 0..100 {
            let both = tokio::join!(get(&client, &url), get(&client, &url));
            for response in [both.0, both.1, get(&client, &url).await] {
                assert_eq!(response, Ok((expected.0, expected.1.to_owned())));
            }
        }
    }
}

#[tokio::test]
async fn servers_that_are_not_there() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = listener.local_addr().unwrap();
    drop(listener);
    for (url, text) in [
        (format!("http://{closed}/"), "cannot connect: Connection refused"),
        ("http://host.invalid/".into(), "cannot connect: "),
        // No TLS there.
        (format!("https://{}/", start(Act::Sends("nonsense")).await.0), ""),
    ] {
        let error = get(&client(), &url).await.unwrap_err();
        assert!(error.starts_with(&format!("{url}: ")) && error.contains(text), "{error}");
    }
}

#[test]
fn errors_show_no_credentials() {
    for (url, expected) in [
        ("http://127.0.0.1:9000/whoami", "http://127.0.0.1:9000/whoami"),
        ("https://user:password@example.org/x?key=secret", "https://example.org/x"),
    ] {
        assert_eq!(shown(&url.parse().unwrap()), expected);
    }
}
