//! The number of guesses that are checked, and the users guesser wait, with a simulated clock.

use super::*;

fn stranger(name: &str, address: &str) -> Guesser {
    Guesser::new(name, Some(ClientAddr::Ip(address.parse().unwrap())), None)
}

fn at(name: &str, address: u32) -> Guesser {
    Guesser::new(name, Some(IpAddr::from(address.to_be_bytes()).into()), None)
}

fn device(name: &str, id: u8) -> Guesser {
    Guesser::new(name, Some(IpAddr::from([192, 0, 2, 1]).into()), Some([id; 16]))
}

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

const DAY: u64 = 86_400;

/// Returns the seconds in which a guess is checked, if the guessers try each second, in turn.
fn checked(throttle: &mut Throttle, begin: Instant, days: u64, guessers: &[Guesser]) -> Vec<u64> {
    let mut checked = Vec::new();
    for second in 0..days * DAY {
        let now = begin + secs(second);
        // If one has to wait, the next ones try.
        for guesser in guessers
            .iter()
            .cycle()
            .skip(usize::try_from(second).unwrap() % guessers.len())
            .take(guessers.len().min(4))
        {
            if throttle.begin(guesser, now).is_ok() {
                checked.push(second);
            }
        }
    }
    checked
}

/// Returns the maximum number of these in any 24 hours.
fn most_in_a_day(seconds: &[u64]) -> usize {
    let end = |begin: u64| seconds.partition_point(|second| *second <= begin + DAY);
    seconds.iter().enumerate().map(|(at, begin)| end(*begin) - at).max().unwrap_or(0)
}

#[test]
fn an_account_gets_at_most_a_hundred_guesses_a_day_from_all_addresses() {
    let begin = Instant::now();
    let everywhere: Vec<_> = (0..10_000).map(|n| at("alice", 0x0a00_0000 + n)).collect();
    let checked = checked(&mut Throttle::default(), begin, 4, &everywhere);
    assert_eq!(most_in_a_day(&checked), 100);
    assert!(checked.len() <= 20 + 4 * 80, "{}", checked.len());

    // Also after a pause, and in a burst.
    let mut throttle = Throttle::default();
    for (day, expected) in [(0, 20), (1, 20), (5, 20)] {
        let now = begin + secs(day * DAY);
        let checked = everywhere.iter().filter(|guesser| throttle.begin(guesser, now).is_ok()).count();
        assert_eq!(checked, expected, "day {day}");
    }
}

#[test]
fn an_address_gets_at_most_1540_guesses_a_day_at_all_accounts() {
    let spraying: Vec<_> = (0..5000).map(|n| stranger(&format!("user{n}"), "192.0.2.1")).collect();
    let checked = checked(&mut Throttle::default(), Instant::now(), 2, &spraying);
    assert_eq!(most_in_a_day(&checked), 1540);
}

#[test]
fn an_address_or_device_gets_at_most_62_guesses_a_day_at_one_account() {
    for guesser in [stranger("alice", "192.0.2.1"), device("alice", 1)] {
        let checked = checked(&mut Throttle::default(), Instant::now(), 3, std::slice::from_ref(&guesser));
        assert_eq!(most_in_a_day(&checked), 62, "{guesser:?}");
        assert!(checked.len() <= 62 + 2 * 48, "{}", checked.len());
    }
}

#[test]
fn waits_double() {
    let (mut throttle, mut now, guesser) =
        (Throttle::default(), Instant::now(), stranger("alice", "192.0.2.1"));
    for _ in 0..4 {
        throttle.begin(&guesser, now).unwrap();
        assert_eq!(throttle.wait(&guesser, now), None);
    }
    for expected in [1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024, 1800, 1800] {
        throttle.begin(&guesser, now).unwrap();
        assert_eq!(throttle.wait(&guesser, now), Some(secs(expected)));
        assert_eq!(throttle.begin(&guesser, now), Err(secs(expected)), "a rejected guess is not counted");
        now += secs(expected);
        assert_eq!(throttle.wait(&guesser, now), None);
    }
    throttle.begin(&guesser, now + secs(11 * 1800)).unwrap();
    assert_eq!(
        throttle.wait(&guesser, now + secs(11 * 1800)),
        Some(secs(1)),
        "one failure is forgotten each half hour"
    );
}

/// One address cannot use up all guesses of an account.
#[test]
fn one_address_does_not_lock_out_others() {
    let (mut throttle, begin) = (Throttle::default(), Instant::now());
    let (noisy, other) = (stranger("alice", "192.0.2.1"), stranger("alice", "198.51.100.1"));
    for second in 0..DAY {
        let now = begin + secs(second);
        let _ = throttle.begin(&noisy, now);
        assert_eq!(throttle.wait(&other, now), None, "at {second}");
    }
}

#[test]
fn a_known_device_does_not_wait_for_others() {
    let (mut throttle, now, alice) = (Throttle::default(), Instant::now(), device("alice", 1));
    for n in 0..10_000 {
        let _ = throttle.begin(&at("alice", n), now);
        let _ = throttle.begin(&stranger(&format!("user{n}"), "192.0.2.1"), now);
        let _ = throttle.begin(&device("alice", 2), now);
        let _ = throttle.begin(&device("bob", 1), now);
    }
    for guesser in
        [at("alice", 1 << 30), stranger("anybody", "192.0.2.1"), device("alice", 2), device("bob", 1)]
    {
        assert!(throttle.wait(&guesser, now).is_some(), "{guesser:?}");
    }
    assert_eq!(throttle.wait(&alice, now), None);
    // It waits for its own failures, and other clients do not.
    for _ in 0..5 {
        throttle.begin(&alice, now).unwrap();
    }
    assert_eq!(throttle.wait(&alice, now), Some(secs(1)));
    assert_eq!(Throttle::default().wait(&stranger("alice", "192.0.2.1"), now), None);
}

#[test]
fn a_success_clears_its_own_counter_only() {
    let now = Instant::now();
    let later = now + secs(3600);
    let (here, there) = (stranger("alice", "192.0.2.1"), stranger("alice", "192.0.2.2"));
    let (bob, known) = (stranger("bob", "192.0.2.1"), device("alice", 1));
    let mut throttle = Throttle::default();
    for guesser in [&here, &there, &bob, &known] {
        for _ in 0..5 {
            throttle.begin(guesser, now).unwrap();
        }
    }
    for guesser in [&known, &here] {
        assert_eq!(throttle.wait(guesser, now), Some(secs(1)));
        throttle.begin(guesser, now + secs(1)).unwrap();
        throttle.succeeded(guesser, now + secs(1));
        assert_eq!(throttle.wait(guesser, now + secs(1)), None);
    }
    for guesser in [&there, &bob] {
        assert_eq!(throttle.wait(guesser, now), Some(secs(1)), "{guesser:?}");
    }
    // A success neither uses the budget of an account nor restores what others have used.
    let mut throttle = Throttle::default();
    for n in 0..100 {
        throttle.begin(&here, now).unwrap();
        throttle.succeeded(&here, now);
        assert_eq!(throttle.begin(&at("alice", n), now).is_ok(), n < 20, "{n}");
        if n == 19 {
            assert!(throttle.wait(&here, now).is_some());
            break;
        }
    }
    assert_eq!(throttle.wait(&here, later), None);
}

/// Otherwise the waits would reveal which accounts exist.
#[test]
fn names_without_an_account_are_counted_the_same() {
    let (mut throttle, begin) = (Throttle::default(), Instant::now());
    for second in 0..2 * 3600 {
        let now = begin + secs(second);
        for n in 0..3 {
            let address = u32::try_from(second % 300).unwrap() + n;
            let [alice, nobody] =
                ["alice", "no such name"].map(|name| throttle.begin(&at(name, address), now));
            assert_eq!(alice, nobody, "at {second}");
        }
    }
}

#[test]
fn a_flood_of_names_does_not_evict_relevant_counters() {
    let (mut throttle, begin) = (Throttle::default(), Instant::now());
    let (account, pair) = (at("alice", 1 << 30), stranger("bob", "192.0.2.1"));
    for n in 0..20 {
        throttle.begin(&at("alice", n), begin).unwrap();
    }
    for second in [0, 0, 0, 0, 0, 1, 3, 7, 15, 31, 63, 127, 255, 511] {
        throttle.begin(&pair, begin + secs(second)).unwrap();
    }
    // A guess every 2.5 ms, much faster than hashing, each from a new address at a new name.
    for n in 0..400_000_u32 {
        let now = begin + secs(511) + Duration::from_millis(u64::from(n)) / 400;
        throttle.begin(&at(&format!("user{n}"), n.wrapping_mul(2_654_435_761)), now).unwrap();
        if n % 50_000 == 0 {
            assert!(throttle.wait(&account, now).is_some(), "{n}");
            assert!(now > begin + secs(511 + 512) || throttle.wait(&pair, now).is_some(), "{n}");
        }
    }
    assert!(throttle.accounts.by_hash.len() <= CAPACITY && throttle.pairs.by_hash.len() <= CAPACITY);
    let now = begin + secs(511 + 1000);
    assert!(throttle.wait(&account, now).is_none(), "its wait is over");
    // The counter of the account is still correct.
    for n in 0..2 {
        assert_eq!(throttle.begin(&at("alice", (1 << 30) + n), now).is_ok(), n == 0);
    }
}

/// The monotonic clock may jump ahead, for example after a suspended machine. If it went back, nothing would be forgotten.
#[test]
fn a_clock_jump_forgets_no_more_than_its_duration() {
    let (mut throttle, now) = (Throttle::default(), Instant::now() + secs(10 * DAY));
    let (guesser, carol) = (stranger("alice", "192.0.2.1"), at("carol", 99));
    for n in 0..30 {
        let _ = throttle.begin(&guesser, now);
        let _ = throttle.begin(&at("carol", n), now);
    }
    for earlier in [1, 3600, 9 * DAY] {
        let earlier = now.checked_sub(secs(earlier)).unwrap();
        assert!(throttle.wait(&guesser, earlier).is_some() && throttle.begin(&carol, earlier).is_err());
    }
    for (later, waits, carol_waits) in
        [(0, true, true), (1, false, true), (1079, false, true), (1080, false, false)]
    {
        assert_eq!(throttle.wait(&guesser, now + secs(later)).is_some(), waits, "after {later} s");
        assert_eq!(throttle.wait(&carol, now + secs(later)).is_some(), carol_waits, "after {later} s");
    }
    let after = now + secs(365 * DAY);
    for n in 0..30 {
        assert_eq!(throttle.begin(&at("carol", n), after).is_ok(), n < 20, "a year allows no larger burst");
    }
}

#[test]
fn addresses_of_an_ipv6_network_count_as_one() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    for (guesser, same, other) in [
        ("2001:db8::1", "2001:db8::ffff:1", "2001:db8:0:1::1"),
        ("::ffff:192.0.2.1", "192.0.2.1", "192.0.2.2"),
    ] {
        for _ in 0..5 {
            throttle.begin(&stranger("alice", guesser), now).unwrap();
        }
        assert!(throttle.wait(&stranger("alice", same), now).is_some());
        assert!(throttle.wait(&stranger("alice", other), now).is_none());
    }
}

#[test]
fn without_addresses_only_the_account_limit_applies() {
    let (mut throttle, now, guesser) =
        (Throttle::default(), Instant::now(), Guesser::new("alice", None, None));
    for n in 0..40 {
        assert_eq!(throttle.begin(&guesser, now).is_ok(), n < 20);
    }
    assert_eq!(throttle.wait(&guesser, now), Some(secs(1080)));
}

/// Otherwise nobody would be throttled who comes through a Unix socket.
#[test]
fn clients_of_a_unix_socket_share_an_address() {
    let (mut throttle, now) = (Throttle::default(), Instant::now());
    let who = Guesser::new("alice", Some(ClientAddr::Unix), None);
    let free = std::iter::repeat_with(|| throttle.begin(&who, now)).take_while(Result::is_ok).count();
    assert_eq!(free, FREE as usize);
    assert!(throttle.begin(&stranger("alice", "192.0.2.1"), now).is_ok());
}
