//! A client with TLS that sends raw bytes.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::version::{TLS12, TLS13};
use tokio_rustls::rustls::{
    ClientConfig, ClientConnection, HandshakeKind, RootCertStore, StreamOwned, SupportedProtocolVersion,
    crypto,
};

use super::certificates::Pair;
use crate::support::{Gateway, Response};

pub(crate) type TlsClient = StreamOwned<ClientConnection, TcpStream>;

/// What a client offers.
#[derive(Clone)]
pub(crate) struct Offer {
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    pub(crate) protocols: &'static [&'static str],
    pub(crate) name: &'static str,
}

impl Default for Offer {
    fn default() -> Self {
        Self { versions: vec![&TLS13, &TLS12], protocols: &["http/1.1"], name: "localhost" }
    }
}

/// Returns the configuration of a client that trusts these authorities.
pub(crate) fn config(trusted: &[&Pair], offer: &Offer) -> Arc<ClientConfig> {
    let mut roots = RootCertStore::empty();
    for pair in trusted {
        roots.add(CertificateDer::from_pem_slice(pair.authority.as_bytes()).unwrap()).unwrap();
    }
    let provider = Arc::new(crypto::ring::default_provider());
    let builder =
        ClientConfig::builder_with_provider(provider).with_protocol_versions(&offer.versions).unwrap();
    let mut config = builder.with_root_certificates(roots).with_no_client_auth();
    config.alpn_protocols = offer.protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
    Arc::new(config)
}

/// Connects, and completes the handshake.
pub(crate) fn try_connect(
    address: SocketAddr,
    config: &Arc<ClientConfig>,
    name: &'static str,
) -> io::Result<TlsClient> {
    let stream = TcpStream::connect(address)?;
    stream.set_read_timeout(Some(Duration::from_secs(60)))?;
    let session = ClientConnection::new(Arc::clone(config), ServerName::try_from(name).unwrap());
    let mut client = StreamOwned::new(session.unwrap(), stream);
    client.conn.complete_io(&mut client.sock)?;
    Ok(client)
}

pub(crate) fn connect(gateway: &Gateway, pair: &Pair) -> TlsClient {
    let offer = Offer::default();
    try_connect(gateway.address, &config(&[pair], &offer), offer.name).unwrap()
}

/// Sends a request on a new connection, which the server closes after the response. The line has no HTTP version. The end of the response
/// is that of the TLS session.
pub(crate) fn fetch(
    gateway: &Gateway,
    pair: &Pair,
    line: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> Response {
    let mut client = connect(gateway, pair);
    let headers: String = headers.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    let len = if body.is_empty() { String::new() } else { format!("content-length: {}\r\n", body.len()) };
    let head = format!("{line} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n{headers}{len}\r\n");
    client.write_all(&[head.as_bytes(), body].concat()).unwrap();
    let mut bytes = Vec::new();
    // It fails if the connection ends without an alert.
    client.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// Returns whether the handshake resumed a session.
pub(crate) fn is_resumed(client: &TlsClient) -> bool {
    client.conn.handshake_kind() == Some(HandshakeKind::Resumed)
}

/// Returns the certificate of the server.
pub(crate) fn certificate(client: &TlsClient) -> CertificateDer<'static> {
    client.conn.peer_certificates().unwrap()[0].clone().into_owned()
}

/// Returns the certificate of a pair.
pub(crate) fn leaf(pair: &Pair) -> CertificateDer<'static> {
    CertificateDer::from_pem_slice(pair.leaf.as_bytes()).unwrap()
}
