//! A proxy that makes the faults of networks and servers. The tests of several crates include this file.
#![allow(dead_code, reason = "not every crate needs all")]

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// What happens to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// It is forwarded.
    None,
    /// The response is 503.
    Unavailable,
    /// There is no response.
    Hang,
    /// The connection is reset without a response, after the server has processed the request.
    LoseResponse,
    /// The connection is reset after this many bytes of content.
    ResetAfter(usize),
    /// The connection is closed after this many bytes of content.
    CloseAfter(usize),
    /// Nothing follows after this many bytes of content.
    HangAfter(usize),
    /// The content takes this long.
    Slow(Duration),
    /// The server does not see the header `If-None-Match`.
    Unconditional,
    /// The server gets another last byte of content.
    CorruptUpload,
    /// The server gets all content but its last byte.
    TruncateUpload,
}

/// A request, as the rules see it.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) method: String,
    /// The path with its query.
    pub(crate) target: String,
    pub(crate) range: Option<String>,
}

type Rule = dyn Fn(&Seen, usize) -> Fault + Send + Sync;

/// A running proxy. It ends with the runtime.
pub(crate) struct Proxy {
    pub(crate) port: u16,
    seen: Arc<Mutex<Vec<Seen>>>,
    sent: Arc<AtomicU64>,
}

impl Proxy {
    /// Starts a proxy. The rule gets each request, with the number of those before it.
    pub(crate) async fn start(
        server: u16,
        rule: impl Fn(&Seen, usize) -> Fault + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let proxy =
            Self { port: listener.local_addr().unwrap().port(), seen: Arc::default(), sent: Arc::default() };
        let (seen, sent, rule): (_, _, Arc<Rule>) =
            (Arc::clone(&proxy.seen), Arc::clone(&proxy.sent), Arc::new(rule));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let (seen, sent, rule) = (Arc::clone(&seen), Arc::clone(&sent), Arc::clone(&rule));
                // Clients that disconnect are errors of the connection.
                tokio::spawn(async move { drop(serve(client, server, &seen, &sent, &*rule).await) });
            }
        });
        proxy
    }

    /// Returns the requests so far, as method, range and the rest of the target after the bucket.
    pub(crate) fn requests(&self) -> Vec<String> {
        let seen = self.seen.lock().unwrap();
        seen.iter()
            .map(|seen| match &seen.range {
                Some(range) => format!("{} {} {range}", seen.method, seen.target),
                None => format!("{} {}", seen.method, seen.target),
            })
            .collect()
    }

    pub(crate) fn clear(&self) {
        self.seen.lock().unwrap().clear();
    }

    /// Returns how many bytes of content clients have received.
    pub(crate) fn sent(&self) -> u64 {
        self.sent.load(Ordering::Relaxed)
    }
}

async fn serve(
    mut client: TcpStream,
    server: u16,
    all: &Mutex<Vec<Seen>>,
    sent: &AtomicU64,
    rule: &Rule,
) -> io::Result<()> {
    let (head, mut body) = read_request(&mut client).await?;
    let mut words = head.lines().next().unwrap_or_default().split(' ');
    let (method, target) =
        (words.next().unwrap_or_default().to_owned(), words.next().unwrap_or_default().to_owned());
    let range = header(&head, "range").map(|range| range.trim_start_matches("bytes=").to_owned());
    let seen = Seen { method, target, range };
    let count = {
        let mut all = all.lock().unwrap();
        all.push(seen.clone());
        all.len() - 1
    };
    let fault = rule(&seen, count);
    match fault {
        Fault::Unavailable => {
            let body = "<Error><Code>SlowDown</Code></Error>";
            let response = format!(
                "HTTP/1.1 503 Slow Down\r\ncontent-length: {}\r\nretry-after: 1\r\nconnection: close\r\n\r\n{body}",
                body.len()
            );
            return client.write_all(response.as_bytes()).await;
        }
        Fault::Hang => std::future::pending().await,
        _ => {}
    }
    let mut upstream = TcpStream::connect(("127.0.0.1", server)).await?;
    let without = |name: &'static str| {
        move |line: &&str| !line.split(':').next().is_some_and(|own| own.eq_ignore_ascii_case(name))
    };
    // The server closes each connection after its response.
    let lines = head.lines().filter(without("connection"));
    let mut lines: Vec<String> = match fault {
        Fault::Unconditional => lines.filter(without("if-none-match")).map(String::from).collect(),
        Fault::TruncateUpload => lines.filter(without("content-length")).map(String::from).collect(),
        _ => lines.map(String::from).collect(),
    };
    lines.push("connection: close".into());
    match (fault, body.last_mut()) {
        (Fault::CorruptUpload, Some(last)) => *last ^= 1,
        (Fault::TruncateUpload, _) => {
            body.pop();
            lines.push(format!("content-length: {}", body.len()));
        }
        _ => {}
    }
    upstream.write_all(lines.join("\r\n").as_bytes()).await?;
    upstream.write_all(b"\r\n\r\n").await?;
    upstream.write_all(&body).await?;
    let mut response = Vec::new();
    upstream.read_to_end(&mut response).await?;
    if fault == Fault::LoseResponse {
        return client.set_zero_linger();
    }
    let content = response.windows(4).position(|end| end == b"\r\n\r\n").map_or(response.len(), |at| at + 4);
    client.write_all(&response[..content]).await?;
    let content = &response[content..];
    match fault {
        Fault::ResetAfter(len) | Fault::CloseAfter(len) | Fault::HangAfter(len) if len < content.len() => {
            client.write_all(&content[..len]).await?;
            sent.fetch_add(len as u64, Ordering::Relaxed);
            client.flush().await?;
            // The client receives these bytes before the connection breaks.
            tokio::time::sleep(Duration::from_millis(50)).await;
            match fault {
                Fault::ResetAfter(_) => client.set_zero_linger(),
                Fault::HangAfter(_) => std::future::pending().await,
                _ => Ok(()),
            }
        }
        Fault::Slow(time) => {
            // No pause is longer than a second, if the content is long enough.
            let pieces = u32::try_from(time.as_secs()).unwrap().max(20);
            for piece in content.chunks(content.len().div_ceil(pieces as usize).max(1)) {
                client.write_all(piece).await?;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
                tokio::time::sleep(time / pieces).await;
            }
            Ok(())
        }
        _ => {
            for piece in content.chunks(64 << 10) {
                client.write_all(piece).await?;
                sent.fetch_add(piece.len() as u64, Ordering::Relaxed);
            }
            client.shutdown().await
        }
    }
}

/// Returns the head of a request without its empty line, and its content.
async fn read_request(client: &mut TcpStream) -> io::Result<(String, Vec<u8>)> {
    let mut received = Vec::new();
    let end = loop {
        if let Some(end) = received.windows(4).position(|end| end == b"\r\n\r\n") {
            break end;
        }
        if client.read_buf(&mut received).await? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
    };
    let head = String::from_utf8_lossy(&received[..end]).into_owned();
    let mut body = received.split_off(end + 4);
    let len: usize = header(&head, "content-length").and_then(|len| len.parse().ok()).unwrap_or(0);
    let missing = len.saturating_sub(body.len()) as u64;
    client.take(missing).read_to_end(&mut body).await?;
    Ok((head, body))
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines().skip(1).find_map(|line| {
        let (own, value) = line.split_once(':')?;
        own.eq_ignore_ascii_case(name).then_some(value.trim())
    })
}
