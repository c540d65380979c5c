//! Renewals of the certificate while the gateway runs.

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::certificates::Pair;
use super::client::{Offer, certificate, config, connect, fetch, leaf, try_connect};
use super::{serve, write_key};
use crate::support::Place;

/// Long enough on a busy machine.
const LONG: Duration = Duration::from_secs(60);

/// Waits until new connections get a certificate.
fn wait_for(gateway: &crate::support::Gateway, old: &Pair, new: &Pair) {
    let (offer, begin) = (Offer::default(), Instant::now());
    let config = config(&[old, new], &offer);
    while certificate(&try_connect(gateway.address, &config, offer.name).unwrap()) != leaf(new) {
        assert!(begin.elapsed() < LONG, "{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// The files are replaced as ACME clients do it: half-written, one after the other, or by links.
#[test]
fn no_handshake_fails_while_certificates_are_replaced() {
    let place = Place::new();
    let (gateway, first) = serve(&place, &[]);
    let pairs: Vec<_> = std::iter::once(first).chain((0..4).map(|_| Pair::new())).collect();
    let offer = Offer::default();
    let trusted: Vec<_> = pairs.iter().collect();
    let (handshakes, is_done) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // Without resumption, each handshake uses the certificate.
                while !is_done.load(Ordering::Relaxed) {
                    let client = try_connect(gateway.address, &config(&trusted, &offer), offer.name);
                    let seen = certificate(&client.unwrap());
                    assert!(pairs.iter().any(|pair| leaf(pair) == seen));
                    handshakes.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let pause = || std::thread::sleep(Duration::from_millis(300));
        for (number, window) in pairs.windows(2).enumerate() {
            let (old, new) = (&window[0], &window[1]);
            if number % 2 == 0 {
                let chain = new.chain();
                place.write("chain.pem", &chain[..chain.len() / 3]);
                pause();
                place.write("chain.pem", &chain);
                pause();
                write_key(&place.path("key.pem"), &new.key[..20]);
                pause();
                write_key(&place.path("key.pem"), &new.key);
            } else {
                place.write("new/chain.pem", new.chain());
                write_key(&place.path("new/key.pem"), &new.key);
                for name in ["chain.pem", "key.pem"] {
                    std::fs::rename(place.path("new").join(name), place.path(name)).unwrap();
                    pause();
                }
            }
            wait_for(&gateway, old, new);
        }
        is_done.store(true, Ordering::Relaxed);
    });
    assert!(handshakes.load(Ordering::Relaxed) > 100);
    let log = gateway.log();
    assert_eq!(log.matches("the certificate was replaced").count(), 4, "{log}");
    assert!(!log.contains("cannot be used"), "a file that was being written is no mistake: {log}");
}

#[test]
fn an_open_connection_survives_a_renewal() {
    use std::io::{Read, Write};

    let place = Place::new();
    let (gateway, old) = serve(&place, &[]);
    let mut client = connect(&gateway, &old);
    let new = Pair::new();
    new.write(&place.path(""));
    wait_for(&gateway, &old, &new);
    client
        .write_all(b"GET /private/-/health HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")
        .unwrap();
    let mut received = String::new();
    client.read_to_string(&mut received).unwrap();
    assert!(received.ends_with("\r\n\r\nok\n"), "{received}");
}

/// A new pair that cannot be used is logged once, and the old one stays.
#[test]
fn a_bad_renewal_keeps_the_certificate() {
    let place = Place::new();
    let (gateway, old) = serve(&place, &[]);
    let other = Pair::new();
    place.write("chain.pem", other.chain());
    assert!(gateway.logs("the key does not match the certificate"), "{}", gateway.log());
    std::thread::sleep(Duration::from_secs(3));
    assert_eq!(gateway.log().matches("cannot be used").count(), 1, "{}", gateway.log());
    assert_eq!(certificate(&connect(&gateway, &old)), leaf(&old));
    // The old one is valid, so nothing is wrong for clients.
    assert_eq!(fetch(&gateway, &old, "GET /private/-/health", &[], b"").body, b"ok\n");
    write_key(&place.path("key.pem"), &other.key);
    wait_for(&gateway, &old, &other);
}

/// Clients that do not check the certificate are served, and health reports it until the renewal.
#[test]
fn an_expired_certificate_is_reported_until_it_is_renewed() {
    let place = Place::new();
    let expired = Pair::expired();
    expired.write(&place.path(""));
    let gateway = place.serve(&super::TLS);
    assert!(gateway.logs("the certificate expired at 2021-01-01T00:00:00Z; renew it"), "{}", gateway.log());
    let health = || {
        let mut command = std::process::Command::new("curl");
        let url = format!("https://{}/private/-/health", gateway.address);
        String::from_utf8(command.args(["--silent", "--insecure", &url]).output().unwrap().stdout).unwrap()
    };
    let has_curl =
        crate::support::needs("curl", std::process::Command::new("curl").arg("-V").output().is_ok());
    if has_curl {
        assert_eq!(health(), "ok, with warnings\n");
    }
    let new = Pair::new();
    new.write(&place.path(""));
    let (offer, begin) = (Offer::default(), Instant::now());
    while try_connect(gateway.address, &config(&[&new], &offer), offer.name).is_err() {
        assert!(begin.elapsed() < LONG, "{}", gateway.log());
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(gateway.logs("recovered"), "{}", gateway.log());
    assert_eq!(fetch(&gateway, &new, "GET /private/-/health", &[], b"").body, b"ok\n");
}
