//! The certificate of the peers with TLS, and a client that trusts it.

use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::TLS13;
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use crate::result::Result;

/// The cipher of all peers: what wrk prefers.
pub(crate) const CIPHER: &str = "TLS_AES_256_GCM_SHA384";

/// Creates a certificate for 127.0.0.1 with a key on P-256, as certbot does by default. All peers share it.
pub(crate) fn make_certificate(folder: &Path) -> Result<()> {
    let certificate = folder.join("cert.pem");
    if certificate.exists() {
        return Ok(());
    }
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()])?;
    let key = folder.join("key.pem");
    std::fs::write(&key, made.signing_key.serialize_pem())?;
    std::fs::set_permissions(key, PermissionsExt::from_mode(0o600))?;
    std::fs::write(certificate, made.cert.pem())?;
    Ok(())
}

/// Encrypts a connection with TLS 1.3. It is an error if the server chooses another cipher than [`CIPHER`].
pub(crate) fn connect(
    stream: TcpStream,
    certificate: &Path,
) -> Result<StreamOwned<ClientConnection, TcpStream>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_protocol_versions(&[&TLS13])?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let name = ServerName::try_from(stream.peer_addr()?.ip().to_string())?;
    let mut stream = StreamOwned::new(ClientConnection::new(Arc::new(config), name)?, stream);
    stream.conn.complete_io(&mut stream.sock)?;
    let cipher = stream.conn.negotiated_cipher_suite().map(|suite| suite.suite());
    match cipher.and_then(|cipher| cipher.as_str()) {
        Some("TLS13_AES_256_GCM_SHA384") => Ok(stream),
        other => Err(format!("the server chose the cipher {other:?}; expected {CIPHER}").into()),
    }
}
