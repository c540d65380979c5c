//! HTTP/2 while the program is replaced: a connection ends with GOAWAY, and no request is lost.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use tokio_rustls::rustls::ClientConfig;

use super::frames::{
    ACK, DATA, END_STREAM, Frame, GOAWAY, HEADERS, PING, PREFACE, RST_STREAM, SETTINGS, WHOLE, WINDOW_UPDATE,
    frame, request,
};
use super::{Client, offer};
use crate::clients::{Clients, Target};
use crate::support::{PASSWORD, Place, base64};
use crate::tls::{Pair, TLS, config, content};
use crate::upgrade::{Upgradable, is_running, wait};

/// Returns the block of a request as alice.
fn of_alice(path: &str) -> Vec<u8> {
    let basic = format!("Basic {}", base64(&format!("alice:{PASSWORD}")));
    request("GET", path, &[("authorization", &basic)])
}

/// A connection of a client that follows the protocol, as a browser does.
struct Connection {
    client: Client,
    next_stream: u32,
    /// The last stream that the server processes, once it has said so.
    goaway: Option<u32>,
    /// The contents of the open streams so far, and of the others.
    open: BTreeMap<u32, Vec<u8>>,
    finished: BTreeMap<u32, Vec<u8>>,
}

impl Connection {
    fn open(address: SocketAddr, config: &Arc<ClientConfig>) -> Result<Self, String> {
        let client = Client::try_without_preface(address, config);
        let mut client = client.map_err(|error| format!("connect: {error}"))?;
        client.send(&[PREFACE.to_vec(), frame(SETTINGS, 0, 0, b"")].concat());
        Ok(Self { client, next_stream: 1, goaway: None, open: BTreeMap::new(), finished: BTreeMap::new() })
    }

    /// Sends a request. Returns its stream.
    fn send(&mut self, block: &[u8]) -> u32 {
        let stream = self.next_stream;
        self.next_stream += 2;
        self.client.send(&frame(HEADERS, WHOLE, stream, block));
        self.open.insert(stream, Vec::new());
        stream
    }

    /// Receives a frame, and replies to it as the protocol demands. Returns it.
    fn receive(&mut self) -> Result<Frame, String> {
        let next =
            self.client.receive().map_err(|error| format!("{error}, with {:?} open", self.open.keys()))?;
        match next.kind {
            SETTINGS if next.flags & ACK == 0 => self.client.send(&frame(SETTINGS, ACK, 0, b"")),
            PING if next.flags & ACK == 0 => self.client.send(&frame(PING, ACK, 0, &next.payload)),
            GOAWAY => {
                if next.error() != Some(0) {
                    return Err(format!("{next:?}"));
                }
                let last = u32::from_be_bytes(next.payload[..4].try_into().unwrap());
                if self.open.keys().any(|stream| *stream > last) {
                    return Err(format!(
                        "the server processes streams up to {last} of {:?}",
                        self.open.keys()
                    ));
                }
                self.goaway = Some(last);
            }
            RST_STREAM => return Err(format!("{next:?}")),
            DATA => {
                let increment = u32::try_from(next.payload.len()).unwrap().to_be_bytes();
                self.open.get_mut(&next.stream).unwrap().extend_from_slice(&next.payload);
                if !next.payload.is_empty() {
                    let mut updates = frame(WINDOW_UPDATE, 0, 0, &increment);
                    if next.flags & END_STREAM == 0 {
                        updates.extend(frame(WINDOW_UPDATE, 0, next.stream, &increment));
                    }
                    self.client.send(&updates);
                }
            }
            _ => {}
        }
        if next.ends_stream() {
            self.finished.extend(self.open.remove_entry(&next.stream));
        }
        Ok(next)
    }

    /// Receives until a stream ends. Returns its content.
    fn finish(&mut self, stream: u32) -> Result<Vec<u8>, String> {
        loop {
            if let Some(content) = self.finished.remove(&stream) {
                return Ok(content);
            }
            self.receive()?;
        }
    }
}

/// Starts clients that request these files on three streams at once, and open a connection only after GOAWAY. Every other client pauses
/// between its requests.
pub(crate) fn start_clients(address: SocketAddr, pair: &Pair, files: [(&str, &[u8]); 2]) -> Clients {
    let config = config(&[pair], &offer());
    let files = files.map(|(path, content)| (of_alice(path), content.to_vec()));
    Clients::spawn(4, |number| {
        let (config, files, mut kept) = (Arc::clone(&config), files.clone(), None);
        move || {
            let mut connection = match kept.take() {
                Some(connection) => connection,
                None => Connection::open(address, &config)?,
            };
            let [small, large] = &files;
            let sent = [small, large, small].map(|(block, content)| (connection.send(block), content));
            for (stream, expected) in sent {
                let received = connection.finish(stream)?;
                if received != *expected {
                    return Err(format!("stream {stream}: {} bytes of other content", received.len()));
                }
            }
            if number % 2 == 0 {
                std::thread::sleep(Duration::from_millis(7));
            }
            kept = Some(connection).filter(|connection| connection.goaway.is_none());
            Ok(())
        }
    })
}

/// The new process has another root, so its responses differ.
#[test]
fn streams_finish_and_new_connections_go_to_the_new_process() {
    let place = Place::new();
    let big = content(4 << 20);
    place.write("private/cars/7/big.bin", &big);
    place.write("next/cars/7/photo.jpg", "the next photo");
    let pair = Pair::new();
    pair.write(&place.path(""));
    place.write("private-media.toml", "root = \"private\"\n");
    let mut running = Upgradable::start(&place, &TLS);
    let address = running.gateway.address;
    let config = config(&[&pair], &offer());
    let (photo, big_file) = (of_alice("/private/cars/7/photo.jpg"), of_alice("/private/cars/7/big.bin"));
    let open = || Connection::open(address, &config).unwrap();
    let (mut busy, mut idle, mut untouched) = (open(), open(), open());
    // The stream waits for its window.
    let download = busy.send(&big_file);
    while busy.receive().unwrap().kind != DATA {}
    let first = idle.send(&photo);
    assert_eq!(idle.finish(first).unwrap(), b"alice's photo");
    let old = running.current();
    place.write("private-media.toml", "root = \"next\"\n");
    running.upgrade();

    // An open connection gets its response, and then no more.
    for connection in [&mut idle, &mut untouched] {
        let stream = connection.send(&photo);
        assert_eq!(connection.finish(stream).unwrap(), b"alice's photo", "the old process");
        while connection.goaway != Some(stream) {
            connection.receive().unwrap();
        }
        // The server closes the connection.
        while connection.receive().is_ok() {}
    }
    let stream = busy.send(&photo);
    assert_eq!(busy.finish(stream).unwrap(), b"alice's photo");
    assert!(is_running(old), "the download runs");
    let mut new = open();
    let stream = new.send(&photo);
    assert_eq!(new.finish(stream).unwrap(), b"the next photo", "the new process");
    assert!(busy.finish(download).unwrap() == big, "the download is whole");
    while busy.receive().is_ok() {}
    assert!(busy.goaway.is_some());
    wait("the old process ends", Duration::from_secs(20), || !is_running(old));
    assert!(running.gateway.exit_within(Duration::from_secs(1)).success());
    let mut new = open();
    let stream = new.send(&photo);
    assert_eq!(new.finish(stream).unwrap(), b"the next photo");
}

/// Only clients of HTTP/2, many at once, and with fewer or more workers than sockets.
#[test]
fn three_upgrades_break_no_stream() {
    let place = Place::new();
    let large = content(1 << 20);
    place.write("private/cars/7/large.bin", &large);
    let pair = Pair::new();
    pair.write(&place.path(""));
    place.write("private-media.toml", "workers = 2\n");
    let running = Upgradable::start(&place, &TLS);
    let files = [("/private/cars/7/photo.jpg", &b"alice's photo"[..]), ("/private/cars/7/large.bin", &large)];
    let clients = start_clients(running.gateway.address, &pair, files);
    for workers in [1, 3, 2] {
        clients.wait_for(10);
        place.write("private-media.toml", format!("workers = {workers}\n"));
        running.upgrade();
    }
    clients.wait_for(20);
    clients.stop();
    let processes = running.processes();
    for old in &processes[..3] {
        wait("the old processes end", Duration::from_secs(25), || !is_running(*old));
    }
    let address = Target::Tcp(running.gateway.address);
    assert!(address.connect().is_ok());
}
