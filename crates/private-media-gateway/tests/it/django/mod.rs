//! The gateway authenticates users by their Django session, and notices when it ends.

mod embedded;
mod page;
mod refusals;
pub(crate) mod servers;
pub(crate) mod shop;

use servers::Server;
use shop::{SECRET, Shop, ends_session, get};

use std::path::Path;
use std::time::Duration;

use crate::support::Gateway;

/// The tests of one database.
macro_rules! tests {
    ($database:ident, $shop:expr) => {
        mod $database {
            use super::*;

            #[test]
            fn signed_in_users_are_identified() {
                identifies_users($shop);
            }

            #[test]
            fn signing_out_ends_the_session() {
                ends_session($shop, |shop, cookie| assert_eq!(shop.run(&format!("sign-out {cookie}")), "ok"));
            }

            #[test]
            fn deactivating_the_user_ends_the_session() {
                ends_session($shop, |shop, _| assert_eq!(shop.run("deactivate alice"), "1"));
            }

            #[test]
            fn changing_the_password_ends_the_session() {
                ends_session($shop, |shop, _| assert_eq!(shop.run("password alice"), "ok"));
            }

            #[test]
            fn deleting_the_session_denies_access() {
                ends_session($shop, |shop, cookie| {
                    assert_eq!(shop.run(&format!("delete-session {cookie}")), "1")
                });
            }
        }
    };
}

tests!(sqlite, Shop::open("5.2", Some(Server::Sqlite), "db"));
tests!(django_4_2, Shop::open("4.2", Some(Server::Sqlite), "db"));
tests!(postgres, Shop::open("5.2", Server::postgres(), "db"));
tests!(mariadb, Shop::open("5.2", Server::mariadb(), "db"));
tests!(cached_db, Shop::open("5.2", Some(Server::Sqlite), "cached_db"));

fn identifies_users(shop: Option<Shop>) {
    let Some(mut shop) = shop else { return };
    std::fs::remove_file(shop.place.path("accounts.toml")).unwrap();
    let gateway = shop.serve("5s", &[]);
    let photo = |cookie: &str| get(&gateway, "cars/7/photo.jpg", cookie);
    let expected = [("alice", 200), ("bob", 404), ("carol", 200), ("erin", 404)];
    let mut cookies = vec![];
    for (name, status) in expected {
        let cookie = shop.run(&format!("sign-in {name}"));
        assert_eq!(photo(&cookie).status, status, "{name}");
        let output = shop.place.run(&[&["check", name, "cars/7/photo.jpg"], &*shop.settings()].concat());
        assert_eq!(output.status.success(), status == 200, "check {name}: {output:?}");
        cookies.push(cookie);
    }
    let line = shop.place.refusal(&[&["check", "dave", "x"], &*shop.settings()].concat());
    assert!(line.contains("\"dave\"") && line.contains("no such user"), "{line}");
    assert_eq!(shop.run("deactivate bob"), "1");
    let output = shop.place.run(&[&["check", "bob", "cars/8/x"], &*shop.settings()].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let reason = "denied: anonymous (django: the user is not active) is ";
    assert!(output.status.code() == Some(1) && text.starts_with(reason), "{text}");
    let [alice, _, _, erin] = &cookies[..] else { panic!("{cookies:?}") };
    assert_eq!(get(&gateway, "sales/prices.txt", erin).status, 200, "erin is in the group");
    assert_eq!(get(&gateway, "sales/prices.txt", alice).status, 404);
    let response = photo(alice);
    assert_eq!((&*response.body, response.header("vary")), (&b"alice's photo"[..], Some("cookie")));
    for forged in ["", "x", &alice.to_uppercase(), &alice[1..], &format!("{alice}; sessionid={alice}")] {
        assert_eq!(photo(forged).status, 404, "{forged}");
    }
    let anonymous = gateway.fetch("GET /private/cars/7/photo.jpg", &[]);
    assert_eq!(anonymous.normalized(), photo("0123456789abcdef0123456789abcdef").normalized());
    for page in ["-/sign-in", "-/sign-out"] {
        assert_eq!(get(&gateway, page, alice).status, 404, "{page} does not exist with Django");
    }
    assert_eq!(get(&gateway, "-/health", "").status, 200);
    let lines = gateway.access_log();
    let log = gateway.log();
    assert!(lines.iter().any(|line| line["user"] == "7" && line["status"] == 200), "{log}");
    for secret in [alice, SECRET, "cil@", "pen@cil"] {
        assert!(!log.contains(secret), "{log}");
    }
}

#[test]
fn the_doctor_checks_the_secret_keys() {
    let Some(shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let gateway = shop.serve("5s", &[]);
    let (listen, url) = (gateway.address.to_string(), format!("http://{}", gateway.address));
    let doctor = || {
        let own = ["doctor", "--listen", &listen, "--url", &url];
        let output = shop.place.run(&[&own, &*shop.settings()].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let found = doctor();
    assert!(
        found.contains("secret.key is private to its owner") && !found.contains("accounts.toml"),
        "{found}"
    );
    assert!(found.contains("ok       headers-404: "), "{found}");
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o644);
    std::fs::set_permissions(shop.place.path("secret.key"), mode).unwrap();
    assert!(doctor().contains("chmod 600 secret.key"));
}

#[test]
fn signed_cookies_identify_users() {
    let open = || Shop::open("5.2", Some(Server::Sqlite), "signed_cookies");
    let Some(mut shop) = open() else { return };
    let engine = ["--session-engine", "signed_cookies"];
    let gateway = shop.serve("0s", &engine);
    let cookie = shop.run("sign-in alice");
    let status = |gateway: &Gateway, cookie: &str| get(gateway, "cars/7/photo.jpg", cookie).status;
    assert_eq!((cookie.matches(':').count(), status(&gateway, &cookie)), (2, 200));
    assert_eq!(status(&gateway, &cookie.to_lowercase()), 404);
    assert_eq!(status(&shop.serve("0s", &[]), &cookie), 404, "with the engine db");
    assert_eq!(
        status(&shop.serve("0s", &[&engine[..], &["--session-lifetime", "1ms"]].concat()), &cookie),
        404,
        "expired"
    );
    assert_eq!(shop.run("password alice"), "ok");
    assert_eq!(status(&gateway, &cookie), 404);
}

#[test]
fn fallback_keys_accept_old_sessions() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let before = shop.run("sign-in alice");
    shop.run("renew another-secret-of-the-shop-0123456789-abcdefghijklmnop");
    let after = shop.run("sign-in alice");
    for (keys, old, new) in [
        (SECRET.to_owned(), 200, 404),
        (format!("another-secret-of-the-shop-0123456789-abcdefghijklmnop\n{SECRET}\n"), 200, 200),
        ("another-secret-of-the-shop-0123456789-abcdefghijklmnop\n".to_owned(), 404, 200),
    ] {
        shop.write_secret(&keys);
        let gateway = shop.serve("0s", &[]);
        let statuses = [&before, &after].map(|cookie| get(&gateway, "cars/7/photo.jpg", cookie).status);
        assert_eq!(statuses, [old, new], "{keys}");
    }
}

#[test]
fn an_unavailable_database_denies_access_until_it_is_back() {
    for server in [Server::postgres(), Server::mariadb()] {
        let Some(mut shop) = Shop::open("5.2", server, "db") else { return };
        let gateway = shop.serve("0s", &[]);
        let cookie = shop.run("sign-in carol");
        let status = || get(&gateway, "cars/7/photo.jpg", &cookie).status;
        assert_eq!(status(), 200);
        shop.server.stop();
        assert_eq!(status(), 404);
        assert!(gateway.logs("could not identify the client"), "{}", gateway.log());
        let log = gateway.log();
        assert!(!log.contains("cil@") && !log.contains(&cookie), "{log}");
        shop.server.start_again();
        let begin = std::time::Instant::now();
        while status() == 404 {
            assert!(begin.elapsed().as_secs() < 30, "{}", gateway.log());
        }
    }
}

/// Replaces a database with a copy.
type Replace = fn(&Path, &Path);

const REPLACE: [(&str, Replace); 3] = [
    ("a rename", |copy, database| {
        let beside = database.with_extension("new");
        std::fs::copy(copy, &beside).unwrap();
        std::fs::rename(beside, database).unwrap();
    }),
    ("a copy over it", |copy, database| {
        std::fs::copy(copy, database).unwrap();
    }),
    ("a deletion and a restore", |copy, database| {
        std::fs::remove_file(database).unwrap();
        std::fs::copy(copy, database).unwrap();
    }),
];

/// Sessions of the new file are accepted. Sessions that exist only in the old file are not.
#[test]
fn a_replaced_sqlite_file_is_read() {
    const CACHE: Duration = Duration::from_secs(1);
    for mode in ["DELETE", "WAL"] {
        let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
        let database = shop.place.path("db.sqlite3");
        let copies = [shop.place.path("one.sqlite3"), shop.place.path("two.sqlite3")];
        // Each copy has one session, and both have the same number of changes.
        let before = shop.place.path("before.sqlite3");
        assert_eq!(shop.run(&format!("checkpoint {mode}")), "ok");
        std::fs::copy(&database, &before).unwrap();
        let cookies = copies.each_ref().map(|copy| {
            std::fs::copy(&before, &database).unwrap();
            let cookie = shop.run("sign-in alice");
            assert_eq!(shop.run(&format!("checkpoint {mode}")), "ok");
            std::fs::copy(&database, copy).unwrap();
            cookie
        });
        let (uncached, cached) = (shop.serve("0s", &[]), shop.serve("1s", &[]));
        let statuses = |gateway: &Gateway| {
            cookies.each_ref().map(|cookie| get(gateway, "cars/7/photo.jpg", cookie).status)
        };
        for (what, replace) in REPLACE {
            for (copy, expected) in copies.iter().zip([[200, 404], [404, 200]]) {
                statuses(&cached);
                replace(copy, &database);
                assert_eq!(statuses(&uncached), expected, "{mode}, {what}: {}", uncached.log());
                std::thread::sleep(CACHE);
                assert_eq!(statuses(&cached), expected, "{mode}, {what}: {}", cached.log());
            }
        }
        let log = uncached.log();
        assert!(log.contains("the database was replaced; reading the new file"), "{log}");
    }
}

#[test]
fn a_missing_sqlite_file_denies_access() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let (database, away) = (shop.place.path("db.sqlite3"), shop.place.path("away.sqlite3"));
    let gateway = shop.serve("0s", &[]);
    let cookie = shop.run("sign-in carol");
    let status = || get(&gateway, "cars/7/photo.jpg", &cookie).status;
    for round in 1..=2 {
        assert_eq!(status(), 200);
        std::fs::rename(&database, &away).unwrap();
        for _ in 0..5 {
            assert_eq!(status(), 404);
        }
        assert!(!database.exists(), "the file was created");
        let count = |text: &str| gateway.log().lines().filter(|line| line.contains(text)).count();
        assert_eq!(count("cannot read the database;"), round, "{}", gateway.log());
        std::fs::rename(&away, &database).unwrap();
        assert_eq!(status(), 200);
        assert_eq!(count("the database can be read"), round, "{}", gateway.log());
    }
}

/// Queries that run during the replacement use one file or the other.
#[test]
fn replacing_a_sqlite_file_under_load_causes_no_error() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let (database, copy) = (shop.place.path("db.sqlite3"), shop.place.path("copy.sqlite3"));
    let cookie = shop.run("sign-in alice");
    std::fs::copy(&database, &copy).unwrap();
    let gateway = shop.serve("0s", &[]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert_eq!(get(&gateway, "cars/7/photo.jpg", &cookie).status, 200, "{}", gateway.log());
                }
            });
        }
        for _ in 0..20 {
            REPLACE[0].1(&copy, &database);
            std::thread::sleep(Duration::from_millis(10));
        }
    });
}
