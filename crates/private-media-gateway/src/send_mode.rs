//! Which server sends the bytes of a private file.

use private_media::delivery::SendfileEncoding;

/// The server that sends the bytes of a private file.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendMode {
    /// The gateway, or the application, sends them itself.
    Direct,
    /// nginx sends them, by `X-Accel-Redirect`: from the folder of the root, or from its bucket.
    Nginx(InternalUrl),
    /// The bucket of the root sends them, by presigned URLs.
    Redirect,
    /// Apache with `mod_xsendfile`, or lighttpd, sends them, by `X-Sendfile`.
    Apache(SendfileEncoding),
}

impl SendMode {
    /// Returns whether a front server opens the files.
    pub(crate) fn is_by_front_server(&self) -> bool {
        matches!(self, Self::Nginx(_) | Self::Apache(_))
    }
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
