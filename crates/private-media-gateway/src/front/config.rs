//! The values that a front server's configuration is printed from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use private_media_listener::Limits;

use crate::addresses::Endpoint;
use crate::send_mode::SendMode;

/// The values that a front server's configuration is printed from.
///
/// ```
/// use std::net::SocketAddr;
///
/// use private_media_gateway::front::{FrontConfig, FrontServer};
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let gateway: SocketAddr = "127.0.0.1:8000".parse()?;
/// let config = FrontConfig::new("example.org:80", gateway, "/private/", "/srv/private");
/// let block = FrontServer::Caddy.block(&config)?;
/// assert!(block.contains("handle /private/* {"));
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct FrontConfig {
    /// The address that the front server listens on, as `HOST:PORT`: a name, an IP address, or `*` for any.
    pub front: String,
    /// The upstream of the private URL: the gateway, or the application if it serves private media itself.
    pub gateway: Endpoint,
    /// The private URL prefix, with a slash on both sides.
    pub url: String,
    /// Where the files are.
    pub root: FrontRoot,
    /// The server that sends the bytes; by default the upstream.
    pub send_mode: SendMode,
    /// How long the upstream keeps an idle connection open; by default as long as the gateway does.
    pub keep_alive: Duration,
    /// The upstream of all other URLs, for nginx and Apache.
    pub application: Option<SocketAddr>,
    /// A URL prefix of public files and their folder. It requires an application.
    pub public: Option<(String, PathBuf)>,
    /// The command that prints the configuration, for its first line.
    pub printed_by: String,
}

impl FrontConfig {
    /// Returns the values for a front server that only forwards requests for the private URL.
    #[must_use]
    pub fn new(
        front: impl Into<String>,
        gateway: impl Into<Endpoint>,
        url: impl Into<String>,
        root: impl Into<FrontRoot>,
    ) -> Self {
        Self {
            front: front.into(),
            gateway: gateway.into(),
            url: url.into(),
            root: root.into(),
            send_mode: SendMode::Direct,
            keep_alive: Limits::default().header_timeout,
            application: None,
            public: None,
            printed_by: "private-media".into(),
        }
    }
}

/// The root, as a front server sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FrontRoot {
    /// The absolute path of a folder.
    Folder(PathBuf),
    /// A bucket.
    Bucket {
        /// Scheme, host and port of the presigned URLs, for example `https://s3.example.org:9000`. `None` if there are none.
        origin: Option<String>,
    },
}

impl<P: Into<PathBuf>> From<P> for FrontRoot {
    fn from(folder: P) -> Self {
        Self::Folder(folder.into())
    }
}

/// A value of a [`FrontConfig`] that a setting of the caller provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named after the fields of FrontConfig and SendMode")]
pub enum FrontField {
    Front,
    Url,
    Root,
    Store,
    SendMode,
    InternalUrl,
    Encoding,
    Gateway,
    Application,
    Public,
}
