//! Serves private user uploads next to any web application: the program `private-media`, and its library.
//!
//! A gateway authenticates and authorizes each request for a file, and every other client gets a 404. It serves the files of a
//! [`PrivateMedia`](private_media::PrivateMedia) below a URL prefix, together with a health page at `-/health`.
//!
//! # The program or the library?
//!
//! - **The program** serves next to an application in any language. It reads its settings from flags, environment variables and a TOML
//!   file, identifies users by built-in accounts or by Django's sessions, writes an access log, and handles signals. Install it with
//!   `cargo install private-media-gateway`, then begin with `private-media demo`.
//! - **This library** runs the gateway inside a Rust program, with its own authentication ([`Identify`](private_media::Identify)),
//!   permissions and storage. [`GatewayBuilder::run`] starts threads and handles signals like the program. [`Gateway::serve`] serves a
//!   listener on the caller's Tokio runtime.
//! - **An axum application** that needs neither health page nor access log uses the crate
//!   [`private-media`](https://docs.rs/private-media) and its tower service. The crate
//!   [`private-media-listener`](https://docs.rs/private-media-listener) serves it with sendfile(2).
//!
//! # Example
//!
//! ```
//! use private_media::storage::content;
//! use private_media::{Identity, MediaPath, MemoryStorage, Permit, PrivateMedia, SaveOptions, Storage};
//! use private_media_gateway::Gateway;
//! use tokio::io::{AsyncReadExt, AsyncWriteExt};
//! use tokio::net::{TcpListener, TcpStream};
//!
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let storage = MemoryStorage::new();
//! let permit = Permit::trusted(MediaPath::new("cars/7/photo.jpg")?);
//! storage.save(&permit, content("a photo"), &SaveOptions::default()).await?;
//! let media = PrivateMedia::builder(storage).permissions(|_: &Identity, _: &MediaPath| true).build();
//!
//! let listener = TcpListener::bind("127.0.0.1:0").await?;
//! let address = listener.local_addr()?;
//! tokio::spawn(Gateway::builder().url("/media/")?.build(media).serve(listener));
//!
//! let mut client = TcpStream::connect(address).await?;
//! client.write_all(b"GET /media/cars/7/photo.jpg HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await?;
//! let mut response = String::new();
//! client.read_to_string(&mut response).await?;
//! assert!(response.starts_with("HTTP/1.1 200 OK\r\n") && response.ends_with("\r\n\r\na photo"));
//! # Ok(())
//! # }
//! ```
//!
//! # More
//!
//! - [`log_to_stderr`] starts the access log of the program: text at a terminal, JSON elsewhere.
//! - [`front`] prints the configuration of nginx, Apache, lighttpd and Caddy in front of a gateway.
//! - [`main`] is the whole program, [`main_from`] the same with other arguments. The cargo feature `demo`, on by default, adds the command `private-media demo`.
//!   The feature `otel`, off by default, exports traces of requests to an OpenTelemetry collector.

#![forbid(unsafe_code)]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod access_log;
mod activation;
mod addresses;
mod admin;
mod audit;
mod body;
#[cfg(feature = "buckets")]
mod bucket;
mod causes;
mod cli;
mod client;
mod commands;
mod config;
mod credential;
mod error;
mod exchange;
mod folders;
pub mod front;
#[cfg(fuzzing)]
#[doc(hidden)]
pub mod fuzzing;
mod gateway;
mod health;
mod http_client;
mod https;
mod identity;
mod listeners;
mod live_site;
mod log;
mod login;
mod lookups;
mod metrics;
mod notify;
mod open;
mod output;
mod pages;
mod peers;
mod reload;
mod request_id;
mod request_limit;
mod root_watch;
mod runtime;
mod send_mode;
mod signals;
mod single_flight;
mod site;
mod startup;
mod state;
mod supervise;
mod systemd_unit;
mod tls;
mod trace_context;
mod traces;
mod upgrade;
mod urls;
mod workers;

pub use addresses::{Endpoint, InvalidAddress};
#[doc(hidden)]
pub use cli::command;
pub use cli::{main, main_from};
pub use error::GatewayError;
pub use gateway::{Gateway, GatewayBuilder};
pub use log::{LogError, to_stderr as log_to_stderr};
pub use private_media_listener::{Certificate, CertificateError, Drained, Limits, Tls, TooFewOpenFiles};
pub use send_mode::{InternalUrl, SendMode};
pub use signals::Shutdown;
pub use urls::InvalidUrl;
