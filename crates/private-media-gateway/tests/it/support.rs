//! Starts a gateway for each test, and sends raw requests to it.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use private_media::identity::accounts::{AccountsFile, NewAccount};

/// Returns the program, without the environment variables that could configure it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_private-media"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A temporary folder with a private root and an accounts file.
pub(crate) struct Place(tempfile::TempDir);

/// The password of all accounts: alice (id 7), bob (id 8) and carol (id 9, staff).
pub(crate) const PASSWORD: &str = "a long password";
pub(crate) const GRANT: &str = "cars/{owner}/{*file}=owner,staff";

impl Place {
    /// Creates a place with these files below the root, each of which contains its own path.
    pub(crate) fn with_files(files: &[&str]) -> Self {
        let place = Self::new();
        for file in files {
            place.write(&format!("private/{file}"), file);
        }
        place
    }

    pub(crate) fn new() -> Self {
        // Hashing is slow, so all tests share one accounts file.
        static ACCOUNTS: OnceLock<String> = OnceLock::new();
        let place = Self(tempfile::tempdir().unwrap());
        let accounts = ACCOUNTS.get_or_init(|| {
            let path = place.path("accounts.toml");
            let stored = AccountsFile::update(&path, |file| {
                for (name, id, staff) in [("alice", "7", false), ("bob", "8", false), ("carol", "9", true)] {
                    file.add(NewAccount::new(name, id, PASSWORD).staff(staff))?;
                }
                Ok(())
            });
            stored.unwrap();
            std::fs::read_to_string(path).unwrap()
        });
        place.write("accounts.toml", accounts);
        std::fs::set_permissions(
            place.path("accounts.toml"),
            std::os::unix::fs::PermissionsExt::from_mode(0o600),
        )
        .unwrap();
        place.write("private/cars/7/photo.jpg", "alice's photo");
        place
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub(crate) fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// Runs the program in this folder until it exits.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the program, which must fail with [`refusal`], and returns the error.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        refusal(&self.run(arguments))
    }

    /// Starts a gateway with the grant [`GRANT`].
    pub(crate) fn serve(&self, arguments: &[&str]) -> Gateway {
        Gateway::start(
            self.0.path(),
            &[&["serve", "--listen", "127.0.0.1:0", "--grant", GRANT], arguments].concat(),
        )
    }
}

/// Returns the error of a configuration or command: one line on stderr, nothing on stdout, exit code 2.
pub(crate) fn refusal(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!((line.lines().count(), output.stdout.len()), (1, 0), "{line}");
    line.trim_end().to_owned()
}

/// A running gateway. It is killed when the test ends.
pub(crate) struct Gateway {
    pub(crate) child: Child,
    pub(crate) address: SocketAddr,
    pub(crate) stdout: BufReader<std::process::ChildStdout>,
    log: PathBuf,
}

impl Gateway {
    pub(crate) fn start(place: &Path, arguments: &[&str]) -> Self {
        let mut command = program();
        command.args(arguments).current_dir(place);
        Self::spawn(command, place.join("gateway.log"))
    }

    /// Starts a program that prints its address.
    pub(crate) fn spawn(command: Command, log: PathBuf) -> Self {
        let stderr = std::fs::File::create(&log).unwrap();
        Self::spawn_with(command, stderr.into(), log)
    }

    /// Like [`Gateway::spawn`], with this standard error. [`Gateway::log`] reads the file `log`.
    pub(crate) fn spawn_with(mut command: Command, stderr: Stdio, log: PathBuf) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(stderr).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address = line.trim_end().strip_prefix("listening on ");
        let address = address.and_then(|url| url.strip_prefix("http://").or(url.strip_prefix("https://")));
        let address = address.and_then(|address| address.parse().ok());
        let Some(address) = address else {
            panic!("{line:?}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        Self { child, address, stdout, log }
    }

    /// Returns the complete lines of the log so far. Lines are written with a delay, so this waits until the file stops growing.
    pub(crate) fn log(&self) -> String {
        let read = || std::fs::read_to_string(&self.log).unwrap_or_default();
        let (mut log, begin) = (read(), Instant::now());
        while begin.elapsed() < Duration::from_secs(1) {
            std::thread::sleep(Duration::from_millis(10));
            let now = read();
            if now.len() == log.len() {
                break;
            }
            log = now;
        }
        log.truncate(log.rfind('\n').map_or(0, |end| end + 1));
        log
    }

    /// Returns whether the log contains a text within ten seconds.
    pub(crate) fn logs(&self, text: &str) -> bool {
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(10) {
            if self.log().contains(text) {
                return true;
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        false
    }

    /// Returns the access log up to now, one JSON object per line.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        // Lines are written in order, so the line of another request follows all earlier ones.
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("/mark-{}-of-the-log", MARKS.fetch_add(1, Ordering::Relaxed));
        self.fetch(&format!("GET {mark}"), &[]);
        assert!(self.logs(&mark), "{}", self.log());
        let log = self.log();
        let lines = log.lines().map(|line| {
            serde_json::from_str::<serde_json::Value>(line).unwrap_or_else(|error| panic!("{error}: {line}"))
        });
        let is_mark = |path: &str| path.starts_with("/mark-") && path.ends_with("-of-the-log");
        lines.filter(|line| line["target"] == "access" && !is_mark(line["path"].as_str().unwrap())).collect()
    }

    pub(crate) fn signal(&self, signal: rustix::process::Signal) {
        let id = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(id, signal).unwrap();
    }

    /// Waits for the program to exit. Panics after this time.
    pub(crate) fn exit_within(&mut self, limit: Duration) -> std::process::ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < limit, "still running after {limit:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends a request without a body, and returns the response.
    pub(crate) fn fetch(&self, line: &str, headers: &[(&str, &str)]) -> Response {
        self.send(line, headers, b"")
    }

    /// Sends a request with a body, and returns the response.
    pub(crate) fn send(&self, line: &str, headers: &[(&str, &str)], body: &[u8]) -> Response {
        let mut bytes = Vec::new();
        send(self.address, line, headers, body).read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    }

    /// Requests a path as a user of [`credentials`].
    pub(crate) fn get(&self, path: &str, user: &str) -> Response {
        self.fetch(&format!("GET {path}"), &credentials(user))
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn connect(address: SocketAddr) -> TcpStream {
    let stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
    stream
}

/// Sends a request on a new connection, which the server closes after the response. The line has no HTTP version.
pub(crate) fn send(address: SocketAddr, line: &str, headers: &[(&str, &str)], body: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let len = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{headers}{len}\r\n");
    stream.write_all(&[head.as_bytes(), body].concat()).unwrap();
    stream
}

/// Returns the HTTP Basic header of a user. The user `nobody` has none.
pub(crate) fn credentials(user: &str) -> Vec<(&'static str, &'static str)> {
    match user {
        "nobody" => vec![],
        user => {
            let basic = base64(&format!("{user}:{PASSWORD}"));
            vec![("authorization", Box::leak(format!("Basic {basic}").into_boxed_str()))]
        }
    }
}

pub(crate) fn base64(text: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let bits =
            chunk.iter().fold(0_u32, |bits, byte| bits << 8 | u32::from(*byte)) << (8 * (3 - chunk.len()));
        for at in 0..4 {
            let letter = char::from(LETTERS[(bits >> (18 - 6 * at) & 63) as usize]);
            encoded.push(if at <= chunk.len() { letter } else { '=' });
        }
    }
    encoded
}

/// A response, with its header names in lower case.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Response {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Response {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end =
            bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("an incomplete response head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        // Names of headers are case-insensitive (RFC 9110 section 5.1).
        let head: Vec<_> = head
            .lines()
            .map(|line| match line.split_once(": ") {
                Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
                None => line.to_owned(),
            })
            .collect();
        let head = head.join("\r\n");
        let status = head.split(' ').nth(1).unwrap().parse().unwrap();
        Self { status, head, body: bytes[end + 4..].to_vec() }
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// Returns head and body without the headers that differ for each request.
    pub(crate) fn normalized(&self) -> (String, Vec<u8>) {
        let lines = self
            .head
            .lines()
            .filter(|line| !line.starts_with("date: ") && !line.starts_with("x-request-id: "));
        (lines.collect::<Vec<_>>().join("\n"), self.body.clone())
    }
}

/// Returns `available`: whether this machine has what a test needs. A skipped test is reported, or an error if `PRIVATE_MEDIA_TEST_ALL` is
/// set.
pub(crate) fn needs(what: &str, available: bool) -> bool {
    if !available {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this machine has no {what}");
        // Test runners hide the output of `eprintln!` if a test passes.
        let _ = writeln!(std::io::stderr(), "skipped: a test that needs {what}");
    }
    available
}

/// Returns a free address on the loopback interface. Its port is below the ephemeral range, so no client of another test can take it before
/// the server listens.
pub(crate) fn free_address() -> SocketAddr {
    use std::hash::{BuildHasher, RandomState};

    loop {
        let port = 20_000 + u16::try_from(RandomState::new().hash_one(0) % 12_000).unwrap();
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// A control group with a limit. It is removed when the test ends.
pub(crate) struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Creates a control group with a limit: a controller, file and value of version 1, or a file and value of version 2. `None` if this
    /// machine does not permit it.
    pub(crate) fn new(v1: (&str, &str, &str), v2: (&str, &str)) -> Option<Self> {
        let (controller, file, value) = v1;
        let root = Path::new("/sys/fs/cgroup");
        let (parent, file, value) = match root.join(controller) {
            parent if parent.exists() => (parent, file, value),
            _ => (root.to_owned(), v2.0, v2.1),
        };
        let group = Self(parent.join(format!("private-media-test-{controller}-{}", std::process::id())));
        std::fs::create_dir(&group.0).ok()?;
        std::fs::write(group.0.join(file), value).ok()?;
        Some(group)
    }

    /// Returns a command that runs a program in the group. The program's arguments and folder are not copied.
    pub(crate) fn command(&self, program: &Command) -> Command {
        let mut command = Command::new("sh");
        command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
        command.args(["-c", "echo $$ > \"$0/cgroup.procs\" && exec \"$@\""]).arg(&self.0);
        command.arg(program.get_program());
        command
    }

    /// Reads a file of the group, under its name in version 1 or 2.
    pub(crate) fn read(&self, v1: &str, v2: &str) -> String {
        let file = self.0.join(v1);
        std::fs::read_to_string(if file.exists() { file } else { self.0.join(v2) }).unwrap()
    }
}

impl Drop for ControlGroup {
    fn drop(&mut self) {
        // A program that has just exited remains in the group for a moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
