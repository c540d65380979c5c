//! Clients that request files and do not open their windows. Each stream is reset, and holds little memory until then.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use super::floods::memory;
use super::frames::{
    ACK, DATA, GOAWAY, HEADERS, PING, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE, frame, get, request,
    settings,
};
use super::{Client, start};
use crate::support::{Gateway, PASSWORD, Place, base64};
use crate::tls::Pair;

const MEBIBYTE: u64 = 1 << 20;
/// With this minimum rate, a stream may stall for 31 seconds.
const MIN_RATE: &str = "16384";
const STREAMS: u32 = 100;
/// The window of a stream and of a connection at the beginning (RFC 9113 section 6.9.2).
const WINDOW: usize = 65_535;

/// A client that responds to pings, so that its connection stays open.
struct Stalling {
    client: Client,
    begun: Instant,
    received: usize,
    /// The open streams.
    open: BTreeSet<u32>,
    /// When the first stream was reset.
    first_reset: Option<Duration>,
}

impl Stalling {
    /// Requests a file of 30 MiB on many streams. The client opens some windows first.
    fn start(gateway: &Gateway, pair: &Pair, windows: &[u8]) -> Self {
        let mut client = Client::connect(gateway, pair);
        let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
        let block = request("GET", "/private/cars/7/big.bin", &[("authorization", &basic)]);
        let open: BTreeSet<u32> = (0..STREAMS).map(|number| 2 * number + 1).collect();
        let requests = open.iter().flat_map(|stream| frame(HEADERS, WHOLE, *stream, &block));
        client.send(&[windows.to_vec(), requests.collect()].concat());
        Self { client, begun: Instant::now(), received: 0, open, first_reset: None }
    }

    /// Receives until all streams are reset.
    fn wait(&mut self) {
        while !self.open.is_empty() {
            let next = self.client.receive().unwrap();
            match next.kind {
                PING if next.flags & ACK == 0 => self.client.send(&frame(PING, ACK, 0, &next.payload)),
                DATA => {
                    assert!(!next.ends_stream(), "{}", next.stream);
                    self.received += next.payload.len();
                }
                RST_STREAM => {
                    self.first_reset.get_or_insert(self.begun.elapsed());
                    assert!(self.open.remove(&next.stream), "{next:?}");
                }
                GOAWAY => panic!("{next:?}, with {:?} open", self.open),
                _ => {}
            }
        }
    }

    /// Requests something small, and opens the window of the connection for it, or that of its stream.
    fn get(&mut self, opens_stream: bool) -> Vec<u8> {
        let (stream, increment) = (2 * STREAMS + 1, 1000_u32.to_be_bytes());
        let windows = frame(WINDOW_UPDATE, 0, if opens_stream { stream } else { 0 }, &increment);
        self.client.send(&[get(stream), windows].concat());
        let mut content = Vec::new();
        loop {
            let next = self.client.receive().unwrap();
            if next.kind == PING && next.flags & ACK == 0 {
                self.client.send(&frame(PING, ACK, 0, &next.payload));
            }
            if next.stream == stream && next.kind == DATA {
                content.extend_from_slice(&next.payload);
            }
            if next.stream == stream && next.ends_stream() {
                return content;
            }
        }
    }
}

fn open_files(gateway: &Gateway) -> usize {
    std::fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count()
}

#[test]
fn stalled_streams_are_reset_and_hold_little_memory() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 30 << 20]);
    let (gateway, pair) = start(&place, &["--workers", "1", "--log", "warn", "--min-rate", MIN_RATE]);
    let connection_window = frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes());
    let stream_windows = |len: u32| frame(SETTINGS, 0, 0, &settings(&[(4, len)]));
    let before = (memory(&gateway), open_files(&gateway));
    let [never, streams_only, connection_only] =
        [stream_windows(0), stream_windows((1 << 31) - 1), connection_window]
            .map(|windows| Stalling::start(&gateway, &pair, &windows));
    let cases = [
        // No window of a stream is ever opened.
        ("no stream", never, 0, true),
        // The streams share the window of the connection.
        ("streams only", streams_only, WINDOW, false),
        // Each stream has its first window.
        ("connection only", connection_only, STREAMS as usize * WINDOW, true),
    ];
    std::thread::scope(|scope| {
        let waiting = cases.map(|(name, mut stalling, expected, opens_stream)| {
            scope.spawn(move || {
                stalling.wait();
                assert_eq!(stalling.received, expected, "{name}");
                let first = stalling.first_reset.unwrap();
                assert!(first > Duration::from_secs(25), "{name}: {first:?}");
                assert_eq!(stalling.get(opens_stream), b"ok\n", "{name}: the connection serves on");
                stalling
            })
        });
        let (mut most, begun) = (0, Instant::now());
        while !waiting.iter().all(std::thread::ScopedJoinHandle::is_finished) {
            most = most.max(memory(&gateway).saturating_sub(before.0) * 1024);
            assert!(begun.elapsed() < Duration::from_secs(120), "some streams are still open");
            std::thread::sleep(Duration::from_millis(100));
        }
        // Each of 300 streams may hold what fits into its buffer, and a read.
        assert!(most < 300 * MEBIBYTE / 8, "{} KiB", most / 1024);
        let clients = waiting.map(|waiting| waiting.join().unwrap());
        // The connections, and one handle of the file in the cache.
        let open = open_files(&gateway);
        assert!(open <= before.1 + clients.len() + 1, "{open} open files, {} before", before.1);
    });
}

/// While one stream stalls, others of its connection are served without a limit of time.
#[test]
fn a_stalled_stream_is_reset_and_another_download_completes() {
    /// Above the minimum rate, and so slow that the download takes longer than the other stream may stall.
    const BYTES_PER_SECOND: u32 = 54_000;
    let place = Place::new();
    let content = crate::tls::content(2 << 20);
    place.write("private/cars/7/big.bin", &content);
    let (gateway, pair) = start(&place, &["--min-rate", MIN_RATE]);
    let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
    let block = request("GET", "/private/cars/7/big.bin", &[("authorization", &basic)]);
    let mut client = Client::connect(&gateway, &pair);
    client.send(&frame(WINDOW_UPDATE, 0, 0, &(1_u32 << 30).to_be_bytes()));
    client.send(&[frame(HEADERS, WHOLE, 1, &block), frame(HEADERS, WHOLE, 3, &block)].concat());
    let (begun, mut received, mut reset_at) = (Instant::now(), Vec::new(), None);
    while reset_at.is_none() || received.len() < content.len() {
        let next = client.receive().unwrap();
        match (next.kind, next.stream) {
            (PING, _) if next.flags & ACK == 0 => client.send(&frame(PING, ACK, 0, &next.payload)),
            (RST_STREAM, 1) => reset_at = Some((begun.elapsed(), received.len())),
            (DATA, 3) => {
                received.extend_from_slice(&next.payload);
                let len = u32::try_from(next.payload.len()).unwrap();
                client.send(&frame(WINDOW_UPDATE, 0, 3, &len.to_be_bytes()));
                std::thread::sleep(Duration::from_secs(1) * len / BYTES_PER_SECOND);
            }
            (DATA | HEADERS, _) => {}
            _ => assert!(!matches!(next.kind, GOAWAY | RST_STREAM), "{next:?}"),
        }
    }
    let (after, len) = reset_at.unwrap();
    assert!(after > Duration::from_secs(25) && len < content.len(), "{after:?}, {len}");
    assert!(received == content);
    assert!(gateway.logs(&format!("\"bytes\":{}", content.len())), "{}", gateway.log());
    // That of the other stream has what was sent, and what fits into its buffers.
    let log = gateway.log();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let bytes: Vec<_> = lines.filter_map(|line| line["bytes"].as_u64()).collect();
    assert!(bytes.len() == 2 && (65_535..200_000).contains(&bytes[0]), "{log}");
}
