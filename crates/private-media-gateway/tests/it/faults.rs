//! Faults of the environment grant no access, and service recovers after them.
//!
//! Each row of [`FAULTS`] is a fault of a running gateway. The same clients send requests before, during and after it. The table in
//! `docs/explanation/reliability.md` has a line for each row.

use std::fs::{File, OpenOptions};
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Resource, Rlimit, Signal};

use crate::support::{ControlGroup, Gateway, PASSWORD, Place, Response, credentials, needs, program, send};

/// Stands for a missing response.
const NONE: u16 = 0;
const PHOTO: &str = "/private/cars/7/photo.jpg";
const MISSING: &str = "/private/cars/7/missing.jpg";

/// A fault and its permitted effects.
struct Fault {
    name: &'static str,
    log: Log,
    begin: fn(&mut Scene),
    end: fn(&mut Scene),
    /// The statuses that the owner of the photo may get during the fault.
    owner: &'static [u16],
    /// The status of the health page during the fault. The probes begin when it is reached.
    health: u16,
    /// Texts that the log contains after the fault; empty if the log cannot be written.
    says: &'static [&'static str],
}

/// The destination of the log.
#[derive(Clone, Copy, PartialEq)]
enum Log {
    /// A file.
    File,
    /// A pipe with a stalled reader.
    Stalled,
    /// A pipe without a reader.
    Closed,
    /// A full disk.
    Full,
}

const FAULTS: [Fault; 13] = [
    Fault {
        name: "the log's pipe is closed",
        log: Log::Closed,
        begin: |scene| scene.be_busy(),
        end: |_| (),
        owner: &[200],
        health: 200,
        says: &[],
    },
    Fault {
        name: "stalled log reader",
        log: Log::Stalled,
        begin: |scene| scene.be_busy(),
        end: Scene::drain_log,
        owner: &[200],
        health: 200,
        says: &["dropped"],
    },
    Fault {
        name: "the log's disk is full",
        log: Log::Full,
        begin: |scene| scene.be_busy(),
        end: |_| (),
        owner: &[200],
        health: 200,
        says: &[],
    },
    Fault {
        name: "the accounts file is half written",
        log: Log::File,
        begin: |scene| {
            scene.break_accounts(|scene| scene.write_accounts(&scene.saved[..scene.saved.len() / 2], 0o600));
        },
        end: Scene::restore_accounts,
        owner: &[200],
        health: 200,
        says: &["accounts"],
    },
    Fault {
        name: "the accounts file is gone",
        log: Log::File,
        begin: |scene| {
            scene.break_accounts(|scene| std::fs::remove_file(scene.place.path("accounts.toml")).unwrap());
        },
        end: Scene::restore_accounts,
        owner: &[200],
        health: 200,
        says: &["accounts"],
    },
    Fault {
        name: "everybody may read the accounts file",
        log: Log::File,
        begin: |scene| {
            scene.break_accounts(|scene| scene.write_accounts(&scene.saved, 0o644));
        },
        end: Scene::restore_accounts,
        owner: &[200],
        health: 200,
        says: &["accounts"],
    },
    Fault {
        name: "another process locks the state database",
        log: Log::File,
        begin: Scene::lock_state,
        end: |scene| drop(scene.locker.take()),
        owner: &[200],
        health: 200,
        says: &[],
    },
    Fault {
        name: "the root is renamed away",
        log: Log::File,
        begin: |scene| scene.rename("private", "away"),
        end: |scene| scene.rename("away", "private"),
        owner: &[500, 503],
        health: 503,
        says: &["root"],
    },
    Fault {
        name: "a file takes the place of the root",
        log: Log::File,
        begin: |scene| {
            scene.rename("private", "away");
            std::fs::write(scene.place.path("private"), "a file").unwrap();
        },
        end: |scene| {
            std::fs::remove_file(scene.place.path("private")).unwrap();
            scene.rename("away", "private");
        },
        owner: &[500, 503],
        health: 503,
        says: &["root"],
    },
    Fault {
        name: "the process has no descriptors left",
        log: Log::File,
        // One descriptor for the connection, and none for a file that is not in memory.
        begin: |scene| {
            scene.place.write("private/cars/7/new.jpg", "new");
            scene.limit(Resource::Nofile, scene.next_descriptor() + 1);
            assert_eq!(scene.owner("/private/cars/7/new.jpg").0, 500);
        },
        end: |scene| scene.unlimit(Resource::Nofile),
        owner: &[200, 500],
        health: 200,
        says: &["open files"],
    },
    Fault {
        name: "the clock is set 30 days ahead",
        log: Log::File,
        begin: |scene| scene.set_clock("+30d"),
        end: |scene| scene.set_clock("+0"),
        // By this clock, the session has expired.
        owner: &[404],
        health: 200,
        says: &[],
    },
    Fault {
        name: "the clock is set 30 days back",
        log: Log::File,
        begin: |scene| scene.set_clock("-30d"),
        end: |scene| scene.set_clock("+0"),
        owner: &[200],
        health: 200,
        says: &[],
    },
    Fault {
        name: "SIGHUP, ten in a row",
        log: Log::File,
        begin: |scene| {
            for _ in 0..10 {
                scene.gateway.signal(Signal::HUP);
                std::thread::sleep(Duration::from_millis(20));
            }
        },
        end: |_| (),
        owner: &[200],
        health: 200,
        says: &[],
    },
];

#[test]
fn faults_grant_no_access_and_service_recovers() {
    let clock = clock_library();
    if !needs("libfaketime", clock.is_some()) {
        return;
    }
    let clock = clock.unwrap();
    // Several run at a time, because each waits for intervals to pass.
    std::thread::scope(|scope| {
        for faults in FAULTS.chunks(FAULTS.len().div_ceil(4)) {
            let clock = &clock;
            scope.spawn(move || faults.iter().for_each(|fault| inject(fault, clock)));
        }
    });
}

fn inject(fault: &Fault, clock: &Path) {
    let mut scene = Scene::new(fault.log, clock);
    let name = fault.name;
    scene.probe(name, &[200]);
    (fault.begin)(&mut scene);
    until(&format!("{name}: health {}", fault.health), || scene.health() == fault.health);
    scene.probe(name, fault.owner);
    (fault.end)(&mut scene);
    until(&format!("{name}: recovery"), || scene.health() == 200 && scene.owner(PHOTO).0 == 200);
    scene.probe(name, &[200]);
    if fault.log == Log::File || fault.log == Log::Stalled {
        for part in fault.says {
            until(&format!("{name}: the log says {part:?}"), || scene.log().contains(part));
        }
        assert!(!scene.log().contains("panic"), "{name}: {}", scene.log());
    }
    scene.gateway.signal(Signal::TERM);
    let begin = Instant::now();
    assert!(scene.gateway.child.wait().unwrap().success(), "{name}: the exit");
    assert!(begin.elapsed() < Duration::from_secs(10), "{name}: the exit took {:?}", begin.elapsed());
}

/// A gateway with a signed-in owner, and the handles that faults need.
struct Scene {
    place: Place,
    gateway: Gateway,
    owner: String,
    /// Credentials that must be denied: of other users, forged, and of an ended session.
    worthless: Vec<(&'static str, String)>,
    clock: PathBuf,
    log: Option<OwnedFd>,
    drained: std::sync::Arc<std::sync::Mutex<Vec<u8>>>,
    saved: Vec<u8>,
    locker: Option<Locker>,
}

impl Scene {
    fn new(log: Log, clock_library: &Path) -> Self {
        let place = Place::new();
        let clock = place.path("clock");
        std::fs::write(&clock, "+0\n").unwrap();
        let mut command = program();
        command
            .args(["serve", "--listen", "127.0.0.1:0", "--workers", "2", "--cache-ttl", "200ms"])
            .args(["--grant", crate::support::GRANT, "--revalidate-after", "200ms"])
            .current_dir(place.path(""))
            .env("LD_PRELOAD", clock_library)
            .env("FAKETIME_TIMESTAMP_FILE", &clock)
            .env("FAKETIME_NO_CACHE", "1")
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let file = place.path("gateway.log");
        let (gateway, log) = match log {
            Log::File => (Gateway::spawn(command, file), None),
            Log::Full => {
                let full = OpenOptions::new().write(true).open("/dev/full").unwrap();
                (Gateway::spawn_with(command, full.into(), file), None)
            }
            Log::Closed | Log::Stalled => {
                let (reader, writer) = std::io::pipe().unwrap();
                let gateway = Gateway::spawn_with(command, writer.into(), file);
                (gateway, Some(reader.into()).filter(|_| log == Log::Stalled))
            }
        };
        let [owner, ended, bob] = ["alice", "alice", "bob"].map(|name| sign_in(&gateway, name));
        assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &ended)], b"").status, 303);
        let mut forged = owner.clone();
        let last = if forged.pop() == Some('A') { 'B' } else { 'A' };
        forged.push(last);
        let worthless = vec![
            ("nobody", String::new()),
            ("bob", bob),
            ("a forged session", forged),
            ("an ended session", ended),
        ];
        let drained = std::sync::Arc::default();
        Self { place, gateway, owner, worthless, clock, log, drained, saved: vec![], locker: None }
    }

    /// Sends requests as all clients, and checks that all except the owner get the same denial.
    fn probe(&self, name: &str, owner: &[u16]) {
        for round in 0..3 {
            let (status, body) = self.owner(PHOTO);
            assert!(
                owner.contains(&status),
                "{name}: the owner got {status} in round {round}: {}",
                self.log()
            );
            assert_eq!(status == 200, body == b"alice's photo", "{name}: {body:?}");
            for (who, cookie) in &self.worthless {
                for path in [PHOTO, MISSING] {
                    let found = self.get(path, cookie);
                    assert_eq!(found, (404, b"not found\n".to_vec()), "{name}: {path} as {who}");
                }
            }
        }
    }

    fn owner(&self, path: &str) -> (u16, Vec<u8>) {
        self.get(path, &self.owner)
    }

    fn health(&self) -> u16 {
        self.get("/private/-/health", "").0
    }

    fn get(&self, path: &str, cookie: &str) -> (u16, Vec<u8>) {
        let mut bytes = Vec::new();
        let stream = send(self.gateway.address, &format!("GET {path}"), &[("cookie", cookie)], b"");
        match { stream }.read_to_end(&mut bytes) {
            Ok(_) if !bytes.is_empty() => {
                let response = Response::parse(&bytes);
                (response.status, response.body)
            }
            _ => (NONE, vec![]),
        }
    }

    /// Causes more log lines than the pipe and the queue hold.
    fn be_busy(&self) {
        let path = format!("GET {PHOTO}?{}", "x".repeat(10));
        for _ in 0..40 {
            let mut stream = self.gateway.connect();
            let request = format!("{path} HTTP/1.1\r\nhost: x\r\ncookie: {}\r\n\r\n", self.owner);
            let last = format!("{path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
            std::io::Write::write_all(&mut stream, (request.repeat(500) + &last).as_bytes()).unwrap();
            std::io::copy(&mut stream, &mut std::io::sink()).unwrap();
        }
    }

    fn drain_log(&mut self) {
        let mut reader = File::from(self.log.take().unwrap());
        let drained = std::sync::Arc::clone(&self.drained);
        std::thread::spawn(move || {
            let mut piece = vec![0; 1 << 16];
            while let Ok(count @ 1..) = reader.read(&mut piece) {
                drained.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
    }

    fn log(&self) -> String {
        let drained = String::from_utf8_lossy(&self.drained.lock().unwrap()).into_owned();
        if drained.is_empty() { self.gateway.log() } else { drained }
    }

    fn write_accounts(&self, content: &[u8], mode: u32) {
        use std::os::unix::fs::PermissionsExt;

        let path = self.place.path("accounts.toml");
        std::fs::write(&path, content).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
    }

    /// Backs up and changes the accounts file, and waits for three times the interval of its checks.
    fn break_accounts(&mut self, change: impl FnOnce(&Self)) {
        self.saved = std::fs::read(self.place.path("accounts.toml")).unwrap();
        change(self);
        std::thread::sleep(Duration::from_millis(600));
    }

    fn rename(&self, from: &str, to: &str) {
        std::fs::rename(self.place.path(from), self.place.path(to)).unwrap();
    }

    fn restore_accounts(&mut self) {
        let content = std::mem::take(&mut self.saved);
        self.write_accounts(&content, 0o600);
    }

    fn lock_state(&mut self) {
        self.locker = Some(Locker::new(&self.place.path("state.db")));
    }

    fn set_clock(&self, offset: &str) {
        std::fs::write(&self.clock, format!("{offset}\n")).unwrap();
    }

    /// Returns the lowest free descriptor, which is the next to be opened.
    fn next_descriptor(&self) -> u64 {
        let folder = PathBuf::from(format!("/proc/{}/fd", self.gateway.child.id()));
        (0..10_000).find(|number| !folder.join(number.to_string()).is_symlink()).unwrap()
    }

    fn limit(&self, resource: Resource, current: u64) {
        let pid = Pid::from_child(&self.gateway.child);
        let maximum = rustix::process::getrlimit(resource).maximum;
        rustix::process::prlimit(Some(pid), resource, Rlimit { current: Some(current), maximum }).unwrap();
    }

    fn unlimit(&self, resource: Resource) {
        let pid = Pid::from_child(&self.gateway.child);
        let maximum = rustix::process::getrlimit(resource).maximum;
        rustix::process::prlimit(Some(pid), resource, Rlimit { current: maximum, maximum }).unwrap();
    }
}

/// Signs in by the form, and returns the session as a `Cookie` header.
fn sign_in(gateway: &Gateway, name: &str) -> String {
    let form = format!("name={name}&password={}&next=/", PASSWORD.replace(' ', "+"));
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let response = gateway.send("POST /private/-/sign-in", &fields, form.as_bytes());
    assert_eq!(response.status, 303, "{name}");
    let cookies = response.head.lines().filter_map(|line| line.strip_prefix("set-cookie: "));
    let mut cookies = cookies.filter_map(|cookie| cookie.split(';').next());
    cookies.find(|cookie| cookie.starts_with("private_media_session=")).unwrap().to_owned()
}

/// Holds a lock of an SQLite database until it is dropped.
struct Locker(Child);

impl Locker {
    fn new(path: &Path) -> Self {
        let script = "import sqlite3, sys\n\
            database = sqlite3.connect(sys.argv[1], timeout=10)\n\
            database.execute('BEGIN EXCLUSIVE')\n\
            print('locked', flush=True)\n\
            sys.stdin.read()";
        let mut child = Command::new("python3")
            .args(["-c", script])
            .arg(path)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = [0; 7];
        child.stdout.take().unwrap().read_exact(&mut line).unwrap();
        assert_eq!(&line, b"locked\n");
        Self(child)
    }
}

impl Drop for Locker {
    fn drop(&mut self) {
        drop(self.0.stdin.take());
        let _ = self.0.wait();
    }
}

/// Returns the library that sets the clock of one process.
fn clock_library() -> Option<PathBuf> {
    let folders = std::fs::read_dir("/usr/lib").ok()?.flatten();
    folders.map(|entry| entry.path().join("faketime/libfaketimeMT.so.1")).find(|path| path.exists())
}

fn until(what: &str, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "timeout: {what}");
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// A process that exceeds the memory of its container is killed. 100 downloads, 20 passwords and many small requests at a time need
/// less than 48 MiB.
#[test]
fn a_small_container_is_sufficient() {
    const LIMIT: &str = "50331648";
    const LEN: usize = 4 << 20;
    let group = ControlGroup::new(("memory", "memory.limit_in_bytes", LIMIT), ("memory.max", LIMIT));
    if !needs("control group for memory, by root", group.is_some()) {
        return;
    }
    let group = group.unwrap();
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
    let mut command = group.command(&program());
    command.args(["serve", "--listen", "127.0.0.1:0", "--grant", crate::support::GRANT, "--cache-ttl", "0s"]);
    command.current_dir(place.path(""));
    let mut gateway = Gateway::spawn(command, place.path("gateway.log"));
    std::thread::scope(|scope| {
        for number in 0..100 {
            let gateway = &gateway;
            scope.spawn(move || {
                // Sign-ins are queued; signed-in users download.
                if number % 5 == 0 {
                    assert_eq!(gateway.get(PHOTO, "alice").status, 200);
                }
                for path in ["/private/cars/7/missing.bin", "/private/cars/7/big.bin"] {
                    assert_eq!(gateway.get(path, "nobody").status, 404);
                }
            });
        }
        let session = sign_in(&gateway, "alice");
        for _ in 0..100 {
            let (gateway, session) = (&gateway, session.clone());
            scope.spawn(move || {
                let response = gateway.fetch("GET /private/cars/7/big.bin", &[("cookie", &session)]);
                assert_eq!((response.status, response.body.len()), (200, LEN));
            });
        }
    });
    let peak = group.read("memory.max_usage_in_bytes", "memory.peak");
    println!("a peak of {} KiB, including the page cache", peak.trim().parse::<u64>().unwrap() >> 10);
    assert_eq!(gateway.child.try_wait().unwrap(), None);
}

/// The state of a request when a signal arrives.
#[derive(Debug, Clone, Copy, PartialEq)]
enum State {
    /// No connection.
    Quiet,
    /// A connection without a request.
    Idle,
    /// An incomplete head.
    Head,
    /// A download whose client has received the beginning.
    Download,
    /// A password that is being checked.
    Password,
}

/// SIGTERM and SIGINT let responses finish, SIGHUP and SIGPIPE do nothing, in every state.
#[test]
fn signals_stop_the_gateway_in_every_state() {
    const LEN: usize = 8 << 20;
    let states = [State::Quiet, State::Idle, State::Head, State::Download, State::Password];
    for signal in [Signal::TERM, Signal::INT, Signal::HUP, Signal::PIPE] {
        let place = Place::new();
        place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
        std::thread::scope(|scope| {
            for state in states {
                let place = &place;
                scope.spawn(move || {
                    let mut gateway = place.serve(&[
                        "--shutdown-timeout",
                        "20s",
                        "--header-timeout",
                        "2s",
                        "--state",
                        "memory",
                    ]);
                    let (name, value) = credentials("alice")[0];
                    let mut stream = (state != State::Quiet).then(|| gateway.connect());
                    let head = |path: &str| {
                        format!(
                            "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{name}: {value}\r\n\r\n"
                        )
                    };
                    let request = match state {
                        State::Quiet | State::Idle => String::new(),
                        State::Head => "GET /private/cars/7/big.bin HTTP/1.1\r\nhost".to_owned(),
                        State::Download => head("/private/cars/7/big.bin"),
                        State::Password => head(PHOTO),
                    };
                    let mut received = vec![];
                    if let Some(stream) = &mut stream {
                        std::io::Write::write_all(stream, request.as_bytes()).unwrap();
                        if state == State::Download {
                            received = vec![0; 1000];
                            stream.read_exact(&mut received).unwrap();
                        } else {
                            // The password has arrived, and is still being checked.
                            std::thread::sleep(Duration::from_millis(10));
                        }
                    }
                    gateway.signal(signal);
                    let is_served = matches!(state, State::Download | State::Password);
                    if is_served {
                        stream.as_mut().unwrap().read_to_end(&mut received).unwrap();
                        let response = Response::parse(&received);
                        let len = if state == State::Download { LEN } else { "alice's photo".len() };
                        assert_eq!(
                            (response.status, response.body.len()),
                            (200, len),
                            "{signal:?} {state:?}"
                        );
                    }
                    if matches!(signal, Signal::TERM | Signal::INT) {
                        let begin = Instant::now();
                        assert!(gateway.child.wait().unwrap().success(), "{signal:?} {state:?}");
                        assert!(begin.elapsed() < Duration::from_secs(5), "{signal:?} {state:?}");
                    } else {
                        assert_eq!(gateway.get(PHOTO, "alice").status, 200, "{signal:?} {state:?}");
                        assert_eq!(gateway.child.try_wait().unwrap(), None, "{signal:?} {state:?}");
                    }
                });
            }
        });
    }
}

/// The page about reliability names a test for each fault, and each of these tests exists.
#[test]
fn the_reliability_page_names_existing_tests() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let page = std::fs::read_to_string(root.join("docs/explanation/reliability.md")).unwrap();
    let mut sources = String::new();
    let folders = [
        "crates/private-media",
        "crates/private-media-buckets",
        "crates/private-media-gateway",
        "python/tests",
    ];
    for folder in folders {
        read_sources(&root.join(folder), &mut sources);
    }
    let is_fault = |line: &&str| line.matches(" | ").count() == 6 && !line.starts_with("| fault |");
    let rows = page.lines().filter(is_fault);
    let tests: Vec<_> = rows.filter_map(|row| row.rsplit(" | ").next()).collect();
    assert!(tests.len() > 50, "{}", tests.len());
    for cell in tests {
        // Every second part is between backticks.
        let names: Vec<_> = cell.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "no test in {cell:?}");
        for name in names {
            let name = name.rsplit("::").next().unwrap().trim_end_matches('*');
            let exists = ["fn ", "def "].iter().any(|keyword| sources.contains(&format!("{keyword}{name}")));
            assert!(exists, "no such test: {name}");
        }
    }
}

fn read_sources(folder: &Path, sources: &mut String) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            read_sources(&path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs" || extension == "py") {
            sources.push_str(&std::fs::read_to_string(&path).unwrap());
        }
    }
}
