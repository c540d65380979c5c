//! Configuration of front servers, printed by `private-media config nginx|apache|lighttpd|caddy`.
//!
//! Applications that serve private media themselves print it with [`FrontServer::block`], from a [`FrontConfig`].

mod address;
mod apache;
mod caddy;
mod checked;
mod config;
mod error;
mod lighttpd;
mod nginx;
mod server;
mod upstream;

pub use config::{FrontConfig, FrontField};
pub use error::FrontError;
pub use server::FrontServer;
