//! Floods of frames that cost a client little. Each connection ends after a bounded number of frames, and the memory stays bounded.
//!
//! The CPU time of client and server is printed: `--no-capture` shows it. Only an optimized build can compare them.

use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use super::frames::{
    CONTINUATION, DATA, END_STREAM, HEADERS, PADDED, PING, PRIORITY, RST_STREAM, SETTINGS, WHOLE,
    WINDOW_UPDATE, field, frame, get, health, post, request, settings,
};
use super::{Client, start};
use crate::support::{Gateway, PASSWORD, Place, base64};

/// How often a client connects again.
const CONNECTIONS: u32 = 20;
/// How many frames a client would send on one connection.
const FRAMES: u32 = 200_000;

/// Returns the frames of a flood by their number.
type Frames<'a> = Box<dyn Fn(u32) -> Vec<u8> + 'a>;

/// Returns the CPU time of a thread.
fn cpu_of(task: &Path) -> Duration {
    let text = std::fs::read_to_string(task.join("schedstat")).unwrap_or_default();
    Duration::from_nanos(text.split(' ').next().and_then(|text| text.parse().ok()).unwrap_or(0))
}

/// Returns the CPU time of all threads of a gateway.
fn cpu(gateway: &Gateway) -> Duration {
    let tasks = std::fs::read_dir(format!("/proc/{}/task", gateway.child.id())).unwrap();
    tasks.map(|task| cpu_of(&task.unwrap().path())).sum()
}

/// Returns the resident memory of a gateway, in KiB.
pub(super) fn memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

/// Sends frames until the server ends the connection. Returns how many the client could send.
fn flood(client: &mut Client, frames: impl Fn(u32) -> Vec<u8>) -> u32 {
    client.tls.sock.set_write_timeout(Some(Duration::from_secs(20))).unwrap();
    let mut sent = 0;
    while sent < FRAMES {
        let chunk: Vec<u8> = (sent..sent + 500).flat_map(&frames).collect();
        if client.tls.write_all(&chunk).and_then(|()| client.tls.flush()).is_err() {
            break;
        }
        sent += 500;
    }
    sent
}

#[test]
fn floods_end_the_connection() {
    let place = Place::new();
    let (gateway, pair) = start(&place, &["--workers", "1", "--log", "warn"]);
    let block = health();
    let begun = frame(HEADERS, END_STREAM, 1, &block);
    let reset = |stream: u32| frame(RST_STREAM, 0, stream, &8_u32.to_be_bytes());
    let floods: Vec<(&str, Vec<u8>, Frames)> = vec![
        ("rapid reset", vec![], Box::new(|n| [get(2 * n + 1), reset(2 * n + 1)].concat())),
        (
            "reset by errors",
            vec![],
            Box::new(|n| [post(2 * n + 1, &[]), frame(WINDOW_UPDATE, 0, 2 * n + 1, &[0; 4])].concat()),
        ),
        (
            "malformed requests",
            vec![],
            Box::new(|n| frame(HEADERS, WHOLE, 2 * n + 1, &block[..block.len() - 20])),
        ),
        ("PING", vec![], Box::new(|_| frame(PING, 0, 0, b"01234567"))),
        ("SETTINGS", vec![], Box::new(|_| frame(SETTINGS, 0, 0, &settings(&[(4, 65_535)])))),
        ("PRIORITY", vec![], Box::new(|n| frame(PRIORITY, 0, 2 * n + 1, &[0, 0, 0, 0, 1]))),
        ("WINDOW_UPDATE", vec![], Box::new(|_| frame(WINDOW_UPDATE, 0, 0, &1_u32.to_be_bytes()))),
        ("empty DATA", post(1, &[]), Box::new(|_| frame(DATA, 0, 1, b""))),
        (
            "padding alone",
            post(1, &[]),
            Box::new(|_| frame(DATA, PADDED, 1, &[9, 0, 0, 0, 0, 0, 0, 0, 0, 0])),
        ),
        ("CONTINUATION", begun.clone(), Box::new(|_| frame(CONTINUATION, 0, 1, &field("x", "y")))),
        ("empty CONTINUATION", begun.clone(), Box::new(|_| frame(CONTINUATION, 0, 1, b""))),
        (
            "long CONTINUATION",
            begun,
            Box::new(|_| frame(CONTINUATION, 0, 1, &field("x", &"y".repeat(10_000)))),
        ),
        ("unknown frames", vec![], Box::new(|_| frame(0x99, 0, 0, b""))),
    ];
    let memory_before = memory(&gateway);
    for (name, first, frames) in floods {
        let (before, own) = (cpu(&gateway), cpu_of(Path::new("/proc/thread-self")));
        let mut most = 0;
        for _ in 0..CONNECTIONS {
            let mut client = Client::connect(&gateway, &pair);
            client.send(&first);
            most = most.max(flood(&mut client, &frames));
        }
        let spent = (
            cpu(&gateway).saturating_sub(before),
            cpu_of(Path::new("/proc/thread-self")).saturating_sub(own),
        );
        eprintln!(
            "{name}: server {:?}, client {:?}, at most {most} frames on a connection",
            spent.0, spent.1
        );
        // What the kernel has buffered counts as sent.
        assert!(most < FRAMES, "{name}: {most} frames");
        if !cfg!(debug_assertions) {
            assert!(spent.0 <= spent.1, "{name}: {spent:?}");
        }
    }
    let grown = memory(&gateway).saturating_sub(memory_before);
    assert!(grown < 64 << 10, "{grown} KiB");
    let mut client = Client::connect(&gateway, &pair);
    client.send(&get(1));
    while !client.receive().unwrap().ends_stream() {}
}

/// A client with the smallest windows asks for large files: each stream holds a piece, and no more.
#[test]
fn closed_windows_hold_little_memory() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 30 << 20]);
    let (gateway, pair) = start(&place, &["--workers", "1", "--log", "warn"]);
    let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
    let block = request("GET", "/private/cars/7/big.bin", &[("authorization", &basic)]);
    let memory_before = memory(&gateway);
    let mut clients = Vec::new();
    for _ in 0..10 {
        let mut client = Client::connect(&gateway, &pair);
        client.send(&frame(SETTINGS, 0, 0, &settings(&[(4, 0)])));
        let streams = (0..100).flat_map(|n| frame(HEADERS, WHOLE, 2 * n + 1, &block));
        client.send(&streams.collect::<Vec<_>>());
        clients.push(client);
    }
    for client in &mut clients {
        // All responses have begun.
        let mut heads = 0;
        while heads < 100 {
            heads += u32::from(client.receive().unwrap().kind == HEADERS);
        }
        client.send(
            &(0..100)
                .flat_map(|n| frame(WINDOW_UPDATE, 0, 2 * n + 1, &1_u32.to_be_bytes()))
                .collect::<Vec<_>>(),
        );
    }
    let begun = Instant::now();
    while begun.elapsed() < Duration::from_secs(1) {
        let grown = memory(&gateway).saturating_sub(memory_before);
        // 1000 streams of 30 MiB.
        assert!(grown < 128 << 10, "{grown} KiB");
        std::thread::sleep(Duration::from_millis(100));
    }
}
