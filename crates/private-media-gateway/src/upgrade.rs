//! Replaces the running program by a new one, without a refused connection.
//!
//! The new program inherits the listening sockets, as from systemd, so clients that wait in their queues are served by either process. It
//! reports on its standard input when it serves. Then this process accepts no more connections, and ends with its last one.

use std::env;
use std::ffi::OsString;
use std::fs::{self, File};
use std::io::{self, Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use command_fds::{CommandFdExt as _, FdMapping};
use rustix::process::getppid;

use crate::listeners::Socket;
use crate::notify;
use crate::signals::Signals;

/// The variable with the id of the process that starts this one for an upgrade.
const PREVIOUS: &str = "LISTEN_UPGRADE_FROM";
/// The message of a new program that serves.
const READY: &[u8] = b"READY=1\n";
/// How long a new program may take until it serves.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How long a program that has closed its standard input may take to end.
const END_TIMEOUT: Duration = Duration::from_secs(2);
const PAUSE: Duration = Duration::from_millis(20);
/// The first inherited file descriptor.
const FIRST_FD: i32 = 3;

/// The process that this one replaces.
#[derive(Debug)]
pub(crate) struct Previous(UnixStream);

impl Previous {
    /// Returns the process that has started this one for an upgrade. It waits at the other end of standard input.
    pub(crate) fn from_env() -> Option<Self> {
        let id: i32 = env::var(PREVIOUS).ok()?.parse().ok()?;
        if getppid().is_none_or(|parent| parent.as_raw_nonzero().get() != id) {
            return None;
        }
        let stream = rustix::io::dup(rustix::stdio::stdin()).ok()?;
        if let Ok(null) = File::open("/dev/null") {
            let _ = rustix::stdio::dup2_stdin(&null);
        }
        Some(Self(stream.into()))
    }

    /// Reports that this process serves.
    pub(crate) fn report_ready(mut self) {
        if let Err(error) = self.0.write_all(READY) {
            tracing::error!(%error, "cannot report to the previous process that this one serves");
        }
    }
}

/// The running program, as it was started.
#[derive(Debug, Clone)]
pub(crate) struct Program {
    path: PathBuf,
    arguments: Vec<OsString>,
}

impl Program {
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Returns the program of this process. A path with a link stays one, as an upgrade may change the link.
    pub(crate) fn current() -> io::Result<Self> {
        let running = fs::metadata("/proc/self/exe")?;
        let is_running = |path: &PathBuf| {
            fs::metadata(path).is_ok_and(|file| (file.dev(), file.ino()) == (running.dev(), running.ino()))
        };
        let mut arguments = env::args_os();
        let name = PathBuf::from(arguments.next().unwrap_or_default());
        let path = if name.components().count() > 1 {
            Some(name).filter(is_running).and_then(|path| std::path::absolute(path).ok())
        } else {
            let folders = env::var_os("PATH").unwrap_or_default();
            env::split_paths(&folders).map(|folder| folder.join(&name)).find(is_running)
        };
        let path = path.map_or_else(env::current_exe, Ok)?;
        Ok(Self { path, arguments: arguments.collect() })
    }
}

/// Starts the new program on request, and retires this process when that serves. `sockets` are closed when the process stops.
pub(crate) async fn on_request(program: Program, sockets: Vec<Socket>, signals: Signals) {
    let stop = signals.stop.clone();
    tokio::select! {
        () = upgrade_on_request(program, sockets, signals) => {}
        () = stop.requested() => {}
    }
}

async fn upgrade_on_request(program: Program, sockets: Vec<Socket>, signals: Signals) {
    let mut requests = signals.upgrades.clone();
    while requests.changed().await.is_ok() {
        tracing::info!(program = %program.path.display(), "SIGUSR2: starting the new program");
        match upgrade(&program, &sockets).await {
            Ok(id) => {
                tracing::info!("process {id} serves now; this process ends with its last connection");
                notify::main_process(id);
                signals.retire.send_replace(true);
                return;
            }
            Err(problem) => tracing::error!("the upgrade failed, and this process serves on: {problem}"),
        }
        // Requests during the upgrade were for this one.
        requests.mark_unchanged();
    }
}

/// Starts the program, and waits until it serves. Returns the id of its process.
async fn upgrade(program: &Program, sockets: &[Socket]) -> Result<u32, String> {
    let path = program.path.display();
    let (child, stream) = start(program, sockets).map_err(|error| format!("cannot start {path}: {error}"))?;
    let mut started = Started(Some(child));
    let ready = tokio::task::spawn_blocking(move || is_ready(stream));
    match ready.await {
        Ok(Ok(true)) => {
            // It outlives this process.
            started.0.take().map(|child| child.id()).ok_or_else(|| "the new program is gone".to_owned())
        }
        Ok(Ok(false)) => Err(started.end().await),
        Ok(Err(error)) if error.kind() == io::ErrorKind::WouldBlock => {
            Err(format!("{path} did not serve within {} s; it was killed", TIMEOUT.as_secs()))
        }
        Ok(Err(error)) => Err(format!("{path}: {error}")),
        Err(_) => Err("the task that waits for the new program has panicked".into()),
    }
}

/// A program that was started and does not serve yet. It is killed when this is dropped.
struct Started(Option<Child>);

impl Started {
    /// Waits for the end of a program that has closed its standard input. Returns how it ended.
    async fn end(&mut self) -> String {
        let begin = Instant::now();
        while let Some(child) = &mut self.0 {
            match child.try_wait() {
                Ok(Some(status)) => {
                    return format!("the new program ended ({status}); its error is in the log");
                }
                Ok(None) if begin.elapsed() < END_TIMEOUT => tokio::time::sleep(PAUSE).await,
                Ok(None) => return "the new program does not report; it was killed".into(),
                Err(error) => return format!("the new program: {error}"),
            }
        }
        "the new program is gone".into()
    }
}

impl Drop for Started {
    fn drop(&mut self) {
        if let Some(child) = &mut self.0 {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// Starts the program with the sockets. Returns the process, and the stream on which it reports.
fn start(program: &Program, sockets: &[Socket]) -> io::Result<(Child, UnixStream)> {
    let (own, its) = UnixStream::pair()?;
    own.set_read_timeout(Some(TIMEOUT))?;
    let mut mappings = Vec::new();
    for (socket, child_fd) in sockets.iter().zip(FIRST_FD..) {
        mappings.push(FdMapping { parent_fd: socket.listener.try_clone_fd()?, child_fd });
    }
    let names: Vec<_> = sockets.iter().map(|socket| &*socket.name).collect();
    let mut command = Command::new(&program.path);
    command
        .args(&program.arguments)
        .stdin(OwnedFd::from(its))
        .env("LISTEN_FDS", sockets.len().to_string())
        .env("LISTEN_FDNAMES", names.join(":"))
        // The id of the new process is not known before it runs.
        .env_remove("LISTEN_PID")
        .env(PREVIOUS, std::process::id().to_string());
    command.fd_mappings(mappings).map_err(io::Error::other)?;
    Ok((command.spawn()?, own))
}

/// Waits until the program serves. Returns whether it does; if not, it has ended.
fn is_ready(mut stream: UnixStream) -> io::Result<bool> {
    let mut message = [0; READY.len()];
    match stream.read_exact(&mut message) {
        Ok(()) => Ok(message == *READY),
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(false),
        Err(error) => Err(error),
    }
}
