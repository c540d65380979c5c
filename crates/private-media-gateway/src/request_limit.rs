//! Limits the requests of each client in a second.

use std::mem;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use private_media::identity::ClientAddr;
use private_media_listener::ClientNetwork;

/// How many seconds' worth of requests may come at once: a page has many pictures.
const BURST: u32 = 5;
/// The most clients of one generation. Two are remembered, in some megabytes.
const GENERATION: usize = 50_000;

type Generation = std::collections::HashMap<ClientNetwork, Duration>;

/// A token bucket for each client, as the time at which it is full again (the generic cell rate algorithm).
///
/// A flood from more clients than are remembered forgets some, which then have full buckets. It does not lock anyone out.
#[derive(Debug)]
pub(crate) struct RequestLimit {
    /// The time in which one token is added.
    interval: Duration,
    start: Instant,
    clients: Mutex<Clients>,
}

#[derive(Debug, Default)]
struct Clients {
    young: Generation,
    old: Generation,
}

impl RequestLimit {
    /// Returns a limit; `None` for zero, which is none.
    pub(crate) fn new(per_second: u32) -> Option<Self> {
        let interval = Duration::from_secs(1).checked_div(per_second)?;
        Some(Self { interval, start: Instant::now(), clients: Mutex::default() })
    }

    /// Takes a token of a client. The error is the time after which there is one. Clients of a Unix socket have no address, and no limit.
    pub(crate) fn admit(&self, client: ClientAddr, now: Instant) -> Result<(), Duration> {
        let Some(ip) = client.ip() else { return Ok(()) };
        let network = ClientNetwork::from(ip);
        let now = now.saturating_duration_since(self.start);
        // The bucket holds at least one token.
        let capacity = Duration::from_secs(BURST.into()).max(self.interval);
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = clients.get(network).unwrap_or_default().max(now) + self.interval;
        let wait = full_at.saturating_sub(now + capacity);
        if !wait.is_zero() {
            return Err(wait);
        }
        clients.insert(network, full_at);
        Ok(())
    }
}

impl Clients {
    fn get(&self, client: ClientNetwork) -> Option<Duration> {
        self.young.get(&client).or_else(|| self.old.get(&client)).copied()
    }

    fn insert(&mut self, client: ClientNetwork, full_at: Duration) {
        if self.young.len() >= GENERATION && !self.young.contains_key(&client) {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(client, full_at);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, Ipv4Addr};

    use super::*;

    fn client(number: u32) -> ClientAddr {
        ClientAddr::Ip(IpAddr::V4(Ipv4Addr::from_bits(number)))
    }

    #[test]
    fn a_client_has_a_burst_and_then_the_rate() {
        let limit = RequestLimit::new(10).unwrap();
        let start = Instant::now();
        let admitted =
            |at: Duration, client| (0..1000).take_while(|_| limit.admit(client, start + at).is_ok()).count();
        assert_eq!(admitted(Duration::ZERO, client(1)), 50);
        assert_eq!(admitted(Duration::ZERO, client(2)), 50, "clients are independent");
        let wait = limit.admit(client(1), start).unwrap_err();
        assert!(wait > Duration::from_millis(90) && wait <= Duration::from_millis(100), "{wait:?}");
        assert!(limit.admit(client(1), start + wait).is_ok());
        assert_eq!(admitted(Duration::from_millis(1100), client(1)), 10);
        assert_eq!(admitted(Duration::from_secs(60), client(1)), 50, "the bucket holds no more");
        assert_eq!(admitted(Duration::ZERO, ClientAddr::Unix), 1000);
        assert!(RequestLimit::new(0).is_none());
    }

    #[test]
    fn a_flood_of_addresses_uses_bounded_memory() {
        let limit = RequestLimit::new(1).unwrap();
        let now = Instant::now();
        for number in 0..3 * u32::try_from(GENERATION).unwrap() {
            assert!(limit.admit(client(number), now).is_ok());
        }
        let clients = limit.clients.lock().unwrap();
        assert!(clients.young.len() + clients.old.len() <= 2 * GENERATION);
    }
}
