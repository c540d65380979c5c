//! Addresses to listen on.

use std::error::Error;
use std::fmt;
use std::net::{SocketAddr, ToSocketAddrs};

/// A text that is no `HOST:PORT`, or whose host is unknown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct InvalidAddress;

impl fmt::Display for InvalidAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("expected HOST:PORT, e.g. 127.0.0.1:8000")
    }
}

impl Error for InvalidAddress {}

/// Returns the addresses of `HOST:PORT`, at least one.
pub(crate) fn resolve(value: &str) -> Result<Vec<SocketAddr>, InvalidAddress> {
    match value.to_socket_addrs().map(Iterator::collect::<Vec<_>>) {
        Ok(addresses) if !addresses.is_empty() => Ok(addresses),
        _ => Err(InvalidAddress),
    }
}
