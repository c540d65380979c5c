//! The front servers.

use super::checked::Checked;
use super::config::FrontConfig;
use super::error::FrontError;
use super::{apache, caddy, lighttpd, nginx};

/// A front server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
#[expect(missing_docs, reason = "the variants are names of products")]
pub enum FrontServer {
    Nginx,
    Apache,
    Lighttpd,
    Caddy,
}

impl FrontServer {
    /// All front servers.
    pub const ALL: &[Self] = &[Self::Nginx, Self::Apache, Self::Lighttpd, Self::Caddy];

    /// Returns the name that `private-media config` takes.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Nginx => "nginx",
            Self::Apache => "apache",
            Self::Lighttpd => "lighttpd",
            Self::Caddy => "caddy",
        }
    }

    /// Returns the front server of this [name](Self::name).
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|server| server.name() == name)
    }

    /// Returns a whole server block, to be included as it is.
    pub fn block(self, config: &FrontConfig) -> Result<String, FrontError> {
        let config = Checked::new(config)?;
        match self {
            Self::Nginx => nginx::block(&config),
            Self::Apache => apache::block(&config),
            Self::Lighttpd => lighttpd::block(&config),
            Self::Caddy => caddy::block(&config),
        }
    }
}
