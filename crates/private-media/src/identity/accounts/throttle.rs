//! Limits password guessing.
//!
//! Each attempt is counted before its password is hashed: by account and address, by account, and by address. Attempts of a device that has
//! signed in to the account before are counted only for that device. Names without an account are counted like others, so responses do not
//! reveal which names exist. The clock is monotonic, so setting the system clock has no effect.

use std::collections::HashMap;
use std::hash::{BuildHasher, Hash, RandomState};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::{Duration, Instant};

use super::device::DeviceId;
use super::hashing::Lane;
use crate::identity::ClientAddr;

/// Wrong passwords for one account from one address or known device: after 5, each wait doubles, from 1 second to half an hour. One is
/// forgotten each half hour. This allows 62 in the first 24 hours, and then 48 per day.
const FREE: u32 = 5;
const LONGEST: Duration = Duration::from_secs(30 * 60);
const FORGOTTEN: Duration = LONGEST;

/// Wrong passwords for one account from all addresses: a burst of 20 and 80 per day, so at most 100 in any 24 hours.
const ACCOUNT: Rate = Rate { burst: 20, every: Duration::from_secs(86_400 / 80) };
/// Wrong passwords from one address for all accounts: a burst of 100 and one per minute, so at most 1,540 in any 24 hours. Many users may
/// share an address, for example that of a front server, so no wait is longer than a minute.
const NETWORK: Rate = Rate { burst: 100, every: Duration::from_secs(60) };

/// The maximum number of counters of a kind. A hash takes 20 ms, and the counter of an account is empty 18 minutes after one attempt, so at
/// most 54,000 counters are not empty. A flood cannot evict them.
const CAPACITY: usize = 100_000;

/// The source of a sign-in attempt: account, address, and device.
#[derive(Debug, Clone)]
pub(super) struct Guesser {
    name: String,
    network: Option<IpAddr>,
    device: Option<DeviceId>,
}

impl Guesser {
    /// Returns the source of an attempt. `device` has signed in to the account before.
    pub(super) fn new(name: &str, address: Option<ClientAddr>, device: Option<DeviceId>) -> Self {
        // Clients of a Unix socket are counted like those of a front server that connects over TCP.
        let ip = |address: ClientAddr| address.ip().unwrap_or(Ipv4Addr::LOCALHOST.into());
        // An IPv6 /64 is one network, such as a household.
        let network = address.map(|address| match ip(address).to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        });
        Self { name: name.to_owned(), network, device }
    }

    /// Returns the lane in which the attempt waits to be hashed.
    pub(super) fn lane(&self) -> Lane {
        match (self.device, self.network) {
            (Some(_), _) => Lane::Known(self.name.clone()),
            (None, Some(network)) => Lane::Network(network),
            (None, None) => Lane::Unknown,
        }
    }
}

/// The recent attempts.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    /// By account and known device.
    devices: Counters<Failures>,
    /// By account and address.
    pairs: Counters<Failures>,
    accounts: Counters<Bucket>,
    networks: Counters<Bucket>,
}

impl Throttle {
    /// Returns how long a guesser has to wait until the next password is checked.
    pub(super) fn wait(&self, guesser: &Guesser, now: Instant) -> Option<Duration> {
        if let Some(device) = &guesser.device {
            return self.devices.get((&guesser.name, device))?.wait(now);
        }
        let pair = guesser.network.and_then(|network| self.pairs.get((&guesser.name, network))?.wait(now));
        let account = self.accounts.get(&guesser.name).and_then(|bucket| bucket.wait(ACCOUNT, now));
        let network = guesser.network.and_then(|network| self.networks.get(network)?.wait(NETWORK, now));
        pair.max(account).max(network)
    }

    /// Counts an attempt as wrong before it is checked, unless it has to wait. It remains counted if the client disconnects.
    pub(super) fn begin(&mut self, guesser: &Guesser, now: Instant) -> Result<(), Duration> {
        if let Some(wait) = self.wait(guesser, now) {
            return Err(wait);
        }
        if let Some(device) = &guesser.device {
            self.devices.entry((&guesser.name, device), now).add(now);
            return Ok(());
        }
        self.accounts.entry(&guesser.name, now).take(ACCOUNT, now);
        if let Some(network) = guesser.network {
            self.pairs.entry((&guesser.name, network), now).add(now);
            self.networks.entry(network, now).take(NETWORK, now);
        }
        Ok(())
    }

    /// Reverts `begin` after a right password, and clears the counter of this account and address, or of this account and device. Other
    /// counters are unchanged, so that knowing one password does not help to guess another.
    pub(super) fn succeeded(&mut self, guesser: &Guesser, now: Instant) {
        if let Some(device) = &guesser.device {
            self.devices.remove((&guesser.name, device));
            return;
        }
        self.accounts.entry(&guesser.name, now).give_back(ACCOUNT);
        if let Some(network) = guesser.network {
            self.pairs.remove((&guesser.name, network));
            self.networks.entry(network, now).give_back(NETWORK);
        }
    }
}

/// The allowed burst of attempts, and the time until one more is allowed.
#[derive(Debug, Clone, Copy)]
struct Rate {
    burst: u32,
    every: Duration,
}

/// The counter of one subject.
trait Counter {
    fn new(now: Instant) -> Self;

    /// Returns the time when the counter is empty.
    fn fresh_at(&self) -> Instant;
}

/// A bucket of attempts that refills at a rate (the generic cell rate algorithm).
#[derive(Debug)]
struct Bucket {
    full_at: Instant,
}

impl Bucket {
    fn wait(&self, rate: Rate, now: Instant) -> Option<Duration> {
        let empties = self.full_at.saturating_duration_since(now) + rate.every;
        empties.checked_sub(rate.every * rate.burst).filter(|wait| !wait.is_zero())
    }

    fn take(&mut self, rate: Rate, now: Instant) {
        self.full_at = self.full_at.max(now) + rate.every;
    }

    fn give_back(&mut self, rate: Rate) {
        self.full_at = self.full_at.checked_sub(rate.every).unwrap_or(self.full_at);
    }
}

impl Counter for Bucket {
    fn new(now: Instant) -> Self {
        Self { full_at: now }
    }

    fn fresh_at(&self) -> Instant {
        self.full_at
    }
}

/// Failures, each of which doubles the wait.
#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Failures {
    fn wait(&self, now: Instant) -> Option<Duration> {
        let over = self.count.checked_sub(FREE)?;
        let delay = Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(LONGEST);
        delay.checked_sub(now.saturating_duration_since(self.last)).filter(|wait| !wait.is_zero())
    }

    fn add(&mut self, now: Instant) {
        let forgotten = now.saturating_duration_since(self.last).as_secs() / FORGOTTEN.as_secs();
        let left = self.count.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        self.count = left.saturating_add(1);
        self.last = self.last.max(now);
    }
}

impl Counter for Failures {
    fn new(now: Instant) -> Self {
        Self { count: 0, last: now }
    }

    fn fresh_at(&self) -> Instant {
        self.last + FORGOTTEN * self.count
    }
}

/// Counters by a keyed hash of their subject, so that long names use no memory.
#[derive(Debug)]
struct Counters<C> {
    by_hash: HashMap<u64, C>,
    hasher: RandomState,
}

impl<C> Default for Counters<C> {
    fn default() -> Self {
        Self { by_hash: HashMap::new(), hasher: RandomState::new() }
    }
}

impl<C: Counter> Counters<C> {
    fn get(&self, subject: impl Hash) -> Option<&C> {
        self.by_hash.get(&self.hasher.hash_one(subject))
    }

    fn remove(&mut self, subject: impl Hash) {
        self.by_hash.remove(&self.hasher.hash_one(subject));
    }

    fn entry(&mut self, subject: impl Hash, now: Instant) -> &mut C {
        let hash = self.hasher.hash_one(subject);
        if self.by_hash.len() >= CAPACITY && !self.by_hash.contains_key(&hash) {
            self.make_room(now);
        }
        self.by_hash.entry(hash).or_insert_with(|| C::new(now))
    }

    /// Removes the empty counters, or else the quarter that will be empty first. So a flood evicts its own counters.
    fn make_room(&mut self, now: Instant) {
        self.by_hash.retain(|_, counter| counter.fresh_at() > now);
        if self.by_hash.len() < CAPACITY {
            return;
        }
        let mut fresh_at: Vec<_> = self.by_hash.values().map(Counter::fresh_at).collect();
        let (_, &mut quarter, _) = fresh_at.select_nth_unstable(CAPACITY / 4);
        self.by_hash.retain(|_, counter| counter.fresh_at() > quarter);
    }
}

#[cfg(test)]
mod tests;
