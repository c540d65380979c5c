//! Addresses to listen on.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

/// A text that is neither `HOST:PORT` with a known host nor `unix:PATH`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidAddress;

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected HOST:PORT, e.g. 127.0.0.1:8000, or unix:PATH")
    }
}

impl Error for InvalidAddress {}

/// The address of a listener. Its text is `http://HOST:PORT`, `https://HOST:PORT` or `unix:PATH`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Endpoint {
    /// A TCP address.
    Tcp(SocketAddr),
    /// A TCP address with TLS.
    Https(SocketAddr),
    /// The absolute path of a Unix socket.
    Unix(PathBuf),
}

impl Endpoint {
    /// Returns the endpoint with TLS. A Unix socket has none.
    pub(crate) fn with_tls(self) -> Self {
        match self {
            Self::Tcp(address) | Self::Https(address) => Self::Https(address),
            Self::Unix(path) => Self::Unix(path),
        }
    }
}

impl From<SocketAddr> for Endpoint {
    fn from(address: SocketAddr) -> Self {
        Self::Tcp(address)
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => write!(f, "http://{address}"),
            Self::Https(address) => write!(f, "https://{address}"),
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
        }
    }
}

/// What to listen on: the first of these TCP addresses that is available, or a Unix socket at an absolute path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ListenAddr {
    Tcp(Vec<SocketAddr>),
    Unix(PathBuf),
}

impl ListenAddr {
    /// Returns the addresses of `HOST:PORT`, at least one, or the path of `unix:PATH`, which is relative to a folder.
    pub(crate) fn parse(value: &str, folder: &Path) -> Result<Self, InvalidAddress> {
        if let Some(path) = value.strip_prefix("unix:") {
            let path = Some(path).filter(|path| !path.is_empty()).map(|path| folder.join(path));
            return path
                .and_then(|path| std::path::absolute(path).ok())
                .map(Self::Unix)
                .ok_or(InvalidAddress);
        }
        match resolve(value) {
            Ok(addresses) if !addresses.is_empty() => Ok(Self::Tcp(addresses)),
            _ => Err(InvalidAddress),
        }
    }

    /// Returns what is wrong with an address that cannot be listened on, and how to fix it.
    pub(crate) fn bind_problem(&self, error: &io::Error) -> (String, &'static str) {
        let is_unix = matches!(self, Self::Unix(_));
        match error.kind() {
            ErrorKind::AddrInUse if is_unix => {
                ("address already in use by another program".to_owned(), "use another path")
            }
            ErrorKind::AlreadyExists => (error.to_string(), "remove it, or use another path"),
            ErrorKind::InvalidFilename if is_unix => {
                ("the path of a socket is limited to 107 bytes".to_owned(), "use a shorter path")
            }
            ErrorKind::NotFound if is_unix => ("no such folder".to_owned(), "create it"),
            _ if is_unix => {
                (format!("cannot listen at this path: {error}"), "use a folder that this user can write to")
            }
            ErrorKind::AddrInUse => (
                "address already in use by another program".to_owned(),
                "use another address, or port 0 for a free one",
            ),
            _ => (
                format!("cannot listen on this address: {error}"),
                "use another address, or port 0 for a free one",
            ),
        }
    }

    /// Returns whether a listening socket has one of these addresses.
    pub(crate) fn includes(&self, endpoint: &Endpoint) -> bool {
        match (self, endpoint) {
            (Self::Tcp(addresses), Endpoint::Tcp(bound) | Endpoint::Https(bound)) => {
                addresses.iter().any(|address| {
                    address.ip() == bound.ip() && (address.port() == 0 || address.port() == bound.port())
                })
            }
            (Self::Unix(path), Endpoint::Unix(bound)) => path == bound,
            _ => false,
        }
    }

    /// Returns the preferred address.
    pub(crate) fn endpoint(&self) -> Option<Endpoint> {
        match self {
            Self::Tcp(addresses) => addresses.first().copied().map(Endpoint::Tcp),
            Self::Unix(path) => Some(Endpoint::Unix(path.clone())),
        }
    }
}

/// Returns the addresses of `HOST:PORT`, with a DNS query if the host is a name.
fn resolve(value: &str) -> io::Result<Vec<SocketAddr>> {
    #[cfg(test)]
    tests::QUERIES.with(|queries| queries.set(queries.get() + u32::from(!is_literal(value))));
    value.to_socket_addrs().map(Iterator::collect)
}

/// Returns whether parsing a value needs no DNS query.
#[cfg(any(fuzzing, test))]
pub(crate) fn is_literal(value: &str) -> bool {
    value.is_empty() || value.starts_with("unix:") || value.parse::<SocketAddr>().is_ok()
}

#[cfg(test)]
pub(crate) use tests::queries;

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    thread_local! {
        pub(super) static QUERIES: Cell<u32> = const { Cell::new(0) };
    }

    /// Returns how many values needed a DNS query in this thread.
    pub(crate) fn queries() -> u32 {
        QUERIES.get()
    }

    #[test]
    fn addresses() {
        for (value, expected) in [
            ("127.0.0.1:8000", Some("http://127.0.0.1:8000")),
            ("[::1]:0", Some("http://[::1]:0")),
            ("unix:/run/x.sock", Some("unix:/run/x.sock")),
            ("unix:run/x.sock", Some("unix:/etc/run/x.sock")),
            ("unix:", None),
            ("", None),
            ("8000", None),
            ("127.0.0.1:99999", None),
            ("/run/x.sock", None),
        ] {
            let endpoint =
                ListenAddr::parse(value, Path::new("/etc")).ok().and_then(|listen| listen.endpoint());
            assert_eq!(endpoint.map(|endpoint| endpoint.to_string()).as_deref(), expected, "{value:?}");
        }
    }
}
