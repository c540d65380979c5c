//! `private-media serve`: configuration, root and accounts, then requests until the signal to stop.

use std::io::Write;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media::{Accounts, ApacheXSendfile, LocalStorage, NginxXAccelRedirect, PrivateMedia};
use tokio::net::TcpListener;
use tokio::sync::watch;

use crate::config::{Config, ConfigError, InternalUrl, Limits, Server};
use crate::listener;
use crate::site::Site;

/// Runs the gateway.
pub(crate) fn run(config: &Config) -> Result<ExitCode, ConfigError> {
    // Looked at before it is read, so that no change goes unseen.
    let seen = stamp(&config.accounts);
    let (media, accounts) = open(config)?;
    let site = Site::new(&media, accounts.clone(), &config.url);
    runtime(config.workers)?.block_on(async {
        let listener = bind(&config.listen).await.map_err(|error| taken(config, &error))?;
        tokio::spawn(reload(accounts, config.accounts.clone(), seen, config.cache));
        serve(listener, site, config.limits, |_| ()).await
    })
}

/// The private media and the accounts of a configuration, checked: what `serve` serves and `check` asks.
pub(crate) fn open(config: &Config) -> Result<(PrivateMedia, Accounts), ConfigError> {
    config.check_root()?;
    let file = load_accounts(config)?;
    let storage = LocalStorage::open_root(&config.root).map_err(|error| config.root_error(&error))?;
    let options = AccountsOptions {
        url: config.url.clone(),
        cookie_path: config.url.clone(),
        session: config.session,
        cache: config.cache,
    };
    let accounts = Accounts::new(file, options).map_err(|error| ConfigError::new(error.to_string()))?;
    if !accounts.has_secret() {
        tracing::warn!(
            accounts = %config.accounts.display(),
            "the accounts file has no secret, so every sign-in ends with this process; private-media account add writes one"
        );
    }
    let media = PrivateMedia::builder(storage)
        .identify(accounts.clone())
        .permissions(config.grants.clone())
        .debug(config.debug);
    let media = match &config.server {
        Server::Direct => media,
        Server::Nginx(InternalUrl::Prefix(url)) => media.delivery(NginxXAccelRedirect::new(url)),
        Server::Nginx(InternalUrl::FullPath) => {
            let delivery = NginxXAccelRedirect::full_path(&config.root);
            media.delivery(delivery.map_err(|error| config.root_error(&error))?)
        }
        Server::Apache(encoding) => {
            let delivery = ApacheXSendfile::new(&config.root).map_err(|error| config.root_error(&error))?;
            media.delivery(delivery.encoding(*encoding))
        }
    };
    Ok((media.build(), accounts))
}

pub(crate) fn load_accounts(config: &Config) -> Result<AccountsFile, ConfigError> {
    match AccountsFile::load(&config.accounts) {
        Ok(file) => Ok(file),
        Err(error) if error.is_missing() => {
            Err(config
                .accounts_error("there is no such file", "make it with: private-media account add NAME"))
        }
        Err(error) => Err(ConfigError::new(error.to_string())),
    }
}

pub(crate) fn runtime(workers: usize) -> Result<tokio::runtime::Runtime, ConfigError> {
    tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build().map_err(
        |error| ConfigError::new(format!("workers {workers}: the threads cannot be started: {error}")),
    )
}

pub(crate) async fn bind(addresses: &[SocketAddr]) -> std::io::Result<TcpListener> {
    TcpListener::bind(addresses).await
}

/// Announces the address, says what else there is to say of it, and serves until ctrl-c or SIGTERM.
pub(crate) async fn serve(
    listener: TcpListener,
    site: Site,
    mut limits: Limits,
    introduce: impl FnOnce(SocketAddr),
) -> Result<ExitCode, ConfigError> {
    limits.connections = listener::raise_open_files(limits.connections);
    let signals =
        stop_signals().map_err(|error| ConfigError::new(format!("signals cannot be received: {error}")))?;
    let address = listener.local_addr().map_err(|error| ConfigError::new(format!("listen: {error}")))?;
    announce(address);
    introduce(address);
    let was_hurried = listener::serve(listener, site, limits, signals).await;
    tracing::info!("stopped");
    // What a shell says of a program that ctrl-c has ended.
    Ok(if was_hurried { ExitCode::from(130) } else { ExitCode::SUCCESS })
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

pub(crate) fn taken(config: &Config, error: &std::io::Error) -> ConfigError {
    let fix = "choose another, or port 0 for a free one";
    match error.kind() {
        std::io::ErrorKind::AddrInUse => {
            config.listen_setting.error("another program listens there already", fix)
        }
        _ => config.listen_setting.error(&format!("nothing can listen there ({error})"), fix),
    }
}

/// Takes up what `private-media account` changes, as often as answers may be kept. A file that is wrong changes nothing.
async fn reload(accounts: Accounts, path: PathBuf, mut seen: Stamp, every: Duration) {
    let path: Arc<Path> = path.into();
    loop {
        tokio::time::sleep(every.clamp(Duration::from_millis(200), Duration::from_secs(60))).await;
        let before = seen;
        let path = Arc::clone(&path);
        let look = move || {
            let now = stamp(&path);
            (now, (now != before).then(|| AccountsFile::load(&path)))
        };
        let Ok((now, file)) = tokio::task::spawn_blocking(look).await else { continue };
        seen = now;
        match file {
            Some(Ok(file)) => {
                accounts.replace(file);
                tracing::info!("the accounts have changed");
            }
            Some(Err(error)) => tracing::error!(%error, "the accounts stay as they were"),
            None => {}
        }
    }
}

type Stamp = Option<(SystemTime, u64, u64)>;

/// What changes when the file does.
fn stamp(path: &Path) -> Stamp {
    use std::os::unix::fs::MetadataExt;

    let metadata = std::fs::metadata(path).ok()?;
    Some((metadata.modified().ok()?, metadata.ino(), metadata.len()))
}
