//! `private-media serve`: serves the private files until a signal to stop.

use std::process::ExitCode;

use clap::{ArgMatches, Command};

use crate::addresses::{Endpoint, ListenAddr};
use crate::admin;
use crate::config::{self, Config, ConfigError, Scope};
use crate::error::GatewayError;
use crate::https::Https;
use crate::identity;
use crate::lookups;
use crate::metrics::Metrics;
use crate::output;
use crate::reload;
use crate::signals::Signals;
use crate::startup::{self, start_log};
use crate::workers;

pub(crate) fn command() -> Command {
    Command::new("serve")
        .about("Serve the private files to users with permission")
        .args(config::args(Scope::All))
        .arg(startup::port_arg())
}

pub(crate) fn run(matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let config = Config::load(matches)?;
    start_log(&config.log, config.log_format)?;
    for warning in config.warnings() {
        tracing::warn!("{warning}");
    }
    serve(&config, matches)
}

fn serve(config: &Config, matches: &ArgMatches) -> Result<ExitCode, ConfigError> {
    let https = Https::open(config)?;
    let metrics = config.admin_listen.is_some().then(Metrics::leak);
    let open = async |signals: &Signals| {
        if let Some(metrics) = metrics {
            admin::start(config, metrics)?;
        }
        reload::serve(config.clone(), matches, signals, https.as_ref(), metrics).await
    };
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
        site_files: identity::open_files(config) + lookups::FILES * config.lookups.len() as u64,
    };
    let on_bound = |endpoint: &Endpoint| {
        if config.has_default_grant() {
            tracing::info!(
                "no grant is configured: staff may read every file, and nobody else; add [[grant]] tables"
            );
        }
        output::listening(endpoint);
    };
    match workers::serve(&options, open, on_bound) {
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

fn bind_error(config: &Config, error: &std::io::Error) -> ConfigError {
    let (problem, fix) = config.listen.bind_problem(error);
    config.listen_error(&problem, fix)
}
