//! SIGUSR2 replaces the program, and no client notices.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process, test_kill_process};

use crate::clients::{Clients, Target};
use crate::support::{GRANT, Gateway, Place, Response, credentials};

const SERVES: &str = "serves now; this process ends with its last connection";
pub(crate) const FAILED: &str = "the upgrade failed, and this process serves on";

/// A gateway whose program is replaced. Its processes are killed when the test ends.
pub(crate) struct Upgradable {
    pub(crate) gateway: Gateway,
    program: PathBuf,
}

impl Upgradable {
    /// Starts a gateway by a link, which [`Upgradable::install`] replaces.
    pub(crate) fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_with(place, arguments, &[])
    }

    /// Like [`Upgradable::start`], with environment variables.
    pub(crate) fn start_with(place: &Place, arguments: &[&str], variables: &[(&str, String)]) -> Self {
        let program = place.path("private-media");
        symlink(env!("CARGO_BIN_EXE_private-media"), &program).unwrap();
        let mut command = Command::new(&program);
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT]).args(arguments);
        command.current_dir(place.path("")).envs(variables.iter().map(|(name, value)| (name, value)));
        Self { gateway: Gateway::spawn(command, place.path("gateway.log")), program }
    }

    /// Returns the ids of all processes, the current one last.
    pub(crate) fn processes(&self) -> Vec<Pid> {
        let log = self.gateway.log();
        let ends = log.match_indices(SERVES).map(|(end, _)| log[..end].trim_end());
        let ids = ends.map(|line| line.rsplit(' ').next().unwrap().parse().unwrap());
        let first = Pid::from_child(&self.gateway.child);
        std::iter::once(first).chain(ids.map(|id| Pid::from_raw(id).unwrap())).collect()
    }

    pub(crate) fn current(&self) -> Pid {
        *self.processes().last().unwrap()
    }

    fn install(&self, program: &str) {
        std::fs::remove_file(&self.program).unwrap();
        std::fs::write(&self.program, program).unwrap();
        std::fs::set_permissions(&self.program, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn install_again(&self) {
        std::fs::remove_file(&self.program).unwrap();
        symlink(env!("CARGO_BIN_EXE_private-media"), &self.program).unwrap();
    }

    /// Requests an upgrade, and waits for this line.
    pub(crate) fn request(&self, line: &str, limit: Duration) {
        let count = || self.gateway.log().matches(line).count();
        let (before, begin) = (count(), Instant::now());
        kill_process(self.current(), Signal::USR2).unwrap();
        while count() == before {
            assert!(begin.elapsed() < limit, "{line}: {}", self.gateway.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn upgrade(&self) {
        self.request(SERVES, Duration::from_secs(30));
    }
}

impl Drop for Upgradable {
    fn drop(&mut self) {
        for process in self.processes() {
            let _ = kill_process(process, Signal::KILL);
        }
    }
}

/// Returns whether a process runs. One that has ended may wait for its parent.
pub(crate) fn is_running(process: Pid) -> bool {
    let status =
        std::fs::read_to_string(format!("/proc/{}/stat", process.as_raw_nonzero())).unwrap_or_default();
    let state = status.rsplit(')').next().unwrap_or_default().trim_start().chars().next();
    test_kill_process(process).is_ok() && state.is_some_and(|state| state != 'Z')
}

pub(crate) fn wait(what: &str, limit: Duration, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < limit, "{what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

#[test]
fn ten_upgrades_under_load_break_no_request() {
    let place = Place::new();
    let content = vec![b'x'; 1 << 20];
    place.write("private/cars/7/large.bin", &content);
    let admin = crate::support::free_address();
    let settings = |workers: usize| format!("workers = {workers}\nadmin.listen = \"{admin}\"\n");
    place.write("private-media.toml", settings(2));
    let running = Upgradable::start(&place, &[]);
    let target = Target::Tcp(running.gateway.address);
    let clients = [
        Clients::start(&target, "/private/cars/7/photo.jpg", b"alice's photo"),
        Clients::start(&target, "/private/cars/7/large.bin", &content),
    ];
    for number in 1..=10 {
        // Also with fewer or more workers than sockets.
        place.write("private-media.toml", settings([2, 1, 3][number % 3]));
        running.upgrade();
        for clients in &clients {
            clients.wait_for(30);
        }
    }
    let served: usize = clients.into_iter().map(Clients::stop).sum();
    assert!(served > 600, "{served}");
    let processes = running.processes();
    assert_eq!(processes.len(), 11);
    let (current, old) = processes.split_last().unwrap();
    for process in old {
        wait("the old processes end", Duration::from_secs(25), || !is_running(*process));
    }
    assert!(is_running(*current));
    assert_eq!(running.gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let mut metrics = String::new();
    crate::support::send(admin, "GET /metrics", &[], b"").read_to_string(&mut metrics).unwrap();
    assert!(metrics.starts_with("HTTP/1.1 200 "), "the admin address is passed on, too: {metrics}");
    kill_process(*current, Signal::TERM).unwrap();
    wait("the last process ends", Duration::from_secs(10), || !is_running(*current));
    assert!(TcpStream::connect(running.gateway.address).is_err(), "nobody listens");
    let log = running.gateway.log();
    assert!(!log.contains("panic") && !log.contains("\"ERROR\""), "{log}");
}

#[test]
fn a_unix_socket_stays_until_the_last_process_ends() {
    let place = Place::new();
    let path = place.path("media.sock");
    let log = place.path("gateway.log");
    let mut command = crate::support::program();
    command.args(["serve", "--listen", "unix:media.sock", "--grant", GRANT, "--workers", "2"]);
    command.current_dir(place.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
    wait("the gateway listens", Duration::from_secs(20), || UnixStream::connect(&path).is_ok());
    let clients = Clients::start(&Target::Unix(path.clone()), "/private/cars/7/photo.jpg", b"alice's photo");
    clients.wait_for(10);
    kill_process(Pid::from_child(&child), Signal::USR2).unwrap();
    let read = || std::fs::read_to_string(&log).unwrap();
    wait("the upgrade", Duration::from_secs(30), || read().contains(SERVES));
    clients.wait_for(30);
    clients.stop();
    assert!(child.wait().unwrap().success());
    UnixStream::connect(&path).unwrap();
    let id: i32 =
        read().split(SERVES).next().unwrap().trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    let next = Pid::from_raw(id).unwrap();
    kill_process(next, Signal::TERM).unwrap();
    wait("the new process ends", Duration::from_secs(10), || !is_running(next));
    assert!(!path.exists());
}

#[test]
fn idle_connections_and_downloads_outlive_the_upgrade() {
    const LEN: usize = 30 << 20;
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
    let mut running = Upgradable::start(&place, &["--shutdown-timeout", "200ms", "--header-timeout", "3s"]);
    let (name, value) = credentials("alice")[0];
    let ask =
        |path: &str| format!("GET /private/cars/7/{path} HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n");
    let [mut download, mut kept, mut fresh, mut idle] = [0; 4].map(|_| running.gateway.connect());
    download.write_all(ask("big.bin").as_bytes()).unwrap();
    let mut received = vec![0; 1000];
    download.read_exact(&mut received).unwrap();
    let old = running.current();
    running.upgrade();
    std::thread::sleep(Duration::from_secs(1));
    for stream in [&mut kept, &mut fresh] {
        stream.write_all(ask("photo.jpg").as_bytes()).unwrap();
        let mut response = Vec::new();
        stream.read_to_end(&mut response).unwrap();
        let response = Response::parse(&response);
        assert_eq!((response.status, &*response.body), (200, &b"alice's photo"[..]));
        assert_eq!(response.header("connection"), Some("close"));
    }
    assert_eq!(idle.read(&mut [0; 10]).unwrap(), 0, "closed after the header timeout");
    assert!(is_running(old), "the download runs");
    // The next request of this connection would be the last.
    download.write_all(ask("photo.jpg").as_bytes()).unwrap();
    download.read_to_end(&mut received).unwrap();
    assert!(received.len() > LEN && received.ends_with(b"alice's photo"), "{}", received.len());
    assert!(running.gateway.exit_within(Duration::from_secs(10)).success());
    assert_eq!(running.gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
}

/// A new program that fails changes nothing, whatever is wrong with it.
#[test]
fn a_failed_upgrade_changes_nothing() {
    let place = Place::new();
    place.write("private-media.toml", "");
    let running = Upgradable::start(&place, &["--header-timeout", "5m"]);
    let first = running.current();
    let mut kept = running.gateway.connect();
    let limit = Duration::from_secs(45);
    let mut fails = |words: &[&str]| {
        let begin = Instant::now();
        running.request(FAILED, limit);
        let log = running.gateway.log();
        let line = log.lines().rfind(|line| line.contains(FAILED)).unwrap();
        for word in words {
            assert!(line.contains(word), "{word}: {line}");
        }
        assert_eq!(running.current(), first);
        assert_eq!(running.gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
        write!(kept, "GET /private/-/health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
        let mut bytes = [0; 15];
        kept.read_exact(&mut bytes).unwrap();
        assert_eq!(&bytes, b"HTTP/1.1 200 OK");
        let mut rest = Vec::new();
        while !rest.ends_with(b"ok\n") {
            let mut byte = [0];
            kept.read_exact(&mut byte).unwrap();
            rest.push(byte[0]);
        }
        begin.elapsed()
    };
    running.install("#!/bin/sh\nexit 3\n");
    fails(&["exit status: 3", "its error is in the log"]);
    running.install("not a program");
    fails(&["exit status: 127"]);
    std::fs::set_permissions(&running.program, std::fs::Permissions::from_mode(0o644)).unwrap();
    fails(&["cannot start", "Permission denied"]);
    running.install("#!/bin/sh\nkill -SEGV $$\n");
    fails(&["signal: 11"]);
    running.install("#!/bin/sh\nexec sleep 1000 < /dev/null\n");
    fails(&["does not report"]);
    running.install("#!/bin/sh\nexec sleep 1000\n");
    let took = fails(&["did not serve within 30 s"]);
    assert!(took >= Duration::from_secs(29), "{took:?}");
    running.install_again();
    place.write("private-media.toml", "rot = 1");
    fails(&["exit status: 2"]);
    let log = running.gateway.log();
    assert!(log.contains("private-media.toml: unknown key \"rot\""), "the error of the new program: {log}");
    std::fs::remove_file(&running.program).unwrap();
    fails(&["cannot start", "No such file"]);
    symlink(env!("CARGO_BIN_EXE_private-media"), &running.program).unwrap();
    place.write("private-media.toml", "");
    running.upgrade();
    assert_ne!(running.current(), first);
    assert_eq!(running.gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    // No new program is left over.
    let children = |process: Pid| {
        let id = process.as_raw_nonzero();
        std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default()
    };
    assert_eq!(children(running.current()), "");
}

/// A signal to stop ends the new program, too.
#[test]
fn a_stop_during_an_upgrade_stops_both() {
    let place = Place::new();
    let mut running = Upgradable::start(&place, &[]);
    running.install("#!/bin/sh\necho $$ > started\nexec sleep 1000\n");
    kill_process(running.current(), Signal::USR2).unwrap();
    let started =
        || std::fs::read_to_string(place.path("started")).unwrap_or_default().trim().parse::<i32>().ok();
    wait("the new program starts", Duration::from_secs(20), || started().is_some());
    running.gateway.signal(Signal::TERM);
    assert!(running.gateway.exit_within(Duration::from_secs(10)).success());
    let process = Pid::from_raw(started().unwrap()).unwrap();
    wait("the new program ends", Duration::from_secs(10), || !is_running(process));
}

/// Sign-outs and sessions are those of the accounts file and the state store, so they survive.
#[test]
fn sessions_and_sign_outs_survive_an_upgrade() {
    let place = Place::new();
    let running = Upgradable::start(&place, &[]);
    let gateway = &running.gateway;
    let form = format!("name=alice&password={}&next=", crate::support::PASSWORD.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let [ended, open] = [0; 2].map(|_| {
        let response = gateway.send("POST /private/-/sign-in", &headers, form.as_bytes());
        response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    });
    assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &ended)], b"next=").status, 303);
    running.upgrade();
    for (cookie, expected) in [(&ended, 404), (&open, 200)] {
        assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", cookie)]).status, expected);
    }
}
