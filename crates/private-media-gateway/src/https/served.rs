//! The certificate of the gateway at start.

use private_media_listener::Tls;

use super::checks::warn_about_chain;
use super::files;
use crate::config::{Config, ConfigError, TlsConfig};

/// The certificate of the gateway, and its files.
#[derive(Debug, Clone)]
pub(crate) struct Https {
    pub(crate) tls: Tls,
    pub(super) files: TlsConfig,
    /// The stamp of the files at start.
    pub(super) stamp: files::Stamp,
}

impl Https {
    /// Reads the certificate of a configuration; `None` if the gateway serves plain HTTP. An expired certificate is no error: clients that
    /// accept it are served, and its renewal takes effect without a restart.
    pub(crate) fn open(config: &Config) -> Result<Option<Self>, ConfigError> {
        let Some(files) = &config.tls else { return Ok(None) };
        let stamp = files::stamp(files);
        let certificate = files::load(files)
            .map_err(|error| config.certificate_error(error.is_about_key, &error.problem, &error.fix))?;
        warn_about_chain(&certificate);
        let tls =
            Tls::new(certificate).map_err(|error| ConfigError::new(format!("cannot start TLS: {error}")))?;
        Ok(Some(Self { tls, files: files.clone(), stamp }))
    }
}
