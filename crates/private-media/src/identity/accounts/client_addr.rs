//! The address of the client.

use std::net::IpAddr;

/// The address of the client. A server inserts it into the request extensions, so that sign-in attempts are throttled by address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientAddr(pub IpAddr);
