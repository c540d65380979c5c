//! The redirect socket and the admin socket while the program is replaced.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::Duration;

use rustix::process::{Signal, kill_process};

use crate::clients::{Clients, Exchange, Target};
use crate::http2::start_clients;
use crate::support::{Place, free_address};
use crate::tls::{Pair, TLS, content};
use crate::upgrade::{FAILED, Upgradable, is_running, wait};

/// Requests the health at an admin socket on a connection that stays open.
fn check_health(admin: &mut UnixStream) {
    admin.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    admin.write_all(b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let mut received = Vec::new();
    while !received.ends_with(b"\r\n\r\nok\n") {
        let mut bytes = [0; 100];
        let count = admin.read(&mut bytes).unwrap();
        assert!(count > 0, "{}", String::from_utf8_lossy(&received));
        received.extend_from_slice(&bytes[..count]);
    }
    assert!(received.starts_with(b"HTTP/1.1 200 "), "{}", String::from_utf8_lossy(&received));
}

#[test]
fn three_upgrades_under_load_break_no_request_at_any_socket() {
    let place = Place::new();
    let large = content(1 << 20);
    place.write("private/cars/7/large.bin", &large);
    let pair = Pair::new();
    pair.write(&place.path(""));
    let (http, admin) = (free_address(), place.path("admin.sock"));
    let arguments = ["--redirect-http", &http.to_string(), "--admin-listen", "unix:admin.sock"];
    let running = Upgradable::start(&place, &[&TLS[..], &arguments].concat());
    let address = running.gateway.address;
    let expect = |path: &str, status, content: &[u8]| Exchange {
        host: "localhost",
        path: path.into(),
        status,
        content: content.into(),
    };
    let photo = "/private/cars/7/photo.jpg";
    let files = [(photo, &b"alice's photo"[..]), ("/private/cars/7/large.bin", &large)];
    let clients = [
        Clients::start_with(&Target::Tcp(http), &expect(photo, 308, b"use https\n")),
        Clients::start_with(&Target::Unix(admin.clone()), &expect("/health", 200, b"ok\n")),
        start_clients(address, &pair, files),
    ];
    for _ in 0..3 {
        for clients in &clients {
            clients.wait_for(20);
        }
        running.upgrade();
    }
    for clients in &clients {
        clients.wait_for(20);
    }
    let served = clients.map(Clients::stop);
    assert!(served.iter().all(|count| *count >= 80), "{served:?}");
    let processes = running.processes();
    let (current, old) = processes.split_last().unwrap();
    assert_eq!(old.len(), 3);
    for process in old {
        wait("the old processes end", Duration::from_secs(25), || !is_running(*process));
    }
    check_health(&mut UnixStream::connect(&admin).unwrap());
    kill_process(*current, Signal::TERM).unwrap();
    wait("the last process ends", Duration::from_secs(10), || !is_running(*current));
    assert!(!admin.exists(), "the last process removes its socket");
    let log = running.gateway.log();
    assert!(!log.contains("panic") && !log.contains("\"ERROR\""), "{log}");
}

/// A monitoring program keeps its connection open while nobody else does, so the old process ends first.
#[test]
fn an_old_process_leaves_the_admin_socket_to_the_new_one() {
    let place = Place::new();
    let admin = place.path("admin.sock");
    let running = Upgradable::start(&place, &["--admin-listen", "unix:admin.sock"]);
    for _ in 0..3 {
        let mut kept = UnixStream::connect(&admin).unwrap();
        check_health(&mut kept);
        let old = running.current();
        running.upgrade();
        wait("the old process ends", Duration::from_secs(10), || !is_running(old));
        assert_eq!(kept.read(&mut [0; 10]).unwrap(), 0, "closed, and not reset");
        check_health(&mut UnixStream::connect(&admin).unwrap());
    }
}

/// A new program that inherits the admin socket and fails then does not answer there, and does not remove it.
#[test]
fn a_failed_upgrade_keeps_the_admin_socket() {
    let place = Place::new();
    let pair = Pair::new();
    pair.write(&place.path(""));
    place.write("private-media.toml", "");
    let admin = place.path("admin.sock");
    let running = Upgradable::start(&place, &[&TLS[..], &["--admin-listen", "unix:admin.sock"]].concat());
    let health = Exchange { host: "x", path: "/health".into(), status: 200, content: b"ok\n".to_vec() };
    let clients = Clients::start_with(&Target::Unix(admin.clone()), &health);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let redirect = format!("listen.redirect_http = \"{}\"\n", taken.local_addr().unwrap());
    for settings in ["root = \"none\"\n", &redirect] {
        place.write("private-media.toml", settings);
        running.request(FAILED, Duration::from_secs(30));
        clients.wait_for(20);
        check_health(&mut UnixStream::connect(&admin).unwrap());
    }
    place.write("private-media.toml", "");
    running.upgrade();
    clients.wait_for(20);
    clients.stop();
    check_health(&mut UnixStream::connect(&admin).unwrap());
}
