//! What the kernel sends is the file, the stretch that was asked for, and nothing else.

use std::fs::File;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::support::{Answer, Gateway, Place, credentials};

/// As long as what the kernel is told to send at a time.
const LONGEST: usize = 1 << 20;
/// Below this files are not sent by the kernel, and up to this they are kept in memory.
const SHORT: usize = 16 << 10;

/// Bytes none of which is zero, and of which no stretch is like another one: what is sent in place of them is seen.
fn bytes(len: usize) -> Vec<u8> {
    (0..len as u64).map(|n| u8::try_from(n.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 57).unwrap() + 1).collect()
}

/// A connection that is kept.
struct Client(TcpStream);

impl Client {
    fn new(gateway: &Gateway) -> Self {
        Self(gateway.connect())
    }

    fn send(&mut self, method: &str, name: &str, fields: &str) {
        let (credential, value) = credentials("alice")[0];
        let request = format!(
            "{method} /private/cars/7/{name} HTTP/1.1\r\nhost: x\r\n{credential}: {value}\r\n{fields}\r\n"
        );
        self.0.write_all(request.as_bytes()).unwrap();
    }

    /// One answer, and not a byte of the next.
    fn answer(&mut self, method: &str) -> Answer {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            self.0.read_exact(&mut byte).unwrap();
            bytes.push(byte[0]);
        }
        let mut answer = Answer::parse(&bytes);
        if method != "HEAD" && answer.status != 304 {
            answer.body = vec![0; answer.field("content-length").unwrap().parse().unwrap()];
            self.0.read_exact(&mut answer.body).unwrap();
        }
        answer
    }

    fn ask(&mut self, method: &str, name: &str, fields: &str) -> Answer {
        self.send(method, name, fields);
        self.answer(method)
    }
}

fn edges() -> Vec<usize> {
    let around = |n: usize| [n - 1, n, n + 1];
    let mut lengths = vec![0, 1, 2];
    for n in [SHORT, LONGEST, 2 * LONGEST, 3 * LONGEST] {
        lengths.extend(around(n));
    }
    lengths
}

/// Whole files, each thrice on one connection: as they are opened, as they are kept, and with the disk asked.
#[test]
fn every_length_around_the_edges() {
    let place = Place::new();
    let content = bytes(4 * LONGEST);
    for len in edges() {
        place.write(&format!("private/cars/7/{len}.bin"), &content[..len]);
    }
    std::thread::sleep(Duration::from_millis(150));
    for fresh in ["0s", "1h"] {
        let gateway = place.serve(&["--revalidate-after", fresh]);
        let mut client = Client::new(&gateway);
        for len in edges() {
            let name = format!("{len}.bin");
            for round in 0..3 {
                if round == 2 {
                    drop_cache(&place, &name);
                }
                let answer = client.ask("GET", &name, "");
                assert_eq!((answer.status, answer.body.len()), (200, len), "{fresh} {len}");
                assert!(answer.body == content[..len], "{fresh} {len}: other bytes");
            }
            let head = client.ask("HEAD", &name, "");
            assert_eq!(head.field("content-length"), Some(&*len.to_string()));
        }
    }
}

/// Has the kernel forget what it has of a file.
fn drop_cache(place: &Place, name: &str) {
    let file = File::open(place.path(&format!("private/cars/7/{name}"))).unwrap();
    file.sync_all().unwrap();
    rustix::fs::fadvise(&file, 0, None, rustix::fs::Advice::DontNeed).unwrap();
}

#[test]
fn every_range_around_the_edges() {
    let place = Place::new();
    let content = bytes(4 * LONGEST + 5000);
    place.write("private/cars/7/big.bin", &content);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    for start in [0, 1, 4095, 4096, 4097, SHORT + 1, LONGEST - 1] {
        for len in edges().into_iter().skip(1) {
            if len % 3 == 0 {
                drop_cache(&place, "big.bin");
            }
            let range = format!("range: bytes={start}-{}\r\n", start + len - 1);
            let answer = client.ask("GET", "big.bin", &range);
            assert_eq!((answer.status, answer.body.len()), (206, len), "{range}");
            assert!(answer.body == content[start..start + len], "{range}: other bytes");
        }
    }
}

/// Several ranges are text, a stretch, text, a stretch: each in its place.
#[test]
fn several_ranges_in_one_answer() {
    let place = Place::new();
    let content = bytes(5 << 20);
    place.write("private/cars/7/big.bin", &content);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    let ranges =
        [(5, LONGEST + 9), (LONGEST + 200, SHORT), (2 * LONGEST, 100), (2 * LONGEST + 500, 2 * LONGEST + 1)];
    let wanted: Vec<_> = ranges.iter().map(|(start, len)| format!("{start}-{}", start + len - 1)).collect();
    let answer = client.ask("GET", "big.bin", &format!("range: bytes={}\r\n", wanted.join(",")));
    assert_eq!(answer.status, 206);
    let boundary = answer.field("content-type").unwrap().split_once("boundary=").unwrap().1.to_owned();
    let mut rest = answer.body.as_slice();
    for ((start, len), range) in ranges.into_iter().zip(wanted) {
        let end = rest.windows(4).position(|window| window == b"\r\n\r\n").unwrap();
        let head = String::from_utf8(rest[..end].to_vec()).unwrap();
        assert!(head.contains(&boundary) && head.contains(&format!("bytes {range}/")), "{head}");
        rest = &rest[end + 4..];
        assert!(rest[..len] == content[start..start + len], "{range}: other bytes");
        rest = &rest[len..];
    }
    assert_eq!(rest, format!("\r\n--{boundary}--\r\n").as_bytes());
}

/// Requests that come all at once are answered in order, whoever sends the content of each.
#[test]
fn requests_in_one_piece() {
    let place = Place::new();
    let content = bytes(1 << 20);
    place.write("private/cars/7/big.bin", &content);
    place.write("private/cars/7/small.bin", &content[..1000]);
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    let etag = client.ask("HEAD", "big.bin", "").field("etag").unwrap().to_owned();
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
        for (method, name, fields, ..) in &requests {
            client.send(method, name, fields);
        }
        for (method, name, fields, status, body) in &requests {
            let answer = client.answer(method);
            assert_eq!((answer.status, answer.body.len()), (*status, body.len()), "{method} {name} {fields}");
            assert!(answer.body == *body, "{method} {name} {fields}: other bytes");
        }
    }
}

/// What was sent before is the file's own, and what would come after does not come at all. What is on its way as the file shrinks is
/// the kernel's: it sends the very pages of the file, and those beyond the new end it may blank.
#[test]
fn a_file_that_shrinks_ends_the_connection() {
    const LEN: usize = 32 << 20;
    for fresh in ["0s", "1h"] {
        let place = Place::new();
        let content = bytes(LEN);
        place.write("private/cars/7/big.bin", &content);
        let gateway = place.serve(&["--revalidate-after", fresh]);
        let mut client = Client::new(&gateway);
        client.send("GET", "big.bin", "");
        let mut taken = vec![0; 1000];
        client.0.read_exact(&mut taken).unwrap();
        let file = File::options().write(true).open(place.path("private/cars/7/big.bin")).unwrap();
        file.set_len(1 << 20).unwrap();
        // However it ends, it does end.
        let _ = client.0.read_to_end(&mut taken);
        let answer = Answer::parse(&taken);
        assert_eq!(answer.field("content-length"), Some(&*LEN.to_string()));
        assert!(answer.body.len() < LEN, "{} bytes came", answer.body.len());
        let mut pairs = answer.body.iter().zip(&content).enumerate();
        let other = pairs.find(|(at, (came, own))| came != own && (*at < 1 << 20 || **came != 0));
        assert_eq!(other, None, "other bytes");
        assert!(gateway.logs("shrank"), "{}", gateway.log());
        // And the next has the file as it is.
        assert_eq!(Client::new(&gateway).ask("GET", "big.bin", "").body.len(), 1 << 20);
    }
}

/// The log says what was taken, and who went away took no more.
#[test]
fn what_the_kernel_sends_is_counted() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", bytes(1 << 20));
    let gateway = place.serve(&[]);
    let mut client = Client::new(&gateway);
    client.ask("GET", "big.bin", "range: bytes=5-300004\r\n");
    client.ask("GET", "big.bin", "");
    let lines =
        || gateway.access_log().iter().map(|line| line["bytes"].as_u64().unwrap()).collect::<Vec<_>>();
    wait(|| lines().len() == 2);
    assert_eq!(lines(), [300_000, 1 << 20]);
}

/// No client leaves an open file or a connection behind.
#[test]
fn who_goes_away_leaves_nothing_open() {
    let place = Place::new();
    place.write("private/cars/7/big.bin", bytes(16 << 20));
    let gateway = place.serve(&["--revalidate-after", "0s"]);
    let open = || std::fs::read_dir(format!("/proc/{}/fd", gateway.child.id())).unwrap().count();
    let download = || {
        let mut client = Client::new(&gateway);
        client.send("GET", "big.bin", "");
        client.0.read_exact(&mut [0; 10_000]).unwrap();
        client
    };
    drop(download());
    // The file may be kept, by one handle.
    wait(|| gateway.access_log().len() == 1);
    let before = open();
    drop((0..50).map(|_| download()).collect::<Vec<_>>());
    wait(|| gateway.access_log().len() == 51);
    wait(|| open() <= before + 1);
}

/// One client that takes all it can get, and another one that is answered meanwhile.
#[test]
fn a_fast_download_does_not_keep_others_waiting() {
    let place = Place::new();
    let big = File::create(place.path("private/cars/7/big.bin")).unwrap();
    big.set_len(8 << 30).unwrap();
    let gateway = place.serve(&["--workers", "1", "--log", "warn"]);
    let mut fast = Client::new(&gateway);
    let mut small = Client::new(&gateway);
    fast.send("GET", "big.bin", "");
    let (stop, stopped) = std::sync::mpsc::channel::<()>();
    std::thread::scope(|scope| {
        let taking = scope.spawn(move || {
            let mut buffer = vec![0; 1 << 20];
            let mut taken = 0_u64;
            while stopped.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
                taken += fast.0.read(&mut buffer).unwrap() as u64;
            }
            taken
        });
        for _ in 0..200 {
            assert_eq!(small.ask("GET", "photo.jpg", "").body, b"alice's photo");
        }
        drop(stop);
        let taken = taking.join().unwrap();
        println!("{taken} bytes were taken meanwhile");
        assert!(taken < 8 << 30, "the small ones waited for all of it");
    });
}

fn wait(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "it never came");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Files that are kept are nobody's who may not read them: the permission comes first, each time.
#[test]
fn what_is_kept_is_kept_from_others() {
    let place = Place::new();
    place.write("private/cars/7/large.bin", bytes(SHORT + 1));
    std::thread::sleep(Duration::from_millis(150));
    let gateway = place.serve(&["--revalidate-after", "1h"]);
    for name in ["photo.jpg", "large.bin", "photo.jpg"] {
        let path = format!("/private/cars/7/{name}");
        for (user, status) in [("alice", 200), ("bob", 404), ("nobody", 404), ("carol", 200)] {
            assert_eq!(gateway.get(&path, user).status, status, "{name} as {user}");
        }
    }
    // They are kept indeed.
    std::fs::remove_file(place.path("private/cars/7/photo.jpg")).unwrap();
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").body, b"alice's photo");
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "bob").status, 404);
}
