//! Which server sends the bytes of a private file.

use private_media::delivery::SendfileEncoding;

/// The server that sends the bytes of a private file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendMode {
    /// The gateway, or the application, sends them itself.
    Direct,
    /// nginx sends them, by `X-Accel-Redirect`.
    Nginx(InternalUrl),
    /// Apache with `mod_xsendfile`, or lighttpd, sends them, by `X-Sendfile`.
    Apache(SendfileEncoding),
}

/// The internal location at which nginx serves the root.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InternalUrl {
    /// A location with a slash on both sides.
    Prefix(String),
    /// The root's own path.
    FullPath,
}
