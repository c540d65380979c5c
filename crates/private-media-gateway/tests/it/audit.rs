//! The audit records what clients did and received, and shows that nobody changed it.

use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::support::{GRANT, Gateway, PASSWORD, Place, credentials, needs, program, send};

const AUDIT: &[&str] = &["--audit-path", "audit.jsonl"];

/// Starts a gateway with an audit.
fn serve(place: &Place, arguments: &[&str]) -> Gateway {
    place.serve(&[AUDIT, arguments].concat())
}

/// Stops a gateway, which writes its last records.
fn stop(mut gateway: Gateway) {
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(0), "{}", gateway.log());
}

fn audit(place: &Place, arguments: &[&str]) -> Output {
    place.run(&[&["audit"], arguments, AUDIT].concat())
}

/// Verifies the audit, and returns the exit code and the output.
fn verify(place: &Place, arguments: &[&str]) -> (Option<i32>, String) {
    let output = audit(place, &[&["verify"], arguments].concat());
    (
        output.status.code(),
        String::from_utf8(output.stdout).unwrap() + &String::from_utf8_lossy(&output.stderr),
    )
}

fn assert_intact(place: &Place) {
    let (code, text) = verify(place, &[]);
    assert_eq!(code, Some(0), "{text}");
}

/// Returns all records in the files of the audit.
fn records(place: &Place) -> Vec<Value> {
    let output = audit(place, &["show", "--format", "json"]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Returns the records of requests.
fn reads(place: &Place) -> Vec<Value> {
    records(place).into_iter().filter(|record| record["action"] == "read").collect()
}

/// Returns the events of the audit itself.
fn events(place: &Place) -> Vec<String> {
    let records = records(place).into_iter().filter(|record| record["action"] == "audit");
    records.map(|record| record["event"].as_str().unwrap().to_owned()).collect()
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn each_request_for_a_file_is_recorded() {
    let place = Place::new();
    let gateway = serve(&place, &[]);
    let photo = "/private/cars/7/photo.jpg";
    assert_eq!(gateway.get(photo, "alice").status, 200);
    assert_eq!(gateway.get(photo, "bob").status, 404);
    assert_eq!(gateway.get(photo, "nobody").status, 404);
    assert_eq!(gateway.fetch(&format!("HEAD {photo}"), &credentials("carol")).status, 200);
    let headers = [credentials("alice"), vec![("range", "bytes=2-4")]].concat();
    assert_eq!(gateway.fetch(&format!("GET {photo}"), &headers).status, 206);
    assert_eq!(gateway.get("/private/cars/7/missing.jpg", "alice").status, 404);
    // Neither names a file.
    for path in ["/private/-/health", "/private/a//b", "/elsewhere", "/private/-/sign-in"] {
        gateway.get(path, "alice");
    }
    let id = gateway.get(photo, "alice").header("x-request-id").unwrap().to_owned();
    stop(gateway);
    let reads = reads(&place);
    let rows: Vec<_> = reads
        .iter()
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
            (
                text("user"),
                text("name"),
                text("method"),
                text("decision"),
                record["status"].as_u64().unwrap(),
                record["bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    let row = |user: &str, name: &str, method: &str, decision: &str, status, bytes| {
        (user.into(), name.into(), method.into(), decision.into(), status, bytes)
    };
    let expected = [
        row("7", "alice", "GET", "allowed", 200, 13),
        row("8", "bob", "GET", "denied", 404, 10),
        row("-", "-", "GET", "denied", 404, 10),
        row("9", "carol", "HEAD", "allowed", 200, 0),
        row("7", "alice", "GET", "allowed", 206, 3),
        row("7", "alice", "GET", "allowed", 404, 10),
        row("7", "alice", "GET", "allowed", 200, 13),
    ];
    assert_eq!(rows, expected);
    assert_eq!(reads[6]["request"], id);
    assert_eq!(reads[0]["by"], "owner, by grant cars/{owner}/{*file}");
    assert_eq!((&reads[0]["source"], &reads[0]["client"]), (&"accounts".into(), &"127.0.0.1".into()));
    let time = humantime::parse_rfc3339(reads[0]["time"].as_str().unwrap()).unwrap();
    assert!(time.elapsed().unwrap() < Duration::from_secs(60));
    assert_eq!(events(&place), ["opened", "started", "stopped"]);
    assert_intact(&place);
    // Standard tools can check the lines up to a hash.
    let text = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let (sealed, hash) = text.split_once(HASH).unwrap();
    let mut tool = Command::new("b3sum").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    tool.stdin.take().unwrap().write_all(sealed.as_bytes()).unwrap();
    let digest = String::from_utf8(tool.wait_with_output().unwrap().stdout).unwrap();
    assert_eq!(digest.get(..64), hash.get(..64));
}

/// What begins the hash at the end of a line.
const HASH: &str = ",\"hash\":\"";

/// Returns the index of the first line that is sealed together with this one.
fn first_of_group(lines: &[&str], index: usize) -> usize {
    lines[..index].iter().rposition(|line| line.contains(HASH)).map_or(0, |sealed| sealed + 1)
}

#[test]
fn ranges_of_a_playback_are_one_view() {
    let place = Place::new();
    place.write("private/cars/7/film.mp4", vec![b'x'; 300_000]);
    let gateway = serve(&place, &[]);
    let range = |user: &str, from: usize| {
        let range = format!("bytes={from}-{}", from + 999);
        let headers = [credentials(user), vec![("range", &*range)]].concat();
        assert_eq!(gateway.fetch("GET /private/cars/7/film.mp4", &headers).status, 206);
    };
    for number in 0..100 {
        range("alice", number * 1000);
    }
    range("carol", 0);
    stop(gateway);
    let reads = reads(&place);
    let of = |user: &str| reads.iter().filter(|read| read["name"] == user).collect::<Vec<_>>();
    let alice = of("alice");
    assert_eq!((alice.len(), of("carol").len()), (2, 1), "{reads:?}");
    assert_eq!(alice[1]["view"], alice[0]["request"]);
    assert_eq!(
        (&alice[0]["bytes"], &alice[1]["ranges"], &alice[1]["bytes"]),
        (&1000.into(), &99.into(), &99_000.into())
    );
    let shown = audit(&place, &["show", "--user", "alice", "--path", "cars/*.mp4"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("and 99 more ranges, 99000 bytes"), "{shown}");
    assert_eq!(shown.lines().count(), 2);
}

#[test]
fn sign_ins_and_sign_outs_are_recorded() {
    let place = Place::new();
    let gateway = serve(&place, &["--state", "memory"]);
    let post = |page: &str, cookie: &str, form: &str| {
        let form_type = ("content-type", "application/x-www-form-urlencoded");
        let headers = [form_type, ("sec-fetch-site", "same-origin"), ("cookie", cookie)];
        gateway.send(&format!("POST /private/-/{page}"), &headers, form.as_bytes())
    };
    let right = format!("name=alice&password={}", PASSWORD.replace(' ', "+"));
    let response = post("sign-in", "none=1", &right);
    assert_eq!(response.status, 303);
    let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(post("sign-in", "none=1", "name=bob&password=wrong").status, 403);
    // A password in the field of the name.
    assert_eq!(post("sign-in", "none=1", "name=correct+horse&password=").status, 403);
    assert_eq!(post("sign-out", &cookie, "next=/").status, 303);
    assert_eq!(post("sign-out", "none=1", "next=/").status, 303);
    stop(gateway);
    let records = records(&place).into_iter().filter(|record| record["action"] != "audit");
    let rows: Vec<_> = records
        .map(|record| {
            let text = |name: &str| record[name].as_str().unwrap_or("-").to_owned();
            assert_eq!(record["client"], "127.0.0.1");
            [text("action"), text("user"), text("decision"), record["status"].to_string()]
        })
        .collect();
    let expected = [
        ["sign-in", "7", "allowed", "303"],
        ["sign-in", "8", "denied", "403"],
        ["sign-in", "-", "denied", "403"],
        ["sign-out", "7", "allowed", "303"],
    ];
    assert_eq!(rows, expected.map(|row| row.map(str::to_owned)));
    let text = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    assert!(!text.contains("horse") && !text.contains(PASSWORD), "{text}");
    let shown = audit(&place, &["show", "--action", "sign-in", "--user", "alice"]);
    assert_eq!(String::from_utf8(shown.stdout).unwrap().lines().count(), 1);
    assert_intact(&place);
}

#[test]
fn hand_offs_are_recorded_as_such() {
    let place = Place::new();
    let gateway = serve(&place, &["--mode", "nginx", "--audit-fold", "0s"]);
    let photo = gateway.get("/private/cars/7/photo.jpg", "alice");
    assert!(photo.header("x-accel-redirect").is_some());
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "bob").status, 404);
    stop(gateway);
    let reads = reads(&place);
    assert_eq!((&reads[0]["handed_off"], &reads[0]["bytes"]), (&true.into(), &0.into()));
    assert!(reads[1].get("handed_off").is_none());
}

/// A client that receives responses on one connection.
struct Client {
    stream: std::net::TcpStream,
    received: Vec<u8>,
}

impl Client {
    /// Sends a request, and returns the status and the length of the content.
    fn exchange(&mut self, head: &str, is_head: bool) -> (u16, u64) {
        self.stream.write_all(head.as_bytes()).unwrap();
        let end = loop {
            if let Some(end) = self.received.windows(4).position(|window| window == b"\r\n\r\n") {
                break end + 4;
            }
            self.read();
        };
        let head = String::from_utf8(self.received[..end].to_vec()).unwrap().to_lowercase();
        let status = head[9..12].parse().unwrap();
        let length =
            head.lines().find_map(|line| line.strip_prefix("content-length: ")?.parse::<usize>().ok());
        let length = if is_head || status == 304 { 0 } else { length.unwrap_or_else(|| panic!("{head}")) };
        while self.received.len() < end + length {
            self.read();
        }
        self.received.drain(..end + length);
        (status, length as u64)
    }

    fn read(&mut self) {
        let mut buffer = [0; 8 << 10];
        let read = self.stream.read(&mut buffer).unwrap();
        assert!(read > 0, "the connection was closed");
        self.received.extend_from_slice(&buffer[..read]);
    }
}

/// A pseudorandom number below `limit`, always the same ones.
fn random(state: &mut u64, limit: u64) -> u64 {
    *state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*state >> 33) % limit
}

/// The audit says that exactly those bytes left that clients have received.
#[test]
fn the_sum_of_bytes_is_what_clients_received() {
    let requests: u64 = 100_000;
    let place = Place::new();
    let sizes = [0_usize, 1, 1000, 20_000, 150_000];
    for (number, size) in sizes.iter().enumerate() {
        place.write(&format!("private/cars/7/{number}.bin"), vec![b'x'; *size]);
    }
    // Rotation and folding under load.
    let gateway = serve(&place, &["--audit-rotate-size", "500kB", "--audit-fold", "100ms"]);
    let threads = 4;
    let clients = (0..threads).map(|thread: u64| {
        let address = gateway.address;
        std::thread::spawn(move || {
            let stream = std::net::TcpStream::connect(address).unwrap();
            let mut client = Client { stream, received: vec![] };
            let (mut state, mut sums) = (thread, BTreeMap::<&str, (u64, u64)>::new());
            for _ in 0..requests / threads {
                let users = ["alice", "bob", "carol", "nobody"];
                let user = users[usize::try_from(random(&mut state, 4)).unwrap()];
                let file = random(&mut state, 6);
                let method = if random(&mut state, 8) == 0 { "HEAD" } else { "GET" };
                let condition = match random(&mut state, 5) {
                    0 => format!("range: bytes={}-\r\n", random(&mut state, 900)),
                    1 => format!(
                        "range: bytes={}-{}\r\n",
                        random(&mut state, 90),
                        100 + random(&mut state, 900)
                    ),
                    2 => "if-none-match: *\r\n".to_owned(),
                    _ => String::new(),
                };
                let basic = credentials(user)
                    .first()
                    .map_or(String::new(), |(name, value)| format!("{name}: {value}\r\n"));
                let head = format!(
                    "{method} /private/cars/7/{file}.bin HTTP/1.1\r\nhost: x\r\n{basic}{condition}\r\n"
                );
                let (status, length) = client.exchange(&head, method == "HEAD");
                assert!([200, 206, 304, 404, 416].contains(&status), "{status}");
                let sum = sums.entry(user).or_default();
                *sum = (sum.0 + 1, sum.1 + length);
            }
            sums
        })
    });
    let clients: Vec<_> = clients.collect();
    let mut received = BTreeMap::<String, (u64, u64)>::new();
    for client in clients {
        for (user, (count, bytes)) in client.join().unwrap() {
            let sum = received.entry(user.to_owned()).or_default();
            *sum = (sum.0 + count, sum.1 + bytes);
        }
    }
    stop(gateway);
    let mut recorded = BTreeMap::<String, (u64, u64)>::new();
    let mut folded = 0;
    for record in reads(&place) {
        let user = record["name"].as_str().unwrap_or("nobody");
        let ranges = record["ranges"].as_u64();
        folded += u64::from(ranges.is_some());
        let sum = recorded.entry(user.to_owned()).or_default();
        *sum = (sum.0 + ranges.unwrap_or(1), sum.1 + record["bytes"].as_u64().unwrap());
    }
    assert_eq!(recorded, received);
    assert_eq!(received.values().map(|(count, _)| count).sum::<u64>(), requests / threads * threads);
    assert!(folded > 0, "no view was folded");
    assert!(files(&place).len() > 4, "{:?}", files(&place));
    assert_intact(&place);
}

/// Returns the names of the files of the audit.
fn files(place: &Place) -> Vec<String> {
    let names = std::fs::read_dir(place.path("")).unwrap().map(|entry| entry.unwrap().file_name());
    let mut names: Vec<_> = names.map(|name| name.to_str().unwrap().to_owned()).collect();
    names.retain(|name| name.starts_with("audit.jsonl") && *name != "audit.jsonl.head");
    names.sort();
    names
}

/// What a client has not taken did not leave.
#[test]
fn an_aborted_download_counts_what_left() {
    const LENGTH: u64 = 64 << 20;
    let place = Place::new();
    let file = File::create(place.path("private/cars/7/large.bin")).unwrap();
    file.set_len(LENGTH).unwrap();
    let gateway = serve(&place, &[]);
    let (name, value) = credentials("alice")[0];
    let line = "GET /private/cars/7/large.bin";
    // The server ends the connection: the client receives all that left.
    let mut stream = send(gateway.address, line, &[(name, value)], b"");
    let mut part = vec![0; 3 << 20];
    stream.read_exact(&mut part).unwrap();
    // A client that goes away.
    let mut other = send(gateway.address, line, &[(name, value)], b"");
    other.read_exact(&mut part[..100_000]).unwrap();
    drop(other);
    until("the record of the second download", || {
        std::fs::read_to_string(place.path("audit.jsonl")).unwrap().contains("large.bin")
    });
    gateway.signal(Signal::TERM);
    until("no further connections", || std::net::TcpStream::connect(gateway.address).is_err());
    gateway.signal(Signal::TERM);
    let mut gateway = gateway;
    assert_eq!(gateway.exit_within(Duration::from_secs(20)).code(), Some(130));
    // The connection may end with a reset after the last byte.
    let mut rest = vec![];
    let _ = stream.read_to_end(&mut rest);
    let received = part.len() + rest.len();
    let head = part.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let reads = reads(&place);
    assert_eq!(reads.len(), 2, "{reads:?}");
    assert_eq!(reads[1]["bytes"].as_u64().unwrap(), (received - head) as u64);
    let gone = reads[0]["bytes"].as_u64().unwrap();
    assert!((99_000..LENGTH / 2).contains(&gone), "{gone}");
    assert_intact(&place);
}

#[test]
fn each_change_of_the_files_is_found() {
    let place = Place::new();
    let gateway = serve(&place, &["--audit-rotate-size", "4kB"]);
    for _ in 0..8 {
        for user in ["alice", "bob", "nobody"] {
            gateway.get("/private/cars/7/photo.jpg", user);
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    stop(gateway);
    assert_intact(&place);
    let names = files(&place);
    assert!(names.len() > 2, "{names:?}");
    let originals: HashMap<_, _> =
        names.iter().map(|name| (name.clone(), std::fs::read_to_string(place.path(name)).unwrap())).collect();
    for name in &names {
        let lines: Vec<&str> = originals[name].lines().collect();
        let is_last_file = *name == "audit.jsonl";
        for index in 0..lines.len() {
            let is_last = is_last_file && index + 1 == lines.len();
            let mut removed = lines.clone();
            removed.remove(index);
            let changed_line =
                lines[index].replacen("2026", "2027", 1).replacen("\"time\":\"20", "\"time\":\"19", 1);
            let mut changed = lines.clone();
            changed[index] = &changed_line;
            let mut doubled = lines.clone();
            doubled.insert(index, lines[index]);
            let mut swapped = lines.clone();
            swapped.swap(index, (index + 1) % lines.len());
            let cut = &lines[..index];
            let kind = if is_last { "truncated" } else { "removed" };
            let number = |line: usize| format!("{name}:{}: ", line + 1);
            let mut cases = vec![
                (removed, format!(": {kind}: ")),
                (changed, format!("{}changed: ", number(first_of_group(&lines, index)))),
                (doubled, format!("{}doubled: ", number(index + 1))),
            ];
            // Nothing says which records the first hash of all covers.
            let is_first = name == "audit.jsonl.000000000001" && index == 0;
            if index + 1 < lines.len() && !is_first {
                cases.push((swapped, format!("{}reordered: ", number(index + 1))));
            }
            if is_last_file {
                cases.push((cut.to_vec(), ": truncated: ".to_owned()));
            }
            for (lines, expected) in cases {
                let text: String = lines.iter().map(|line| format!("{line}\n")).collect();
                std::fs::write(place.path(name), text).unwrap();
                let (code, found) = verify(&place, &[]);
                assert_eq!(code, Some(1), "{expected} {found}");
                assert!(found.contains(&expected), "{expected:?} in {found}");
            }
        }
        std::fs::write(place.path(name), &originals[name]).unwrap();
    }
    // Whole files.
    std::fs::rename(place.path(&names[1]), place.path("elsewhere")).unwrap();
    let (code, found) = verify(&place, &[]);
    assert!(code == Some(1) && found.contains(": removed: "), "{found}");
    std::fs::rename(place.path("elsewhere"), place.path(&names[1])).unwrap();
    std::fs::rename(place.path("audit.jsonl.head"), place.path("elsewhere")).unwrap();
    let (code, found) = verify(&place, &["--format", "json"]);
    let found: Value = serde_json::from_str(&found).unwrap();
    assert_eq!(
        (code, &found["intact"], &found["faults"][0]["kind"]),
        (Some(1), &false.into(), &"removed".into())
    );
}

#[test]
fn a_key_prevents_forgery() {
    let place = Place::new();
    place.write("key", "a secret that nobody else can read\n");
    std::fs::set_permissions(place.path("key"), PermissionsExt::from_mode(0o600)).unwrap();
    let photo = "/private/cars/7/photo.jpg";
    let plain = serve(&place, &[]);
    plain.get(photo, "alice");
    stop(plain);
    // A key that is set later begins a new file.
    let gateway = serve(&place, &["--audit-key-file", "key"]);
    gateway.get(photo, "alice");
    stop(gateway);
    assert_eq!(files(&place).len(), 2);
    let with_key = ["--audit-key-file", "key"];
    let (code, text) = verify(&place, &with_key);
    assert!(code == Some(0) && text.contains("sealed with the key"), "{text}");
    let (code, text) = verify(&place, &[]);
    assert!(code == Some(1) && text.contains("unknown key"), "{text}");
    // Somebody without the key writes a whole new audit.
    for name in files(&place) {
        std::fs::remove_file(place.path(&name)).unwrap();
    }
    std::fs::remove_file(place.path("audit.jsonl.head")).unwrap();
    stop(serve(&place, &[]));
    assert_intact(&place);
    let (code, text) = verify(&place, &with_key);
    assert!(code == Some(1) && text.contains("unsealed"), "{text}");
    let line = place.refusal(&["serve", "--audit-path", "a", "--audit-key-file", "accounts.toml.none"]);
    assert!(line.contains("--audit-key-file") && line.contains("No such file"), "{line}");
}

#[test]
fn after_a_kill_the_audit_continues() {
    let place = Place::new();
    for round in 1..=4 {
        let mut gateway = serve(&place, &["--audit-sync", "0s"]);
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_millis(200 + round * 37) {
            gateway.get("/private/cars/7/photo.jpg", "nobody");
        }
        gateway.child.kill().unwrap();
        gateway.child.wait().unwrap();
        // The kernel completes a write, so the line is torn by hand.
        let path = place.path("audit.jsonl");
        let text = std::fs::read(&path).unwrap();
        if round > 1 {
            let mut file = File::options().append(true).open(&path).unwrap();
            file.write_all(&text[..57 * usize::try_from(round).unwrap() - 100]).unwrap();
            let (code, found) = verify(&place, &[]);
            assert_eq!(code, Some(1), "{found}");
            assert!(found.contains(": torn: ") && found.contains("1 faults"), "{found}");
        } else {
            assert_intact(&place);
        }
    }
    stop(serve(&place, &[]));
    assert_intact(&place);
    let events = events(&place);
    assert_eq!(events.iter().filter(|event| *event == "repaired").count(), 3, "{events:?}");
    let repaired = records(&place).into_iter().find(|record| record["event"] == "repaired").unwrap();
    assert!(repaired["removed"].as_str().unwrap().starts_with("{\"sequence\":1,"), "{repaired}");
}

/// Two gateways with one file, as during an upgrade, continue one chain.
#[test]
fn two_gateways_share_a_file() {
    let place = Place::new();
    let arguments = ["--audit-rotate-size", "20kB", "--state", "memory"];
    let gateways = [serve(&place, &arguments), serve(&place, &arguments)];
    let requests: usize = std::thread::scope(|scope| {
        let clients = gateways.each_ref().map(|gateway| {
            scope.spawn(|| {
                let begin = Instant::now();
                let mut count = 0;
                while begin.elapsed() < Duration::from_secs(1) {
                    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "nobody").status, 404);
                    count += 1;
                }
                count
            })
        });
        clients.into_iter().map(|client| client.join().unwrap()).sum()
    });
    gateways.into_iter().for_each(stop);
    assert_intact(&place);
    assert!(files(&place).len() > 2, "{:?}", files(&place));
    assert_eq!(reads(&place).len(), requests);
    let sequences: Vec<_> =
        records(&place).iter().map(|record| record["sequence"].as_u64().unwrap()).collect();
    assert!(sequences.iter().copied().eq(1..=sequences.len() as u64));
}

#[test]
fn old_files_are_deleted_and_that_is_recorded() {
    let place = Place::new();
    let gateway = serve(&place, &["--audit-rotate-size", "4kB", "--audit-keep", "2"]);
    for _ in 0..12 {
        for _ in 0..12 {
            gateway.get("/private/cars/7/photo.jpg", "nobody");
        }
        std::thread::sleep(Duration::from_millis(60));
    }
    stop(gateway);
    let names = files(&place);
    assert_eq!(names.len(), 3, "{names:?}");
    assert_intact(&place);
    // Nobody else may delete one.
    std::fs::remove_file(place.path(&names[1])).unwrap();
    let (code, found) = verify(&place, &[]);
    assert!(code == Some(1) && found.contains("removed"), "{found}");
}

/// Returns the library of faketime, which gives a process another clock.
fn faketime() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.filter_map(Result::ok);
    let mut libraries = folders.map(|folder| folder.path().join("faketime/libfaketimeMT.so.1"));
    libraries.find(|library| library.exists())
}

#[test]
fn a_clock_that_is_set_back_changes_no_order() {
    let library = faketime();
    if !needs("faketime", library.is_some()) {
        return;
    }
    let place = Place::new();
    for time in ["2030-01-01 00:00:00", "2020-01-01 00:00:00", "2028-01-01 00:00:00"] {
        let mut command = program();
        command.env("LD_PRELOAD", library.as_ref().unwrap()).env("FAKETIME", format!("@{time}"));
        command.env("FAKETIME_DONT_FAKE_MONOTONIC", "1").current_dir(place.path(""));
        command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT, "--audit-rotate-age", "90d"]);
        let gateway = Gateway::spawn(
            {
                command.args(AUDIT);
                command
            },
            place.path("gateway.log"),
        );
        gateway.get("/private/cars/7/photo.jpg", "nobody");
        stop(gateway);
    }
    assert_intact(&place);
    let years: Vec<_> =
        reads(&place).iter().map(|read| read["time"].as_str().unwrap()[..4].to_owned()).collect();
    assert_eq!(years, ["2030", "2020", "2028"]);
    assert!(!events(&place).iter().any(|event| event == "missing"));
}

#[test]
fn show_selects_records_and_stops_with_its_reader() {
    let place = Place::new();
    let gateway = serve(&place, &[]);
    for user in ["alice", "bob", "alice"] {
        gateway.get("/private/cars/7/photo.jpg", user);
    }
    gateway.get("/private/cars/8/other.jpg", "alice");
    stop(gateway);
    let count = |arguments: &[&str]| {
        let output = audit(&place, &[&["show"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap().lines().count()
    };
    assert_eq!(count(&[]), 7);
    assert_eq!(count(&["--user", "alice"]), 3);
    assert_eq!(count(&["--user", "8"]), 1);
    assert_eq!(count(&["--path", "cars/7/*", "--user", "7"]), 2);
    assert_eq!(count(&["--action", "read", "--since", "1h"]), 4);
    assert_eq!(count(&["--until", "1h"]), 0);
    let line = place.refusal(&[&["audit", "show", "--since", "soon"], AUDIT].concat());
    assert!(line.contains("--since: not a time"), "{line}");
    let line = place.refusal(&["audit", "show"]);
    assert!(line.contains("audit.path is not set"), "{line}");
    let line = place.refusal(&["audit", "verify", "--audit-path", "none.jsonl"]);
    assert!(line.contains("none.jsonl") && line.contains("cannot be read"), "{line}");
    // More than a pipe holds, to a reader that takes one line.
    let text = std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    place.write("large.jsonl", text.repeat(200));
    let mut command = program();
    command.args(["audit", "show", "--format", "json", "--audit-path", "large.jsonl"]);
    let mut child =
        command.current_dir(place.path("")).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut line).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}
