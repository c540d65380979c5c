//! A client that floods a server with frames of HTTP/2, and compares what that costs both. It does as little as it can: the frames of a
//! connection are prepared once, sessions are resumed, and responses are not read.

mod frames;

use std::error::Error;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_rustls::rustls::crypto::ring;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, ServerName};
use tokio_rustls::rustls::{ClientConfig, ClientConnection, RootCertStore, StreamOwned};

use frames::{Flood, floods};

type Result<T> = std::result::Result<T, Box<dyn Error>>;
type Tls = StreamOwned<ClientConnection, TcpStream>;

/// The bytes of one write.
const WRITE: usize = 16 << 10;
/// How long a client waits for a server that reads no more.
const TIMEOUT: Duration = Duration::from_millis(200);

fn main() -> Result<()> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [address, certificate, process, seconds] = arguments.as_slice() else {
        return Err("usage: flood HOST:PORT CERTIFICATE PID SECONDS".into());
    };
    let address: SocketAddr = address.parse()?;
    let client = Client { address, config: config(Path::new(certificate))? };
    let tasks = PathBuf::from(format!("/proc/{process}/task"));
    let duration = Duration::from_secs(seconds.parse()?);
    // What a connection costs without a flood, which is the first in the list.
    let mut handshake: Option<Cost> = None;
    for flood in floods() {
        // What the server does after the last flood.
        std::thread::sleep(Duration::from_millis(500));
        let (server, own) = (cpu(&tasks)?, cpu(Path::new("/proc/self/task"))?);
        let (begin, mut connections, mut sent) = (Instant::now(), 0_u32, 0_u64);
        while begin.elapsed() < duration {
            let count =
                client.run(&flood, begin + duration).map_err(|error| format!("{}: {error}", flood.name))?;
            connections += 1;
            sent += count as u64;
        }
        let client = cpu(Path::new("/proc/self/task"))?.saturating_sub(own).as_secs_f64();
        std::thread::sleep(Duration::from_millis(500));
        let server = cpu(&tasks)?.saturating_sub(server).as_secs_f64();
        let each = Cost { server: server / f64::from(connections), client: client / f64::from(connections) };
        let alone = match &handshake {
            Some(handshake) => each.without(handshake).ratio(),
            None => "–".to_owned(),
        };
        println!(
            "| {} | {connections} | {} | {server:.3} | {client:.3} | {} | {alone} |",
            flood.name,
            sent / u64::from(connections) / 1024,
            each.ratio(),
        );
        handshake.get_or_insert(each);
    }
    Ok(())
}

/// The processor time of a connection, in seconds.
struct Cost {
    server: f64,
    client: f64,
}

impl Cost {
    fn without(&self, other: &Self) -> Self {
        Self { server: self.server - other.server, client: self.client - other.client }
    }

    fn ratio(&self) -> String {
        format!("{:.2}", self.server / self.client)
    }
}

/// Returns the processor time of all threads.
fn cpu(tasks: &Path) -> Result<Duration> {
    let mut sum = 0;
    for task in std::fs::read_dir(tasks)? {
        // The thread may have ended.
        let text = std::fs::read_to_string(task?.path().join("schedstat")).unwrap_or_default();
        sum += text.split(' ').next().and_then(|nanos| nanos.parse().ok()).unwrap_or(0);
    }
    Ok(Duration::from_nanos(sum))
}

fn config(certificate: &Path) -> Result<Arc<ClientConfig>> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(certificate)?)?;
    let mut config = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = vec![b"h2".to_vec()];
    Ok(Arc::new(config))
}

struct Client {
    address: SocketAddr,
    config: Arc<ClientConfig>,
}

impl Client {
    /// Connects, and sends the frames until the server ends the connection. Returns the number of bytes that were sent.
    fn run(&self, flood: &Flood, end: Instant) -> Result<usize> {
        let stream = TcpStream::connect(self.address)?;
        stream.set_nodelay(true)?;
        stream.set_write_timeout(Some(TIMEOUT))?;
        stream.set_read_timeout(Some(TIMEOUT))?;
        let name = ServerName::try_from(self.address.ip().to_string())?;
        let mut tls = StreamOwned::new(ClientConnection::new(Arc::clone(&self.config), name)?, stream);
        tls.conn.complete_io(&mut tls.sock)?;
        // The settings of the server follow its tickets, which make the next handshake cheaper.
        tls.write_all(&flood.first)?;
        let mut buffer = [0; 4096];
        let _ = tls.read(&mut buffer);
        if !flood.batches.is_empty() {
            return exchange(&mut tls, flood, end);
        }
        let mut sent = 0;
        for chunk in flood.frames.chunks(WRITE) {
            if Instant::now() >= end || tls.write_all(chunk).and_then(|()| tls.flush()).is_err() {
                break;
            }
            sent += chunk.len();
        }
        Ok(sent)
    }
}

/// Sends requests, and reads their responses.
fn exchange(tls: &mut Tls, flood: &Flood, end: Instant) -> Result<usize> {
    let mut sent = 0;
    for requests in &flood.batches {
        if Instant::now() >= end {
            break;
        }
        tls.write_all(&requests.bytes)?;
        tls.flush()?;
        sent += requests.bytes.len();
        let mut open = requests.count;
        while open > 0 {
            let mut header = [0; 9];
            tls.read_exact(&mut header)?;
            let [a, b, c, kind, flags, ..] = header;
            let mut payload = vec![0; u32::from_be_bytes([0, a, b, c]) as usize];
            tls.read_exact(&mut payload)?;
            open -= usize::from(kind <= frames::HEADERS && flags & frames::END_STREAM != 0);
        }
    }
    Ok(sent)
}
