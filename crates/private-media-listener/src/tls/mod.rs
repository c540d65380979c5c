//! HTTPS, by rustls.

mod certificate;
mod redirect;
mod stream;

use std::io;
use std::sync::{Arc, PoisonError, RwLock};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use tokio_rustls::rustls::sign::CertifiedKey;
use tokio_rustls::rustls::version::{TLS12, TLS13};

pub use certificate::{Certificate, CertificateError};
pub use redirect::HttpsRedirect;

pub(crate) use stream::TlsStream;

/// The protocols that are offered to clients (ALPN), in order.
#[cfg(feature = "http2")]
const PROTOCOLS: &[&[u8]] = &[b"h2", b"http/1.1"];
#[cfg(not(feature = "http2"))]
const PROTOCOLS: &[&[u8]] = &[b"http/1.1"];

/// TLS 1.3 and 1.2 with a certificate that can be replaced while servers run. Clones share it, so one value serves all servers of a
/// process.
///
/// Sessions are resumed by tickets, whose keys are in memory only and are replaced every six hours. There is no early data (0-RTT).
///
#[cfg_attr(feature = "axum", doc = "```")]
#[cfg_attr(not(feature = "axum"), doc = "```ignore")]
/// use axum::{Router, routing::get};
/// use private_media_listener::{Certificate, Limits, Server, Tls};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()])?;
/// # let (chain, key) = (made.cert.pem(), made.signing_key.serialize_pem());
/// // Such as fullchain.pem and privkey.pem of certbot.
/// let tls = Tls::new(Certificate::from_pem(chain.as_bytes(), key.as_bytes())?)?;
/// let app = Router::new().route("/", get(|| async { "hello" }));
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let server = Server::new(listener, Limits::default()).tls(tls.clone());
/// let serving = tokio::spawn(server.serve(app, std::future::pending()));
/// // After a renewal: the next handshake has the new certificate, and open connections continue.
/// tls.replace(Certificate::from_pem(chain.as_bytes(), key.as_bytes())?);
/// # serving.abort();
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    current: Arc<Current>,
}

impl Tls {
    /// Returns TLS with this certificate. Fails only if the system has no random numbers.
    pub fn new(certificate: Certificate) -> io::Result<Self> {
        let current = Arc::new(Current(RwLock::new(certificate)));
        let provider = Arc::new(ring::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .map_err(io::Error::other)?
            .with_no_client_auth()
            .with_cert_resolver(Arc::clone(&current) as Arc<dyn ResolvesServerCert>);
        config.alpn_protocols = PROTOCOLS.iter().map(|name| name.to_vec()).collect();
        config.ticketer = ring::Ticketer::new().map_err(io::Error::other)?;
        config.session_storage = Arc::new(NoServerSessionStorage {});
        // A client of HTTP/2 needs one connection, and each connection has a ticket for the next one.
        config.send_tls13_tickets = 1;
        Ok(Self { config: Arc::new(config), current })
    }

    /// Replaces the certificate for all servers with this value. Open connections continue.
    pub fn replace(&self, certificate: Certificate) {
        *self.current.0.write().unwrap_or_else(PoisonError::into_inner) = certificate;
    }

    /// Returns the certificate.
    #[must_use]
    pub fn certificate(&self) -> Certificate {
        self.current.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// The certificate of new connections. Every server name gets it: a client checks the name itself.
#[derive(Debug)]
struct Current(RwLock<Certificate>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.0.read().unwrap_or_else(PoisonError::into_inner).key))
    }
}
