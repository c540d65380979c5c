//! Who is measured: each peer is started on a free port, on the same files, and stopped by the ids of its processes.

mod apache;
mod caddy;
mod django;
mod nginx;
pub(crate) mod own;
mod postgres;
mod rust;

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::Result;
use crate::load::{Ask, Work, read_head};
use crate::usage::{Usage, of_sessions, processes};

/// Somebody who serves private, or public, files.
pub(crate) struct Peer {
    pub(crate) name: &'static str,
    pub(crate) start: fn(&Place) -> Result<Running>,
}

const fn peer(name: &'static str, start: fn(&Place) -> Result<Running>) -> Peer {
    Peer { name, start }
}

/// The bar stands first, ours behind it, and then the others.
pub(crate) const PEERS: [Peer; 16] = [
    peer(crate::report::BAR, nginx::public),
    peer("private-media, gateway", own::gateway),
    peer("nginx, public, with an access log", nginx::public_with_log),
    peer("private-media, gateway, with an access log", own::gateway_with_log),
    peer("private-media, Django's sessions in PostgreSQL", own::with_postgres),
    peer("private-media, nginx sends", own::behind_nginx),
    peer("private-media, axum", own::axum),
    peer("private-media, serve_private_media", django::serve_private_media),
    peer("private-media, DefaultServer on gunicorn", django::default_server),
    peer("the floor", rust::floor),
    peer("axum, tower-http ServeDir, public", rust::servedir),
    peer("nginx, auth_request", nginx::auth_request),
    peer("Caddy, forward_auth", caddy::forward_auth),
    peer("nginx + gunicorn + django-private-storage", django::behind_nginx),
    peer("Apache + gunicorn + django-private-storage", django::behind_apache),
    peer("gunicorn + Django's FileResponse", django::file_response),
];

/// A folder for everything that a run makes, and the cores that it has.
pub(crate) struct Place {
    folder: tempfile::TempDir,
    both_cores: bool,
}

impl Place {
    pub(crate) fn new(both_cores: bool) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The workers of some servers are another user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        Ok(Self { folder, both_cores })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Where the files are.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn workers(&self) -> usize {
        if self.both_cores { 2 } else { 1 }
    }

    pub(crate) fn on_clients_core(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", if self.both_cores { "0,1" } else { "1" }]).arg(program.as_ref());
        command
    }

    /// Starts a server in a session of its own, and waits until it listens.
    fn start(&self, name: &str, address: SocketAddr, configure: impl FnOnce(&mut Command)) -> Result<Server> {
        let mut command = Command::new("setsid");
        command.args(["taskset", "--cpu-list", if self.both_cores { "0,1" } else { "0" }]);
        configure(&mut command);
        let log = self.path(&format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut server = Server(command.current_dir(self.folder.path()).spawn()?);
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if server.0.try_wait()?.is_some() || Instant::now() > end {
                return Err(format!("{name} does not start: {}", std::fs::read_to_string(log)?).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

/// A server, with all that it has started.
pub(crate) struct Server(Child);

impl Server {
    /// The number of its process, and of its session.
    pub(crate) fn id(&self) -> u32 {
        self.0.id()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        for process in processes(&[self.0.id()]).unwrap_or_default() {
            if let Some(id) = i32::try_from(process.id).ok().and_then(rustix::process::Pid::from_raw) {
                let _ = rustix::process::kill_process(id, rustix::process::Signal::TERM);
            }
        }
        let _ = self.0.wait();
    }
}

/// A peer that is up.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    servers: Vec<Server>,
    prefix: &'static str,
    /// What a reader sends who may have the files, and what somebody sends who may not.
    pub(crate) reader: Vec<(String, String)>,
    pub(crate) stranger: Vec<(String, String)>,
    pub(crate) denied_status: u16,
    is_public: bool,
    /// The work that it can do, where that is not all.
    only: Option<&'static [&'static str]>,
}

impl Running {
    /// Serves to everybody.
    fn public(address: SocketAddr, servers: Vec<Server>) -> Self {
        Self {
            address,
            servers,
            prefix: "/private/",
            reader: vec![],
            stranger: vec![],
            denied_status: 404,
            is_public: true,
            only: None,
        }
    }

    /// Serves to whoever sends this.
    fn private(address: SocketAddr, servers: Vec<Server>, reader: (&str, String)) -> Self {
        let reader = vec![(reader.0.to_owned(), reader.1)];
        Self { reader, is_public: false, ..Self::public(address, servers) }
    }

    pub(crate) fn target(&self, file: &str) -> String {
        format!("{}cars/7/{file}", self.prefix)
    }

    pub(crate) fn can(&self, work: &Work) -> bool {
        let is_open = work.ask == Ask::Denied && self.is_public;
        !is_open && self.only.is_none_or(|only| only.contains(&work.name))
    }

    pub(crate) fn usage(&self) -> Result<Usage> {
        of_sessions(&self.servers.iter().map(|server| server.0.id()).collect::<Vec<_>>())
    }

    /// The entity tag that this server gives a file.
    pub(crate) fn etag(&self, file: &str) -> Result<String> {
        use std::io::Write;

        let mut stream = TcpStream::connect(self.address)?;
        let fields: String = self.reader.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let target = self.target(file);
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        // In one piece, as wrk sends it.
        let request =
            format!("HEAD {target} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n{fields}\r\n", self.address);
        stream.write_all(request.as_bytes())?;
        let (head, _) = read_head(&mut stream)?;
        let line = head.lines().find_map(|line| {
            let (name, value) = line.split_once(": ")?;
            name.eq_ignore_ascii_case("etag").then(|| value.to_owned())
        });
        Ok(line.unwrap_or_else(|| "\"none\"".into()))
    }
}

/// An address of this machine that nobody listens on.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A program of this workspace, built beside this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if program.exists() { Ok(program) } else { Err(format!("{} is not built", program.display()).into()) }
}
