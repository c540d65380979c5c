//! Worker threads: each serves the site with its own runtime and socket.

use std::io::{self, ErrorKind};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use private_media_listener::{ConnectionLimit, Drained, Limits, OpenFiles, Server};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::addresses::{Endpoint, ListenAddr};
use crate::error::GatewayError;
use crate::listeners::{Bound, Socket, StdListener};
use crate::live_site::LiveSite;
use crate::log;
use crate::open::cached_handles;
use crate::runtime;
use crate::signals::{self, Shutdown, Signals, Stop};
use crate::upgrade::{self, Program};

/// File descriptors other than those of workers and connections: the root, the signal thread, 8 for a state database, 24 for a pool of
/// 8 SQLite connections, and files that are open for a moment.
const OWN_FILES: u64 = 64;
/// How long the shutdown of a runtime waits for blocking work, such as a read from a disk that hangs.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(500);
/// How long a forced shutdown waits for the log.
const FORCED_FLUSH: Duration = Duration::from_millis(100);

/// The settings of the workers.
pub(crate) struct Options<'a> {
    pub(crate) listen: &'a ListenAddr,
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    /// Whether the limit of connections was set by the user, so that a lower one causes a warning.
    pub(crate) max_connections_is_set: bool,
    /// File descriptors of the identity sources and lookups, such as connections to a database.
    pub(crate) site_files: u64,
    /// Sockets to listen on in place of the address.
    pub(crate) inherited: Vec<Socket>,
    /// The program of this process, if it can be upgraded and reports to systemd.
    pub(crate) program: Option<Program>,
}

/// Opens a site, reports its addresses to `on_bound`, and serves until ctrl-c or SIGTERM.
///
/// Each worker is a thread with its own runtime and socket; the calling thread is the first worker. The site is opened in the first
/// worker's runtime, which runs until all workers have stopped.
pub(crate) fn serve<E>(
    options: Options<'_>,
    open: impl AsyncFnOnce(&Signals) -> Result<LiveSite, E>,
    on_bound: impl FnOnce(&[Endpoint]),
) -> Result<Shutdown, GatewayError<E>> {
    // During a reload, the files of two sites are open. For an upgrade, each socket is open once more.
    let site_files = options.site_files + cached_handles() as u64;
    let sockets = options.workers + 2 * options.inherited.len();
    let own_files = OWN_FILES + 2 * site_files + sockets as u64;
    let open_files = OpenFiles::reserve(options.limits.max_connections, options.workers, own_files)
        .map_err(GatewayError::OpenFiles)?;
    // First, because a signal before this ends the process without a graceful shutdown.
    let signals = signals::handle(options.limits.shutdown_timeout, options.program.is_some());
    let signals = signals.map_err(GatewayError::Start)?;
    let runtime = runtime::new().map_err(GatewayError::Start)?;
    let shutdown = run(options, open_files, &runtime, &signals, open, on_bound);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    log::flush(if let Ok(Shutdown::Forced) = shutdown { FORCED_FLUSH } else { log::FLUSH_TIMEOUT });
    shutdown
}

fn run<E>(
    options: Options<'_>,
    open_files: OpenFiles,
    runtime: &Runtime,
    signals: &Signals,
    open: impl AsyncFnOnce(&Signals) -> Result<LiveSite, E>,
    on_bound: impl FnOnce(&[Endpoint]),
) -> Result<Shutdown, GatewayError<E>> {
    let Options { listen, workers, limits, max_connections_is_set, inherited, program, .. } = options;
    let stop = &signals.stop;
    let opened = runtime.block_on(async {
        tokio::select! {
            site = open(signals) => Some(site),
            () = stop.requested() => None,
        }
    });
    let Some(site) = opened.transpose().map_err(GatewayError::Open)? else {
        tracing::info!("stopped before serving");
        return Ok(Shutdown::Graceful);
    };
    std::thread::scope(|scope| {
        // After an error, a thread receives no work and ends.
        let (work, waiting): (Vec<_>, Vec<_>) = (1..workers).map(|_| mpsc::sync_channel::<Worker>(1)).unzip();
        let mut threads = Vec::new();
        for waiting in waiting {
            let runtime = runtime::new().map_err(GatewayError::Start)?;
            let run = move || {
                let ended = waiting.recv().map_or(Ok(false), |worker| worker.run(&runtime));
                runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
                ended
            };
            let thread = std::thread::Builder::new().name("worker".into());
            threads.push(thread.spawn_scoped(scope, run).map_err(GatewayError::Start)?);
        }
        let bound =
            if inherited.is_empty() { Bound::bind(listen, workers) } else { Bound::inherit(inherited) };
        let bound = bound.map_err(GatewayError::Bind)?;
        let mut listeners = bound.assign(workers).map_err(GatewayError::Bind)?.into_iter();
        let of_first = listeners.next().ok_or_else(|| GatewayError::Bind(ErrorKind::NotFound.into()))?;
        log_open_files(open_files, limits.max_connections, max_connections_is_set);
        let Bound { sockets, endpoints, socket_file } = bound;
        match program {
            Some(program) => drop(runtime.spawn(upgrade::on_request(program, sockets, signals.clone()))),
            // A stopped process must not listen.
            None => drop(sockets),
        }
        on_bound(&endpoints);
        let connections = ConnectionLimit::new(open_files.connections());
        let all = Arc::new(Barrier::new(workers));
        let first = Worker { listeners: of_first, connections, site, limits, signals: signals.clone(), all };
        for (work, listeners) in work.iter().zip(listeners) {
            // The thread is waiting for its work, so this cannot fail.
            let _ = work.send(first.with_listeners(listeners));
        }
        let mut ended = vec![first.run(runtime)];
        ended.extend(threads.into_iter().map(|thread| thread.join().unwrap_or(Err(WorkerFailed))));
        if let Some(file) = socket_file.filter(|_| signals.is_retired()) {
            // The next process listens there.
            file.leave();
        }
        tracing::info!("stopped");
        let forced =
            ended.into_iter().collect::<Result<Vec<_>, _>>().map_err(|WorkerFailed| GatewayError::Worker)?;
        Ok(if forced.contains(&true) { Shutdown::Forced } else { Shutdown::Graceful })
    })
}

/// One worker, ready to serve.
struct Worker {
    listeners: Vec<StdListener>,
    connections: ConnectionLimit,
    site: LiveSite,
    limits: Limits,
    signals: Signals,
    all: Arc<Barrier>,
}

/// A worker failed. The cause is in the log.
#[derive(Debug)]
struct WorkerFailed;

impl Worker {
    fn with_listeners(&self, listeners: Vec<StdListener>) -> Self {
        Self {
            listeners,
            connections: self.connections.clone(),
            site: self.site.clone(),
            limits: self.limits,
            signals: self.signals.clone(),
            all: Arc::clone(&self.all),
        }
    }

    fn run(self, runtime: &Runtime) -> Result<bool, WorkerFailed> {
        let Self { listeners, connections, site, limits, signals, all } = self;
        runtime.block_on(async {
            let serve = |listener| serve_site(listener, connections.clone(), site.clone(), limits, &signals);
            let serving = try_join_all(listeners.into_iter().map(serve))
                .map(|ended| ended.map(|forced| forced.contains(&true)));
            let ended = supervised(serving, &signals.stop).await;
            // Requests of other workers may still use tasks of this runtime, such as a database connection.
            all.wait().await;
            ended
        })
    }
}

/// Serves one socket until a request to stop. Returns whether the shutdown was forced.
async fn serve_site(
    listener: StdListener,
    connections: ConnectionLimit,
    site: LiveSite,
    limits: Limits,
    signals: &Signals,
) -> io::Result<bool> {
    let server = Server::new(listener.register()?, limits).connection_limit(connections);
    let stats = server.stats();
    let stop = &signals.stop;
    let drained = server.serve_until_retired(site, signals.retired(), stop.requested(), stop.forced()).await;
    tracing::debug!(
        fast_requests = stats.fast_requests(),
        fallback_requests = stats.fallback_requests(),
        sendfile_bytes = stats.sendfile_bytes(),
        "worker stopped"
    );
    Ok(drained == Drained::Forced)
}

/// Logs that fewer connections than wanted are served: a warning if the limit was set.
fn log_open_files(open_files: OpenFiles, wanted: usize, is_set: bool) {
    let Some(needed) = open_files.shortage() else { return };
    let (limit, connections) = (open_files.limit(), open_files.connections());
    let message = format!(
        "serving {connections} connections at a time: limits.max_connections = {wanted} needs {needed} open files (ulimit -n)"
    );
    if is_set {
        tracing::warn!(limit, connections, "{message}");
    } else {
        tracing::info!(limit, connections, "{message}");
    }
}

/// Runs a worker, and stops all others if it fails or panics. Otherwise the clients of its socket would get no response.
async fn supervised(
    serving: impl Future<Output = io::Result<bool>>,
    stop: &Stop,
) -> Result<bool, WorkerFailed> {
    let problem = match AssertUnwindSafe(serving).catch_unwind().await {
        Ok(Ok(forced)) => return Ok(forced),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "panic".to_owned(),
    };
    tracing::error!(problem, "a worker failed; the process exits");
    stop.force();
    Err(WorkerFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_failed_worker_stops_all_others() {
        type Serving = Box<dyn FnOnce() -> io::Result<bool>>;
        let failures: [Serving; 2] =
            [Box::new(|| Err(io::Error::other("no events"))), Box::new(|| panic!("for the test"))];
        for fail in failures {
            let stop = signals::handle(Duration::from_secs(60), false).unwrap().stop;
            let others = stop.clone();
            let other = tokio::spawn(async move { others.forced().await });
            assert!(supervised(async { fail() }, &stop).await.is_err());
            other.await.unwrap();
        }
        let stop = signals::handle(Duration::from_secs(60), false).unwrap().stop;
        assert!(!supervised(async { Ok(false) }, &stop).await.unwrap());
        assert!(tokio::time::timeout(Duration::ZERO, stop.requested()).await.is_err());
    }
}
