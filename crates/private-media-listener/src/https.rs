//! The begin of a connection with TLS: the handshake, and the choice of the protocol.

use std::future::poll_fn;
use std::io::{self, ErrorKind};
use std::sync::Arc;

use http::StatusCode;
use tokio::io::AsyncWriteExt as _;
use tokio_rustls::TlsAcceptor;

use crate::connection::{Connection, DRAIN_GRACE};
use crate::deadline::Deadline;
use crate::drain::Drain;
use crate::handler::Handler;
use crate::head::write::write_line_of_text;
use crate::limits::Limits;
use crate::linger::{Linger, linger};
use crate::peer::{PeerAddr, PeerState};
use crate::stats::Stats;
use crate::stream::Stream;
use crate::tls::{Tls, TlsStream};

/// The first byte of a handshake record (RFC 8446 section 5.1). No method of HTTP begins with it.
const HANDSHAKE: u8 = 22;

/// Serves a connection with TLS.
pub(crate) async fn serve<H: Handler>(
    tls: Tls,
    stream: Stream,
    addr: PeerAddr,
    handler: H,
    limits: Limits,
    mut drain: Drain,
    stats: Arc<Stats>,
) -> io::Result<()> {
    let handshake = shake_hands(&tls, stream, limits.min_rate, &mut drain);
    let handshake = tokio::time::timeout(limits.header_timeout, handshake);
    let stream = match handshake.await.unwrap_or_else(|timeout| Err(timeout.into())) {
        Ok(Some(stream)) => stream,
        Ok(None) => return Ok(()),
        Err(error) => {
            stats.count_failed_handshake();
            return Err(io::Error::new(error.kind(), format!("TLS handshake: {error}")));
        }
    };
    let peer = PeerState::with_tls(addr);
    #[cfg(feature = "http2")]
    if stream.is_http2() {
        return crate::http2::serve(stream, peer, handler, limits, drain, stats).await;
    }
    Connection::new(stream, peer, handler, limits, drain, stats).run().await
}

/// Returns the connection after the handshake; `None` if the client has closed it before, or if the server is draining.
async fn shake_hands(
    tls: &Tls,
    stream: Stream,
    min_rate: u64,
    drain: &mut Drain,
) -> io::Result<Option<TlsStream>> {
    let mut grace = None;
    let first_byte = poll_fn(|context| {
        drain.register(context);
        let first_byte = stream.poll_first_byte(context);
        if first_byte.is_ready() || !drain.has_started() {
            return first_byte;
        }
        // A handshake may be on its way.
        grace.get_or_insert_with(|| Deadline::new(DRAIN_GRACE)).poll(context).map(|()| Ok(None))
    });
    match first_byte.await? {
        None => return Ok(None),
        Some(HANDSHAKE) => {}
        Some(first) => {
            if first.is_ascii_uppercase() {
                refuse_plaintext(stream).await?;
            }
            return Err(io::Error::new(ErrorKind::InvalidData, "the client does not use TLS"));
        }
    }
    let accepted = TlsAcceptor::from(Arc::clone(&tls.config)).accept(stream).await?;
    let (stream, session) = accepted.into_inner();
    Ok(Some(TlsStream::new(stream, session, min_rate)))
}

/// Responds to an HTTP request without TLS.
async fn refuse_plaintext(mut stream: Stream) -> io::Result<()> {
    let mut response = Vec::new();
    write_line_of_text(&mut response, StatusCode::BAD_REQUEST, "this port expects https");
    stream.write_all(&response).await?;
    stream.shutdown().await?;
    linger(&mut stream, Linger::UNREAD_CONTENT).await
}
