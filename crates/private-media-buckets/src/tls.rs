//! The cryptography of TLS.

/// Installs `ring` as the provider of rustls, unless the process has one.
pub(crate) fn install_provider() {
    // An error means that there is one already.
    let _ = rustls::crypto::ring::default_provider().install_default();
}
