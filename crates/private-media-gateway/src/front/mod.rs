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
mod nginx_store;
mod server;
mod store;
mod upstream;

pub use config::{FrontConfig, FrontField, FrontRoot};
pub use error::FrontError;
#[cfg(feature = "buckets")]
pub(crate) use nginx_store::HIDDEN_METADATA;
pub use server::FrontServer;
