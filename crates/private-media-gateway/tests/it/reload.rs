//! SIGHUP reloads the configuration, and a broken one changes nothing.

use std::fmt::Write as _;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::clients::{Clients, Target};
use crate::support::{Gateway, Place, Response, credentials};

const GRANTS: &str = "[[grant]]\npath = \"cars/{owner}/{*file}\"\nto = [\"owner\", \"staff\"]\n";
const RELOADED: &str = "the configuration was reloaded";
const NOT_RELOADED: &str = "the configuration was not reloaded";

fn configure(place: &Place, settings: &str) {
    place.write("private-media.toml", settings);
}

/// Starts a gateway whose only flag is the address.
fn serve(place: &Place) -> Gateway {
    Gateway::start(&place.path(""), &["serve", "--listen", "127.0.0.1:0"])
}

fn count(gateway: &Gateway, text: &str) -> usize {
    gateway.log().matches(text).count()
}

/// Sends SIGHUP, and waits until the reload has ended with this line.
fn reload(gateway: &Gateway, end: &str) {
    let before = count(gateway, end);
    gateway.signal(Signal::HUP);
    wait(gateway, || count(gateway, end) > before);
}

fn wait(gateway: &Gateway, condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(30), "timeout: {}", gateway.log());
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Sends a request on a connection that stays open.
fn fetch_on(stream: &mut TcpStream, path: &str, user: &str) -> Response {
    let fields: String =
        credentials(user).iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\n{fields}\r\n").unwrap();
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let mut response = Response::parse(&bytes);
    response.body = vec![0; response.header("content-length").unwrap().parse().unwrap()];
    stream.read_exact(&mut response.body).unwrap();
    response
}

#[test]
fn each_setting_takes_effect_at_the_next_request() {
    let place = Place::with_files(&["shared/a.txt"]);
    place.write("other/cars/7/photo.jpg", "the photo of the other root");
    configure(&place, GRANTS);
    let gateway = serve(&place);
    let mut kept = gateway.connect();
    let mut get = |path: &str, user: &str| {
        let [kept, new] = [fetch_on(&mut kept, path, user), gateway.get(path, user)];
        assert_eq!((kept.status, &kept.body), (new.status, &new.body), "{path} {user}");
        (new.status, String::from_utf8(new.body).unwrap())
    };
    assert_eq!(get("/private/cars/7/photo.jpg", "alice").1, "alice's photo");
    assert_eq!(get("/private/shared/a.txt", "bob").0, 404);

    let shared = "[[grant]]\npath = \"shared/{*file}\"\nto = [\"authenticated\"]\n";
    configure(&place, shared);
    reload(&gateway, RELOADED);
    assert_eq!(get("/private/shared/a.txt", "bob"), (200, "shared/a.txt".into()));
    assert_eq!(get("/private/cars/7/photo.jpg", "alice").0, 404, "the grant is gone");

    configure(&place, &format!("root = \"other\"\nurl = \"/media/\"\nsite.name = \"The garage\"\n{GRANTS}"));
    reload(&gateway, RELOADED);
    assert_eq!(get("/media/cars/7/photo.jpg", "alice").1, "the photo of the other root");
    assert_eq!(get("/private/cars/7/photo.jpg", "alice").0, 404);
    assert!(get("/media/-/sign-in", "nobody").1.contains("The garage"));

    configure(&place, &format!("debug = true\nlog = \"debug\"\n{GRANTS}"));
    reload(&gateway, RELOADED);
    assert_eq!(get("/private/cars/7/photo.jpg", "bob").0, 403);

    configure(&place, &format!("log = \"error\"\n{GRANTS}"));
    gateway.signal(Signal::HUP);
    wait(&gateway, || gateway.get("/private/cars/7/photo.jpg", "bob").status == 404);
    let lines = gateway.log().lines().count();
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    assert_eq!(gateway.log().lines().count(), lines, "the access log is off");
    configure(&place, "nonsense");
    gateway.signal(Signal::HUP);
    assert!(gateway.logs(NOT_RELOADED));
    configure(&place, &format!("log = \"info\"\n{GRANTS}"));
    gateway.signal(Signal::HUP);
    wait(&gateway, || {
        gateway.get("/private/cars/7/photo.jpg", "alice").status == 200
            && count(&gateway, "\"target\":\"access\"") > lines
    });

    // Accounts are loaded with the rest, long before the next look at their file.
    assert!(place.run(&["account", "remove", "alice"]).status.success());
    configure(
        &place,
        &format!(
            "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\ncache_ttl = \"60s\"\n{GRANTS}"
        ),
    );
    reload(&gateway, RELOADED);
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 404);
}

/// Each row is what is broken, and words of the error: file, key, value and fix.
#[test]
fn a_broken_configuration_changes_nothing_and_is_one_line() {
    let place = Place::new();
    let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
    configure(&place, GRANTS);
    let gateway = serve(&place);
    let mut kept = gateway.connect();
    let half = &accounts[..accounts.len() - 40];
    let cases: [(&str, &str, &[&str]); 11] = [
        ("grant = [", &accounts, &["private-media.toml", "TOML"]),
        ("rot = \"private\"", &accounts, &["private-media.toml", "unknown key", "did you mean", "root"]),
        ("debug = \"maybe\"", &accounts, &["private-media.toml", "debug"]),
        (
            "log = \"loud\"",
            &accounts,
            &["private-media.toml", "loud", "log", "error, warn, info, debug or trace"],
        ),
        (
            "root = \"missing\"",
            &accounts,
            &["private-media.toml", "root", "missing", "no such folder", "mkdir -p"],
        ),
        (
            "[[grant]]\npath = \"a/{*file}\"\nto = [\"stff\"]",
            &accounts,
            &["private-media.toml", "stff", "staff"],
        ),
        ("site.logo = \"missing.png\"", &accounts, &["private-media.toml", "site.logo", "missing.png"]),
        (
            "[[identity]]\nsource = \"django\"\ndatabase = \"sqlite:none.db\"\nsecret_file = \"none\"",
            &accounts,
            &["private-media.toml", "none"],
        ),
        ("", "", &["accounts.toml", "empty", "restore it"]),
        ("", half, &["accounts.toml"]),
        (
            "[[identity]]\nsource = \"accounts\"\naccounts = \"none.toml\"",
            &accounts,
            &["none.toml", "no such file", "account add"],
        ),
    ];
    for (at, (settings, accounts, words)) in cases.into_iter().enumerate() {
        configure(&place, settings);
        place.write("accounts.toml", accounts);
        reload(&gateway, NOT_RELOADED);
        let log = gateway.log();
        let errors: Vec<_> = log.lines().filter(|line| line.contains(NOT_RELOADED)).collect();
        assert_eq!(errors.len(), at + 1, "one line for each: {log}");
        for word in words {
            assert!(errors[at].contains(word), "{word}: {}", errors[at]);
        }
        assert!(errors[at].contains("the previous one stays in force"), "{}", errors[at]);
        for response in [
            gateway.get("/private/cars/7/photo.jpg", "alice"),
            fetch_on(&mut kept, "/private/cars/7/photo.jpg", "alice"),
        ] {
            assert_eq!((response.status, &*response.body), (200, &b"alice's photo"[..]), "{settings}");
        }
    }
    place.write("accounts.toml", &accounts);
    configure(&place, "");
    reload(&gateway, RELOADED);
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 404, "only staff");
}

#[test]
fn settings_that_need_a_restart_are_named_and_kept() {
    let place = Place::new();
    configure(&place, &format!("listen = \"127.0.0.1:0\"\n{GRANTS}"));
    let gateway = Gateway::start(&place.path(""), &["serve"]);
    let restart = "listen = \"127.0.0.1:1\"\nworkers = 7\nstate = \"sqlite:other.db\"\n";
    let limits =
        "[limits]\nmax_connections = 5\nheader_timeout = \"3s\"\nmin_rate = 1\nshutdown_timeout = \"1s\"\n";
    configure(&place, &format!("{restart}{limits}[[grant]]\npath = \"{{*file}}\"\nto = [\"everyone\"]\n"));
    reload(&gateway, RELOADED);
    let log = gateway.log();
    let warnings: Vec<_> = log.lines().filter(|line| line.contains("need a restart")).collect();
    assert_eq!(warnings.len(), 1, "{log}");
    let names = "listen, workers, state, limits.max_connections, limits.header_timeout, limits.min_rate, limits.shutdown_timeout";
    assert!(warnings[0].contains(names), "{}", warnings[0]);
    assert!(!place.path("other.db").exists());
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "nobody").status, 200, "the others take effect");
}

/// A download that has begun ends with the permission that it began with.
#[test]
fn a_running_download_keeps_its_configuration() {
    const LEN: usize = 30 << 20;
    let place = Place::new();
    place.write("private/cars/7/big.bin", vec![b'x'; LEN]);
    configure(&place, GRANTS);
    let gateway = serve(&place);
    let mut stream = gateway.connect();
    let (name, value) = credentials("alice")[0];
    write!(stream, "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\n\r\n").unwrap();
    let mut received = vec![0; 1000];
    stream.read_exact(&mut received).unwrap();
    configure(&place, "");
    reload(&gateway, RELOADED);
    assert_eq!(gateway.get("/private/cars/7/big.bin", "alice").status, 404);
    write!(
        stream,
        "GET /private/cars/7/big.bin HTTP/1.1\r\nhost: x\r\n{name}: {value}\r\nconnection: close\r\n\r\n"
    )
    .unwrap();
    stream.read_to_end(&mut received).unwrap();
    let head = received.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    assert_eq!(Response::parse(&received).status, 200);
    let next = Response::parse(&received[head + LEN..]);
    assert_eq!(next.status, 404, "the next request of the connection is decided anew");
}

fn sign_in(gateway: &Gateway, password: &str) -> (u16, Option<String>) {
    let form = format!("name=alice&password={}&next=", password.replace(' ', "+"));
    let headers = [("content-type", "application/x-www-form-urlencoded")];
    let response = gateway.send("POST /private/-/sign-in", &headers, form.as_bytes());
    let cookie = response.header("set-cookie").map(|cookie| cookie.split(';').next().unwrap().to_owned());
    (response.status, cookie)
}

/// With the state in memory and without a secret, so that nothing but the process remembers.
#[test]
fn a_reload_gives_no_attempts_and_revives_no_session() {
    let place = Place::new();
    let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
    let accounts: String =
        accounts.lines().filter(|line| !line.starts_with("secret")).fold(String::new(), |mut text, line| {
            writeln!(text, "{line}").unwrap();
            text
        });
    place.write("accounts.toml", accounts);
    let settings = format!("state = \"memory\"\n{GRANTS}");
    configure(&place, &settings);
    let gateway = serve(&place);
    let status = |cookie: &str| gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", cookie)]).status;
    let [ended, open] = [0; 2].map(|_| sign_in(&gateway, crate::support::PASSWORD).1.unwrap());
    assert_eq!((status(&ended), status(&open)), (200, 200));
    let signed_out = gateway.send("POST /private/-/sign-out", &[("cookie", &ended)], b"next=");
    assert_eq!(signed_out.status, 303);
    for _ in 0..5 {
        assert_eq!(sign_in(&gateway, "wrong").0, 403);
        reload(&gateway, RELOADED);
    }
    assert_eq!(sign_in(&gateway, "wrong").0, 429);
    let without = "[[identity]]\nsource = \"header\"\nheader = \"X-User\"\nfrom = [\"127.0.0.1\"]\n";
    for settings in [
        settings.clone(),
        // Other options, then no accounts at all, and the accounts again.
        format!("site.name = \"Garage\"\n{settings}"),
        format!("state = \"memory\"\n{without}{GRANTS}"),
        settings.clone(),
    ] {
        configure(&place, &settings);
        reload(&gateway, RELOADED);
        assert_eq!(status(&ended), 404, "{settings}");
        if !settings.contains("header") {
            assert_eq!(sign_in(&gateway, "wrong").0, 429, "{settings}");
            assert_eq!(status(&open), 200, "the others stay signed in: {settings}");
        }
    }
}

/// Accounts that a reload adds use the store, too, and with it the sign-outs of earlier processes.
#[test]
fn accounts_that_a_reload_adds_have_a_store() {
    let place = Place::new();
    configure(&place, GRANTS);
    let gateway = serve(&place);
    let [ended, later] = [0; 2].map(|_| sign_in(&gateway, crate::support::PASSWORD).1.unwrap());
    assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &ended)], b"next=").status, 303);
    drop(gateway);
    for state in ["", "state = \"sqlite:state.db\"\n"] {
        configure(
            &place,
            &format!(
                "{state}[[identity]]\nsource = \"header\"\nheader = \"X-User\"\nfrom = [\"127.0.0.1\"]\n{GRANTS}"
            ),
        );
        let gateway = serve(&place);
        configure(&place, &format!("{state}{GRANTS}"));
        reload(&gateway, RELOADED);
        let status =
            |cookie: &str| gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", cookie)]).status;
        assert_eq!(status(&ended), 404, "{state}");
        if state.is_empty() {
            assert_eq!(status(&later), 200);
            assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &later)], b"next=").status, 303);
        }
        assert_eq!(status(&later), 404, "{state}");
    }
}

/// Returns the number of threads and of open files of a gateway, and its memory in KiB.
fn resources(gateway: &Gateway) -> (usize, usize, usize) {
    let process = format!("/proc/{}", gateway.child.id());
    let entries = |folder: &str| std::fs::read_dir(format!("{process}/{folder}")).unwrap().count();
    let status = std::fs::read_to_string(format!("{process}/status")).unwrap();
    let memory = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).unwrap();
    (entries("task"), entries("fd"), memory.trim().trim_end_matches(" kB").parse().unwrap())
}

#[test]
fn fifty_reloads_under_load_break_no_request_and_leak_nothing() {
    let place = Place::new();
    let content = vec![b'x'; 100_000];
    place.write("private/cars/7/large.bin", &content);
    let settings = |number: usize| {
        let header = "[[identity]]\nsource = \"header\"\nheader = \"X-User\"\nfrom = [\"192.0.2.1\"]\n";
        let accounts = "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\n";
        format!(
            "site.name = \"Garage {number}\"\nstorage.revalidate_after = \"{}s\"\n{GRANTS}{header}{accounts}",
            number % 3
        )
    };
    configure(&place, &settings(0));
    let gateway = serve(&place);
    let target = Target::Tcp(gateway.address);
    let clients = [
        Clients::start(&target, "/private/cars/7/photo.jpg", b"alice's photo"),
        Clients::start(&target, "/private/cars/7/large.bin", &content),
    ];
    let mut at_first = (0, 0, 0);
    for number in 1..=50 {
        configure(&place, &settings(number));
        gateway.signal(Signal::HUP);
        wait(&gateway, || {
            String::from_utf8(gateway.get("/private/-/sign-in", "nobody").body)
                .unwrap()
                .contains(&format!("Garage {number}<"))
        });
        if number % 10 == 0 {
            configure(&place, "root = 7");
            gateway.signal(Signal::HUP);
        }
        for clients in &clients {
            clients.wait_for(20);
        }
        if number == 10 {
            at_first = resources(&gateway);
        }
    }
    let served: usize = clients.into_iter().map(Clients::stop).sum();
    assert!(served > 2000, "{served}");
    assert_eq!(count(&gateway, NOT_RELOADED), 5, "{}", gateway.log());
    // Connections are closed, and blocking threads end after ten seconds without work.
    wait(&gateway, || {
        let now = resources(&gateway);
        now.0 <= at_first.0 && now.1 <= at_first.1 && now.2 < at_first.2 + (40 << 10)
    });
    // The tasks of old sites have ended: only the current one checks its root and its accounts.
    let log = gateway.log();
    assert!(!log.contains("panic") && !log.contains("a background task ended"), "{log}");
    std::fs::remove_file(place.path("accounts.toml")).unwrap();
    assert!(gateway.logs("the accounts stay as they were"));
    std::thread::sleep(Duration::from_secs(6));
    assert_eq!(count(&gateway, "the accounts stay as they were"), 1, "one task watches the accounts");
}
