//! Clients that send requests in the background, and check each response.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread::JoinHandle;
use std::time::Duration;

use crate::support::credentials;

/// The address that clients connect to.
#[derive(Debug, Clone)]
pub(crate) enum Target {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// A connection of either kind.
pub(crate) trait Connection: Read + Write + Send {}

impl<T: Read + Write + Send> Connection for T {}

impl Target {
    pub(crate) fn connect(&self) -> std::io::Result<Box<dyn Connection>> {
        let timeout = Some(Duration::from_secs(60));
        Ok(match self {
            Self::Tcp(address) => {
                let stream = TcpStream::connect(address)?;
                stream.set_read_timeout(timeout)?;
                Box::new(stream)
            }
            Self::Unix(path) => {
                let stream = UnixStream::connect(path)?;
                stream.set_read_timeout(timeout)?;
                Box::new(stream)
            }
        })
    }
}

/// A request, and the response to expect.
#[derive(Debug, Clone)]
pub(crate) struct Exchange {
    pub(crate) host: &'static str,
    pub(crate) path: String,
    pub(crate) status: u16,
    pub(crate) content: Vec<u8>,
}

/// Clients that run until they are stopped.
pub(crate) struct Clients {
    stop: Arc<AtomicBool>,
    requests: Arc<AtomicUsize>,
    threads: Vec<JoinHandle<Result<(), String>>>,
}

impl Clients {
    /// Starts clients that request a file as alice, and expect this content.
    pub(crate) fn start(target: &Target, path: &str, content: &[u8]) -> Self {
        let exchange = Exchange { host: "x", path: path.into(), status: 200, content: content.into() };
        Self::start_with(target, &exchange)
    }

    /// Starts clients that send this request: half of them on connections that stay open, half of them on a new connection for each
    /// request.
    pub(crate) fn start_with(target: &Target, exchange: &Exchange) -> Self {
        Self::spawn(6, |number| {
            let (target, exchange, mut kept) = (target.clone(), exchange.clone(), None);
            move || {
                exchange.run(&target, &mut kept, number % 2 == 0)?;
                // Some are idle for a while, so that connections are closed and reloads happen between two requests.
                if number >= 4 {
                    std::thread::sleep(Duration::from_millis(7));
                }
                Ok(())
            }
        })
    }

    /// Starts this many threads, each of which calls a function again and again. The function sends one request, and checks its response.
    pub(crate) fn spawn<F>(count: usize, client: impl Fn(usize) -> F) -> Self
    where
        F: FnMut() -> Result<(), String> + Send + 'static,
    {
        let (stop, requests) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let threads = (0..count).map(|number| {
            let (stop, requests, mut request) = (Arc::clone(&stop), Arc::clone(&requests), client(number));
            std::thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    request().map_err(|error| {
                        format!(
                            "client {number}, after {} requests: {error}",
                            requests.load(Ordering::Relaxed)
                        )
                    })?;
                    requests.fetch_add(1, Ordering::Relaxed);
                }
                Ok(())
            })
        });
        Self { threads: threads.collect(), stop, requests }
    }

    /// Returns the number of complete responses so far.
    pub(crate) fn requests(&self) -> usize {
        self.requests.load(Ordering::Relaxed)
    }

    /// Waits until this many more requests were served.
    pub(crate) fn wait_for(&self, more: usize) {
        let until = self.requests() + more;
        while self.requests() < until && self.threads.iter().all(|thread| !thread.is_finished()) {
            std::thread::sleep(Duration::from_millis(2));
        }
    }

    /// Stops the clients. Panics if one of them got anything but the file.
    pub(crate) fn stop(self) -> usize {
        self.stop.store(true, Ordering::Relaxed);
        let results: Vec<_> = self.threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        let errors: Vec<_> = results.into_iter().filter_map(Result::err).collect();
        assert!(errors.is_empty(), "{errors:#?}");
        self.requests.load(Ordering::Relaxed)
    }
}

type Kept = Option<BufReader<Box<dyn Connection>>>;

impl Exchange {
    /// Sends the request, and reads its response. Every failure is an error, also one that a real client would repeat.
    fn run(&self, target: &Target, kept: &mut Kept, is_kept: bool) -> Result<(), String> {
        let mut connection = match kept.take() {
            Some(connection) => connection,
            None => BufReader::new(target.connect().map_err(|error| format!("connect: {error}"))?),
        };
        let (name, value) = credentials("alice")[0];
        let close = if is_kept { "" } else { "connection: close\r\n" };
        let Self { host, path, .. } = self;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\n{name}: {value}\r\n{close}\r\n");
        connection.get_mut().write_all(request.as_bytes()).map_err(|error| format!("write: {error}"))?;
        let (mut status, mut len, mut is_last) = (String::new(), 0, !is_kept);
        connection.read_line(&mut status).map_err(|error| format!("read the status: {error}"))?;
        if !status.starts_with(&format!("HTTP/1.1 {} ", self.status)) {
            return Err(format!("status {status:?}"));
        }
        loop {
            let mut line = String::new();
            connection.read_line(&mut line).map_err(|error| format!("read the head: {error}"))?;
            let line = line.trim_end().to_lowercase();
            match line.split_once(": ") {
                Some(("content-length", value)) => len = value.parse().map_err(|_| line.clone())?,
                Some(("connection", "close")) => is_last = true,
                Some(_) => {}
                None if line.is_empty() => break,
                None => return Err(format!("header {line:?}")),
            }
        }
        let mut body = vec![0; len];
        connection.read_exact(&mut body).map_err(|error| format!("read the content: {error}"))?;
        if body != self.content {
            return Err(format!("{len} bytes of other content"));
        }
        *kept = (!is_last).then_some(connection);
        Ok(())
    }
}
