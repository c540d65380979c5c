//! A server on its own port, and clients that send raw bytes.

use std::fs::File;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use private_media_listener::{Drained, FileSlice, Limits, Piece, ResponseBody, Server, Stats};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

/// A running server.
pub(crate) struct Running {
    pub(crate) addr: SocketAddr,
    pub(crate) stats: Arc<Stats>,
    shutdown: oneshot::Sender<()>,
    served: JoinHandle<Drained>,
}

/// Starts a server for a service.
macro_rules! start {
    ($service:expr, $limits:expr) => {{
        let (server, shutdown) = crate::support::server($limits).await;
        let (addr, stats) = (shutdown.addr, shutdown.stats);
        let requested = shutdown.requested;
        let served = tokio::spawn(server.serve($service, async { drop(requested.await) }));
        crate::support::Running::new(addr, stats, shutdown.shutdown, served)
    }};
}
pub(crate) use start;

pub(crate) struct Prepared {
    pub(crate) addr: SocketAddr,
    pub(crate) stats: Arc<Stats>,
    pub(crate) shutdown: oneshot::Sender<()>,
    pub(crate) requested: oneshot::Receiver<()>,
}

pub(crate) async fn server(limits: Limits) -> (Server, Prepared) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let server = Server::new(listener, limits);
    let (shutdown, requested) = oneshot::channel();
    let stats = server.stats();
    (server, Prepared { addr, stats, shutdown, requested })
}

impl Running {
    pub(crate) fn new(
        addr: SocketAddr,
        stats: Arc<Stats>,
        shutdown: oneshot::Sender<()>,
        served: JoinHandle<Drained>,
    ) -> Self {
        Self { addr, stats, shutdown, served }
    }

    pub(crate) async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// Sends requests on one connection, closes the sending side, and returns everything that is received.
    pub(crate) async fn send(&self, requests: impl AsRef<[u8]>) -> String {
        let mut stream = self.connect().await;
        stream.write_all(requests.as_ref()).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut received = Vec::new();
        // The connection may end with a reset.
        let _ = stream.read_to_end(&mut received).await;
        String::from_utf8_lossy(&received).into_owned()
    }

    pub(crate) async fn shut_down(self) -> Drained {
        self.shutdown.send(()).unwrap();
        self.served.await.unwrap()
    }
}

/// A body of a file slice followed by bytes.
pub(crate) struct FileThenBytes {
    pub(crate) file: Option<FileSlice>,
    pub(crate) bytes: Bytes,
}

impl FileThenBytes {
    pub(crate) fn new(file: &Arc<File>, offset: u64, len: u64, bytes: &'static str) -> Self {
        Self { file: Some(FileSlice::new(Arc::clone(file), offset, len)), bytes: Bytes::from(bytes) }
    }
}

impl Body for FileThenBytes {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        use std::os::unix::fs::FileExt;

        let frame = match self.file.take() {
            Some(slice) => {
                let mut bytes = vec![0; usize::try_from(slice.len()).unwrap()];
                let read = slice.file().read_exact_at(&mut bytes, slice.offset());
                Some(read.map(|()| Frame::data(bytes.into())))
            }
            None => Some(std::mem::take(&mut self.bytes))
                .filter(|bytes| !bytes.is_empty())
                .map(|bytes| Ok(Frame::data(bytes))),
        };
        Poll::Ready(frame)
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.file.as_ref().map_or(0, FileSlice::len) + self.bytes.len() as u64)
    }
}

impl ResponseBody for FileThenBytes {
    fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
        let slice = self.file.take()?;
        let len = slice.len().min(max_len);
        if len < slice.len() {
            let rest = FileSlice::new(Arc::clone(slice.file()), slice.offset() + len, slice.len() - len);
            self.file = Some(rest);
        }
        Some(Piece::File(FileSlice::new(Arc::clone(slice.file()), slice.offset(), len)))
    }
}
