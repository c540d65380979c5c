//! Many clients at once, and slow clients.

use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Gateway, Place, credentials};

/// Returns the peak memory of the gateway, in MiB.
fn peak_memory(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Returns two periods of a pattern. The length of a period is prime, so that shifted bytes are detected.
fn pattern() -> Vec<u8> {
    let period: Vec<u8> = (0..65_521_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    [period.as_slice(), &period].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_concurrent_downloads_use_bounded_memory() {
    const CLIENTS: usize = 1000;
    const LEN: u64 = 100 << 20;
    raise_open_files();
    let place = Place::new();
    let file = std::fs::File::create(place.path("private/cars/7/big.bin")).unwrap();
    let pattern = Arc::new(pattern());
    let period = pattern.len() / 2;
    for offset in (0..LEN).step_by(period) {
        let len = period.min(usize::try_from(LEN - offset).unwrap());
        file.write_all_at(&pattern[..len], offset).unwrap();
    }
    let gateway = place.serve(&["--log", "warn"]);
    // All clients connect before the first one sends its request.
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        streams.push(tokio::net::TcpStream::connect(gateway.address).await.unwrap());
    }
    let clients = streams.into_iter().map(|stream| tokio::spawn(download(stream, Arc::clone(&pattern), LEN)));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let peak = peak_memory(&gateway);
    println!("{CLIENTS} downloads of {LEN} bytes: a peak of {peak} MiB of memory");
    assert!(peak < 100, "{peak} MiB");
}

/// Downloads the file, and compares it with the pattern.
async fn download(mut stream: tokio::net::TcpStream, pattern: Arc<Vec<u8>>, len: u64) {
    let (name, value) = credentials("alice")[0];
    let request = format!(
        "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: {value}\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut buffer = vec![0; 32 << 10];
    let mut filled = 0;
    let begin = loop {
        filled += stream.read(&mut buffer[filled..]).await.unwrap();
        if let Some(end) = buffer[..filled].windows(4).position(|window| window == b"\r\n\r\n") {
            break end + 4;
        }
    };
    assert!(buffer.starts_with(b"HTTP/1.1 200 OK\r\n"));
    let period = pattern.len() / 2;
    let mut at = 0_u64;
    let mut part = begin..filled;
    loop {
        let from = usize::try_from(at % period as u64).unwrap();
        assert!(buffer[part.clone()] == pattern[from..from + part.len()], "other bytes at {at}");
        at += part.len() as u64;
        let read = stream.read(&mut buffer).await.unwrap();
        if read == 0 {
            break;
        }
        part = 0..read;
    }
    assert_eq!(at, len);
}

#[test]
fn slow_clients_do_not_delay_others() {
    const SLOW: usize = 2000;
    raise_open_files();
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 8 << 20]);
    let gateway = place.serve(&["--header-timeout", "5s"]);
    let (name, value) = credentials("alice")[0];
    // Half of them never complete their head, and half never read the response.
    let slow: Vec<_> = (0..SLOW)
        .map(|n| {
            let mut stream = gateway.connect();
            let end = if n % 2 == 0 { "" } else { "\r\n" };
            write!(stream, "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n{end}")
                .unwrap();
            stream
        })
        .collect();
    for _ in 0..50 {
        let response = gateway.get("/private/cars/7/photo.jpg", "alice");
        assert_eq!((response.status, response.body.as_slice()), (200, &b"alice's photo"[..]));
    }
    for mut stream in slow.into_iter().step_by(2) {
        let mut rest = Vec::new();
        // The connection may end with a reset or a close.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "an incomplete head is no request");
    }
    let peak = peak_memory(&gateway);
    println!("{SLOW} slow clients: a peak of {peak} MiB of memory");
    assert!(peak < 200, "{peak} MiB");
}

#[test]
fn clients_beyond_the_limit_wait_for_a_connection() {
    let place = Place::new();
    let gateway = place.serve(&["--max-connections", "4", "--header-timeout", "1s"]);

    let _held: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    let responses: Vec<_> = std::thread::scope(|scope| {
        let fetch = || scope.spawn(|| gateway.get("/private/cars/7/photo.jpg", "alice").status);
        let asking: Vec<_> = (0..16).map(|_| fetch()).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(responses, [200; 16]);
}

#[test]
fn idle_workers_hold_no_connection() {
    let place = Place::new();
    let gateway = place.serve(&["--max-connections", "1", "--workers", "4", "--header-timeout", "1s"]);
    let _idle = gateway.connect();
    for _ in 0..20 {
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
}

#[test]
fn without_free_descriptors_clients_wait() {
    let place = Place::new();
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_private-media");
    command.args(["-c", "ulimit -n 128; exec \"$0\" \"$@\"", program, "serve", "--listen", "127.0.0.1:0"]);
    command
        .args(["--grant", crate::support::GRANT, "--header-timeout", "1s", "--max-connections", "10000"])
        .current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    assert!(gateway.logs("ulimit -n"), "{}", gateway.log());
    let _idle: Vec<_> = (0..100).map(|_| gateway.connect()).collect();
    for _ in 0..5 {
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
}

/// Raises the limit of open files of the test itself.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= 4096),
        "this test needs 4096 open files (ulimit -Hn)"
    );
}
