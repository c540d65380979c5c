//! `private-media serve`: serves the private files until a signal to stop.

use std::process::ExitCode;
use std::time::Duration;

use clap::{ArgMatches, Command};

use crate::addresses::Endpoint;
use crate::config::{self, Config, ConfigError, Scope};
use crate::error::GatewayError;
use crate::health::Health;
use crate::identity::{self, IdentityBackend};
use crate::lookups;
use crate::open;
use crate::output;
use crate::pages::Pages;
use crate::root_watch;
use crate::site::Site;
use crate::startup::{self, start_log};
use crate::state::{self, StateUrl};
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
    serve(&config)
}

fn serve(config: &Config) -> Result<ExitCode, ConfigError> {
    let open = async || {
        let (media, identities) = open::open(config).await?;
        let pages = Pages {
            media: media.clone(),
            url: config.url.clone(),
            branding: config.branding()?,
            grants: config.grants.clone(),
            is_decided: config.decides_by_identity(),
            debug: config.debug,
        };
        let health = Health::default();
        root_watch::spawn(&media, &health, config.revalidate_after);
        open_state(config, &identities, &health).await?;
        Ok(Site::new(&media, &config.url)
            .health(health)
            .accounts(identities.accounts())
            .identity_needs_peer(identities.needs_peer())
            .identity_allows_path(config.decides_by_identity())
            .own_pages(pages)
            .login_pages(config.login_pages())
            .trusted_proxies(config.trusted_proxies.clone()))
    };
    let options = workers::Options {
        listen: &config.listen,
        workers: config.workers,
        limits: config.limits,
        max_connections_is_set: config.max_connections_is_set,
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

/// Opens the state store and keeps memory and store in sync in the background.
async fn open_state(
    config: &Config,
    identities: &IdentityBackend,
    health: &Health,
) -> Result<(), ConfigError> {
    let Some(url) = &config.state else { return Ok(()) };
    if let StateUrl::Memory = url {
        tracing::warn!("state is memory: sign-outs are lost at a restart and not shared with other gateways");
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name = format!("process {} on {}", std::process::id(), host.trim());
    // Without accounts, the store only lists the running gateways.
    let cache_ttl = config.accounts().map_or(Duration::from_secs(5), |accounts| accounts.cache_ttl);
    state::start(url, identities.accounts(), name, cache_ttl, health.clone())
        .await
        .map_err(|error| config.state_error(&error))
}

fn bind_error(config: &Config, error: &std::io::Error) -> ConfigError {
    let (problem, fix) = config.listen.bind_problem(error);
    config.listen_error(&problem, fix)
}
