//! Worker threads: each serves the site with its own runtime and socket.

use std::io::{self, ErrorKind};
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, PoisonError, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::try_join_all;
use private_media_listener::{
    ClientLimit, ConnectionLimit, Drained, HttpsRedirect, Limits, OpenFiles, Server, SocketFile, Tls,
};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::addresses::{Endpoint, ListenAddr};
use crate::admin::{AdminServer, AdminStage};
use crate::error::GatewayError;
use crate::listeners::{Bound, BoundFile, Socket, StdListener};
use crate::live_site::LiveSite;
use crate::log;
use crate::metrics::Metrics;
use crate::open::cached_handles;
use crate::runtime;
use crate::signals::{self, Flush, Shutdown, Signals, Stop};
use crate::upgrade::{self, Program};

/// File descriptors other than those of workers and connections: the root, the signal thread, 8 for a state database, 24 for a pool of
/// 8 SQLite connections, and files that are open for a moment.
const OWN_FILES: u64 = 64;
/// How long the shutdown of a runtime waits for blocking work, such as a read from a disk that hangs.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(500);
/// How long a forced shutdown waits for the log.
const FORCED_FLUSH: Duration = Duration::from_millis(100);

/// The name of the socket for clients of plain HTTP, for the program after an upgrade and in socket units.
const REDIRECT: &str = "redirect";

/// The settings of the workers.
pub(crate) struct Options<'a> {
    pub(crate) listen: &'a ListenAddr,
    pub(crate) https: Option<HttpsOptions<'a>>,
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    /// Whether the limit of connections was set by the user, so that a lower one causes a warning.
    pub(crate) max_connections_is_set: bool,
    pub(crate) client_limit: Option<ClientLimit>,
    /// Absent without an admin address.
    pub(crate) metrics: Option<&'static Metrics>,
    /// File descriptors of the identity sources and lookups, such as connections to a database.
    pub(crate) site_files: u64,
    /// Inherited sockets, which replace the address.
    pub(crate) inherited: Vec<Socket>,
    /// The admin server, once `open` has started it.
    pub(crate) admin: &'a Mutex<Option<AdminServer>>,
    /// Writes what must not be lost in a forced exit.
    pub(crate) flush: Flush,
    /// The program of this process, if it can be upgraded and reports to systemd.
    pub(crate) program: Option<Program>,
}

/// The settings of HTTPS.
#[derive(Clone, Copy)]
pub(crate) struct HttpsOptions<'a> {
    pub(crate) tls: &'a Tls,
    /// Where clients of plain HTTP are redirected.
    pub(crate) redirect_http: Option<&'a [SocketAddr]>,
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
    let (is_service, flush) = (options.program.is_some(), Arc::clone(&options.flush));
    let signals = signals::handle(options.limits.shutdown_timeout, is_service, flush);
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
    let Options { listen, https, workers, limits, max_connections_is_set, metrics, .. } = options;
    let (inherited, admin, program) = (options.inherited, options.admin, options.program);
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
        let (redirects, inherited): (Vec<_>, Vec<_>) =
            inherited.into_iter().partition(|socket| socket.name == REDIRECT);
        let bound =
            if inherited.is_empty() { Bound::bind(listen, workers) } else { Bound::inherit(inherited) };
        let bound = bound.map_err(GatewayError::Bind)?;
        let mut listeners = bound.assign(workers).map_err(GatewayError::Bind)?.into_iter();
        let of_first = listeners.next().ok_or_else(|| GatewayError::Bind(ErrorKind::NotFound.into()))?;
        let redirect = https.map(|https| bind_redirect(https, &bound.endpoints, redirects)).transpose();
        let redirect = redirect.map_err(GatewayError::BindRedirect)?.flatten();
        log_open_files(open_files, limits.max_connections, max_connections_is_set);
        let Bound { mut sockets, endpoints, socket_file } = bound;
        if let Some((listener, _)) = &redirect {
            let listener = listener.try_clone().map_err(GatewayError::BindRedirect)?;
            sockets.push(Socket { name: REDIRECT.into(), listener });
        }
        let endpoints: Vec<_> = match https {
            Some(_) => endpoints.into_iter().map(Endpoint::with_tls).collect(),
            None => endpoints,
        };
        let (files, admin) = take_over(&mut sockets, socket_file, admin).map_err(GatewayError::Bind)?;
        match program {
            Some(program) => drop(runtime.spawn(upgrade::on_request(program, sockets, signals.clone()))),
            // A stopped process must not listen.
            None => drop(sockets),
        }
        on_bound(&endpoints);
        if let Some(stage) = &admin {
            stage.serve();
        }
        let connections = ConnectionLimit::new(open_files.connections());
        let all = Arc::new(Barrier::new(workers));
        let tls = https.map(|https| https.tls.clone());
        let first = Worker {
            listeners: of_first,
            tls,
            redirect: None,
            connections,
            client_limit: options.client_limit.clone(),
            site,
            limits,
            signals: signals.clone(),
            all,
            metrics,
        };
        for (work, listeners) in work.iter().zip(listeners) {
            // The thread is waiting for its work, so this cannot fail.
            let _ = work.send(first.with_listeners(listeners));
        }
        let mut ended = vec![Worker { redirect, ..first }.run(runtime)];
        ended.extend(threads.into_iter().map(|thread| thread.join().unwrap_or(Err(WorkerFailed))));
        if signals.is_retired() {
            // The next process listens there.
            files.into_iter().for_each(SocketFile::leave);
            if let Some(stage) = &admin {
                runtime.block_on(stage.end());
            }
        }
        tracing::info!("stopped");
        let forced =
            ended.into_iter().collect::<Result<Vec<_>, _>>().map_err(|WorkerFailed| GatewayError::Worker)?;
        Ok(if forced.contains(&true) { Shutdown::Forced } else { Shutdown::Graceful })
    })
}

/// Adds the sockets of the admin server, and takes over the files of all Unix sockets. Nothing may fail after this, because the previous
/// process leaves the files to this one.
fn take_over(
    sockets: &mut Vec<Socket>,
    socket_file: Option<BoundFile>,
    admin: &Mutex<Option<AdminServer>>,
) -> io::Result<(Vec<SocketFile>, Option<AdminStage>)> {
    let mut files: Vec<_> = socket_file.into_iter().collect();
    let admin = admin.lock().unwrap_or_else(PoisonError::into_inner).take();
    let stage = admin.map(|AdminServer { sockets: of_admin, socket_file, stage }| {
        sockets.extend(of_admin);
        files.extend(socket_file);
        stage
    });
    let files = files.into_iter().map(BoundFile::take_over).collect::<io::Result<_>>()?;
    Ok((files, stage))
}

/// Listens for clients of plain HTTP, which are redirected to the first of these endpoints. One worker serves them.
fn bind_redirect(
    https: HttpsOptions<'_>,
    endpoints: &[Endpoint],
    inherited: Vec<Socket>,
) -> io::Result<Option<(StdListener, HttpsRedirect)>> {
    let port = endpoints.iter().find_map(|endpoint| match endpoint {
        Endpoint::Tcp(address) | Endpoint::Https(address) => Some(address.port()),
        Endpoint::Unix(_) => None,
    });
    let (Some(addresses), Some(port)) = (https.redirect_http, port) else { return Ok(None) };
    let listener = match inherited.into_iter().next() {
        Some(socket) => {
            socket.listener.set_nonblocking()?;
            Some(socket.listener)
        }
        None => private_media_listener::bind(addresses, 1)?.into_iter().next().map(StdListener::Tcp),
    };
    Ok(listener.map(|listener| (listener, HttpsRedirect::new(https.tls.clone(), port))))
}

/// One worker, ready to serve.
struct Worker {
    listeners: Vec<StdListener>,
    tls: Option<Tls>,
    redirect: Option<(StdListener, HttpsRedirect)>,
    connections: ConnectionLimit,
    client_limit: Option<ClientLimit>,
    site: LiveSite,
    limits: Limits,
    signals: Signals,
    all: Arc<Barrier>,
    metrics: Option<&'static Metrics>,
}

/// A worker failed. The cause is in the log.
#[derive(Debug)]
struct WorkerFailed;

impl Worker {
    fn with_listeners(&self, listeners: Vec<StdListener>) -> Self {
        Self {
            listeners,
            tls: self.tls.clone(),
            redirect: None,
            connections: self.connections.clone(),
            client_limit: self.client_limit.clone(),
            site: self.site.clone(),
            limits: self.limits,
            signals: self.signals.clone(),
            all: Arc::clone(&self.all),
            metrics: self.metrics,
        }
    }

    fn run(self, runtime: &Runtime) -> Result<bool, WorkerFailed> {
        let Self { listeners, tls, redirect, connections, client_limit, site, limits, signals, all, metrics } =
            self;
        runtime.block_on(async {
            let redirecting = Box::pin(serve_redirect(redirect, connections.clone(), limits, &signals));
            let serve = |listener| {
                let (tls, site) = (tls.clone(), site.clone());
                let of_clients = (connections.clone(), client_limit.clone());
                Box::pin(serve_site(listener, tls, of_clients, site, limits, &signals, metrics))
            };
            let serving = try_join_all(listeners.into_iter().map(serve));
            let serving =
                async { tokio::try_join!(serving, redirecting).map(|(forced, ())| forced.contains(&true)) };
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
    tls: Option<Tls>,
    (connections, client_limit): (ConnectionLimit, Option<ClientLimit>),
    site: LiveSite,
    limits: Limits,
    signals: &Signals,
    metrics: Option<&Metrics>,
) -> io::Result<bool> {
    let server = Server::new(listener.register()?, limits).connection_limit(connections);
    let server = tls.into_iter().fold(server, Server::tls);
    let server = client_limit.into_iter().fold(server, Server::client_limit);
    let stats = server.stats();
    if let Some(metrics) = metrics {
        metrics.add_server(Arc::clone(&stats));
    }
    let stop = &signals.stop;
    let drained = server.serve_until_retired(site, signals.retired(), stop.requested(), stop.forced()).await;
    tracing::debug!(
        fast_requests = stats.fast_requests(),
        fallback_requests = stats.fallback_requests(),
        http2_requests = stats.http2_requests(),
        failed_handshakes = stats.failed_handshakes(),
        sendfile_bytes = stats.sendfile_bytes(),
        "worker stopped"
    );
    Ok(drained == Drained::Forced)
}

/// Redirects clients of plain HTTP until a request to stop.
async fn serve_redirect(
    redirect: Option<(StdListener, HttpsRedirect)>,
    connections: ConnectionLimit,
    limits: Limits,
    signals: &Signals,
) -> io::Result<()> {
    let Some((listener, redirect)) = redirect else { return Ok(()) };
    let server = Server::new(listener.register()?, limits).connection_limit(connections);
    let stop = &signals.stop;
    server.serve_until_retired(redirect, signals.retired(), stop.requested(), stop.forced()).await;
    Ok(())
}

/// Logs that fewer connections than wanted are served: a warning if the limit was set. The default limit follows that of open files.
fn log_open_files(open_files: OpenFiles, wanted: usize, is_set: bool) {
    let Some(needed) = open_files.shortage() else { return };
    let (limit, connections) = (open_files.limit(), open_files.connections());
    let message = format!(
        "serving {connections} connections at a time: limits.max_connections = {wanted} needs {needed} open files (ulimit -n)"
    );
    if is_set {
        tracing::warn!(limit, connections, "{message}");
    } else {
        tracing::debug!(limit, connections, "{message}");
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
            let stop = signals::handle(Duration::from_secs(60), false, Arc::new(|_| ())).unwrap().stop;
            let others = stop.clone();
            let other = tokio::spawn(async move { others.forced().await });
            assert!(supervised(async { fail() }, &stop).await.is_err());
            other.await.unwrap();
        }
        let stop = signals::handle(Duration::from_secs(60), false, Arc::new(|_| ())).unwrap().stop;
        assert!(!supervised(async { Ok(false) }, &stop).await.unwrap());
        assert!(tokio::time::timeout(Duration::ZERO, stop.requested()).await.is_err());
    }
}
