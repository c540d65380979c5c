//! `private-media serve`: configuration, root and readers, then requests until the signal to stop.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use futures_util::FutureExt;
use private_media::storage::CacheOptions;
use private_media::{ApacheXSendfile, LocalStorage, NginxXAccelRedirect, PrivateMedia};
use tokio::runtime::Runtime;
use tokio::sync::Barrier;

use crate::config::{Config, ConfigError};
use crate::front::{InternalUrl, Server};
use crate::gateway::{GatewayError, Limits};
use crate::health::Health;
use crate::listener::{self, Fit, Slots};
use crate::log;
use crate::readers::Readers;
use crate::root_watch;
use crate::signals::{self, Stop};
use crate::site::Site;
use crate::state::{self, StateUrl};

/// How much of the files that are asked for often is kept in memory, in bytes.
const KEPT: usize = 16 << 20;
/// How long a runtime's end waits for work that hangs, such as a read from a disk that gives no answer.
const RUNTIME_SHUTDOWN: Duration = Duration::from_millis(500);
/// How long an end that was forced waits for the log.
const FORCED_FLUSH: Duration = Duration::from_millis(100);

/// Runs the gateway of a configuration.
pub(crate) fn run(config: &Config) -> Result<ExitCode, ConfigError> {
    let open = async || {
        let (media, readers) = open(config).await?;
        let health = Health::default();
        root_watch::spawn(&media, &health, config.revalidate_after);
        open_state(config, &readers, &health).await?;
        Ok(Site::new(&media, readers.accounts(), &config.url).health(health))
    };
    let options = Options {
        listen: &config.listen,
        workers: config.workers,
        limits: config.limits,
        max_connections_is_set: config.max_connections_is_set,
    };
    match site(&options, open, |_| ()) {
        Ok(forced) => Ok(exit_code(forced)),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Listen(error)) => Err(taken(config, &error)),
        Err(GatewayError::OpenFiles(error)) => Err(ConfigError::new(error.to_string())),
        Err(GatewayError::Start(error)) => Err(cannot_start(config.workers, &error)),
        // The log has said why.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
    }
}

/// The private media of a configuration and who tells its readers apart, checked: what `serve` serves and `check` asks.
pub(crate) async fn open(config: &Config) -> Result<(PrivateMedia, Readers), ConfigError> {
    config.check_root()?;
    let readers = Readers::open(config).await?;
    let storage = LocalStorage::open_root(&config.root).map_err(|error| config.root_error(&error))?;
    let checked = config.clone();
    let storage = storage.accept_root(move |_| checked.check_root().map_err(|error| error.to_string()));
    let storage = match config.server {
        Server::Direct => storage.keep(keep(config.revalidate_after)),
        // A front server opens each file by the name that it has now.
        Server::Nginx(_) | Server::Apache(_) => storage,
    };
    let media = PrivateMedia::builder(storage)
        .identify(readers.clone())
        .permissions(config.grants.clone())
        .debug(config.debug);
    let media = match &config.server {
        Server::Direct => media,
        Server::Nginx(InternalUrl::Prefix(url)) => media.delivery(NginxXAccelRedirect::new(url)),
        Server::Nginx(InternalUrl::FullPath) => {
            let delivery = NginxXAccelRedirect::full_path(config.absolute_root()?);
            media.delivery(delivery.map_err(|error| config.root_error(&error))?)
        }
        Server::Apache(encoding) => {
            let delivery =
                ApacheXSendfile::new(config.absolute_root()?).map_err(|error| config.root_error(&error))?;
            media.delivery(delivery.encoding(*encoding))
        }
    };
    Ok((media.build(), readers))
}

/// Opens the state store of a gateway that serves.
async fn open_state(config: &Config, readers: &Readers, health: &Health) -> Result<(), ConfigError> {
    let Some(url) = &config.state else { return Ok(()) };
    if let StateUrl::Memory = url {
        tracing::warn!(
            "state is memory: sign-outs are forgotten at a restart, and other gateways do not learn of them"
        );
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("process {} on {}", std::process::id(), host.trim());
    state::start(url, readers.accounts(), name, config.cache_ttl, health.clone())
        .await
        .map_err(|error| config.state_error(&error))
}

/// What is kept of files that are sent from here.
pub(crate) fn keep(fresh: Duration) -> CacheOptions {
    CacheOptions { fresh, bytes: KEPT, handles: listener::kept_handles() }
}

/// Where and with what a site is served.
pub(crate) struct Options<'a> {
    pub(crate) listen: &'a [SocketAddr],
    pub(crate) workers: usize,
    pub(crate) limits: Limits,
    /// Whether somebody asked for this many connections, so that serving fewer is worth a warning.
    pub(crate) max_connections_is_set: bool,
}

/// Opens a site, announces its address, introduces it, and serves until ctrl-c or SIGTERM. Returns whether a second signal forced the
/// end.
///
/// Each worker is a thread with a runtime and a socket of its own, and this thread is the first of them. The site is opened in this
/// one's runtime, which runs until all have ended.
pub(crate) fn site<E>(
    options: &Options<'_>,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    introduce: impl FnOnce(SocketAddr),
) -> Result<bool, GatewayError<E>> {
    let fit =
        Fit::reserve(options.limits.max_connections, options.workers).map_err(GatewayError::OpenFiles)?;
    // Before anything that takes time, so that no signal meets the system's default.
    let stop = signals::handle(options.limits.shutdown_timeout).map_err(GatewayError::Start)?;
    let runtime = runtime().map_err(GatewayError::Start)?;
    let served = serve(options, &fit, &runtime, &stop, open, introduce);
    runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
    log::flush(if let Ok(true) = served { FORCED_FLUSH } else { log::FLUSH_TIMEOUT });
    served
}

fn serve<E>(
    options: &Options<'_>,
    fit: &Fit,
    runtime: &Runtime,
    stop: &Stop,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    introduce: impl FnOnce(SocketAddr),
) -> Result<bool, GatewayError<E>> {
    let Options { listen, workers, limits, max_connections_is_set } = *options;
    let opened = runtime.block_on(async {
        tokio::select! {
            site = open() => Some(site),
            () = stop.requested() => None,
        }
    });
    let Some(site) = opened.transpose().map_err(GatewayError::Open)? else {
        tracing::info!("stopped before serving");
        return Ok(false);
    };
    std::thread::scope(|scope| {
        // A thread that is sent no work, as there is an error, ends at once.
        let (work, waiting): (Vec<_>, Vec<_>) = (1..workers).map(|_| mpsc::sync_channel::<Worker>(1)).unzip();
        let mut threads = Vec::new();
        for waiting in waiting {
            let runtime = self::runtime().map_err(GatewayError::Start)?;
            let run = move || {
                let ended = waiting.recv().map_or(Ok(false), |worker| worker.run(&runtime));
                runtime.shutdown_timeout(RUNTIME_SHUTDOWN);
                ended
            };
            let thread = std::thread::Builder::new().name("worker".into());
            threads.push(thread.spawn_scoped(scope, run).map_err(GatewayError::Start)?);
        }
        let mut listeners = listener::listen_on(listen, workers).map_err(GatewayError::Listen)?.into_iter();
        let listener = listeners.next().ok_or_else(|| GatewayError::Listen(ErrorKind::NotFound.into()))?;
        let address = listener.local_addr().map_err(GatewayError::Listen)?;
        fit.log(max_connections_is_set);
        announce(address);
        introduce(address);
        let slots = Slots::new(fit.connections);
        let all = Arc::new(Barrier::new(workers));
        let first = Worker { listener, slots, site, limits, stop: stop.clone(), all };
        for (work, listener) in work.iter().zip(listeners) {
            // It waits for exactly this.
            let _ = work.send(first.beside(listener));
        }
        let mut ended = vec![first.run(runtime)];
        ended.extend(threads.into_iter().map(|thread| thread.join().unwrap_or(Err(WorkerFailed))));
        tracing::info!("stopped");
        let forced =
            ended.into_iter().collect::<Result<Vec<_>, _>>().map_err(|WorkerFailed| GatewayError::Worker)?;
        Ok(forced.contains(&true))
    })
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
    fn beside(&self, listener: TcpListener) -> Self {
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
    serving: impl Future<Output = std::io::Result<bool>>,
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

/// A runtime that its caller drives.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

pub(crate) fn cannot_start(workers: usize, error: &std::io::Error) -> ConfigError {
    ConfigError::new(format!("workers {workers}: the threads cannot be started: {error}"))
}

/// What a shell says of a program that ctrl-c has ended.
pub(crate) fn exit_code(forced: bool) -> ExitCode {
    if forced { ExitCode::from(130) } else { ExitCode::SUCCESS }
}

/// The first line on stdout. A reader of stdout who has gone is no reason to stop.
fn announce(address: SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
}

fn taken(config: &Config, error: &std::io::Error) -> ConfigError {
    let fix = "choose another, or port 0 for a free one";
    match error.kind() {
        ErrorKind::AddrInUse => config.listen_setting.error("another program listens there already", fix),
        _ => config.listen_setting.error(&format!("nothing can listen there ({error})"), fix),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_worker_that_fails_or_panics_stops_all_others() {
        type Serving = Box<dyn FnOnce() -> std::io::Result<bool>>;
        let failures: [Serving; 2] =
            [Box::new(|| Err(std::io::Error::other("no events"))), Box::new(|| panic!("for the test"))];
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
