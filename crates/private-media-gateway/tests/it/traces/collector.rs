//! A collector: an HTTP server that receives spans.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::protobuf::{self, Span};

/// A running collector. Its threads end with the test.
#[derive(Clone)]
pub(super) struct Collector {
    pub(super) address: SocketAddr,
    state: Arc<Mutex<State>>,
}

#[derive(Default)]
struct State {
    heads: Vec<String>,
    spans: Vec<Span>,
    status: u16,
    pause: Duration,
}

impl Collector {
    pub(super) fn start() -> Self {
        Self::start_at("127.0.0.1:0".parse().unwrap())
    }

    pub(super) fn start_at(address: SocketAddr) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let state = Arc::new(Mutex::new(State { status: 200, ..State::default() }));
        let collector = Self { address: listener.local_addr().unwrap(), state };
        let serving = collector.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let collector = serving.clone();
                std::thread::spawn(move || collector.serve(stream));
            }
        });
        collector
    }

    pub(super) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Sets the status of responses, and how long each takes.
    pub(super) fn respond(&self, status: u16, pause: Duration) {
        let mut state = self.state.lock().unwrap();
        (state.status, state.pause) = (status, pause);
    }

    pub(super) fn heads(&self) -> Vec<String> {
        self.state.lock().unwrap().heads.clone()
    }

    pub(super) fn spans(&self) -> Vec<Span> {
        self.state.lock().unwrap().spans.clone()
    }

    /// Waits for spans of servers, and returns all spans.
    pub(super) fn wait_for(&self, servers: usize) -> Vec<Span> {
        let begin = Instant::now();
        loop {
            let spans = self.spans();
            let count = spans.iter().filter(|span| span.kind == 2).count();
            if count >= servers {
                assert_eq!(count, servers, "{spans:#?}");
                return spans;
            }
            assert!(begin.elapsed() < Duration::from_secs(20), "{count} of {servers} requests: {spans:#?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    fn serve(&self, mut stream: TcpStream) {
        let mut reader = BufReader::new(stream.try_clone().unwrap());
        loop {
            let mut head = String::new();
            while !head.ends_with("\r\n\r\n") {
                if reader.read_line(&mut head).unwrap_or(0) == 0 {
                    return;
                }
            }
            let len = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            let mut body = vec![0; len.unwrap().parse().unwrap()];
            if reader.read_exact(&mut body).is_err() {
                return;
            }
            let (status, pause) = {
                let mut state = self.state.lock().unwrap();
                state.heads.push(head);
                (state.status, state.pause)
            };
            std::thread::sleep(pause);
            if status == 200 {
                self.state.lock().unwrap().spans.extend(protobuf::spans(&body));
            }
            // An empty message: all spans were accepted.
            if write!(stream, "HTTP/1.1 {status} Status\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}
