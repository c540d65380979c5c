//! An HTTP listener for tower services that sends files with sendfile(2).
//!
//! [`serve`] runs any [`tower_service::Service`], such as an axum router. It is made for services that send files:
//!
//! - The kernel sends slices of open files ([`ResponseBody::next_piece`]) without a copy in this process. The listener first makes sure
//!   that the slice is in the page cache, so a slow disk does not block the event loop.
//! - A small loop serves GET and HEAD requests. [hyper](https://docs.rs/hyper) serves all others, such as uploads, HTTP/1.0 and unusual
//!   heads. Afterwards the connection returns to the loop.
//! - A response head and a small body are sent with one send(2).
//! - [`Limits`] bound the resources of a client: connections, time for a request head, and a minimum transfer rate.
//!
//! ```toml
//! [dependencies]
//! axum = { version = "0.8", default-features = false }
//! private-media-listener = { version = "0.1", features = ["axum"] }
//! tokio = { version = "1", features = ["full"] }
//! ```
//!
#![cfg_attr(feature = "axum", doc = "```")]
#![cfg_attr(not(feature = "axum"), doc = "```ignore")]
//! use axum::{Router, routing::get};
//! use private_media_listener::{Limits, serve};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> std::io::Result<()> {
//! let app = Router::new().route("/", get(|| async { "hello" }));
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(serve(listener, app, Limits::default()));
//!
//! # use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! let mut client = tokio::net::TcpStream::connect(address).await?;
//! client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
//! let mut response = String::new();
//! client.read_to_string(&mut response).await?;
//! assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\nhello"));
//! # Ok(())
//! # }
//! ```
//!
//! [`bind_unix`] listens at a path of the file system, for a front server on the same machine.
//!
//! [`Server`] adds a graceful shutdown, a [`ConnectionLimit`] that several listeners share, and [`Stats`]. [`Handler`] is the
//! lower-level interface, for servers that write serialized headers. Upgrades such as WebSocket are left to a front server.
//!
//! With the feature `tls`, a [`Server`] with `Tls` serves HTTPS, whose certificate can be replaced while it runs, and `HttpsRedirect`
//! sends clients of plain HTTP there. With the feature `http2`, HTTPS includes HTTP/2, by hyper: with limits on streams, headers and
//! control frames, and with the same minimum transfer rate for each response.
//!
//! # Sending a file
//!
//! A body returns its slices of files from [`ResponseBody::next_piece`], and as bytes from [`Body::poll_frame`](http_body::Body) where the
//! listener needs bytes. `private_media::MediaBody` is such a body, with the feature `listener` of that crate.
//!
//! ```
//! use std::fs::File;
//! use std::io;
//! use std::os::unix::fs::FileExt;
//! use std::pin::Pin;
//! use std::sync::Arc;
//! use std::task::{Context, Poll};
//!
//! use bytes::Bytes;
//! use http_body::{Body, Frame, SizeHint};
//! use private_media_listener::{FileSlice, Piece, ResponseBody};
//!
//! struct FileBody {
//!     file: Arc<File>,
//!     offset: u64,
//!     len: u64,
//! }
//!
//! impl FileBody {
//!     fn next_slice(&mut self, max_len: u64) -> Option<FileSlice> {
//!         let len = self.len.min(max_len);
//!         let slice = FileSlice::new(Arc::clone(&self.file), self.offset, len);
//!         (self.offset, self.len) = (self.offset + len, self.len - len);
//!         (len > 0).then_some(slice)
//!     }
//! }
//!
//! impl ResponseBody for FileBody {
//!     fn next_piece(&mut self, max_len: u64) -> Option<Piece> {
//!         self.next_slice(max_len).map(Piece::File)
//!     }
//! }
//!
//! impl Body for FileBody {
//!     type Data = Bytes;
//!     type Error = io::Error;
//!
//!     fn poll_frame(mut self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
//!         // A real body reads on a thread that may block.
//!         let Some(slice) = self.next_slice(32 << 10) else { return Poll::Ready(None) };
//!         let mut bytes = vec![0; slice.len() as usize];
//!         let read = slice.file().read_exact_at(&mut bytes, slice.offset());
//!         Poll::Ready(Some(read.map(|()| Frame::data(bytes.into()))))
//!     }
//!
//!     fn size_hint(&self) -> SizeHint {
//!         SizeHint::with_exact(self.len)
//!     }
//! }
//! ```
//!
//! # Features
//!
//! - `axum`: implements [`ResponseBody`] for `axum::body::Body`.
//! - `tls`: HTTPS by rustls with ring, for TLS 1.3 and 1.2.
//! - `http2`: HTTP/2 over TLS. Includes `tls`.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod client_limit;
mod connection;
mod deadline;
mod drain;
mod error;
mod fallback;
mod handler;
mod head;
#[cfg(feature = "http2")]
mod http2;
#[cfg(feature = "tls")]
mod https;
mod limits;
mod linger;
mod min_rate;
mod open_files;
mod page_cache;
#[cfg(any(test, fuzzing))]
mod parity;
mod peer;
mod per_core;
mod piece;
mod request_body;
mod send;
mod sendfile;
mod sockets;
mod stats;
mod stream;
#[cfg(feature = "tls")]
mod tls;
mod turn;
mod unix_socket;

pub use accept::{ConnectionLimit, Drained, Server, serve, serve_handler};
pub use client_limit::{ClientLimit, ClientNetwork};
pub use handler::{Handler, RawResponse, TowerHandler};
pub use head::fields::{HeaderWriter, WriteHeaders};
pub use limits::Limits;
pub use open_files::{OpenFiles, TooFewOpenFiles};
pub use peer::{PeerAddr, PeerState};
pub use per_core::serve_per_core;
pub use piece::{FileSlice, Piece, ResponseBody};
pub use request_body::{Progress, RequestBody};
pub use sockets::bind;
pub use stats::Stats;
pub use stream::Listener;
#[cfg(feature = "tls")]
pub use tls::{Certificate, CertificateError, HttpsRedirect, Tls};
pub use unix_socket::{SocketFile, bind_unix};

/// Compares the listener with hyper, for the fuzz target `connection`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn check_parity(pieces: &[&[u8]]) -> Result<(), String> {
    parity::check(pieces)
}
