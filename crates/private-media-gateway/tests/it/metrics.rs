//! The metrics at the admin address.

#![expect(clippy::float_cmp, reason = "counts are whole numbers, so they are exact")]

use std::collections::BTreeMap;
use std::io::{Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::support::{Gateway, Place, Response, base64, free_address, needs, send};

/// The values of metrics, by name and labels.
pub(crate) type Samples = BTreeMap<String, f64>;

/// Starts a gateway with an admin address.
pub(crate) fn serve(place: &Place, arguments: &[&str]) -> (Gateway, SocketAddr) {
    let admin = free_address();
    let address = admin.to_string();
    (place.serve(&[&["--admin-listen", &address], arguments].concat()), admin)
}

fn get(admin: SocketAddr, path: &str) -> Response {
    let mut bytes = Vec::new();
    send(admin, &format!("GET {path}"), &[], b"").read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

fn samples(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let pairs = lines.map(|line| line.rsplit_once(' ').unwrap());
    pairs.map(|(name, value)| (name.to_owned(), value.parse().unwrap())).collect()
}

pub(crate) fn scrape(admin: SocketAddr) -> Samples {
    let response = get(admin, "/metrics");
    assert_eq!(response.status, 200);
    assert_eq!(response.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    samples(std::str::from_utf8(&response.body).unwrap())
}

/// Sends requests with each kind of result.
pub(crate) fn use_gateway(gateway: &Gateway) {
    for user in ["alice", "alice", "carol", "bob", "nobody"] {
        gateway.get("/private/cars/7/photo.jpg", user);
    }
    gateway.fetch("MADEUP /private/cars/7/photo.jpg", &[]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=a+long+password");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    for _ in 0..3 {
        assert_eq!(gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", &cookie)]).status, 200);
    }
    gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=wrong");
    let wrong = format!("Basic {}", base64("alice:wrong too"));
    gateway.fetch("GET /private/cars/7/photo.jpg", &[("authorization", &wrong)]);
}

#[test]
fn each_request_is_counted_with_its_decision() {
    let place = Place::new();
    let (gateway, admin) = serve(&place, &[]);
    use_gateway(&gateway);
    let metrics = scrape(admin);
    let value = |name: &str| metrics.get(&format!("private_media_{name}")).copied().unwrap_or(-1.0);
    let request = |method: &str, status: u16, decision: &str| {
        value(&format!("requests_total{{method=\"{method}\",status=\"{status}\",decision=\"{decision}\"}}"))
    };
    assert_eq!(request("GET", 200, "allowed"), 6.0, "{metrics:#?}");
    assert_eq!(request("GET", 404, "denied"), 3.0);
    assert_eq!(request("other", 405, "denied"), 1.0);
    assert_eq!(request("POST", 303, "none"), 1.0);
    assert_eq!(request("POST", 403, "none"), 1.0);
    // The whole time of each request, and the steps of those that reached them.
    assert_eq!(value("request_duration_seconds_count"), 12.0);
    for (step, count) in [("identity", 9.0), ("permission", 9.0), ("storage", 6.0)] {
        assert_eq!(value(&format!("step_duration_seconds_count{{step=\"{step}\"}}")), count, "{step}");
    }
    // Files, denials, and a page.
    assert!(value("response_bytes_total") > 6.0 * 13.0 + 3.0 * 10.0 + 19.0);
    assert_eq!(value("connections_total{result=\"accepted\"}"), 12.0);
    assert_eq!(value("connections"), 0.0);
    for (result, count) in [("succeeded", 1.0), ("wrong", 2.0), ("throttled", 0.0), ("overloaded", 0.0)] {
        assert_eq!(value(&format!("sign_ins_total{{result=\"{result}\"}}")), count, "{result}");
    }
    let cache = |cache: &str, result: &str| {
        value(&format!("cache_requests_total{{cache=\"{cache}\",result=\"{result}\"}}"))
    };
    assert_eq!(cache("files", "hit") + cache("files", "miss"), 6.0);
    assert!(cache("files", "hit") >= 1.0);
    assert_eq!((cache("identities", "hit"), cache("identities", "miss")), (2.0, 1.0));
    assert_eq!((value("ready"), value("log_dropped_lines_total")), (1.0, 0.0));
    assert_eq!(value(&format!("build_info{{version=\"{}\"}}", env!("CARGO_PKG_VERSION"))), 1.0);
    // No metric names a user, a path or an address.
    let text = String::from_utf8(get(admin, "/metrics").body).unwrap();
    for private in ["alice", "photo", "127.0.0.1", "MADEUP", "cars"] {
        assert!(!text.contains(private), "{private}");
    }
}

#[test]
fn failures_are_counted_by_step() {
    let place = Place::new();
    place.write(
        "private-media.toml",
        "[[identity]]\nsource = \"forward\"\nurl = \"http://127.0.0.1:1/\"\n\n[[identity]]\nsource = \"accounts\"\n",
    );
    let (gateway, admin) = serve(&place, &[]);
    let before = gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", "session=1")]).status;
    assert!([404, 503].contains(&before), "{before}");
    assert_eq!(scrape(admin)["private_media_errors_total{step=\"identity\"}"], 1.0);
    drop(gateway);

    place.write("private-media.toml", "");
    let (gateway, admin) = serve(&place, &["--workers", "1"]);
    assert_eq!(gateway.get("/private/cars/7/none.jpg", "alice").status, 404);
    // The next descriptor is that of the connection, and none is left for the file.
    let id = rustix::process::Pid::from_child(&gateway.child);
    let folder = std::path::PathBuf::from(format!("/proc/{}/fd", gateway.child.id()));
    let next = (0..10_000_u64).find(|number| !folder.join(number.to_string()).is_symlink()).unwrap();
    let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile);
    let low = rustix::process::Rlimit { current: Some(next + 1), maximum: limit.maximum };
    let previous = rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, low).unwrap();
    let status = gateway.get("/private/cars/7/photo.jpg", "alice").status;
    rustix::process::prlimit(Some(id), rustix::process::Resource::Nofile, previous).unwrap();
    assert_eq!(status, 500, "{}", gateway.log());
    let metrics = scrape(admin);
    assert_eq!(metrics["private_media_errors_total{step=\"storage\"}"], 1.0);
    assert_eq!(metrics["private_media_errors_total{step=\"identity\"}"], 0.0);
}

#[test]
fn reloads_are_counted_and_counters_continue() {
    let place = Place::new();
    place.write("private-media.toml", "");
    let (gateway, admin) = serve(&place, &[]);
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    for (text, result) in [("log = \"info\"", "succeeded"), ("log = \"loud\"", "failed")] {
        place.write("private-media.toml", text);
        gateway.signal(Signal::HUP);
        let name = format!("private_media_reloads_total{{result=\"{result}\"}}");
        let begin = std::time::Instant::now();
        while scrape(admin)[&name] < 1.0 {
            assert!(begin.elapsed().as_secs() < 20, "{}", gateway.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
    }
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let name = "private_media_requests_total{method=\"GET\",status=\"200\",decision=\"allowed\"}";
    assert_eq!(scrape(admin)[name], 2.0);
}

/// Returns the sum of the counters of a cache.
fn lookups(samples: &Samples, cache: &str) -> f64 {
    let name =
        |result| format!("private_media_cache_requests_total{{cache=\"{cache}\",result=\"{result}\"}}");
    samples[&name("hit")] + samples[&name("miss")]
}

#[test]
fn counters_of_caches_continue_after_reloads() {
    let place = Place::new();
    place.write("private-media.toml", "");
    let (gateway, admin) = serve(&place, &[]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=a+long+password");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let secret = "[[identity]]\nsource = \"header\"\nfrom = [\"192.0.2.1\"]\n";
    let accounts = std::fs::read_to_string(place.path("accounts.toml")).unwrap();
    // The first reload keeps the accounts, the second changes their file, the third removes them, and the last brings them back.
    let mut expected = (0.0, 0.0);
    for (number, (text, comment)) in
        (1..).zip([("", ""), ("debug = true", ""), ("", "# changed\n"), (secret, ""), ("", "")])
    {
        place.write("private-media.toml", text);
        place.write("accounts.toml", accounts.clone() + comment);
        gateway.signal(Signal::HUP);
        let name = "private_media_reloads_total{result=\"succeeded\"}";
        let begin = std::time::Instant::now();
        while scrape(admin)[name] < f64::from(number) {
            assert!(begin.elapsed().as_secs() < 20, "{}", gateway.log());
            std::thread::sleep(std::time::Duration::from_millis(20));
        }
        let before = scrape(admin);
        assert_eq!((lookups(&before, "files"), lookups(&before, "identities")), expected, "{number}");
        let served = if text == secret { 0.0 } else { 3.0 };
        for _ in 0..3 {
            let status = gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", &cookie)]).status;
            assert_eq!(status, if text == secret { 404 } else { 200 }, "{number}: {}", gateway.log());
        }
        expected = (expected.0 + served, expected.1 + served);
        let after = scrape(admin);
        assert_eq!((lookups(&after, "files"), lookups(&after, "identities")), expected, "{number}");
    }
}

#[test]
fn the_audit_is_counted() {
    let place = Place::new();
    let (mut gateway, admin) = serve(&place, &["--audit-path", "audit.jsonl", "--audit-sync", "0s"]);
    use_gateway(&gateway);
    let written =
        |samples: &Samples| samples["private_media_audit_records_total{result=\"written\"}"].to_string();
    let read = || std::fs::read_to_string(place.path("audit.jsonl")).unwrap();
    let begin = std::time::Instant::now();
    // Ten requests for files, and the records `opened` and `started`.
    let is_settled = |samples: &Samples| {
        written(samples) == read().lines().count().to_string()
            && samples["private_media_audit_queue_bytes"] == 0.0
    };
    while read().lines().count() < 12 || !is_settled(&scrape(admin)) {
        assert!(begin.elapsed().as_secs() < 20, "{:#?} {}", scrape(admin), read());
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let metrics = scrape(admin);
    let value = |name: &str| metrics[&format!("private_media_audit_{name}")];
    assert_eq!(value("file_bytes").to_string(), read().len().to_string());
    for name in
        ["records_total{result=\"dropped\"}", "refused_requests_total", "write_errors_total", "queue_bytes"]
    {
        assert_eq!(value(name), 0.0, "{name}");
    }
    let now = std::time::UNIX_EPOCH.elapsed().unwrap().as_secs_f64();
    assert!((now - 20.0..=now).contains(&value("last_sync_time_seconds")), "{metrics:#?}");
    gateway.signal(Signal::TERM);
    assert_eq!(gateway.exit_within(std::time::Duration::from_secs(20)).code(), Some(0));
    // Without an audit, there is nothing to count. Nor is there a request yet.
    let (_gateway, admin) = serve(&place, &[]);
    assert!(!scrape(admin).keys().any(|name| name.contains("audit")));
}

#[test]
fn the_admin_address_is_apart_from_the_public_one() {
    let place = Place::new();
    let (gateway, admin) = serve(&place, &[]);
    assert_eq!(get(admin, "/health").body, b"ok\n");
    for (path, status) in [("/", 404), ("/private/cars/7/photo.jpg", 404), ("/metrics/", 404)] {
        assert_eq!(get(admin, path).status, status, "{path}");
    }
    let mut refused = String::new();
    send(admin, "POST /metrics", &[], b"").read_to_string(&mut refused).unwrap();
    assert!(refused.starts_with("HTTP/1.1 405 "), "{refused}");
    for path in ["/metrics", "/private/metrics", "/private/-/metrics"] {
        assert_eq!(gateway.fetch(&format!("GET {path}"), &[]).status, 404, "{path}");
    }
    assert!(!gateway.log().contains("without a password"), "{}", gateway.log());
    // The root is gone, so neither address is ready.
    std::fs::rename(place.path("private"), place.path("elsewhere")).unwrap();
    let begin = std::time::Instant::now();
    while get(admin, "/health").status == 200 {
        assert!(begin.elapsed().as_secs() < 20, "{}", gateway.log());
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    assert_eq!(scrape(admin)["private_media_ready"], 0.0);
}

#[test]
fn an_unusable_admin_address_is_an_error_and_an_open_one_a_warning() {
    let place = Place::new();
    let (listen, other) = (free_address().to_string(), free_address());
    let taken = std::net::TcpListener::bind(other).unwrap();
    for (admin, problem) in [
        (listen.clone(), "the address of listen"),
        (listen.replace("127.0.0.1", "0.0.0.0"), "the address of listen"),
        (other.to_string(), "address already in use"),
        ("9090".to_owned(), "expected HOST:PORT"),
        ("unix:none/admin.sock".to_owned(), "no such folder"),
    ] {
        let arguments = ["serve", "--listen", &listen, "--admin-listen", &admin];
        let error = refusal_after_start(&place, &arguments);
        assert!(error.contains("--admin-listen") && error.contains(problem), "{admin}: {error}");
    }
    drop(taken);
    let gateway = place.serve(&["--admin-listen", "0.0.0.0:0"]);
    assert!(gateway.logs("without a password"), "{}", gateway.log());
}

/// Returns the last line of a program that cannot start.
fn refusal_after_start(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(arguments);
    assert_eq!(output.status.code(), Some(2), "{output:?}");
    String::from_utf8(output.stderr).unwrap().lines().last().unwrap().to_owned()
}

#[test]
fn a_unix_socket_serves_metrics() {
    let place = Place::new();
    let gateway = place.serve(&["--admin-listen", "unix:admin.sock"]);
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "alice").status, 200);
    let mut stream = UnixStream::connect(place.path("admin.sock")).unwrap();
    stream.write_all(b"GET /metrics HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).unwrap();
    assert!(
        text.starts_with("HTTP/1.1 200 OK\r\n") && text.contains("\nprivate_media_requests_total{"),
        "{text}"
    );
}

#[test]
fn promtool_accepts_the_metrics() {
    let promtool = Command::new("promtool").arg("--version").output();
    if !needs("promtool", promtool.is_ok_and(|output| output.status.success())) {
        return;
    }
    let place = Place::new();
    let (gateway, admin) = serve(&place, &["--audit-path", "audit.jsonl"]);
    use_gateway(&gateway);
    let text = get(admin, "/metrics").body;
    let mut check = Command::new("promtool");
    let mut child =
        check.args(["check", "metrics"]).stdin(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(&text).unwrap();
    let output = child.wait_with_output().unwrap();
    let problems = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && problems.is_empty(), "{problems}");
}
