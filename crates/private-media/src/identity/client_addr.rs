//! The address of the client.

use std::fmt;
use std::net::IpAddr;

/// The address of the client. The server inserts it into the request extensions, for sources that throttle or trust by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ClientAddr {
    /// A client that connected over TCP.
    Ip(IpAddr),
    /// A client on the same machine that connected to a Unix socket.
    Unix,
}

impl ClientAddr {
    /// Returns the IP address; `None` for a client of a Unix socket.
    #[must_use]
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Ip(ip) => Some(*ip),
            Self::Unix => None,
        }
    }
}

impl From<IpAddr> for ClientAddr {
    fn from(ip: IpAddr) -> Self {
        Self::Ip(ip)
    }
}

impl fmt::Display for ClientAddr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Ip(ip) => ip.fmt(f),
            Self::Unix => f.write_str("unix"),
        }
    }
}
