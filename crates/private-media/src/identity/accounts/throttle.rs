//! Slows down whoever guesses passwords.

use std::collections::{HashMap, HashSet};
use std::net::{IpAddr, Ipv6Addr};
use std::time::{Duration, Instant};

/// The most subjects whose failures are remembered.
const REMEMBERED: usize = 10_000;
/// After so long without another failure, what was is forgotten.
const FORGOTTEN: Duration = Duration::from_secs(60 * 60);

/// Who tries to sign in as whom.
#[derive(Debug, Clone)]
pub(super) struct Guesser {
    name: String,
    network: Option<IpAddr>,
}

/// What failures are counted for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Subject {
    /// One name from one address: somebody guesses one password.
    Both(String, IpAddr),
    /// One name from anywhere. It waits seconds at the most, so that nobody can lock out a user from afar.
    Name(String),
    /// Any name from one address: somebody tries one password on many. Higher, as many people may share an address.
    Network(IpAddr),
}

impl Subject {
    /// How many failures are free, and the longest wait after them.
    fn limits(&self) -> (u32, Duration) {
        match self {
            Self::Both(..) => (5, Duration::from_secs(15 * 60)),
            Self::Name(_) => (20, Duration::from_secs(5)),
            Self::Network(_) => (50, Duration::from_secs(15 * 60)),
        }
    }
}

impl Guesser {
    pub(super) fn new(name: &str, address: Option<IpAddr>) -> Self {
        // A household has a whole /64 of IPv6.
        let network = address.map(|address| match address.to_canonical() {
            IpAddr::V6(v6) => IpAddr::V6(Ipv6Addr::from_bits(v6.to_bits() & !u128::from(u64::MAX))),
            v4 @ IpAddr::V4(_) => v4,
        });
        // A longer name is nobody's, and takes no memory.
        Self { name: name.chars().take(64).collect(), network }
    }

    fn both(&self) -> Option<Subject> {
        self.network.map(|network| Subject::Both(self.name.clone(), network))
    }

    fn subjects(&self) -> impl Iterator<Item = Subject> {
        let network = self.network.map(Subject::Network);
        self.both().into_iter().chain(network).chain([Subject::Name(self.name.clone())])
    }
}

/// The failures of late.
#[derive(Debug, Default)]
pub(super) struct Throttle {
    failures: HashMap<Subject, Failures>,
    /// Who has signed in, from where: others' guesses do not make them wait.
    known: HashSet<Subject>,
}

#[derive(Debug)]
struct Failures {
    count: u32,
    last: Instant,
}

impl Throttle {
    /// How long a guesser has to wait before the next try is looked at; `None` if not at all.
    pub(super) fn wait(&self, who: &Guesser, now: Instant) -> Option<Duration> {
        let is_known = who.both().is_some_and(|both| self.known.contains(&both));
        let counted = who.subjects().filter(|subject| !is_known || matches!(subject, Subject::Both(..)));
        let waits = counted.filter_map(|subject| {
            let failures = self.failures.get(&subject)?;
            let (free, longest) = subject.limits();
            let over = failures.count.checked_sub(free)?;
            let delay = Duration::from_secs(1_u64.checked_shl(over).unwrap_or(u64::MAX)).min(longest);
            delay.checked_sub(now.saturating_duration_since(failures.last)).filter(|wait| !wait.is_zero())
        });
        waits.max()
    }

    pub(super) fn failed(&mut self, who: &Guesser, now: Instant) {
        for subject in who.subjects() {
            if self.failures.len() >= REMEMBERED && !self.failures.contains_key(&subject) {
                self.make_room(now);
            }
            let failures = self.failures.entry(subject).or_insert(Failures { count: 0, last: now });
            if now.saturating_duration_since(failures.last) > FORGOTTEN {
                failures.count = 0;
            }
            failures.count = failures.count.saturating_add(1);
            failures.last = now;
        }
    }

    /// The right password from an address clears what was counted of both together, and nothing else: who knows one password may
    /// not use it to guess another.
    pub(super) fn succeeded(&mut self, who: &Guesser) {
        let Some(both) = who.both() else { return };
        self.failures.remove(&both);
        if self.known.len() >= REMEMBERED {
            self.known.clear();
        }
        self.known.insert(both);
    }

    /// Forgets what is old, or else what has the fewest failures: an attacker who floods the memory loses the flood first.
    fn make_room(&mut self, now: Instant) {
        self.failures.retain(|_, failures| now.saturating_duration_since(failures.last) <= FORGOTTEN);
        let mut fewest = 1;
        while self.failures.len() >= REMEMBERED {
            self.failures.retain(|_, failures| failures.count > fewest);
            fewest = fewest.saturating_mul(2);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn guesser(name: &str, address: &str) -> Guesser {
        Guesser::new(name, Some(address.parse().unwrap()))
    }

    fn fail(throttle: &mut Throttle, who: &Guesser, times: usize, now: Instant) {
        for _ in 0..times {
            throttle.failed(who, now);
        }
    }

    fn secs(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn waits_double() {
        let (mut throttle, now, who) = (Throttle::default(), Instant::now(), guesser("alice", "192.0.2.1"));
        fail(&mut throttle, &who, 4, now);
        assert_eq!(throttle.wait(&who, now), None);
        for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 900, 900] {
            throttle.failed(&who, now);
            assert_eq!(throttle.wait(&who, now), Some(secs(expected)));
            assert_eq!(throttle.wait(&who, now + secs(expected)), None);
        }
        throttle.failed(&who, now + FORGOTTEN + secs(1));
        assert_eq!(throttle.wait(&who, now + FORGOTTEN + secs(1)), None);
    }

    #[test]
    fn nobody_is_locked_out_from_afar() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..200 {
            throttle.failed(&guesser("alice", &format!("192.0.2.{n}")), now);
        }
        assert_eq!(throttle.wait(&guesser("alice", "198.51.100.1"), now), Some(secs(5)));
        assert_eq!(throttle.wait(&guesser("bob", "198.51.100.1"), now), None);
    }

    /// Whoever has signed in from where they are does not wait for what others do, but for their own failures.
    #[test]
    fn who_is_known_does_not_wait_for_others() {
        let (mut throttle, now, alice) = (Throttle::default(), Instant::now(), guesser("alice", "192.0.2.1"));
        throttle.succeeded(&alice);
        for n in 0..200 {
            throttle.failed(&guesser("alice", &format!("198.51.100.{n}")), now);
            throttle.failed(&guesser(&format!("user{n}"), "192.0.2.1"), now);
        }
        assert_eq!(throttle.wait(&alice, now), None);
        fail(&mut throttle, &alice, 5, now);
        assert_eq!(throttle.wait(&alice, now), Some(secs(1)));
    }

    #[test]
    fn one_address_that_tries_many_names() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        for n in 0..60 {
            throttle.failed(&guesser(&format!("user{n}"), "192.0.2.1"), now);
        }
        assert!(throttle.wait(&guesser("somebody else", "192.0.2.1"), now).unwrap() > secs(500));
        assert_eq!(throttle.wait(&guesser("somebody else", "192.0.2.2"), now), None);
    }

    #[test]
    fn a_success_clears_both_together_only() {
        let (mut throttle, now, who) = (Throttle::default(), Instant::now(), guesser("alice", "192.0.2.1"));
        fail(&mut throttle, &who, 60, now);
        throttle.succeeded(&who);
        assert_eq!(throttle.wait(&guesser("alice", "192.0.2.2"), now), Some(secs(5)));
        assert_eq!(throttle.wait(&guesser("bob", "192.0.2.1"), now), Some(secs(900)));
    }

    #[test]
    fn addresses_of_one_household_are_one() {
        let (mut throttle, now) = (Throttle::default(), Instant::now());
        fail(&mut throttle, &guesser("alice", "2001:db8::1"), 10, now);
        assert!(throttle.wait(&guesser("alice", "2001:db8::ffff:1"), now).is_some());
        assert!(throttle.wait(&guesser("alice", "2001:db8:0:1::1"), now).is_none());
        fail(&mut throttle, &guesser("bob", "::ffff:192.0.2.1"), 10, now);
        assert!(throttle.wait(&guesser("bob", "192.0.2.1"), now).is_some());
    }

    #[test]
    fn memory_is_bounded_and_a_flood_does_not_hide_a_guesser() {
        let (mut throttle, now, who) = (Throttle::default(), Instant::now(), guesser("alice", "192.0.2.1"));
        fail(&mut throttle, &who, 15, now);
        for n in 0..30_000 {
            throttle.failed(&Guesser::new(&format!("user{n}"), None), now);
        }
        assert!(throttle.failures.len() <= REMEMBERED);
        assert!(throttle.wait(&who, now).is_some());
    }
}
