//! Many at a time, and slow ones among them. Bounded in number and time, over loopback alone.

use std::io::{Read, Write};
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::support::{Gateway, Place, credentials};

/// What the process has had in memory at most, in MiB.
fn peak(gateway: &Gateway) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", gateway.child.id())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse::<u64>().unwrap() >> 10
}

/// Bytes of which no stretch can be taken for another one nearby: their period is a prime.
fn pattern() -> Vec<u8> {
    let period: Vec<u8> = (0..65_521_u32).map(|n| (n.wrapping_mul(2_654_435_761) >> 24) as u8).collect();
    [period.as_slice(), &period].concat()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_downloads_at_a_time() {
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
    // All are connected before the first one asks.
    let mut streams = Vec::new();
    for _ in 0..CLIENTS {
        streams.push(tokio::net::TcpStream::connect(gateway.address).await.unwrap());
    }
    let clients = streams.into_iter().map(|stream| tokio::spawn(download(stream, Arc::clone(&pattern), LEN)));
    for client in clients.collect::<Vec<_>>() {
        client.await.unwrap();
    }
    let peak = peak(&gateway);
    println!("{CLIENTS} downloads of {LEN} bytes: the gateway had {peak} MiB in memory at most");
    assert!(peak < 100, "{peak} MiB");
}

/// Downloads the file and compares each byte.
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
fn slow_clients_do_not_stop_others() {
    const SLOW: usize = 2000;
    raise_open_files();
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; 8 << 20]);
    let gateway = place.serve(&["--header-timeout", "5s"]);
    let (name, value) = credentials("alice")[0];
    // Half never end their head, and half never take their answer.
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
        let answer = gateway.get("/private/cars/7/photo.jpg", "alice");
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b"alice's photo"[..]));
    }
    for mut stream in slow.into_iter().step_by(2) {
        let mut rest = Vec::new();
        // Closed, by whichever way: never answered, and never left open.
        let _ = stream.read_to_end(&mut rest);
        assert!(!rest.starts_with(b"HTTP/1.1 200"), "half a head is no request");
    }
    let peak = peak(&gateway);
    println!("{SLOW} slow clients: the gateway had {peak} MiB in memory at most");
    assert!(peak < 200, "{peak} MiB");
}

/// With more clients than connections, they take turns.
#[test]
fn more_clients_than_connections() {
    let place = Place::new();
    let gateway = place.serve(&["--max-connections", "4", "--header-timeout", "1s"]);

    let _held: Vec<_> = (0..4).map(|_| gateway.connect()).collect();
    let answers: Vec<_> = std::thread::scope(|scope| {
        let ask = || scope.spawn(|| gateway.get("/private/cars/7/photo.jpg", "alice").status);
        let asking: Vec<_> = (0..16).map(|_| ask()).collect();
        asking.into_iter().map(|asking| asking.join().unwrap()).collect()
    });
    assert_eq!(answers, [200; 16]);
}

/// However many workers wait for clients, the one connection is whose turn it is.
#[test]
fn one_connection_among_many_workers() {
    let place = Place::new();
    let gateway = place.serve(&["--max-connections", "1", "--workers", "4", "--header-timeout", "1s"]);
    let _idle = gateway.connect();
    for _ in 0..20 {
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
}

/// Out of file descriptors it waits for others to end, and goes on.
#[test]
fn too_few_open_files() {
    let place = Place::new();
    let mut command = std::process::Command::new("sh");
    let program = env!("CARGO_BIN_EXE_private-media");
    command.args(["-c", "ulimit -n 128; exec \"$0\" \"$@\"", program, "serve", "--listen", "127.0.0.1:0"]);
    command.args(["--grant", crate::support::GRANT, "--header-timeout", "1s"]).current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    assert!(gateway.logs("ulimit -n"), "{}", gateway.log());
    let _idle: Vec<_> = (0..100).map(|_| gateway.connect()).collect();
    for _ in 0..5 {
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    }
}

/// A test with many connections has many open files of its own.
fn raise_open_files() {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    setrlimit(Resource::Nofile, Rlimit { current: limit.maximum, maximum: limit.maximum }).unwrap();
    assert!(
        limit.maximum.is_none_or(|maximum| maximum >= 4096),
        "this test needs 4096 open files (ulimit -Hn)"
    );
}
