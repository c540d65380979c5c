//! Sockets that systemd opens, and reports to systemd.

use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::{Pid, Signal, kill_process};

use crate::clients::{Clients, Target};
use crate::support::{GRANT, Place};

/// Returns a command that passes sockets as systemd does, which needs the id of the process.
fn activated(place: &Place, sockets: &[(&str, OwnedFd)], arguments: &[&str]) -> Command {
    let names: Vec<_> = sockets.iter().map(|(name, _)| *name).collect();
    let mut command = Command::new("sh");
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command.args(["-c", "LISTEN_PID=$$ exec \"$0\" \"$@\"", env!("CARGO_BIN_EXE_private-media")]);
    command.args(["serve", "--grant", GRANT]).args(arguments);
    command.env("LISTEN_FDS", sockets.len().to_string()).env("LISTEN_FDNAMES", names.join(":"));
    let mappings = sockets
        .iter()
        .zip(3..)
        .map(|((_, socket), child_fd)| FdMapping { parent_fd: socket.try_clone().unwrap(), child_fd });
    command.fd_mappings(mappings.collect()).unwrap();
    command.current_dir(place.path("")).stdin(Stdio::null()).stdout(Stdio::null());
    command
}

/// A gateway that is killed when the test ends.
struct Running(Child);

impl Running {
    fn start(mut command: Command, log: &Path) -> Self {
        let log = File::options().append(true).create(true).open(log).unwrap();
        Self(command.stderr(log).spawn().unwrap())
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn tcp() -> (TcpListener, Target) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    (listener, Target::Tcp(address))
}

fn wait(what: &str, log: &Path, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        let log = || std::fs::read_to_string(log).unwrap_or_default();
        assert!(begin.elapsed() < Duration::from_secs(20), "{what}: {}", log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn inherited_sockets_are_served_and_left_open() {
    let place = Place::new();
    let (listener, target) = tcp();
    let path = place.path("app.sock");
    let unix = UnixListener::bind(&path).unwrap();
    let sockets = [("http", OwnedFd::from(listener)), ("private-media.socket", OwnedFd::from(unix))];
    // Clients that connect before the gateway runs wait for it.
    let early = [&target, &Target::Unix(path.clone())]
        .map(|target| Clients::start(target, "/private/cars/7/photo.jpg", b"alice's photo"));
    std::thread::sleep(Duration::from_millis(100));
    let log = place.path("gateway.log");
    let mut running = Running::start(activated(&place, &sockets, &["--workers", "3"]), &log);
    for clients in early {
        clients.wait_for(50);
        clients.stop();
    }
    let read = || std::fs::read_to_string(&log).unwrap();
    let warning = "not used, as systemd or the previous process has opened http://127.0.0.1:";
    wait("a warning, as the address is another one", &log, || read().contains(warning));
    assert!(read().contains(&format!("unix:{}", path.display())), "{}", read());
    running.signal(Signal::TERM);
    assert!(running.0.wait().unwrap().success());
    UnixStream::connect(&path).unwrap();
    let Target::Tcp(address) = target else { return };
    TcpStream::connect(address).unwrap();
}

/// `systemctl restart` with a socket unit: clients wait while no gateway runs.
#[test]
fn restarts_with_an_inherited_socket_break_no_request() {
    let place = Place::new();
    let (listener, target) = tcp();
    let sockets = [("http", OwnedFd::from(listener))];
    let log = place.path("gateway.log");
    let clients = Clients::start(&target, "/private/cars/7/photo.jpg", b"alice's photo");
    for _ in 0..5 {
        let mut running = Running::start(activated(&place, &sockets, &["--workers", "2"]), &log);
        clients.wait_for(50);
        running.signal(Signal::TERM);
        assert!(running.0.wait().unwrap().success());
    }
    let _running = Running::start(activated(&place, &sockets, &[]), &log);
    clients.wait_for(20);
    clients.stop();
}

/// An inherited socket is passed on by an upgrade, and its file is not removed.
#[test]
fn an_inherited_socket_outlives_upgrades() {
    let place = Place::new();
    let path = place.path("app.sock");
    let sockets = [("http", OwnedFd::from(UnixListener::bind(&path).unwrap()))];
    let log = place.path("gateway.log");
    let mut running = Running::start(activated(&place, &sockets, &["--listen", "unix:app.sock"]), &log);
    let clients = Clients::start(&Target::Unix(path.clone()), "/private/cars/7/photo.jpg", b"alice's photo");
    clients.wait_for(10);
    running.signal(Signal::USR2);
    let read = || std::fs::read_to_string(&log).unwrap();
    let serves = "serves now; this process ends";
    wait("the upgrade", &log, || read().contains(serves));
    clients.wait_for(30);
    clients.stop();
    assert!(running.0.wait().unwrap().success());
    let id: i32 =
        read().split(serves).next().unwrap().trim_end().rsplit(' ').next().unwrap().parse().unwrap();
    assert!(!read().contains("not used"), "the address is the same: {}", read());
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    wait("the new process ends", &log, || read().matches("\"stopped\"").count() == 2);
    UnixStream::connect(&path).unwrap();
}

#[test]
fn what_is_no_listening_socket_is_an_error() {
    let place = Place::new();
    let (listener, target) = tcp();
    let Target::Tcp(address) = target else { return };
    let connected = TcpStream::connect(address).unwrap();
    for socket in [OwnedFd::from(File::open("/dev/null").unwrap()), OwnedFd::from(connected)] {
        let mut command = activated(&place, &[("http", socket)], &[]);
        let output = command.stdout(Stdio::piped()).stderr(Stdio::piped()).output().unwrap();
        let error = crate::support::refusal(&output);
        assert!(
            error.contains("LISTEN_FDS: file descriptor 3 is not a listening TCP or Unix socket"),
            "{error}"
        );
        assert!(error.contains("Accept=no"), "{error}");
    }
    // Sockets of another process are none of this one's.
    let mut command = crate::support::program();
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(place.path(""));
    command.env("LISTEN_FDS", "7").env("LISTEN_PID", "1");
    let gateway = crate::support::Gateway::spawn(command, place.path("gateway.log"));
    assert_ne!(gateway.address, address);
    drop(listener);
}

/// Receives the reports of a service.
struct Reports(UnixDatagram);

impl Reports {
    fn new(path: &Path) -> Self {
        let socket = UnixDatagram::bind(path).unwrap();
        socket.set_read_timeout(Some(Duration::from_secs(40))).unwrap();
        Self(socket)
    }

    fn next(&self) -> String {
        let mut message = [0; 4096];
        let len = self.0.recv(&mut message).unwrap();
        String::from_utf8(message[..len].to_vec()).unwrap()
    }
}

#[test]
fn systemd_is_told_of_the_start_reloads_upgrades_and_the_stop() {
    let place = Place::new();
    place.write("private-media.toml", "");
    let reports = Reports::new(&place.path("notify"));
    let (listener, target) = tcp();
    let mut command = activated(&place, &[("http", OwnedFd::from(listener))], &[]);
    command.env("NOTIFY_SOCKET", place.path("notify"));
    let log = place.path("gateway.log");
    let mut running = Running::start(command, &log);
    assert_eq!(reports.next(), "READY=1");
    let Target::Tcp(address) = target else { return };
    TcpStream::connect(address).unwrap();
    for (settings, status) in
        [("", "the configuration was reloaded"), ("rot = 1", "not reloaded: private-media.toml: unknown key")]
    {
        place.write("private-media.toml", settings);
        running.signal(Signal::HUP);
        let reloading = reports.next();
        let microseconds = reloading.strip_prefix("RELOADING=1\nMONOTONIC_USEC=").unwrap();
        assert!(microseconds.parse::<u64>().unwrap() > 0, "{reloading}");
        let end = reports.next();
        assert!(end.starts_with("READY=1\nSTATUS=") && end.contains(status), "{end}");
    }
    place.write("private-media.toml", "");
    running.signal(Signal::USR2);
    let upgraded = reports.next();
    let id: i32 = upgraded.strip_prefix("MAINPID=").unwrap().lines().next().unwrap().parse().unwrap();
    assert!(running.0.wait().unwrap().success());
    kill_process(Pid::from_raw(id).unwrap(), Signal::TERM).unwrap();
    assert_eq!(reports.next(), "STOPPING=1", "of the new process; the old one reported nothing at its end");
}
