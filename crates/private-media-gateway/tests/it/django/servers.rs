//! Databases for the tests: SQLite, PostgreSQL and MariaDB. The servers run as an unprivileged user, on a free port and in a temporary
//! folder.

use std::io::Write;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, free_address, needs};

/// The user of the servers if the tests run as root, because they refuse to run as root.
const NOBODY: u32 = 65534;

pub(crate) enum Server {
    Sqlite,
    Postgres(Running),
    MariaDb(Running),
}

pub(crate) struct Running {
    command: Command,
    process: Child,
    port: u16,
    folder: tempfile::TempDir,
}

impl Server {
    pub(crate) fn postgres() -> Option<Self> {
        let programs = postgres_programs();
        if !needs("PostgreSQL", programs.is_some()) {
            return None;
        }
        let programs = programs?;
        let (folder, port) = (folder(), free_address().port());
        write(&folder.path().join("password"), "pen@cil");
        let initdb =
            ["--username=shop", "--auth=scram-sha-256", "--pwfile=password", "--no-sync", "--encoding=UTF8"];
        run(unprivileged(programs.join("initdb"))
            .args(initdb)
            .arg("--pgdata=data")
            .current_dir(folder.path()));
        let options = ["-D", "data", "-h", "127.0.0.1", "-k", "", "-F", "-p", &port.to_string()];
        let mut command = unprivileged(programs.join("postgres"));
        command.args(options);
        Some(Self::Postgres(Running::start(command, port, folder)))
    }

    pub(crate) fn mariadb() -> Option<Self> {
        let programs = [Path::new("/usr/sbin/mariadbd"), Path::new("/usr/bin/mariadb-install-db")];
        if !needs("MariaDB", programs.iter().all(|program| program.exists())) {
            return None;
        }
        let (folder, port) = (folder(), free_address().port());
        // The gateway's user may only read.
        write(
            &folder.path().join("init.sql"),
            "CREATE DATABASE IF NOT EXISTS shop CHARACTER SET utf8mb4;
             CREATE USER IF NOT EXISTS shop@'127.0.0.1' IDENTIFIED BY 'pen@cil';
             GRANT ALL ON shop.* TO shop@'127.0.0.1';
             CREATE USER IF NOT EXISTS reader@'127.0.0.1' IDENTIFIED BY 'pen@cil';
             GRANT SELECT ON shop.* TO reader@'127.0.0.1';",
        );
        let data = format!("--datadir={}", folder.path().join("data").display());
        // At start, a server deletes all temporary tables in its folder, even those of other servers.
        let temporary = format!("--tmpdir={}", folder.path().display());
        run(unprivileged(programs[1])
            .args(["--no-defaults", &data, "--skip-test-db", &temporary])
            .current_dir(folder.path()));
        let own = |option: &str, name: &str| format!("--{option}={}", folder.path().join(name).display());
        let mut command = unprivileged(programs[0]);
        command
            .args(["--no-defaults", &data, &temporary, "--bind-address=127.0.0.1", "--skip-name-resolve"])
            .args([own("socket", "socket"), own("pid-file", "pid"), own("init-file", "init.sql")])
            .arg(format!("--port={port}"));
        Some(Self::MariaDb(Running::start(command, port, folder)))
    }

    /// Returns the URL for the gateway, with a user that may only read.
    pub(crate) fn url(&self, place: &Place) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", place.path("db.sqlite3").display()),
            Self::Postgres(Running { port, .. }) => {
                format!("postgres://reader:pen%40cil@127.0.0.1:{port}/postgres")
            }
            Self::MariaDb(Running { port, .. }) => format!("mysql://reader:pen%40cil@127.0.0.1:{port}/shop"),
        }
    }

    /// Returns the URL for a user that may write.
    pub(crate) fn owner_url(&self, place: &Place) -> String {
        match self {
            Self::Sqlite => self.url(place),
            Self::Postgres(Running { port, .. }) => {
                format!("postgres://shop:pen%40cil@127.0.0.1:{port}/postgres")
            }
            Self::MariaDb(Running { port, .. }) => format!("mysql://shop:pen%40cil@127.0.0.1:{port}/shop"),
        }
    }

    /// Returns the URL for a state store, with a user that may create tables.
    pub(crate) fn state_url(&self, place: &Place) -> String {
        match self {
            Self::Sqlite => format!("sqlite:{}", place.path("state.db").display()),
            Self::Postgres(Running { port, .. }) => {
                format!("postgres://shop:pen%40cil@127.0.0.1:{port}/postgres")
            }
            Self::MariaDb(_) => panic!("MariaDB cannot hold the state"),
        }
    }

    /// Returns the value for Django's `DATABASES`.
    pub(super) fn for_django(&self, place: &Place) -> String {
        let (engine, name, port) = match self {
            Self::Sqlite => ("sqlite3", place.path("db.sqlite3").display().to_string(), 0),
            Self::Postgres(Running { port, .. }) => ("postgresql", "postgres".to_owned(), *port),
            Self::MariaDb(Running { port, .. }) => ("mysql", "shop".to_owned(), *port),
        };
        let engine = format!("django.db.backends.{engine}");
        let mut settings = serde_json::json!({ "ENGINE": engine, "NAME": name });
        if port != 0 {
            settings["USER"] = "shop".into();
            settings["PASSWORD"] = "pen@cil".into();
            settings["HOST"] = "127.0.0.1".into();
            settings["PORT"] = port.into();
        }
        settings.to_string()
    }

    pub(crate) fn stop(&mut self) {
        if let Self::Postgres(running) | Self::MariaDb(running) = self {
            running.stop();
        }
    }

    pub(crate) fn start_again(&mut self) {
        if let Self::Postgres(running) | Self::MariaDb(running) = self {
            running.process = spawn(&mut running.command, running.folder.path());
            running.wait();
        }
    }
}

impl Running {
    fn start(mut command: Command, port: u16, folder: tempfile::TempDir) -> Self {
        let process = spawn(&mut command, folder.path());
        let mut running = Self { command, process, port, folder };
        running.wait();
        running
    }

    fn wait(&mut self) {
        let begin = Instant::now();
        let log = self.folder.path().join("log");
        let log = || std::fs::read_to_string(&log).unwrap_or_default();
        while TcpStream::connect(("127.0.0.1", self.port)).is_err() {
            assert!(self.process.try_wait().unwrap().is_none(), "the server exited: {}", log());
            assert!(begin.elapsed() < Duration::from_secs(60), "the server does not listen: {}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn stop(&mut self) {
        // At SIGQUIT, PostgreSQL kills its child processes. MariaDB has none.
        let id = rustix::process::Pid::from_child(&self.process);
        let _ = rustix::process::kill_process(id, rustix::process::Signal::QUIT);
        std::thread::sleep(Duration::from_millis(200));
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

fn postgres_programs() -> Option<PathBuf> {
    let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?;
    let folders = versions.flatten().map(|version| version.path().join("bin"));
    folders.filter(|folder| folder.join("initdb").exists()).max()
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// Creates a folder that the server's user owns.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    if is_root() {
        std::os::unix::fs::chown(folder.path(), Some(NOBODY), Some(NOBODY)).unwrap();
    }
    folder
}

fn write(path: &Path, text: &str) {
    std::fs::File::create(path).unwrap().write_all(text.as_bytes()).unwrap();
}

/// Returns a command that runs a program without root's rights, in the same process.
fn unprivileged(program: impl AsRef<Path>) -> Command {
    if !is_root() {
        return Command::new(program.as_ref());
    }
    let mut command = Command::new("setpriv");
    let id = NOBODY.to_string();
    command.args(["--reuid", &id, "--regid", &id, "--clear-groups"]).arg(program.as_ref());
    command
}

fn run(command: &mut Command) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

fn spawn(command: &mut Command, folder: &Path) -> Child {
    let log = std::fs::File::create(folder.join("log")).unwrap();
    let stderr = log.try_clone().unwrap();
    command.current_dir(folder).stdin(Stdio::null()).stdout(log).stderr(stderr).spawn().unwrap()
}
