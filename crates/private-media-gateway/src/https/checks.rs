//! What is wrong with a certificate that can be used.

use std::time::SystemTime;

use private_media_listener::Certificate;

/// The problem of a certificate that most clients reject although it is valid, and its fix.
pub(crate) const NO_CHAIN: &str =
    "the certificate file has no intermediate certificates, so most clients reject it";
pub(crate) const USE_FULL_CHAIN: &str = "use the full chain, such as fullchain.pem of certbot";

/// Logs that most clients reject the certificate.
pub(super) fn warn_about_chain(certificate: &Certificate) {
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
