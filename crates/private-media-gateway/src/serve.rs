//! `private-media serve`: configuration, root and readers, then requests until the signal to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::process::ExitCode;

use private_media::{ApacheXSendfile, LocalStorage, NginxXAccelRedirect, PrivateMedia};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, ConfigError, InternalUrl, Server};
use crate::gateway::{GatewayError, Limits};
use crate::listener;
use crate::readers::Readers;
use crate::site::Site;

/// Runs the gateway of a configuration.
pub(crate) fn run(config: &Config) -> Result<ExitCode, ConfigError> {
    let open = async || {
        let (media, readers) = open(config).await?;
        Ok(Site::new(&media, readers.accounts(), &config.url))
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

/// Opens a site, announces its address, says what else there is to say of it, and serves until ctrl-c or SIGTERM. Whether a second
/// signal hurried it is the answer.
pub(crate) fn site<E>(
    listen: &[SocketAddr],
    workers: usize,
    mut limits: Limits,
    open: impl AsyncFnOnce() -> Result<Site, E>,
    introduce: impl FnOnce(SocketAddr),
) -> Result<bool, GatewayError<E>> {
    runtime(workers).map_err(GatewayError::Start)?.block_on(async {
        let site = open().await.map_err(GatewayError::Open)?;
        let listener = TcpListener::bind(listen).await.map_err(GatewayError::Listen)?;
        let address = listener.local_addr().map_err(GatewayError::Listen)?;
        limits.connections = listener::raise_open_files(limits.connections);
        let signals = stop_signals().map_err(GatewayError::Start)?;
        announce(address);
        introduce(address);
        let was_hurried = listener::serve(listener, site, limits, signals).await;
        tracing::info!("stopped");
        Ok(was_hurried)
    })
}

pub(crate) fn runtime(workers: usize) -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()
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
        std::io::ErrorKind::AddrInUse => {
            config.listen_setting.error("another program listens there already", fix)
        }
        _ => config.listen_setting.error(&format!("nothing can listen there ({error})"), fix),
    }
}
