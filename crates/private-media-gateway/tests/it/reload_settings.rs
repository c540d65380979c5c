//! A reload applies each setting, or names it as one that needs a restart: none is ignored silently.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::process::Signal;

use crate::support::{Gateway, Place, credentials};
use crate::tls::{Pair, fetch};

const GRANTS: &str = "[[grant]]\npath = \"cars/{owner}/{*file}\"\nto = [\"owner\", \"staff\"]\n";
const RELOADED: &str = "the configuration was reloaded";
const TLS: &str = "listen.tls.certificate = \"chain.pem\"\nlisten.tls.key = \"key.pem\"";
const ACCOUNTS: &str = "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\n";
const DJANGO: &str =
    "[[identity]]\nsource = \"django\"\ndatabase = \"sqlite:none.db\"\nsecret_file = \"none.key\"\n";

/// What a reload does with a changed setting.
enum Effect {
    /// The log names it.
    Restart,
    /// These responses differ.
    Applied(fn(&Running) -> String),
    /// The new value is used, and an error contains this text.
    Refused(&'static str),
}

use Effect::{Applied, Refused, Restart};

/// A setting, and two values of it, as lines of the file.
type Row = (&'static str, &'static str, &'static str, Effect);

struct Running {
    place: Place,
    gateway: Gateway,
    pair: Pair,
}

impl Running {
    fn start(settings: &str) -> Self {
        let (place, pair) = (Place::new(), Pair::new());
        pair.write(&place.path(""));
        let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
        place.write("others.toml", accounts.replace("name = \"alice\"", "name = \"dora\""));
        let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
        std::fs::set_permissions(place.path("others.toml"), mode).unwrap();
        place.write("private/cars/7/a b.txt", "a name with a space");
        std::os::unix::fs::symlink("photo.jpg", place.path("private/cars/7/link.jpg")).unwrap();
        place.write("other/cars/7/photo.jpg", "another photo");
        place.write("logo.svg", "<svg xmlns=\"http://www.w3.org/2000/svg\"/>");
        configure(&place, settings);
        let gateway = Gateway::start(&place.path(""), &["serve"]);
        Self { place, gateway, pair }
    }

    /// Waits until the log contains a text once more.
    fn reload(&self, settings: &str, end: &str) {
        let count = || self.gateway.log().matches(end).count();
        let before = count();
        configure(&self.place, settings);
        self.gateway.signal(Signal::HUP);
        let begin = Instant::now();
        while count() == before {
            assert!(begin.elapsed() < Duration::from_secs(20), "{settings}: {}", self.gateway.log());
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Writes a configuration, whose grants may be given.
fn configure(place: &Place, settings: &str) {
    let address = if settings.starts_with("listen = ") { "" } else { "listen.address = \"127.0.0.1:0\"\n" };
    let grants = if settings.contains("[[grant]]") { "" } else { GRANTS };
    place.write("private-media.toml", format!("{address}{settings}\n{grants}"));
}

/// Returns the responses to requests of each kind, without what differs for each request.
fn responses(Running { gateway, .. }: &Running) -> String {
    let alice = credentials("alice")[0];
    let origin = ("origin", "https://app.example");
    let get = |path: &str| gateway.fetch(&format!("GET {path}"), &[alice, origin]).normalized();
    let mut responses = [
        "/private/cars/7/photo.jpg",
        "/private/cars/7/a%20b.txt",
        "/private/cars/7/link.jpg",
        "/private/cars/8/photo.jpg",
        "/media/cars/7/photo.jpg",
        "/private/-/sign-in",
    ]
    .map(get)
    .to_vec();
    let preflight = [origin, ("access-control-request-method", "GET")];
    responses.push(gateway.fetch("OPTIONS /private/cars/7/photo.jpg", &preflight).normalized());
    let user = [("remote-user", "7"), ("x-request-id", "0123456789abcdef")];
    let of_header = gateway.fetch("GET /private/cars/7/photo.jpg", &user);
    let id = of_header.header("x-request-id").filter(|id| *id == user[1].1).unwrap_or_default().to_owned();
    responses.push(of_header.normalized());
    let navigation =
        [("accept", "text/html"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
    responses.push(gateway.fetch("GET /private/cars/7/photo.jpg", &navigation).normalized());
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=a+long+password");
    let attributes =
        signed_in.header("set-cookie").and_then(|cookie| Some(cookie.split_once(';')?.1.to_owned()));
    format!("{responses:?} {id} {} {attributes:?}", signed_in.status)
}

/// Returns the client of a request in the access log.
fn logged_client(Running { gateway, .. }: &Running) -> String {
    let fields = [("x-forwarded-for", "192.0.2.7"), ("forwarded", "for=192.0.2.8")];
    gateway.fetch("GET /private/cars/7/photo.jpg", &fields);
    let lines = gateway.access_log();
    lines.last().unwrap()["client"].to_string()
}

fn over_tls(Running { gateway, pair, .. }: &Running) -> String {
    format!("{:?}", fetch(gateway, pair, "GET /private/-/health", &[], b"").normalized())
}

/// Returns how many lines a request logs.
fn logged_lines(Running { gateway, .. }: &Running) -> String {
    let before = gateway.log().lines().count();
    gateway.fetch("GET /private/cars/7/photo.jpg", &[]);
    std::thread::sleep(Duration::from_millis(200));
    (gateway.log().lines().count() - before).to_string()
}

/// Returns whether a changed file is served.
fn changed_file(Running { gateway, place, .. }: &Running) -> String {
    place.write("private/cars/7/changed.txt", "one");
    // Until it has not changed just now, it is not cached.
    std::thread::sleep(Duration::from_millis(100));
    for _ in 0..3 {
        assert_eq!(gateway.get("/private/cars/7/changed.txt", "alice").status, 200);
    }
    place.write("private/cars/7/changed.txt", "two");
    let body = gateway.get("/private/cars/7/changed.txt", "alice").body;
    String::from_utf8(body).unwrap()
}

/// Returns whether a removed account is noticed soon.
fn removed_account(Running { gateway, place, .. }: &Running) -> String {
    let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
    place.write("accounts.toml", accounts.replace("name = \"alice\"", "name = \"dora\""));
    std::thread::sleep(Duration::from_millis(1500));
    let status = gateway.get("/private/cars/7/photo.jpg", "alice").status;
    place.write("accounts.toml", accounts);
    status.to_string()
}

/// Returns whether one of many requests is refused.
fn many_requests(Running { gateway, .. }: &Running) -> String {
    let mut statuses = (0..20).map(|_| gateway.get("/private/cars/7/photo.jpg", "alice").status);
    statuses.any(|status| status == 429).to_string()
}

const ROWS: &[Row] = &[
    ("listen", "listen = \"127.0.0.1:0\"", "listen = \"127.0.0.1:1\"", Restart),
    ("listen.trusted_proxies", "", "listen.trusted_proxies = [\"127.0.0.1\"]", Applied(responses)),
    (
        "listen.client_header",
        "listen.trusted_proxies = [\"127.0.0.1\"]",
        "listen.trusted_proxies = [\"127.0.0.1\"]\nlisten.client_header = \"Forwarded\"",
        Applied(logged_client),
    ),
    (
        "listen.tls.certificate",
        TLS,
        "listen.tls.certificate = \"ca.pem\"\nlisten.tls.key = \"key.pem\"",
        Restart,
    ),
    (
        "listen.tls.key",
        TLS,
        "listen.tls.certificate = \"chain.pem\"\nlisten.tls.key = \"other.pem\"",
        Restart,
    ),
    ("listen.redirect_http", TLS, "listen.redirect_http = \"127.0.0.1:0\"", Restart),
    ("listen.hsts", TLS, "listen.hsts = \"1d\"", Applied(over_tls)),
    ("admin.listen", "", "admin.listen = \"127.0.0.1:1\"", Restart),
    ("root", "", "root = \"other\"", Applied(responses)),
    ("url", "", "url = \"/media/\"", Applied(responses)),
    ("debug", "", "debug = true", Applied(responses)),
    ("public", "", "public = [\".\"]", Refused("the root is inside the public folder")),
    ("workers", "workers = 2", "workers = 3", Restart),
    ("log", "log.level = \"warn\"", "log.level = \"info\"", Applied(logged_lines)),
    ("log.format", "", "log.format = \"text\"", Restart),
    ("state", "", "state = \"sqlite:other.db\"", Restart),
    ("identity", ACCOUNTS, "[[identity]]\nsource = \"header\"\nfrom = [\"127.0.0.1\"]\n", Applied(responses)),
    (
        "accounts",
        ACCOUNTS,
        "[[identity]]\nsource = \"accounts\"\naccounts = \"others.toml\"\n",
        Applied(responses),
    ),
    (
        "cache_ttl",
        "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\ncache_ttl = \"1h\"\n",
        "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\ncache_ttl = \"100ms\"\n",
        Applied(removed_account),
    ),
    (
        "session_lifetime",
        ACCOUNTS,
        "[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"\nsession_lifetime = \"1h\"\n",
        Applied(responses),
    ),
    (
        "login_url",
        ACCOUNTS,
        "[[identity]]\nsource = \"accounts\"\nlogin_url = \"/login/\"\n",
        Applied(responses),
    ),
    (
        "login_return",
        "[[identity]]\nsource = \"accounts\"\nlogin_url = \"/login/\"\n",
        "[[identity]]\nsource = \"accounts\"\nlogin_url = \"/login/\"\nlogin_return = \"to\"\n",
        Applied(responses),
    ),
    (
        "login_origin",
        "[[identity]]\nsource = \"accounts\"\nlogin_url = \"/login/\"\n",
        "[[identity]]\nsource = \"accounts\"\nlogin_url = \"/login/\"\nlogin_origin = \"https://media.example\"\n",
        Applied(responses),
    ),
    (
        "lookup",
        "",
        "[[lookup]]\npath = \"blobs/{key}\"\ndatabase = \"sqlite:none.db\"\nquery = \"select owner from blobs where key = {key}\"\n",
        Refused("none.db"),
    ),
    ("grant", "", "[[grant]]\npath = \"{*file}\"\nto = [\"everyone\"]\n", Applied(responses)),
    ("site.name", "", "site.name = \"Garage\"", Applied(responses)),
    ("site.logo", "", "site.logo = \"logo.svg\"", Applied(responses)),
    (
        "storage.revalidate_after",
        "storage.revalidate_after = \"1h\"",
        "storage.revalidate_after = \"0s\"",
        Applied(changed_file),
    ),
    ("storage.follow_links", "", "storage.follow_links = true", Applied(responses)),
    ("cache.path", "", "cache.path = \"cache\"", Refused("the root is a folder")),
    ("cache.size", "", "cache.size = \"1GiB\"", Refused("the root is a folder")),
    ("delivery.mode", "", "delivery.mode = \"nginx\"", Applied(responses)),
    ("delivery.url_lifetime", "", "delivery.url_lifetime = \"30s\"", Refused("no URL is presigned")),
    (
        "delivery.internal_url",
        "delivery.mode = \"nginx\"",
        "delivery.mode = \"nginx\"\ndelivery.internal_url = \"/hidden/\"",
        Applied(responses),
    ),
    (
        "delivery.sendfile_encoding",
        "delivery.mode = \"apache\"\ndelivery.sendfile_encoding = \"plain\"",
        "delivery.mode = \"apache\"\ndelivery.sendfile_encoding = \"encoded\"",
        Applied(responses),
    ),
    ("cors.origins", "", "cors.origins = [\"https://app.example\"]", Applied(responses)),
    (
        "cors.credentials",
        "cors.origins = [\"https://app.example\"]",
        "cors.origins = [\"https://app.example\"]\ncors.credentials = true",
        Applied(responses),
    ),
    (
        "cors.max_age",
        "cors.origins = [\"https://app.example\"]",
        "cors.origins = [\"https://app.example\"]\ncors.max_age = \"1s\"",
        Applied(responses),
    ),
    ("limits.max_connections", "", "limits.max_connections = 5", Restart),
    ("limits.connections_per_client", "", "limits.connections_per_client = 5", Restart),
    ("limits.requests_per_second", "", "limits.requests_per_second = 1", Applied(many_requests)),
    ("limits.header_timeout", "", "limits.header_timeout = \"3s\"", Restart),
    ("limits.min_rate", "", "limits.min_rate = 1", Restart),
    ("limits.shutdown_timeout", "", "limits.shutdown_timeout = \"1s\"", Restart),
    ("audit.path", "", "audit.path = \"audit.jsonl\"", Restart),
    ("audit.overflow", "audit.path = \"a\"", "audit.path = \"a\"\naudit.overflow = \"deny\"", Restart),
    ("audit.rotate_size", "audit.path = \"a\"", "audit.path = \"a\"\naudit.rotate_size = \"1MB\"", Restart),
    ("audit.rotate_age", "audit.path = \"a\"", "audit.path = \"a\"\naudit.rotate_age = \"1d\"", Restart),
    ("audit.keep", "audit.path = \"a\"", "audit.path = \"a\"\naudit.keep = 3", Restart),
    ("audit.fold", "audit.path = \"a\"", "audit.path = \"a\"\naudit.fold = \"0s\"", Restart),
    ("audit.sync", "audit.path = \"a\"", "audit.path = \"a\"\naudit.sync = \"0s\"", Restart),
    ("audit.key_file", "audit.path = \"a\"", "audit.path = \"a\"\naudit.key_file = \"key\"", Restart),
    // The tables of identity sources are opened anew, as the rows above show. These need a database of Django.
    ("database", "", DJANGO, Refused("none.")),
    ("secret_file", "", DJANGO, Refused("none.key")),
];

/// Settings of roots that are buckets. A reload opens the root anew, as the row of `root` shows.
const OF_BUCKETS: [&str; 5] = [
    "storage.endpoint",
    "storage.region",
    "storage.path_style",
    "storage.allow_http",
    "storage.conditional_writes",
];

/// Returns the keys of the settings that have no table of their own, in the reference.
fn keys_of_the_reference() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/configuration.md");
    let page = std::fs::read_to_string(page).unwrap();
    let sections = ["\n## Settings\n", "\n### `[[identity]]`: accounts\n"];
    let rows = sections.into_iter().flat_map(|heading| {
        let from = page.find(heading).unwrap() + heading.len();
        let section = &page[from..];
        let section = &section[..section.find("\n#").unwrap()];
        section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next())
    });
    rows.map(str::to_owned).collect()
}

#[test]
fn no_setting_is_ignored_silently() {
    let known: BTreeSet<_> = ROWS.iter().map(|(key, ..)| (*key).to_owned()).collect();
    let is_missing = |key: &String| !known.contains(key) && !OF_BUCKETS.contains(&key.as_str());
    let missing: Vec<_> = keys_of_the_reference().into_iter().filter(is_missing).collect();
    assert!(missing.is_empty(), "no row for {missing:?}");
    for (key, before, after, effect) in ROWS {
        let after = if *before == TLS && !after.contains("listen.tls") {
            format!("{TLS}\n{after}")
        } else {
            (*after).to_owned()
        };
        let running = Running::start(before);
        match effect {
            Restart => {
                running.reload(&after, RELOADED);
                let log = running.gateway.log();
                let end = format!(
                    "changed settings that need a restart, and keep their values until then: {key}\""
                );
                assert!(log.contains(&end), "{key}: {log}");
            }
            Applied(probe) => {
                let (first, again) = (probe(&running), probe(&running));
                assert_eq!(first, again, "{key}: the probe is not stable");
                running.reload(&after, RELOADED);
                assert!(!running.gateway.log().contains("need a restart"), "{key}");
                assert_ne!(probe(&running), first, "{key}: a reload ignores it");
            }
            Refused(error) => {
                running.reload(&after, "the configuration was not reloaded");
                let log = running.gateway.log();
                let line = log.lines().find(|line| line.contains("not reloaded")).unwrap();
                assert!(line.contains(error), "{key}: {line}");
            }
        }
    }
}
