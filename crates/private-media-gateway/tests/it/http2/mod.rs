//! HTTP/2 by the gateway itself.

mod clients;
mod conformance;
mod floods;
mod frames;
mod stalled;
mod streams;
mod upgrades;

pub(crate) use upgrades::start_clients;

use crate::support::{Gateway, Place};
use crate::tls::{Offer, Pair, TlsClient, config, serve, try_connect};
use frames::{ACK, Frame, PREFACE, SETTINGS, frame};

use std::io::{self, Read, Write};
use std::net::SocketAddr;
use std::sync::Arc;

use tokio_rustls::rustls::ClientConfig;

/// What a client for HTTP/2 offers.
fn offer() -> Offer {
    Offer { protocols: &["h2"], ..Offer::default() }
}

/// A client that sends and receives single frames.
struct Client {
    tls: TlsClient,
}

impl Client {
    /// Connects, and completes the handshake of TLS only.
    fn without_preface(gateway: &Gateway, pair: &Pair) -> Self {
        Self::try_without_preface(gateway.address, &config(&[pair], &offer())).unwrap()
    }

    fn try_without_preface(address: SocketAddr, config: &Arc<ClientConfig>) -> io::Result<Self> {
        let tls = try_connect(address, config, offer().name)?;
        assert_eq!(tls.conn.alpn_protocol(), Some(&b"h2"[..]));
        Ok(Self { tls })
    }

    /// Connects, and exchanges settings.
    fn connect(gateway: &Gateway, pair: &Pair) -> Self {
        let mut client = Self::without_preface(gateway, pair);
        client.send(&[PREFACE.to_vec(), frame(SETTINGS, 0, 0, b"")].concat());
        let settings = client.receive().unwrap();
        assert_eq!((settings.kind, settings.flags, settings.stream), (SETTINGS, 0, 0));
        client.send(&frame(SETTINGS, ACK, 0, b""));
        while client.receive().unwrap() != Frame::new(SETTINGS, ACK, 0, b"") {}
        client
    }

    /// Sends bytes. The server may have closed the connection, which shows when a frame is received.
    fn send(&mut self, bytes: &[u8]) {
        let _ = self.tls.write_all(bytes).and_then(|()| self.tls.flush());
    }

    /// Receives a frame; an error at the end of the connection.
    fn receive(&mut self) -> io::Result<Frame> {
        let mut header = [0; 9];
        self.tls.read_exact(&mut header)?;
        let [a, b, c, kind, flags, stream @ ..] = header;
        let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
        self.tls.read_exact(&mut payload)?;
        Ok(Frame { kind, flags, stream: u32::from_be_bytes(stream), payload })
    }
}

/// Starts a gateway with a certificate.
fn start(place: &Place, arguments: &[&str]) -> (Gateway, Pair) {
    serve(place, arguments)
}
