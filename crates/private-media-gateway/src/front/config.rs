//! The values that a front server's configuration is printed from.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use crate::addresses::Endpoint;
use crate::send_mode::SendMode;

/// The values that a front server's configuration is printed from.
#[derive(Debug, Clone)]
pub struct FrontConfig {
    /// The address that the front server listens on, as `HOST:PORT`: a name, an IP address, or `*` for any.
    pub front: String,
    /// The private URL prefix, with a slash on both sides.
    pub url: String,
    /// The absolute path of the root.
    pub root: PathBuf,
    /// The server that sends the bytes.
    pub send_mode: SendMode,
    /// The upstream of the private URL: the gateway, or the application if it serves private media itself.
    pub gateway: Endpoint,
    /// How long that upstream keeps an idle connection open.
    pub keep_alive: Duration,
    /// The upstream of all other URLs, for nginx and Apache.
    pub application: Option<SocketAddr>,
    /// A URL prefix of public files and their directory. It requires an application.
    pub public: Option<(String, PathBuf)>,
    /// The command that prints the configuration; the first line names it.
    pub printed_by: String,
}

/// A value of a [`FrontConfig`] that a setting of the caller provides.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the variants are named after the fields of FrontConfig and SendMode")]
pub enum FrontField {
    Front,
    Url,
    Root,
    SendMode,
    InternalUrl,
    Encoding,
    Gateway,
    Application,
    Public,
}
