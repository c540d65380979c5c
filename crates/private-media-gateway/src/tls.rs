//! TLS for connections that this program opens.

use std::sync::Arc;

use tokio_rustls::rustls::{ClientConfig, Error, RootCertStore, crypto};

/// The problem, and its fix, if [`trusted_roots`] is empty.
pub(crate) const NO_ROOTS: &str =
    "this machine has no trusted certificates; install ca-certificates, or set SSL_CERT_FILE";

/// Returns the certificates that this machine trusts.
pub(crate) fn trusted_roots() -> RootCertStore {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots
}

/// Returns a configuration that trusts these certificates.
pub(crate) fn client_config(roots: RootCertStore) -> Result<ClientConfig, Error> {
    let builder = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()));
    Ok(builder.with_safe_default_protocol_versions()?.with_root_certificates(roots).with_no_client_auth())
}
