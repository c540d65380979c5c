//! Files that are sent with sendfile(2) arrive unchanged.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Gateway, Place, Response, credentials};

/// The largest length of one sendfile(2) call.
const MAX_CALL: usize = 1 << 20;
/// The largest length of a file that is cached in memory instead of sent with sendfile(2).
const MAX_IN_MEMORY: usize = 16 << 10;

/// Returns content without zeros and without repetitions, so that any wrong byte is detected.
fn content_of_len(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| u8::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57).unwrap() + 1).collect()
}

/// A client with a persistent connection.
struct Client(TcpStream);

impl Client {
    fn new(gateway: &Gateway) -> Self {
        Self(gateway.connect())
    }

    fn send(&mut self, method: &str, name: &str, headers: &str) {
        let (credential, value) = credentials("alice")[0];
        let request = format!(
            "{method} /private/cars/7/{name} HTTP/1.1\r\nhost: x\r\n{credential}: {value}\r\n{headers}\r\n"
        );
        self.0.write_all(request.as_bytes()).unwrap();
    }

    /// Reads one response, and no byte of the next one.
    fn read_response(&mut self, method: &str) -> Response {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let mut response = Response::parse(&bytes);
        if method != "HEAD" && response.status != 304 {
            response.body = vec![0; response.header("content-length").unwrap().parse().unwrap()];
            self.0.read_exact(&mut response.body).unwrap();
        }
        response
    }

    fn fetch(&mut self, method: &str, name: &str, headers: &str) -> Response {
        self.send(method, name, headers);
        self.read_response(method)
    }
}

fn edges() -> Vec<usize> {
    let around = |n: usize| [n - 1, n, n + 1];
    let mut lengths = vec![0, 1, 2];
    for n in [MAX_IN_MEMORY, MAX_CALL, 2 * MAX_CALL, 3 * MAX_CALL] {
        lengths.extend(around(n));
    }
    lengths
}

/// Requests each file three times on one connection: uncached, cached, and evicted from the page cache.
#[test]
fn files_of_every_length_arrive_unchanged() {
    let place = Place::new();
    let content = content_of_len(4 * MAX_CALL);
    for len in edges() {
        place.write(&format!("private/cars/7/{len}.bin"), &content[..len]);
    }
    std::thread::sleep(Duration::from_millis(150));
    for revalidate_after in ["0s", "1h"] {
        let gateway = place.serve(&["--revalidate-after", revalidate_after]);
        let mut client = Client::new(&gateway);
        for len in edges() {
            let name = format!("{len}.bin");
            for round in 0..3 {
                if round == 2 {
                    drop_cache(&place, &name);
                }
                let response = client.fetch("GET", &name, "");
                assert_eq!((response.status, response.body.len()), (200, len), "{revalidate_after} {len}");
                assert!(response.body == content[..len], "{revalidate_after} {len}: other bytes");
            }
            let head = client.fetch("HEAD", &name, "");
            assert_eq!(head.header("content-length"), Some(&*len.to_string()));
        }
    }
}

/// Evicts a file from the page cache.
fn drop_cache(place: &Place, name: &str) {
    let file = File::open(place.path(&format!("private/cars/7/{name}"))).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[test]
fn ranges_of_every_length_arrive_unchanged() {
    let place = Place::new();
    let content = content_of_len(4 * MAX_CALL + 5000);
    place.write("private/cars/7/big.bin", &content);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    for start in [0, 1, 4095, 4096, 4097, MAX_IN_MEMORY + 1, MAX_CALL - 1] {
        for len in edges().into_iter().skip(1) {
            if len % 3 == 0 {
                drop_cache(&place, "big.bin");
            }
            let range = format!("range: bytes={start}-{}\r\n", start + len - 1);
            let response = client.fetch("GET", "big.bin", &range);
            assert_eq!((response.status, response.body.len()), (206, len), "{range}");
            assert!(response.body == content[start..start + len], "{range}: other bytes");
        }
    }
}

#[test]
fn multipart_responses_contain_the_requested_ranges() {
    let place = Place::new();
    let content = content_of_len(5 << 20);
    place.write("private/cars/7/big.bin", &content);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    let ranges = [
        (5, MAX_CALL + 9),
        (MAX_CALL + 200, MAX_IN_MEMORY),
        (2 * MAX_CALL, 100),
        (2 * MAX_CALL + 500, 2 * MAX_CALL + 1),
    ];
    let requested: Vec<_> =
        ranges.iter().map(|(start, len)| format!("{start}-{}", start + len - 1)).collect();
    let response = client.fetch("GET", "big.bin", &format!("range: bytes={}\r\n", requested.join(",")));
    assert_eq!(response.status, 206);
    let boundary = response.header("content-type").unwrap().split_once("boundary=").unwrap().1.to_owned();
    let mut rest = response.body.as_slice();
    for ((start, len), range) in ranges.into_iter().zip(requested) {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        assert!(head.contains(&boundary) && head.contains(&format!("bytes {range}/")), "{head}");
        rest = &rest[end + 4..];
        assert!(rest[..len] == content[start..start + len], "{range}: other bytes");
        rest = &rest[len..];
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

#[test]
fn pipelined_requests_are_served_in_order() {
    let place = Place::new();
    let content = content_of_len(1 << 20);
    place.write("private/cars/7/big.bin", &content);
    place.write("private/cars/7/small.bin", &content[..1000]);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    let etag = client.fetch("HEAD", "big.bin", "").header("etag").unwrap().to_owned();
    let requests = [
        ("GET", "big.bin", String::new(), 200, &content[..]),
        ("HEAD", "big.bin", String::new(), 200, &[]),
        ("GET", "small.bin", String::new(), 200, &content[..1000]),
        ("GET", "big.bin", "range: bytes=7-99999\r\n".into(), 206, &content[7..100_000]),
        ("GET", "big.bin", format!("if-none-match: {etag}\r\n"), 304, &[]),
        ("GET", "none.bin", String::new(), 404, b"not found\n"),
        ("GET", "big.bin", String::new(), 200, &content[..]),
    ];
    for _ in 0..3 {
        for (method, name, headers, ..) in &requests {
            client.send(method, name, headers);
        }
        for (method, name, headers, status, body) in &requests {
            let response = client.read_response(method);
            assert_eq!(
                (response.status, response.body.len()),
                (*status, body.len()),
                "{method} {name} {headers}"
            );
            assert!(response.body == *body, "{method} {name} {headers}: other bytes");
        }
    }
}

/// The kernel may send zeros for queued pages beyond the new end. All other bytes are those of the file.
#[test]
fn a_file_that_shrinks_ends_the_connection() {
    const LEN: usize = 32 << 20;
    for revalidate_after in ["0s", "1h"] {
        let place = Place::new();
        let content = content_of_len(LEN);
        place.write("private/cars/7/big.bin", &content);
        let gateway = place.serve(&["--revalidate-after", revalidate_after]);
        let mut client = Client::new(&gateway);
        client.send("GET", "big.bin", "");
        let mut received = vec![0; 1000];
        client.0.read_exact(&mut received).unwrap();
        let file = File::options().write(true).open(place.path("private/cars/7/big.bin")).unwrap();
        file.set_len(1 << 20).unwrap();
        // The connection may end with a reset.
        let _ = client.0.read_to_end(&mut received);
        let response = Response::parse(&received);
        assert_eq!(response.header("content-length"), Some(&*LEN.to_string()));
        assert!(response.body.len() < LEN, "{} bytes", response.body.len());
        let mut pairs = response.body.iter().zip(&content).enumerate();
        let wrong = pairs.find(|(at, (got, expected))| got != expected && (*at < 1 << 20 || **got != 0));
        assert_eq!(wrong, None, "other bytes");
        assert!(gateway.logs("shrank"), "{}", gateway.log());
        // The next response has the new length.
        assert_eq!(Client::new(&gateway).fetch("GET", "big.bin", "").body.len(), 1 << 20);
    }
}

#[test]
fn the_access_log_counts_bytes_sent_by_the_kernel() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", content_of_len(1 << 20));
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    client.fetch("GET", "big.bin", "range: bytes=5-300004\r\n");
    client.fetch("GET", "big.bin", "");
    let lines =
        || gateway.access_log().iter().map(|line| line["bytes"].as_u64().unwrap()).collect::<Vec<_>>();
    wait(|| lines().len() == 2);
    assert_eq!(lines(), [300_000, 1 << 20]);
}

#[test]
fn disconnected_clients_leave_no_open_files() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", content_of_len(16 << 20));
    let gateway = place.serve(&["--revalidate-after", "0s"]);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count();
    let download = || {
        let mut client = Client::new(&gateway);
        client.send("GET", "big.bin", "");
        client.0.read_exact(&mut [0; 10_000]).unwrap();
        client
    };
    drop(download());
    // The cache may hold one handle of the file.
    wait(|| gateway.access_log().len() == 1);
    let before = open();
    drop((0..50).map(|_| download()).collect::<Vec<_>>());
    wait(|| gateway.access_log().len() == 51);
    wait(|| open() <= before + 1);
}

/// One client downloads as fast as it can, and another one gets small responses at the same time.
#[test]
fn a_fast_download_does_not_delay_others() {
    let place = Place::new();
    let big = File::create(place.path("private/cars/7/big.bin")).unwrap();
    big.set_len(8 << 30).unwrap();
    let gateway = place.serve(&["--workers", "1", "--log", "warn"]);
    let mut fast = Client::new(&gateway);
    let mut small = Client::new(&gateway);
    fast.send("GET", "big.bin", "");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let download = scope.spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            let mut received = 0_u64;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                received += fast.0.read(&mut buffer).unwrap() as u64;
            }
            received
        });
        for _ in 0..200 {
            assert_eq!(small.fetch("GET", "photo.jpg", "").body, b"alice's photo");
        }
        drop(stop);
        let received = download.join().unwrap();
        println!("{received} bytes were downloaded in the meantime");
        assert!(received < 8 << 30, "the small responses waited for the whole download");
    });
}

fn wait(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn cached_files_require_permission() {
    let place = Place::new();
    place.write("private/cars/7/large.bin", content_of_len(MAX_IN_MEMORY + 1));
    std::thread::sleep(Duration::from_millis(150));
    let gateway = place.serve(&["--revalidate-after", "1h"]);
    for name in ["photo.jpg", "large.bin", "photo.jpg"] {
        let path = format!("/private/cars/7/{name}");
        for (user, status) in [("alice", 200), ("bob", 404), ("nobody", 404), ("carol", 200)] {
            assert_eq!(gateway.get(&path, user).status, status, "{name} as {user}");
        }
    }
    // The file is in the cache.
    std::fs::remove_file(place.path("private/cars/7/photo.jpg")).unwrap();
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").body, b"alice's photo");
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "bob").status, 404);
}
