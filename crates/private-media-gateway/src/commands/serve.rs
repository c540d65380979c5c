//! `private-media serve`: opens what the configuration says, then serves requests until the signal to stop.

use std::io::ErrorKind;
use std::process::ExitCode;

use crate::config::{Config, ConfigError};
use crate::error::GatewayError;
use crate::health::Health;
use crate::identity::Readers;
use crate::open;
use crate::output;
use crate::root_watch;
use crate::site::Site;
use crate::state::{self, StateUrl};
use crate::workers;

/// Runs the gateway of a configuration.
pub(crate) fn run(config: &Config) -> Result<ExitCode, ConfigError> {
    let open = async || {
        let (media, readers) = open::open(config).await?;
        let health = Health::default();
        root_watch::spawn(&media, &health, config.revalidate_after);
        open_state(config, &readers, &health).await?;
        Ok(Site::new(&media, readers.accounts(), &config.url).health(health))
    };
    let options = workers::Options {
        listen: &config.listen,
        workers: config.workers,
        limits: config.limits,
        max_connections_is_set: config.max_connections_is_set,
    };
    match workers::serve(&options, open, output::listening) {
        Ok(shutdown) => Ok(shutdown.into()),
        Err(GatewayError::Open(error)) => Err(error),
        Err(GatewayError::Listen(error)) => Err(bind_error(config, &error)),
        Err(GatewayError::OpenFiles(error)) => Err(ConfigError::new(error.to_string())),
        Err(GatewayError::Start(error)) => Err(ConfigError::new(format!(
            "workers {}: the threads cannot be started: {error}",
            config.workers
        ))),
        // The log has said why.
        Err(GatewayError::Worker) => Ok(ExitCode::FAILURE),
    }
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

fn bind_error(config: &Config, error: &std::io::Error) -> ConfigError {
    let fix = "choose another, or port 0 for a free one";
    match error.kind() {
        ErrorKind::AddrInUse => config.listen_setting.error("another program listens there already", fix),
        _ => config.listen_setting.error(&format!("nothing can listen there ({error})"), fix),
    }
}
