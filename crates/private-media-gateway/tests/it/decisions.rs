//! Each credential on each path, for accounts and for Django's sessions: what an independent rule expects.

use crate::django::servers::Server;
use crate::django::shop::Shop;
use crate::support::{Gateway, PASSWORD, Place, base64};

const FILES: [&str; 11] = [
    "cars/7/photo.jpg",
    "cars/7/a/b/photo.jpg",
    "cars/8/photo.jpg",
    "cars/9/photo.jpg",
    "cars/10/photo.jpg",
    "cars/77/photo.jpg",
    "cars/7 /photo.jpg",
    "sales/prices.txt",
    "shared/photo.jpg",
    "public/photo.jpg",
    "other/photo.jpg",
];
const MISSING: [&str; 3] = ["cars/7/none.jpg", "cars/8/none.jpg", "public/none.jpg"];
const GRANTS: [&str; 6] = [
    "--grant",
    "sales/{*file}=group:sales",
    "--grant",
    "shared/{*file}=authenticated",
    "--grant",
    "public/{*file}=everyone",
];
/// A number of cases that a smaller table would not reach.
const MIN_CASES: usize = 150;

/// Returns whether a user may read a path, without our grants.
fn may(user: Option<&str>, path: &str) -> bool {
    let id = match user {
        Some("alice") => "7",
        Some("bob") => "8",
        Some("carol") => "9",
        Some("erin") => "10",
        _ => "-",
    };
    match path.split('/').collect::<Vec<_>>()[..] {
        ["cars", owner, ..] => owner == id || user == Some("carol"),
        ["sales", ..] => user == Some("erin"),
        ["shared", ..] => user.is_some(),
        ["public", ..] => true,
        _ => false,
    }
}

/// A credential: its description, its header, and the user that it names.
type Credential = (&'static str, Option<(&'static str, String)>, Option<&'static str>);

fn check(gateway: &Gateway, credentials: &[Credential]) {
    let mut cases = 0;
    for (what, header, user) in credentials {
        let fields: Vec<_> = header.iter().map(|(name, value)| (*name, value.as_str())).collect();
        for path in FILES.iter().chain(&MISSING) {
            let response = gateway.fetch(&format!("GET /private/{}", path.replace(' ', "%20")), &fields);
            let is_allowed = may(*user, path) && FILES.contains(path);
            assert_eq!(response.status == 200, is_allowed, "{what}: {path}: {}", response.status);
            if is_allowed {
                assert_eq!(response.body, path.as_bytes(), "{what}");
            }
            cases += 1;
        }
    }
    assert!(cases >= MIN_CASES, "{cases} cases");
}

#[test]
fn accounts() {
    let place = Place::with_files(&FILES);
    let gateway = place.serve(&GRANTS);
    let session = |name: &str| {
        let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
        let response = gateway.send("POST /private/-/sign-in", &[], form.as_bytes());
        response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
    };
    let basic = |name: &str, password: &str| {
        Some(("authorization", format!("Basic {}", base64(&format!("{name}:{password}")))))
    };
    let cookie = |value: String| Some(("cookie", value));
    let (alice, bob, carol) = (session("alice"), session("bob"), session("carol"));
    let (_, token) = alice.split_once('=').unwrap();
    check(
        &gateway,
        &[
            ("nothing", None, None),
            ("alice's session", cookie(alice.clone()), Some("alice")),
            ("bob's session", cookie(bob.clone()), Some("bob")),
            ("carol's session", cookie(carol), Some("carol")),
            ("alice's session among others", cookie(format!("a=b; {alice}; c=d")), Some("alice")),
            ("two sessions", cookie(format!("{alice}; {bob}")), None),
            ("a session under another name", cookie(format!("sessionid={token}")), None),
            ("an altered session", cookie(alice.to_uppercase()), None),
            ("a shortened session", cookie(alice[..alice.len() - 1].to_owned()), None),
            ("a lengthened session", cookie(format!("{alice}A")), None),
            ("an empty session", cookie("private_media_session=".into()), None),
            ("alice's password", basic("alice", PASSWORD), Some("alice")),
            ("bob's password", basic("bob", PASSWORD), Some("bob")),
            ("carol's password", basic("carol", PASSWORD), Some("carol")),
            ("no password", Some(("authorization", "Basic ".into())), None),
            ("a session as a token", Some(("authorization", format!("Bearer {token}"))), None),
            ("another scheme", Some(("authorization", "Digest username=\"alice\"".into())), None),
        ],
    );
}

fn django(server: Option<Server>) {
    let Some(mut shop) = Shop::open("5.2", server, "db") else { return };
    for file in FILES {
        shop.place.write(&format!("private/{file}"), file);
    }
    let mut session = |name: &str| shop.run(&format!("sign-in {name}"));
    let (alice, bob, carol, erin) = (session("alice"), session("bob"), session("carol"), session("erin"));
    let (ended, visitor) = (session("alice"), shop.run("visit"));
    assert_eq!(shop.run(&format!("sign-out {ended}")), "ok");
    let gateway = shop.serve("5s", &GRANTS);
    let cookie = |value: &str| Some(("cookie", format!("sessionid={value}")));
    check(
        &gateway,
        &[
            ("nothing", None, None),
            ("alice's session", cookie(&alice), Some("alice")),
            ("bob's session", cookie(&bob), Some("bob")),
            ("carol's session", cookie(&carol), Some("carol")),
            ("erin's session", cookie(&erin), Some("erin")),
            ("an ended session", cookie(&ended), None),
            ("a visitor's session", cookie(&visitor), None),
            ("an altered session", cookie(&alice.to_uppercase()), None),
            ("a shortened session", cookie(&alice[1..]), None),
            ("a lengthened session", cookie(&format!("{alice}a")), None),
            ("an empty session", cookie(""), None),
            ("two sessions", cookie(&format!("{alice}; sessionid={bob}")), None),
            ("SQL", cookie("' or 1=1 --"), None),
        ],
    );
}

#[test]
fn django_with_sqlite() {
    django(Some(Server::Sqlite));
}

#[test]
fn django_with_postgres() {
    django(Server::postgres());
}

#[test]
fn django_with_mariadb() {
    django(Server::mariadb());
}
