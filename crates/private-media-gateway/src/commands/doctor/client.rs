//! A client that sends exactly the path that it is told, follows nothing, and waits for nothing long.

use std::fmt;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{CONNECTION, HOST, HeaderName, HeaderValue, USER_AGENT};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::{BodyExt, Empty};
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use tokio_rustls::rustls::pki_types::ServerName;
use tokio_rustls::rustls::{ClientConfig, RootCertStore, crypto};

use super::target::Target;

/// How long one request may take.
const LIMIT: Duration = Duration::from_secs(10);
/// How often a server is asked again that has too much to do, and how long it is left alone before.
const TRIES: usize = 3;
const PAUSE: Duration = Duration::from_secs(1);
/// How much of an answer is read, in bytes.
const MOST: usize = 1 << 20;

/// The fields that tell a front server which file to send.
const HAND_OFFS: [HeaderName; 2] =
    [HeaderName::from_static("x-accel-redirect"), HeaderName::from_static("x-sendfile")];

/// Asks one server.
pub(super) struct Client {
    pub(super) target: Target,
    tls: Option<TlsConnector>,
    hand_offs: Mutex<Vec<String>>,
}

/// What is asked for, beyond the path.
#[derive(Debug, Clone, Default)]
pub(super) struct Ask<'a> {
    pub(super) method: Method,
    /// The host that is named, where it is not the public URL's own.
    pub(super) host: Option<&'a str>,
    /// Whose session is shown; `None` is a stranger.
    pub(super) cookie: Option<&'a HeaderValue>,
    pub(super) fields: Vec<(HeaderName, HeaderValue)>,
}

/// A response, whole.
#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

/// Why there was no response.
#[derive(Debug)]
pub(super) struct Unanswered(String);

impl Client {
    /// An error means that this machine has no certificates to trust.
    pub(super) fn new(target: Target) -> Result<Self, Unanswered> {
        let tls = if target.is_https { Some(tls()?) } else { None };
        Ok(Self { target, tls, hand_offs: Mutex::default() })
    }

    /// GET, as whoever this is a session of.
    pub(super) async fn get(&self, path: &str, cookie: Option<&HeaderValue>) -> Result<Answer, Unanswered> {
        self.send(path, &Ask { cookie, ..Ask::default() }).await
    }

    /// Sends a path as it stands here, with nothing decoded, joined or taken out.
    pub(super) async fn send(&self, path: &str, ask: &Ask<'_>) -> Result<Answer, Unanswered> {
        let mut answer = self.exchange_in_time(path, ask).await?;
        for _ in 1..TRIES {
            // Many requests at a time are what a front may limit, and say nothing of the deployment.
            if !matches!(answer.status, StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE) {
                break;
            }
            tokio::time::sleep(PAUSE).await;
            answer = self.exchange_in_time(path, ask).await?;
        }
        // One that was sent and comes back says nothing that the client did not know.
        let is_echo = |name: &HeaderName| ask.fields.iter().any(|(own, _)| own == name);
        for name in HAND_OFFS.iter().filter(|name| answer.headers.contains_key(*name) && !is_echo(name)) {
            let mut seen = self.hand_offs.lock().unwrap_or_else(PoisonError::into_inner);
            seen.push(format!("{name}: {} in the answer to {path}", answer.text(name)));
        }
        Ok(answer)
    }

    /// Every hand-off header that came in an answer until now.
    pub(super) fn hand_offs(&self) -> Vec<String> {
        self.hand_offs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    async fn exchange_in_time(&self, path: &str, ask: &Ask<'_>) -> Result<Answer, Unanswered> {
        let url = self.target.url(path);
        match tokio::time::timeout(LIMIT, self.exchange(path, ask)).await {
            Ok(answer) => {
                answer.map_err(|Unanswered(error)| Unanswered(format!("{url} does not answer: {error}")))
            }
            Err(_) => Err(Unanswered(format!("{url} has not answered within {} s", LIMIT.as_secs()))),
        }
    }

    async fn exchange(&self, path: &str, ask: &Ask<'_>) -> Result<Answer, Unanswered> {
        let Target { host, port, .. } = &self.target;
        let stream = TcpStream::connect((host.as_str(), *port)).await.map_err(because)?;
        match &self.tls {
            None => self.speak(stream, path, ask).await,
            Some(tls) => {
                let name = ServerName::try_from(host.clone()).map_err(because)?;
                let stream = tls.connect(name, stream).await.map_err(because)?;
                self.speak(stream, path, ask).await
            }
        }
    }

    async fn speak<S>(&self, stream: S, path: &str, ask: &Ask<'_>) -> Result<Answer, Unanswered>
    where
        S: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(because)?;
        // It ends with the sender; what goes wrong with it, the response says too.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(ask.method.clone())
            .uri(path)
            .header(HOST, ask.host.unwrap_or(&self.target.authority))
            .header(USER_AGENT, concat!("private-media-doctor/", env!("CARGO_PKG_VERSION")))
            .header(CONNECTION, "close");
        if let Some(cookie) = ask.cookie {
            request = request.header(http::header::COOKIE, cookie);
        }
        for (name, value) in &ask.fields {
            request = request.header(name, value);
        }
        let request = request.body(Empty::<Bytes>::new()).map_err(because)?;
        let (head, body) = sender.send_request(request).await.map_err(because)?.into_parts();
        Ok(Answer { status: head.status, headers: head.headers, body: beginning(body).await? })
    }
}

impl Answer {
    /// A field's value; empty if there is none. Several are joined, as RFC 9110 section 5.3 has it.
    pub(super) fn text(&self, name: &HeaderName) -> String {
        let values = self.headers.get_all(name).iter();
        values.map(|value| String::from_utf8_lossy(value.as_bytes())).collect::<Vec<_>>().join(", ")
    }

    /// Whether this stands in the body.
    pub(super) fn holds(&self, text: &str) -> bool {
        self.body.windows(text.len().max(1)).any(|window| window == text.as_bytes())
    }
}

/// The content, as far as anybody wants to see it.
async fn beginning(mut body: Incoming) -> Result<Bytes, Unanswered> {
    let mut bytes = BytesMut::new();
    while let Some(frame) = body.frame().await {
        if let Some(data) = frame.map_err(because)?.data_ref() {
            bytes.extend_from_slice(data);
        }
        if bytes.len() > MOST {
            bytes.truncate(MOST);
            break;
        }
    }
    Ok(bytes.freeze())
}

fn tls() -> Result<TlsConnector, Unanswered> {
    let mut roots = RootCertStore::empty();
    let found = rustls_native_certs::load_native_certs();
    roots.add_parsable_certificates(found.certs);
    if roots.is_empty() {
        return Err(Unanswered(
            "this machine has no certificates to trust (SSL_CERT_FILE names some)".into(),
        ));
    }
    let config = ClientConfig::builder_with_provider(Arc::new(crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .map_err(because)?
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The error that is at the bottom of it.
fn because(error: impl std::error::Error) -> Unanswered {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = cause.to_string();
        source = cause.source();
    }
    Unanswered(text)
}

impl fmt::Display for Unanswered {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
