//! `private-media serve`: serves the private files until a signal to stop.

use std::process::ExitCode;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use clap::{ArgMatches, Command};
use private_media::identity::ClientAddr;
use private_media_listener::ClientLimit;

use crate::activation;
use crate::addresses::{Endpoint, ListenAddr};
use crate::admin;
use crate::audit::Audit;
use crate::config::{self, Config, ConfigError, Scope};
use crate::error::GatewayError;
use crate::health::Health;
use crate::https::Https;
use crate::identity;
use crate::listeners::Socket;
use crate::log;
use crate::lookups;
use crate::metrics::Metrics;
use crate::notify;
use crate::output;
use crate::reload;
use crate::signals::{Shutdown, Signals};
use crate::startup::{self, start_log};
use crate::traces::Traces;
use crate::upgrade::{Previous, Program};
use crate::workers;

/// How long the last audit records may take. Another process may hold the lock of the file for a moment.
const AUDIT_TIMEOUT: Duration = Duration::from_secs(5);
/// How long the last spans may take.
const TRACES_TIMEOUT: Duration = Duration::from_secs(3);
/// How long the last spans may take after a second signal.
const FORCED_TRACES_TIMEOUT: Duration = Duration::from_millis(100);

pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Serve the private files to users with permission")
        .args(config::args(Scope::All))
        .arg(startup::port_arg())
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    // First, because it changes the environment, which is only safe before threads are started.
    let inherited = activation::take()?;
    let config = Config::load(matches)?;
    start_log(&config.log, config.log_format)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    serve(&config, matches, inherited)
}

fn serve(config: &Config, matches: &ArgMatches, inherited: Vec<Socket>) -> Result<ExitCode, ConfigError> {
    let https = Https::open(config)?;
    let (health, audit) = (Health::default(), Arc::new(OnceLock::<Audit>::new()));
    let flushed = Arc::clone(&audit);
    let flush = move |timeout| {
        if let Some(audit) = flushed.get() {
            audit.stop(timeout);
        }
    };
    let (admin_sockets, inherited): (Vec<_>, Vec<_>) = inherited.into_iter().partition(admin::is_admin);
    let (admin_sockets, admin_server) = (Mutex::new(admin_sockets), Mutex::new(None));
    let previous = Previous::from_env();
    let is_upgrade = previous.is_some();
    let metrics = config.admin_listen.is_some().then(Metrics::leak);
    let traces = Traces::start();
    let open = async |signals: &Signals| {
        let started = start_audit(config, &health)?;
        if let Some(started) = &started {
            let _ = audit.set(started.clone());
        }
        if let Some(metrics) = metrics {
            if let Some(audit) = &started {
                metrics.set_audit(audit.clone());
            }
            let inherited = std::mem::take(&mut *locked(&admin_sockets));
            *locked(&admin_server) = admin::start(config, metrics, inherited, is_upgrade, signals)?;
        }
        let shared =
            reload::Shared { health: health.clone(), audit: started, metrics, traces: traces.clone() };
        reload::serve(config.clone(), matches, signals, https.as_ref(), shared).await
    };
    let is_inherited = !inherited.is_empty();
    let program = Program::current().inspect_err(|error| {
        tracing::warn!(%error, "cannot find the program of this process, so SIGUSR2 cannot upgrade it");
    });
    let options = workers::Options {
        listen: &config.listen,
        https: https.as_ref().map(|https| workers::HttpsOptions {
            tls: &https.tls,
            redirect_http: config.tls.as_ref().and_then(|tls| tls.redirect_http.as_deref()),
        }),
        workers: config.workers,
        limits: config.limits,
        max_connections_is_set: config.max_connections_is_set,
        metrics,
        client_limit: client_limit(config),
        site_files: identity::open_files(config)
            + lookups::FILES * config.lookups.len() as u64
            + traces.as_ref().map_or(0, Traces::open_files),
        inherited,
        admin: &admin_server,
        flush: Arc::new(flush),
        program: program.ok(),
    };
    let on_bound = |endpoints: &[Endpoint]| {
        if config.has_default_grant() {
            tracing::info!(
                "no grant is configured: staff may read every file, and nobody else; add [[grant]] tables"
            );
        }
        report_endpoints(config, endpoints, is_inherited);
        match previous {
            Some(previous) => previous.report_ready(),
            None => notify::ready(),
        }
    };
    let served = workers::serve(options, open, on_bound);
    if let Some(audit) = audit.get() {
        audit.stop(AUDIT_TIMEOUT);
        log::flush(log::FLUSH_TIMEOUT);
    }
    if let Some(traces) = &traces {
        let is_forced = matches!(served, Ok(Shutdown::Forced));
        traces.stop(if is_forced { FORCED_TRACES_TIMEOUT } else { TRACES_TIMEOUT });
        log::flush(log::FLUSH_TIMEOUT);
    }
    match served {
        Ok(shutdown) => Ok(shutdown.into()),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Bind(error)) => Err(bind_error(config, &error)),
        Err(GatewayError::BindRedirect(error)) => {
            let (problem, fix) = ListenAddr::Tcp(vec![]).bind_problem(&error);
            Err(config.redirect_error(&problem, fix))
        }
        Err(GatewayError::OpenFiles(error)) => {
            Err(ConfigError::new(format!("limits.max_connections: {error}")))
        }
        Err(GatewayError::Start(error)) => {
            Err(ConfigError::new(format!("cannot start {} workers: {error}", config.workers)))
        }
        // The worker has logged the cause.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
        Err(error) => Err(ConfigError::new(error.to_string())),
    }
}

fn locked<T>(value: &Mutex<T>) -> MutexGuard<'_, T> {
    value.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Prints the first address, and logs the others.
fn report_endpoints(config: &Config, endpoints: &[Endpoint], is_inherited: bool) {
    if is_inherited && !endpoints.iter().any(|endpoint| config.listen.includes(endpoint)) {
        let inherited: Vec<_> = endpoints.iter().map(ToString::to_string).collect();
        let warning = config.listen_error(
            &format!("not used, as systemd or the previous process has opened {}", inherited.join(", ")),
            "change it to the same address, or restart the socket",
        );
        tracing::warn!("{warning}");
    }
    if let Some(first) = endpoints.first() {
        output::listening(first);
    }
    for endpoint in endpoints.iter().skip(1) {
        tracing::info!("listening on {endpoint}, too");
    }
}

/// Starts the audit, if there is one.
fn start_audit(config: &Config, health: &Health) -> Result<Option<Audit>, ConfigError> {
    let Some(options) = &config.audit else { return Ok(None) };
    // First, because the file must not be created inside the root.
    config.check_root()?;
    Audit::start(options, health).map(Some).map_err(|problem| config.audit_error(&problem))
}

fn bind_error(config: &Config, error: &std::io::Error) -> ConfigError {
    let (problem, fix) = config.listen.bind_problem(error);
    config.listen_error(&problem, fix)
}

/// Returns the limit of connections of one address. Connections of proxies are those of many clients.
fn client_limit(config: &Config) -> Option<ClientLimit> {
    let proxies = config.trusted_proxies.clone();
    let is_limited = config.connections_per_client > 0;
    is_limited.then(|| {
        ClientLimit::new(config.connections_per_client, move |ip| proxies.contains(ClientAddr::Ip(ip)))
    })
}
