//! Serving on a Unix socket: to the same clients, with the same bytes, and by one gateway at a time.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::{GRANT, Place, Response, credentials, program, send};

/// A gateway that listens on a Unix socket.
pub(crate) struct UnixGateway {
    child: Child,
    path: PathBuf,
    log: PathBuf,
}

impl UnixGateway {
    fn start(place: &Place, arguments: &[&str]) -> Self {
        Self::start_with(place, &[&["--grant", GRANT], arguments].concat())
    }

    /// Serves at `media.sock` in a place, with these arguments only.
    pub(crate) fn start_with(place: &Place, arguments: &[&str]) -> Self {
        let (path, log) = (place.path("media.sock"), place.path("gateway.log"));
        let mut command = program();
        command.args(["serve", "--listen", "unix:media.sock"]).args(arguments);
        command.current_dir(place.path("")).stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(std::fs::File::create(&log).unwrap()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        let log_text = || std::fs::read_to_string(&log).unwrap_or_default();
        assert_eq!(line, format!("listening on unix:{}\n", path.display()), "{}", log_text());
        Self { child, path, log }
    }

    pub(crate) fn fetch(&self, line: &str, fields: &[(&str, &str)]) -> Response {
        fetch(&self.path, line, fields)
    }

    /// Stops it, and returns its log.
    fn stop(mut self) -> String {
        kill_process(Pid::from_child(&self.child), Signal::TERM).unwrap();
        assert!(self.child.wait().unwrap().success());
        std::fs::read_to_string(&self.log).unwrap()
    }
}

impl Drop for UnixGateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn fetch(socket: &Path, line: &str, fields: &[(&str, &str)]) -> Response {
    let mut stream = UnixStream::connect(socket).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "{line} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n{fields}\r\n").unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

#[test]
fn responses_are_the_same_as_over_tcp() {
    let place = Place::new();
    let (socket, tcp) = (UnixGateway::start(&place, &["--workers", "3"]), place.serve(&[]));
    for user in ["alice", "bob", "carol", "nobody"] {
        for (line, field) in [
            ("GET /private/cars/7/photo.jpg", ("range", "")),
            ("GET /private/cars/7/photo.jpg", ("range", "bytes=2-5")),
            ("HEAD /private/cars/7/photo.jpg", ("x", "y")),
            ("GET /private/cars/7/none.jpg", ("x", "y")),
            ("POST /private/cars/7/photo.jpg", ("content-length", "0")),
            ("GET /private/-/health", ("x", "y")),
            ("GET /elsewhere", ("x", "y")),
        ] {
            let fields = [credentials(user), vec![field]].concat();
            assert_eq!(
                socket.fetch(line, &fields).normalized(),
                tcp.fetch(line, &fields).normalized(),
                "{user} {line} {field:?}"
            );
        }
    }
}

#[test]
fn large_files_are_sent_by_the_kernel() {
    const LEN: usize = 5 << 20;
    let place = Place::new();
    let content: Vec<u8> = (0..LEN).map(|n| u8::try_from(n % 251).unwrap()).collect();
    place.write("private/cars/7/big.bin", &content);
    let gateway = UnixGateway::start(&place, &["--log", "debug", "--workers", "2"]);
    let alice = credentials("alice");
    assert!(gateway.fetch("GET /private/cars/7/big.bin", &alice).body == content);
    let range = [alice, vec![("range", "bytes=100000-3100000")]].concat();
    assert!(gateway.fetch("GET /private/cars/7/big.bin", &range).body == content[100_000..=3_100_000]);
    let log = gateway.stop();
    let lines = log.lines().filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
    let sent: u64 = lines.filter_map(|line| line["sendfile_bytes"].as_u64()).sum();
    assert_eq!(sent, LEN as u64 + 3_000_001, "{log}");
}

#[test]
fn a_socket_belongs_to_one_gateway() {
    let place = Place::new();
    let mut first = UnixGateway::start(&place, &[]);
    let metadata = std::fs::symlink_metadata(&first.path).unwrap();
    assert!(metadata.file_type().is_socket() && metadata.permissions().mode() & 0o7777 == 0o660);
    let second = ["serve", "--listen", "unix:media.sock", "--grant", GRANT];
    let line = place.refusal(&second);
    assert!(line.contains("--listen \"unix:media.sock\": address already in use"), "{line}");
    assert_eq!(first.fetch("GET /private/-/health", &[]).status, 200);
    // A gateway that was killed leaves its socket behind.
    first.child.kill().unwrap();
    first.child.wait().unwrap();
    assert!(first.path.exists());
    let third = UnixGateway::start(&place, &[]);
    assert_eq!(third.fetch("GET /private/-/health", &[]).status, 200);
    let path = third.path.clone();
    third.stop();
    assert!(!path.exists());
}

#[test]
fn socket_errors_are_one_line() {
    let place = Place::new();
    place.write("file", "kept");
    place.write("other/config.toml", "listen = \"unix:run/media.sock\"\nroot = \"../private\"\n");
    std::fs::write(place.path("other/accounts.toml"), std::fs::read(place.path("accounts.toml")).unwrap())
        .unwrap();
    std::fs::set_permissions(place.path("other/accounts.toml"), PermissionsExt::from_mode(0o600)).unwrap();
    let long = format!("unix:{}", "x".repeat(120));
    for (arguments, parts) in [
        (&["--listen", "unix:"][..], &["invalid value \"unix:\" for --listen", "or unix:PATH"][..]),
        (
            &["--listen", "unix:file"],
            &["--listen \"unix:file\": the file exists and is not a socket", "remove it"],
        ),
        (&["--listen", "unix:none/media.sock"], &["no such folder"]),
        (&["--listen", &long], &["limited to 107 bytes"]),
        // A path in a file is relative to the file.
        (&["--config", "other/config.toml"], &["listen = \"unix:run/media.sock\": no such folder"]),
    ] {
        let line = place.refusal(&[&["serve"], arguments].concat());
        assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
    assert_eq!(std::fs::read(place.path("file")).unwrap(), b"kept");
}

#[test]
fn each_front_server_connects_to_it() {
    let place = Place::new();
    let gateway = UnixGateway::start(&place, &[]);
    open_to_all(&place.path(""));
    std::fs::set_permissions(place.path("accounts.toml"), PermissionsExt::from_mode(0o600)).unwrap();
    // The workers of a front server run as another user, who would be in the group of the socket.
    std::fs::set_permissions(&gateway.path, PermissionsExt::from_mode(0o666)).unwrap();
    for kind in FrontServer::ALL.iter().copied().filter(|kind| kind.is_installed()) {
        let (address, listen) = (free_address(), format!("unix:{}", gateway.path.display()));
        let output =
            place.run(&["config", kind.name(), "--front", &address.to_string(), "--listen", &listen]);
        let front = Front::start(kind, address, &String::from_utf8(output.stdout).unwrap());
        for (user, status) in [("alice", 200), ("bob", 404), ("nobody", 404)] {
            let mut bytes = Vec::new();
            let mut stream = send(address, "GET /private/cars/7/photo.jpg", &credentials(user), b"");
            stream.read_to_end(&mut bytes).unwrap();
            assert_eq!(Response::parse(&bytes).status, status, "{kind:?} {user}: {}", front.log());
        }
    }
}

#[test]
fn the_doctor_reaches_it() {
    let place = Place::new();
    let gateway = UnixGateway::start(&place, &[]);
    let output = place.run(&["doctor", "--listen", "unix:media.sock", "--grant", GRANT]);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let health = format!("/private/-/health at unix:{} responds", gateway.path.display());
    assert!(text.contains(&health), "{text}");
}
