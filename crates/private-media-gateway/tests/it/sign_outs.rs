//! A sign-out takes effect within `identity.cache_ttl`, in every identity source.

use std::time::Duration;

use crate::django::servers::Server;
use crate::django::shop::Shop;
use crate::forward::app::App;
use crate::jwt::issuer::{Signer, claims_with, jwk_set, now};
use crate::support::{Gateway, PASSWORD, Place};

const CACHE_TTL: Duration = Duration::from_secs(2);

/// Two gateways with one source: without a cache, and with one of [`CACHE_TTL`].
struct Gateways {
    asking: Gateway,
    caching: Gateway,
}

impl Gateways {
    /// Reads alice's photo with a cookie from both, signs her out, and reads it again.
    fn notice(&self, cookie: &str, sign_out: impl FnOnce(&Gateway)) {
        let statuses = || {
            [&self.asking, &self.caching]
                .map(|gateway| gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", cookie)]).status)
        };
        assert_eq!(statuses(), [200, 200]);
        sign_out(&self.asking);
        assert_eq!(statuses()[0], 404, "without a cache");
        std::thread::sleep(CACHE_TTL);
        assert_eq!(statuses(), [404, 404], "with a cache, when its time is over");
    }
}

#[test]
fn of_accounts() {
    let place = Place::new();
    let serve = |ttl| place.serve(&["--cache-ttl", ttl]);
    let gateways = Gateways { asking: serve("0s"), caching: serve("2s") };
    let form = format!("name=alice&password={}", PASSWORD.replace(' ', "+"));
    let signed_in = gateways.asking.send("POST /private/-/sign-in", &[], form.as_bytes());
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    gateways.notice(&cookie, |gateway| {
        let signed_out = gateway.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=/");
        assert_eq!(signed_out.status, 303);
    });
}

#[test]
fn of_django() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let gateways = Gateways { asking: shop.serve("0s", &[]), caching: shop.serve("2s", &[]) };
    let session = shop.run("sign-in alice");
    gateways.notice(&format!("sessionid={session}"), |_| {
        assert_eq!(shop.run(&format!("sign-out {session}")), "ok");
    });
}

#[test]
fn of_forward() {
    let (place, app) = (Place::new(), App::start());
    let serve = |ttl| {
        let source = app.source("/whoami", &format!(", cache_ttl=\"{ttl}\""));
        place.serve(&["--identity", &source])
    };
    let gateways = Gateways { asking: serve("0s"), caching: serve("2s") };
    gateways.notice("session=alice-1", |_| app.sign_out("alice-1"));
}

/// Nothing is cached: a front server that has signed the user out sends no header, or an empty one.
#[test]
fn of_header() {
    let place = Place::new();
    let gateway = place.serve(&["--identity", "{source=\"header\", from=[\"127.0.0.1\"]}"]);
    for (headers, expected) in [(&[("remote-user", "7")][..], 200), (&[], 404), (&[("remote-user", "")], 404)]
    {
        assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", headers).status, expected, "{headers:?}");
    }
}

/// A token cannot be taken back: its end is the latest sign-out. A browser that loses its cookie is signed out at once.
#[test]
fn of_jwt() {
    let (place, signer) = (Place::new(), Signer::ed25519("key"));
    place.write("keys.json", jwk_set(&[&signer]));
    let serve = |ttl| {
        let source = crate::jwt::source("jwks = \"keys.json\", cookie = \"at\", leeway = \"0s\"");
        place.serve(&["--identity", &source, "--cache-ttl", ttl])
    };
    let gateways = Gateways { asking: serve("0s"), caching: serve("2s") };
    let expires = now() + 3;
    let token = signer.sign_claims(&claims_with("7", &serde_json::json!({"exp": expires})));
    gateways.notice(&format!("at={token}"), |gateway| {
        assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", "at=")]).status, 404);
        while now() < expires {
            std::thread::sleep(Duration::from_millis(50));
        }
    });
}
