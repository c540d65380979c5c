//! An HTTP/1.1 listener for tower services that sends files with sendfile(2).
//!
//! [`serve`] answers requests with any [`tower_service::Service`], such as an axum router. It is made for services that send files:
//!
//! - A body that continues with a slice of an open file ([`ResponseBody::next_file`]) is sent by the kernel, without a copy in this
//!   process. Before that the listener proves that the slice is in the page cache, so one slow disk does not stop the event loop.
//! - GET and HEAD requests are parsed and answered by a small loop. [hyper](https://docs.rs/hyper) serves all others, such as uploads,
//!   HTTP/1.0 and unusual heads; afterwards the connection returns to the loop.
//! - A response head and a small body leave in one send(2).
//! - [`Limits`] bound what one client can take: connections, time for a request head, and a minimum transfer rate.
//!
//! ```
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
//! [`bind_unix`] listens at a path of the file system, for a proxy on the same machine.
//!
//! [`Server`] adds a graceful shutdown, a connection limit that several listeners share, and counters. [`Handler`] is the lower-level
//! interface, for servers that write serialized headers. TLS, HTTP/2 and upgrades such as WebSocket are left to a proxy in front.
//!
//! # Features
//!
//! - `axum`: implements [`ResponseBody`] for `axum::body::Body`.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod accept;
mod connection;
mod drain;
mod error;
mod fallback;
mod handler;
mod head;
mod limits;
mod min_rate;
mod open_files;
mod page_cache;
#[cfg(any(test, fuzzing))]
mod parity;
mod peer;
mod piece;
mod request_body;
mod sendfile;
mod sockets;
mod stats;
mod stream;
mod unix_socket;

pub use accept::{ConnectionLimit, Drained, Server, serve};
pub use handler::{Handler, RawResponse};
pub use head::fields::{HeaderWriter, WriteHeaders};
pub use limits::Limits;
pub use open_files::{OpenFiles, TooFewOpenFiles};
pub use peer::{PeerAddr, PeerState};
pub use piece::{FileSlice, Piece, ResponseBody};
pub use request_body::{Progress, RequestBody};
pub use sockets::bind;
pub use stats::Stats;
pub use stream::Listener;
pub use unix_socket::{SocketFile, bind_unix};

/// Compares the listener with hyper, for the fuzz target `connection`.
#[cfg(fuzzing)]
#[doc(hidden)]
pub fn check_parity(pieces: &[&[u8]]) -> Result<(), String> {
    parity::check(pieces)
}
