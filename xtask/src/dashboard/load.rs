//! A small load of each kind of request.

use std::f64::consts::TAU;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use crate::machine::step;

/// The arguments of the gateway, which runs in the folder of the files.
pub(super) const ARGUMENTS: [&str; 9] = [
    "serve",
    "--listen",
    "127.0.0.1:0",
    "--grant",
    "cars/{owner}/{*file}=owner,staff",
    "--audit-path",
    "audit.jsonl",
    "--log",
    "warn",
];
const PASSWORD: &str = "roadster-for-alice";

/// Creates the root, and the accounts with this program.
pub(super) fn create_files(folder: &Path, program: &Path) -> Result<(), String> {
    let cars = folder.join("private/cars/7");
    let failed = |error: std::io::Error| format!("{}: {error}", folder.display());
    std::fs::create_dir_all(&cars).map_err(failed)?;
    for number in 0..40 {
        std::fs::write(cars.join(format!("{number}.jpg")), vec![b'x'; 4000 + 3000 * number])
            .map_err(failed)?;
    }
    std::fs::write(cars.join("film.mp4"), vec![b'x'; 6 << 20]).map_err(failed)?;
    for (name, id) in [("alice", "7"), ("bob", "8")] {
        let script =
            format!("echo {PASSWORD} | \"$0\" account add {name} --id {id} --password-stdin > /dev/null");
        let mut add = Command::new("sh");
        add.args(["-c", &script]).arg(program).current_dir(folder).stdin(Stdio::null());
        step(&mut add)?;
    }
    Ok(())
}

/// Sends requests for a time.
pub(super) fn run(address: &str, duration: Duration) -> Result<(), String> {
    let cookie = sign_in(address, PASSWORD)?.ok_or("alice cannot sign in")?;
    let alice = format!("cookie: {cookie}\r\n");
    let (films, others) = (format!("{alice}range: bytes=0-2000000\r\n"), String::new());
    let photo = |number: u64| format!("GET /private/cars/7/{}.jpg", number * 7 % 40);
    let missing = |number: u64| format!("GET /private/cars/7/missing-{}.jpg", number % 5);
    let film = |_| "GET /private/cars/7/film.mp4".to_owned();
    let head = |number: u64| format!("HEAD /private/cars/7/{}.jpg", number % 40);
    let once = |number: u64| format!("GET /private/cars/8/{}.jpg", number % 40);
    let cached = format!("{alice}if-modified-since: Fri, 01 Jan 2100 00:00:00 GMT\r\n");
    std::thread::scope(|scope| {
        // Requests per second, and how much that varies within a minute.
        let workers = [
            scope.spawn(|| repeat(address, duration, (60.0, 0.5), &alice, photo)),
            scope.spawn(|| repeat(address, duration, (25.0, 0.3), &cached, photo)),
            scope.spawn(|| repeat(address, duration, (4.0, 0.6), &films, film)),
            scope.spawn(|| repeat(address, duration, (8.0, 0.8), &others, once)),
            scope.spawn(|| repeat(address, duration, (3.0, 0.2), &alice, missing)),
            scope.spawn(|| repeat(address, duration, (6.0, 0.4), &alice, head)),
            scope.spawn(|| sign_ins(address, duration)),
        ];
        workers
            .into_iter()
            .try_for_each(|worker| worker.join().map_err(|_| "a client panicked".to_owned())?)
    })
}

/// Sends requests on a connection, at a rate that varies.
fn repeat(
    address: &str,
    duration: Duration,
    (rate, variation): (f64, f64),
    headers: &str,
    line: impl Fn(u64) -> String,
) -> Result<(), String> {
    let (begin, mut client) = (Instant::now(), Client::connect(address)?);
    for number in 0.. {
        let elapsed = begin.elapsed();
        if elapsed >= duration {
            break;
        }
        // A few requests of a client come on a new connection.
        if number % 200 == 199 {
            client = Client::connect(address)?;
        }
        client.request(&line(number), headers, "")?;
        let now = rate * (1.0 + variation * (elapsed.as_secs_f64() / 60.0 * TAU + rate).sin());
        std::thread::sleep(Duration::from_secs_f64(1.0 / now.max(0.1)));
    }
    Ok(())
}

/// Signs in with right passwords, and a few wrong ones.
fn sign_ins(address: &str, duration: Duration) -> Result<(), String> {
    let begin = Instant::now();
    for number in 0_u64.. {
        if begin.elapsed() >= duration {
            break;
        }
        sign_in(address, if number % 12 == 7 { "wrong" } else { PASSWORD })?;
        std::thread::sleep(Duration::from_millis(1200 + 700 * (number % 4)));
    }
    Ok(())
}

/// Signs alice in, and returns her cookie.
fn sign_in(address: &str, password: &str) -> Result<Option<String>, String> {
    let headers = "content-type: application/x-www-form-urlencoded\r\n";
    let form = format!("name=alice&password={password}&next=");
    let head = Client::connect(address)?.request("POST /private/-/sign-in", headers, &form)?;
    let cookie = head.lines().find_map(|line| line.strip_prefix("set-cookie: "));
    Ok(cookie.and_then(|cookie| cookie.split(';').next()).map(str::to_owned))
}

/// A client with a connection that stays open.
struct Client {
    stream: BufReader<TcpStream>,
}

impl Client {
    fn connect(address: &str) -> Result<Self, String> {
        let stream = TcpStream::connect(address).map_err(|error| format!("{address}: {error}"))?;
        Ok(Self { stream: BufReader::new(stream) })
    }

    /// Sends a request, reads the response, and returns its head.
    fn request(&mut self, line: &str, headers: &str, body: &str) -> Result<String, String> {
        self.exchange(line, headers, body).map_err(|error| format!("{line}: {error}"))
    }

    fn exchange(&mut self, line: &str, headers: &str, body: &str) -> std::io::Result<String> {
        let length =
            if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
        write!(
            self.stream.get_mut(),
            "{line} HTTP/1.1\r\nhost: media.example\r\n{headers}{length}\r\n{body}"
        )?;
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            if self.stream.read_line(&mut head)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse().ok());
        let has_body = !line.starts_with("HEAD") && !head.starts_with("HTTP/1.1 304");
        let length: u64 = length.filter(|_| has_body).unwrap_or(0);
        std::io::copy(&mut self.stream.by_ref().take(length), &mut std::io::sink())?;
        Ok(head)
    }
}
