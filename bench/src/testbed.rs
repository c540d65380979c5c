//! The folder, the programs and the cores of a run, and the servers that it starts.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::result::Result;
use crate::usage::processes;

/// The folder of everything that a run creates, and its cores.
pub(crate) struct Testbed {
    folder: tempfile::TempDir,
    both_cores: bool,
    /// The program that the peers named "old" run.
    pub(crate) old: Option<PathBuf>,
}

impl Testbed {
    pub(crate) fn new(both_cores: bool, old: Option<PathBuf>) -> Result<Self> {
        let folder = tempfile::tempdir()?;
        // The workers of some servers run as another user.
        std::fs::set_permissions(folder.path(), PermissionsExt::from_mode(0o755))?;
        Ok(Self { folder, both_cores, old })
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Returns the folder of the files.
    pub(crate) fn root(&self) -> PathBuf {
        self.path("root")
    }

    pub(crate) fn workers(&self) -> usize {
        if self.both_cores { 2 } else { 1 }
    }

    pub(crate) fn on_client_core(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new("taskset");
        command.args(["--cpu-list", self.client_core()]).arg(program.as_ref());
        command
    }

    fn client_core(&self) -> &'static str {
        if self.both_cores { "0,1" } else { "1" }
    }

    /// Starts a server in a session of its own, and waits until it listens.
    pub(crate) fn start(
        &self,
        name: &str,
        address: SocketAddr,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Server> {
        self.start_on(if self.both_cores { "0,1" } else { "0" }, name, address, configure)
    }

    /// Like [`start`](Self::start), for a server that is not measured, on the core of the client.
    pub(crate) fn start_beside_client(
        &self,
        name: &str,
        address: SocketAddr,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Server> {
        self.start_on(self.client_core(), name, address, configure)
    }

    fn start_on(
        &self,
        cores: &str,
        name: &str,
        address: SocketAddr,
        configure: impl FnOnce(&mut Command),
    ) -> Result<Server> {
        let mut command = Command::new("setsid");
        command.args(["taskset", "--cpu-list", cores]);
        configure(&mut command);
        let log = self.path(&format!("{name}.log"));
        let file = File::create(&log)?;
        command.stdin(Stdio::null()).stdout(file.try_clone()?).stderr(file);
        let mut server = Server(command.current_dir(self.folder.path()).spawn()?);
        let end = Instant::now() + Duration::from_secs(30);
        while TcpStream::connect(address).is_err() {
            if server.0.try_wait()?.is_some() || Instant::now() > end {
                return Err(format!("{name} did not start: {}", std::fs::read_to_string(log)?).into());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Ok(server)
    }
}

/// A server and all processes that it started; dropping it stops them.
pub(crate) struct Server(Child);

impl Server {
    /// Returns the id of its process, which is that of its session.
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

/// Returns a loopback address with a free port.
pub(crate) fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// Returns a program of this workspace, from the same build as this one.
pub(crate) fn built(name: &str) -> Result<PathBuf> {
    let program = std::env::current_exe()?.with_file_name(name);
    if program.exists() { Ok(program) } else { Err(format!("{} is not built", program.display()).into()) }
}
