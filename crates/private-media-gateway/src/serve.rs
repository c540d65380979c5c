//! `private-media serve`: configuration, root and readers, then requests until the signal to stop.

use std::io::{ErrorKind, Write};
use std::net::{SocketAddr, TcpListener};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use private_media::storage::Keep;
use private_media::{ApacheXSendfile, LocalStorage, NginxXAccelRedirect, PrivateMedia};
use tokio::runtime::Runtime;
use tokio::sync::{Barrier, watch};

use crate::config::{Config, ConfigError};
use crate::front::{InternalUrl, Server};
use crate::gateway::{GatewayError, Limits};
use crate::health::Health;
use crate::listener::{self, Slots};
use crate::readers::Readers;
use crate::root_watch;
use crate::site::Site;

/// How much of the files that are asked for often is kept in memory, in bytes.
const KEPT: usize = 16 << 20;

/// Runs the gateway of a configuration.
pub(crate) fn run(config: &Config) -> Result<ExitCode, ConfigError> {
    let open = async || {
        let (media, readers) = open(config).await?;
        let health = Health::default();
        root_watch::spawn(&media, &health, config.fresh);
        Ok(Site::new(&media, readers.accounts(), &config.url).health(health))
    };
    site(&config.listen, config.workers, config.limits, open, |_| ()).map(exit_code).map_err(|error| {
        match error {
            GatewayError::Open(error) => error,
            GatewayError::Listen(error) => taken(config, &error),
            GatewayError::Start(error) => cannot_start(config.workers, &error),
        }
    })
}

/// The private media of a configuration and who tells its readers apart, checked: what `serve` serves and `check` asks.
pub(crate) async fn open(config: &Config) -> Result<(PrivateMedia, Readers), ConfigError> {
    config.check_root()?;
    let readers = Readers::open(config).await?;
    let storage = LocalStorage::open_root(&config.root).map_err(|error| config.root_error(&error))?;
    let checked = config.clone();
    let storage = storage.accept_root(move |_| checked.check_root().map_err(|error| error.to_string()));
    let storage = match config.server {
        Server::Direct => storage.keep(keep(config.fresh)),
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

/// What is kept of files that are sent from here.
pub(crate) fn keep(fresh: Duration) -> Keep {
    Keep { fresh, bytes: KEPT, handles: listener::kept_handles() }
}

/// Opens a site, announces its address, says what else there is to say of it, and serves until ctrl-c or SIGTERM. Whether a second
/// signal hurried it is the answer.
///
/// Each worker is a thread with a runtime and a socket of its own, and this thread is the first of them. The site is opened in this
/// one's runtime, which runs until all have ended.
pub(crate) fn site<E>(
    listen: &[SocketAddr],
    workers: usize,
    mut limits: Limits,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    introduce: impl FnOnce(SocketAddr),
) -> Result<bool, GatewayError<E>> {
    let runtime = runtime().map_err(GatewayError::Start)?;
    let site = runtime.block_on(open()).map_err(GatewayError::Open)?;
    std::thread::scope(|scope| {
        // What is not sent work to, as there is an error, ends at once.
        let (work, waiting): (Vec<_>, Vec<_>) = (1..workers).map(|_| mpsc::sync_channel::<Worker>(1)).unzip();
        let mut threads = Vec::new();
        for waiting in waiting {
            let runtime = self::runtime().map_err(GatewayError::Start)?;
            let run = move || waiting.recv().map_or(Ok(false), |worker| worker.run(&runtime));
            let thread = std::thread::Builder::new().name("worker".into());
            threads.push(thread.spawn_scoped(scope, run).map_err(GatewayError::Start)?);
        }
        let mut listeners = listener::listen_on(listen, workers).map_err(GatewayError::Listen)?.into_iter();
        let listener = listeners.next().ok_or_else(|| GatewayError::Listen(ErrorKind::NotFound.into()))?;
        let address = listener.local_addr().map_err(GatewayError::Listen)?;
        limits.connections = listener::raise_open_files(limits.connections);
        let signals = runtime.block_on(async { stop_signals() }).map_err(GatewayError::Start)?;
        announce(address);
        introduce(address);
        let slots = Slots::new(limits.connections);
        let all = Arc::new(Barrier::new(workers));
        let first = Worker { listener, slots, site, limits, signals, all };
        for (work, listener) in work.iter().zip(listeners) {
            // It waits for exactly this.
            let _ = work.send(first.beside(listener));
        }
        let mut was_hurried = first.run(&runtime).map_err(GatewayError::Start)?;
        for thread in threads {
            was_hurried |= thread.join().unwrap_or(Ok(false)).map_err(GatewayError::Start)?;
        }
        tracing::info!("stopped");
        Ok(was_hurried)
    })
}

/// What one worker serves.
struct Worker {
    listener: TcpListener,
    slots: Slots,
    site: Site,
    limits: Limits,
    signals: watch::Receiver<u8>,
    all: Arc<Barrier>,
}

impl Worker {
    fn beside(&self, listener: TcpListener) -> Self {
        Self {
            listener,
            slots: self.slots.clone(),
            site: self.site.clone(),
            limits: self.limits,
            signals: self.signals.clone(),
            all: Arc::clone(&self.all),
        }
    }

    fn run(self, runtime: &Runtime) -> std::io::Result<bool> {
        let Self { listener, slots, site, limits, signals, all } = self;
        runtime.block_on(async {
            let was_hurried = listener::serve(listener, slots, site, limits, signals).await;
            // What one runtime began, such as a database's connection, another one's requests may still be using.
            all.wait().await;
            was_hurried
        })
    }
}

/// A runtime that its caller drives.
pub(crate) fn runtime() -> std::io::Result<Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}

pub(crate) fn cannot_start(workers: usize, error: &std::io::Error) -> ConfigError {
    ConfigError::new(format!("workers {workers}: the threads cannot be started: {error}"))
}

/// What a shell says of a program that ctrl-c has ended.
pub(crate) fn exit_code(was_hurried: bool) -> ExitCode {
    if was_hurried { ExitCode::from(130) } else { ExitCode::SUCCESS }
}

/// The first line on stdout. A reader of stdout who has gone is no reason to stop.
fn announce(address: SocketAddr) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "listening on http://{address}").and_then(|()| stdout.flush());
}

/// Counts ctrl-c and SIGTERM.
fn stop_signals() -> std::io::Result<watch::Receiver<u8>> {
    use tokio::signal::unix::{SignalKind, signal};

    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    let (count, signals) = watch::channel(0_u8);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                _ = interrupt.recv() => (),
                _ = terminate.recv() => (),
            }
            tracing::info!("stopping: running downloads may end; another signal stops at once");
            count.send_modify(|count| *count = count.saturating_add(1));
        }
    });
    Ok(signals)
}

fn taken(config: &Config, error: &std::io::Error) -> ConfigError {
    let fix = "choose another, or port 0 for a free one";
    match error.kind() {
        ErrorKind::AddrInUse => config.listen_setting.error("another program listens there already", fix),
        _ => config.listen_setting.error(&format!("nothing can listen there ({error})"), fix),
    }
}
