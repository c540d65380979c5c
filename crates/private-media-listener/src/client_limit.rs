//! Limits the connections of each client.

use std::collections::HashMap;
use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The addresses that count as one client: an IPv4 address, or a network of IPv6 with a prefix of 64 bits, which a provider gives to one
/// customer.
///
/// ```
/// use private_media_listener::ClientNetwork;
///
/// let network = |ip: &str| ClientNetwork::from(ip.parse::<std::net::IpAddr>().unwrap());
/// assert_eq!(network("2001:db8:0:7::1"), network("2001:db8:0:7:ffff::2"));
/// assert_ne!(network("2001:db8:0:7::1"), network("2001:db8:0:8::1"));
/// assert_ne!(network("192.0.2.1"), network("192.0.2.2"));
/// assert_eq!(network("192.0.2.1"), network("::ffff:192.0.2.1"));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ClientNetwork(u128);

impl From<IpAddr> for ClientNetwork {
    fn from(ip: IpAddr) -> Self {
        match ip.to_canonical() {
            IpAddr::V4(ip) => Self(ip.to_ipv6_mapped().to_bits()),
            IpAddr::V6(ip) => Self(ip.to_bits() >> 64 << 64),
        }
    }
}

/// The maximum number of concurrent connections of one client. Clones share one limit, for several servers of a process. Clients of Unix
/// sockets have none.
///
/// A client with more connections gets a 503; over TLS, its connection is closed, as a handshake would cost more than the limit saves.
///
/// ```
/// use private_media_listener::{ClientLimit, Limits, Server};
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> std::io::Result<()> {
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
/// let limit = ClientLimit::new(20, |ip| ip.is_loopback());
/// let server = Server::new(listener, Limits::default()).client_limit(limit);
/// # drop(server);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct ClientLimit(Arc<Inner>);

struct Inner {
    per_client: usize,
    is_exempt: Box<dyn Fn(IpAddr) -> bool + Send + Sync>,
    /// The number of open connections of each client that has some, so there are never more entries than connections.
    open: Mutex<HashMap<ClientNetwork, usize>>,
}

impl ClientLimit {
    /// Returns a limit. Addresses for which `is_exempt` is true have none, such as those of proxies.
    #[must_use]
    pub fn new(per_client: usize, is_exempt: impl Fn(IpAddr) -> bool + Send + Sync + 'static) -> Self {
        Self(Arc::new(Inner { per_client, is_exempt: Box::new(is_exempt), open: Mutex::default() }))
    }

    /// Returns a slot for a connection, which is free again when it is dropped; `None` if the client has too many.
    pub(crate) fn acquire(&self, ip: Option<IpAddr>) -> Option<ClientSlot> {
        let Some(ip) = ip.filter(|ip| !(self.0.is_exempt)(ip.to_canonical())) else {
            return Some(ClientSlot(None));
        };
        let client = ClientNetwork::from(ip);
        let mut open = self.0.lock();
        let count = open.entry(client).or_default();
        if *count >= self.0.per_client {
            return None;
        }
        *count += 1;
        drop(open);
        Some(ClientSlot(Some((client, self.clone()))))
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, HashMap<ClientNetwork, usize>> {
        self.open.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for ClientLimit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientLimit").field("per_client", &self.0.per_client).finish_non_exhaustive()
    }
}

/// One connection of a client.
#[derive(Debug)]
pub(crate) struct ClientSlot(Option<(ClientNetwork, ClientLimit)>);

impl Drop for ClientSlot {
    fn drop(&mut self) {
        let Some((client, limit)) = self.0.take() else { return };
        let mut open = limit.0.lock();
        if let Some(count) = open.get_mut(&client) {
            *count = count.saturating_sub(1);
            if *count == 0 {
                open.remove(&client);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_client_has_its_own_slots() {
        let limit = ClientLimit::new(2, |ip| ip == IpAddr::from([10, 0, 0, 1]));
        let acquire = |ip: &str| limit.acquire(Some(ip.parse().unwrap()));
        let held = [acquire("2001:db8::1"), acquire("2001:db8::2")];
        assert!(held.iter().all(Option::is_some));
        assert!(acquire("2001:db8::3").is_none(), "the network has two");
        assert!(acquire("2001:db8:0:1::1").is_some());
        let many: Vec<_> = (0..9).map(|_| acquire("10.0.0.1")).collect();
        assert!(many.iter().all(Option::is_some), "a proxy has no limit");
        assert!((0..9).all(|_| limit.acquire(None).is_some()), "a Unix socket has no limit");
        drop(held);
        assert!(acquire("2001:db8::3").is_some());
        drop(many);
        assert!(limit.0.lock().is_empty(), "no entry is left");
    }
}
