//! A gateway of its own for each test, and a client that sends exactly what it is told.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use private_media::identity::accounts::{AccountsFile, NewAccount};

/// The program, with nothing of the environment that could configure it.
pub(crate) fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_private-media"));
    command.env_clear().env("PATH", std::env::var_os("PATH").unwrap_or_default());
    command
}

/// A folder with a private root, accounts, and nothing running.
pub(crate) struct Place(tempfile::TempDir);

/// Alice (id 7), bob (id 8) and carol, who is staff, all with this password.
pub(crate) const PASSWORD: &str = "a long password";
pub(crate) const GRANT: &str = "cars/{owner}/{*file}=owner,staff";

impl Place {
    pub(crate) fn new() -> Self {
        // Hashing takes its time, and the accounts are the same everywhere.
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

    /// Runs the program here to its end.
    pub(crate) fn run(&self, arguments: &[&str]) -> Output {
        program().args(arguments).current_dir(self.0.path()).stdin(Stdio::null()).output().unwrap()
    }

    /// Runs the program, which has to refuse with exit code 2, nothing on stdout, and one line that it returns.
    pub(crate) fn refusal(&self, arguments: &[&str]) -> String {
        refusal(&self.run(arguments))
    }

    /// Serves with the grant to owners and staff.
    pub(crate) fn serve(&self, arguments: &[&str]) -> Gateway {
        Gateway::start(
            self.0.path(),
            &[&["serve", "--listen", "127.0.0.1:0", "--grant", GRANT], arguments].concat(),
        )
    }
}

pub(crate) fn refusal(output: &Output) -> String {
    let line = String::from_utf8(output.stderr.clone()).unwrap();
    assert_eq!(output.status.code(), Some(2), "{line}");
    assert_eq!((line.lines().count(), output.stdout.len()), (1, 0), "{line}");
    line.trim_end().to_owned()
}

/// A running gateway, which is stopped when the test ends.
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

    /// Starts a program that announces its address.
    pub(crate) fn spawn(command: Command, log: PathBuf) -> Self {
        let stderr = std::fs::File::create(&log).unwrap();
        Self::spawn_with(command, stderr.into(), log)
    }

    /// Starts a program that announces its address, with this as standard error. What it writes there is its log if that is `log`.
    pub(crate) fn spawn_with(mut command: Command, stderr: Stdio, log: PathBuf) -> Self {
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.stderr(stderr).spawn().unwrap();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        let address =
            line.trim_end().strip_prefix("listening on http://").and_then(|address| address.parse().ok());
        let Some(address) = address else {
            panic!("{line:?}: {}", std::fs::read_to_string(&log).unwrap_or_default());
        };
        Self { child, address, stdout, log }
    }

    /// Its lines so far; a line that is being written may be there in part, and is left out. The log is written a moment after what it is
    /// about, so it has to stand still first.
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

    /// Waits a while for a line of the log with this text. The log is written a moment after what it is about.
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

    /// The access log up to now: each line as JSON.
    pub(crate) fn access_log(&self) -> Vec<serde_json::Value> {
        // Lines are written in order: once that of another request is there, all before it are.
        static MARKS: AtomicUsize = AtomicUsize::new(0);
        let mark = format!("/mark-{}-of-the-log", MARKS.fetch_add(1, Ordering::Relaxed));
        self.ask(&format!("GET {mark}"), &[]);
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

    /// Waits for the end of the program, which may take this long.
    pub(crate) fn exit_within(&mut self, limit: Duration) -> std::process::ExitStatus {
        let begin = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(begin.elapsed() < limit, "it still runs after {limit:?}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    pub(crate) fn connect(&self) -> TcpStream {
        connect(self.address)
    }

    /// Sends a request head by its line and fields, and reads the answer to the end of the connection.
    pub(crate) fn ask(&self, line: &str, fields: &[(&str, &str)]) -> Answer {
        self.send(line, fields, b"")
    }

    pub(crate) fn send(&self, line: &str, fields: &[(&str, &str)], content: &[u8]) -> Answer {
        let mut bytes = Vec::new();
        send(self.address, line, fields, content).read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    }

    pub(crate) fn get(&self, path: &str, user: &str) -> Answer {
        self.ask(&format!("GET {path}"), &credentials(user))
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

/// Sends a request by its line and fields; what is read from the connection is the answer, and then its end.
pub(crate) fn send(address: SocketAddr, line: &str, fields: &[(&str, &str)], content: &[u8]) -> TcpStream {
    let mut stream = connect(address);
    let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let len =
        if content.is_empty() { String::new() } else { format!("content-length: {}\r\n", content.len()) };
    let head = format!("{line} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n{fields}{len}\r\n");
    stream.write_all(&[head.as_bytes(), content].concat()).unwrap();
    stream
}

/// The credentials of a user with the password that all have here; nobody sends none.
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

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Answer {
    pub(crate) fn parse(bytes: &[u8]) -> Self {
        let end = bytes.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        // Names of fields mean the same in every case (RFC 9110 section 5.1).
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

    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        self.head.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
    }

    /// All of it but what is another at each request.
    pub(crate) fn lasting(&self) -> (String, Vec<u8>) {
        let lines = self
            .head
            .lines()
            .filter(|line| !line.starts_with("date: ") && !line.starts_with("x-request-id: "));
        (lines.collect::<Vec<_>>().join("\n"), self.body.clone())
    }
}

/// Whether a test can run that needs something of the machine. What is left out is said, and is an error where
/// `PRIVATE_MEDIA_TEST_ALL` says that nothing may be.
pub(crate) fn needs(what: &str, available: bool) -> bool {
    if !available {
        assert!(std::env::var_os("PRIVATE_MEDIA_TEST_ALL").is_none(), "this machine has no {what}");
        // Not by `eprintln!`, which the test runner keeps to itself when a test passes.
        let _ = writeln!(std::io::stderr(), "left out: a test that needs {what}");
    }
    available
}

/// An address of this machine that nobody listens on. It is below the ports that the kernel gives to clients: of those there are
/// many here, and one of them could take it before its server does.
pub(crate) fn free_address() -> SocketAddr {
    use std::hash::{BuildHasher, RandomState};

    loop {
        let port = 20_000 + u16::try_from(RandomState::new().hash_one(0) % 12_000).unwrap();
        if let Ok(listener) = std::net::TcpListener::bind(("127.0.0.1", port)) {
            return listener.local_addr().unwrap();
        }
    }
}

/// A control group of the kernel with a limit, for programs that are started in it. It is gone when the test ends.
pub(crate) struct ControlGroup(PathBuf);

impl ControlGroup {
    /// Makes one for a limit: a controller and file of version 1 or, if the machine has that, a file of version 2. `None` where that
    /// cannot be done.
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

    /// Returns a command that runs a program in the group; the program's arguments and folder are still to be set.
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
        // A program that has just been ended is still in it for a moment.
        for _ in 0..100 {
            if std::fs::remove_dir(&self.0).is_ok() {
                break;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
