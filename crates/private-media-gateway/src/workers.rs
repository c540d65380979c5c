//! Threads, sockets and runtimes: serves a site until the signal to stop.

use std::convert::Infallible;
use std::future::pending;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::error::GatewayError;
use crate::limits::Limits;
use crate::listener::{self, Fit, Slots};
use crate::log;
use crate::runtime;
use crate::signals::{self, Shutdown, Stop};
use crate::site::Site;

/// How long a runtime's end waits for work that hangs, such as a read from a disk that gives no answer.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(500);
/// How long an end that was forced waits for the log.
const FORCED_FLUSH: Duration = Duration::from_millis(100);

/// Where and with what a site is served.
pub(crate) struct Options<'a> {
    pub(crate) listen: &'a [SocketAddr],
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    /// Whether somebody asked for this many connections, so that serving fewer is worth a warning.
    pub(crate) max_connections_is_set: bool,
}

/// Opens a site, reports its address to `on_bound`, and serves until ctrl-c or SIGTERM.
///
/// Each worker is a thread with a runtime and a socket of its own; the calling thread is the first worker. The site is opened in the
/// first worker's runtime, which runs until all workers have ended.
pub(crate) fn serve<E>(
    options: &Options<'_>,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    on_bound: impl FnOnce(SocketAddr),
) -> Result<Shutdown, GatewayError<E>> {
    let fit =
        Fit::reserve(options.limits.max_connections, options.workers).map_err(GatewayError::OpenFiles)?;
    // Before anything that takes time, so that no signal meets the system's default.
    let stop = signals::handle(options.limits.shutdown_timeout).map_err(GatewayError::Start)?;
    let runtime = runtime::new().map_err(GatewayError::Start)?;
    let shutdown = run(options, &fit, &runtime, &stop, open, on_bound);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    log::flush(if let Ok(Shutdown::Forced) = shutdown { FORCED_FLUSH } else { log::FLUSH_TIMEOUT });
    shutdown
}

fn run<E>(
    options: &Options<'_>,
    fit: &Fit,
    runtime: &Runtime,
    stop: &Stop,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    on_bound: impl FnOnce(SocketAddr),
) -> Result<Shutdown, GatewayError<E>> {
    let Options { listen, workers, limits, max_connections_is_set } = *options;
    let opened = runtime.block_on(async {
        tokio::select! {
            site = open() => Some(site),
            () = stop.requested() => None,
        }
    });
    let Some(site) = opened.transpose().map_err(GatewayError::Open)? else {
        tracing::info!("stopped before serving");
        return Ok(Shutdown::Graceful);
    };
    std::thread::scope(|scope| {
        // A thread that is sent no work, as there is an error, ends at once.
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
        let mut listeners = listener::listen_on(listen, workers).map_err(GatewayError::Bind)?.into_iter();
        let listener = listeners.next().ok_or_else(|| GatewayError::Bind(ErrorKind::NotFound.into()))?;
        let address = listener.local_addr().map_err(GatewayError::Bind)?;
        fit.log(max_connections_is_set);
        on_bound(address);
        let slots = Slots::new(fit.connections);
        let all = Arc::new(Barrier::new(workers));
        let first = Worker { listener, slots, site, limits, stop: stop.clone(), all };
        for (work, listener) in work.iter().zip(listeners) {
            // It waits for exactly this.
            let _ = work.send(first.with_listener(listener));
        }
        let mut ended = vec![first.run(runtime)];
        ended.extend(threads.into_iter().map(|thread| thread.join().unwrap_or(Err(WorkerFailed))));
        tracing::info!("stopped");
        let forced =
            ended.into_iter().collect::<Result<Vec<_>, _>>().map_err(|WorkerFailed| GatewayError::Worker)?;
        Ok(if forced.contains(&true) { Shutdown::Forced } else { Shutdown::Graceful })
    })
}

/// Serves a listener of the caller's runtime until `shutdown` is ready.
pub(crate) async fn serve_listener(
    listener: tokio::net::TcpListener,
    site: Site,
    limits: Limits,
    shutdown: impl Future<Output = ()>,
) -> io::Result<()> {
    let stop = Stop::manual();
    let slots = Slots::new(limits.max_connections);
    let request_stop = async {
        shutdown.await;
        stop.request();
        pending::<Infallible>().await
    };
    tokio::select! {
        served = listener::serve(listener.into_std()?, slots, site, limits, &stop) => served.map(drop),
        never = request_stop => match never {},
    }
}

/// What one worker serves.
struct Worker {
    listener: TcpListener,
    slots: Slots,
    site: Site,
    limits: Limits,
    stop: Stop,
    all: Arc<Barrier>,
}

/// A worker ended without being told to. The log says why.
#[derive(Debug)]
struct WorkerFailed;

impl Worker {
    fn with_listener(&self, listener: TcpListener) -> Self {
        Self {
            listener,
            slots: self.slots.clone(),
            site: self.site.clone(),
            limits: self.limits,
            stop: self.stop.clone(),
            all: Arc::clone(&self.all),
        }
    }

    fn run(self, runtime: &Runtime) -> Result<bool, WorkerFailed> {
        let Self { listener, slots, site, limits, stop, all } = self;
        runtime.block_on(async {
            let ended = supervised(listener::serve(listener, slots, site, limits, &stop), &stop).await;
            // What one runtime began, such as a database's connection, another one's requests may still be using.
            all.wait().await;
            ended
        })
    }
}

/// Waits for a worker's end. One that fails or panics would leave its share of the clients without answers, so it stops all others.
async fn supervised(
    serving: impl Future<Output = io::Result<bool>>,
    stop: &Stop,
) -> Result<bool, WorkerFailed> {
    let problem = match AssertUnwindSafe(serving).catch_unwind().await {
        Ok(Ok(forced)) => return Ok(forced),
        Ok(Err(error)) => error.to_string(),
        Err(_) => "panic".to_owned(),
    };
    tracing::error!(problem, "a worker has failed: the process ends");
    stop.force();
    Err(WorkerFailed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_fails_or_panics_stops_all_others() {
        type Serving = Box<dyn FnOnce() -> io::Result<bool>>;
        let failures: [Serving; 2] =
            [Box::new(|| Err(io::Error::other("no events"))), Box::new(|| panic!("for the test"))];
        for fail in failures {
            let stop = signals::handle(Duration::from_secs(60)).unwrap();
            let others = stop.clone();
            let other = tokio::spawn(async move { others.forced().await });
            assert!(supervised(async { fail() }, &stop).await.is_err());
            other.await.unwrap();
        }
        let stop = signals::handle(Duration::from_secs(60)).unwrap();
        assert!(!supervised(async { Ok(false) }, &stop).await.unwrap());
        assert!(tokio::time::timeout(Duration::ZERO, stop.requested()).await.is_err());
    }
}
