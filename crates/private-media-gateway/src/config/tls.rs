//! The settings of HTTPS.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};

use http::HeaderValue;

use super::error::ConfigError;
use super::keys::tls as keys;
use super::settings::{Setting, Settings};
use super::values;
use crate::addresses::ListenAddr;

/// The settings of HTTPS.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct TlsConfig {
    /// The file of the certificate and its intermediates.
    pub(crate) certificate: PathBuf,
    /// The file of the private key.
    pub(crate) key: PathBuf,
    /// Where clients of plain HTTP are redirected.
    pub(crate) redirect_http: Option<Vec<SocketAddr>>,
    /// The value of `Strict-Transport-Security`.
    pub(crate) hsts: Option<HeaderValue>,
}

/// Returns the settings of HTTPS; `None` if the gateway serves plain HTTP.
pub(super) fn options(settings: &Settings, listen: &ListenAddr) -> Result<Option<TlsConfig>, ConfigError> {
    let [certificate, key, redirect, hsts] =
        [&keys::CERTIFICATE, &keys::KEY, &keys::REDIRECT_HTTP, &keys::HSTS].map(|key| settings.get(key));
    let redirect_http = is_set(&redirect).then(|| redirect.parse_with(tcp_addresses)).transpose()?;
    let max_age = hsts.parse_with(values::duration)?.as_secs();
    match (is_set(&certificate), is_set(&key)) {
        (true, true) => {}
        (true, false) => {
            return Err(certificate.error("the certificate has no key", "name its key in listen.tls.key"));
        }
        (false, true) => {
            return Err(key.error("the key has no certificate", "name it in listen.tls.certificate"));
        }
        (false, false) => {
            const FIX: &str = "set listen.tls.certificate and listen.tls.key, or remove it";
            return match [(redirect_http.is_some(), redirect), (max_age > 0, hsts)] {
                [(true, setting), _] | [_, (true, setting)] => {
                    Err(setting.error("the gateway does not serve https", FIX))
                }
                _ => Ok(None),
            };
        }
    }
    if let ListenAddr::Unix(_) = listen {
        let problem = "listen is a Unix socket, whose clients need no TLS";
        return Err(certificate.error(problem, "listen on HOST:PORT, or remove it"));
    }
    Ok(Some(TlsConfig {
        certificate: settings.path(&keys::CERTIFICATE),
        key: settings.path(&keys::KEY),
        redirect_http,
        hsts: (max_age > 0).then(|| HeaderValue::try_from(format!("max-age={max_age}")).ok()).flatten(),
    }))
}

fn is_set(setting: &Setting) -> bool {
    setting.values().iter().any(|value| !value.is_empty())
}

fn tcp_addresses(value: &str) -> Result<Vec<SocketAddr>, &'static str> {
    match ListenAddr::parse(value, Path::new("")) {
        Ok(ListenAddr::Tcp(addresses)) => Ok(addresses),
        _ => Err("expected HOST:PORT, e.g. 0.0.0.0:80"),
    }
}
