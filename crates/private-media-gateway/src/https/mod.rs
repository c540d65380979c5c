//! The certificate of the gateway: read at start, and again when its files change.

mod files;
mod renewal;

use std::time::SystemTime;

use private_media_listener::{Certificate, Tls};

use crate::config::{Config, ConfigError, TlsConfig};
use crate::health::Health;
use crate::supervise;

pub(crate) use files::load;

/// The certificate of the gateway, and its files.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    pub(crate) tls: Tls,
    files: TlsConfig,
    stamp: files::Stamp,
}

impl Https {
    /// Reads the certificate of a configuration; `None` if the gateway serves plain HTTP. An expired certificate is no error: clients that
    /// accept it are served, and its renewal takes effect without a restart.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(files) = &config.tls else { return Ok(None) };
        let stamp = files::stamp(files);
        let certificate = load(files)
            .map_err(|error| config.certificate_error(error.is_about_key, &error.problem, &error.fix))?;
        warn_about_chain(&certificate);
        let tls =
            Tls::new(certificate).map_err(|error| ConfigError::new(format!("cannot start TLS: {error}")))?;
        Ok(Some(Self { tls, files: files.clone(), stamp }))
    }

    /// Starts a task that replaces the certificate when its files change, and reports an expired one.
    pub(crate) fn watch(&self, health: &Health) {
        let (https, health) = (self.clone(), health.clone());
        supervise::spawn("certificate", move || renewal::watch(https.clone(), health.clone())).detach();
    }
}

/// The problem of a certificate that most clients reject although it is valid, and its fix.
pub(crate) const NO_CHAIN: &str =
    "the certificate file has no intermediate certificates, so most clients reject it";
pub(crate) const USE_FULL_CHAIN: &str = "use the full chain, such as fullchain.pem of certbot";

fn warn_about_chain(certificate: &Certificate) {
    if certificate.lacks_intermediates() {
        tracing::warn!("{NO_CHAIN}; {USE_FULL_CHAIN}");
    }
}

/// Returns what is wrong with the validity of a certificate now, and the fix.
pub(crate) fn validity_problem(certificate: &Certificate) -> Option<(String, &'static str)> {
    let time = humantime::format_rfc3339_seconds;
    if certificate.is_expired() {
        let problem = format!("the certificate expired at {}", time(certificate.not_after()));
        Some((problem, "renew it; no restart is needed"))
    } else if certificate.not_before() > SystemTime::now() {
        let problem = format!("the certificate is not valid before {}", time(certificate.not_before()));
        Some((problem, "check the clock of this machine: timedatectl"))
    } else {
        None
    }
}
