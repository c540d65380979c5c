//! Tests with real front servers that use the printed configuration. Documentation lists each difference from the gateway.

mod axum_application;
#[cfg(feature = "buckets")]
mod bucket;
#[cfg(feature = "buckets")]
mod bucket_faults;
mod changes;
mod cross_origin;
mod differences;
mod escapes;
mod large;
mod mistakes;
mod roots;
pub(crate) mod server;
mod signing_in;
pub(crate) mod tls;

use std::io::Read;
use std::net::SocketAddr;

use private_media::storage::conformance::NAMES;

use crate::support::{Gateway, Place, Response, credentials, send};
use server::{Front, FrontServer, free_address, open_to_all};

/// A gateway behind a front server, and a second gateway on the same root that clients reach directly.
struct Deployment {
    place: Place,
    direct: Gateway,
    gateway: Gateway,
    front: Front,
}

impl Deployment {
    fn start(kind: FrontServer, arguments: &[&str]) -> Self {
        let place = Place::new();
        fill(&place);
        let direct = place.serve(&["--follow-links"]);
        let gateway = place.serve(&[arguments, &["--follow-links"]].concat());
        let address = free_address();
        let front = Front::start(kind, address, &printed(&place, kind, address, gateway.address, arguments));
        Self { place, direct, gateway, front }
    }
}

/// Returns the configuration that `private-media config` prints for a front server.
pub(crate) fn printed(
    place: &Place,
    kind: FrontServer,
    front: SocketAddr,
    gateway: SocketAddr,
    arguments: &[&str],
) -> String {
    let (front, gateway) = (front.to_string(), gateway.to_string());
    let command = ["config", kind.name(), "--front", &front, "--listen", &gateway];
    let output = place.run(&[&command[..], &config_arguments(arguments)].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Returns the arguments of `serve` that `config` has, too.
fn config_arguments<'a>(arguments: &[&'a str]) -> Vec<&'a str> {
    let flags = ["--url", "--root", "--mode", "--internal-url", "--sendfile-encoding"];
    arguments.chunks(2).filter(|pair| flags.contains(&pair[0])).flatten().copied().collect()
}

/// Writes a file for each name, whose content is the name, and the files of the other cases.
fn fill(place: &Place) {
    for name in names() {
        place.write(&format!("private/cars/7/{name}"), &name);
    }
    place.write("private/cars/7/page.html", "<script>alert(1)</script>");
    place.write("private/cars/7/empty.jpg", "");
    place.write("private/cars/7/compressible.txt", "a".repeat(10_000));
    place.write("private/cars/7/twenty.txt", "abcdefghijklmnopqrst");
    // Within the second of the last change, a date is a weak validator (RFC 9110 section 8.8.2.2).
    let file = std::fs::File::options().write(true).open(place.path("private/cars/7/twenty.txt")).unwrap();
    file.set_modified(std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(784_111_777))
        .unwrap();
    std::os::unix::fs::symlink("twenty.txt", place.path("private/cars/7/link.txt")).unwrap();
    place.write("outside.txt", "outside");
    std::os::unix::fs::symlink("../../../outside.txt", place.path("private/cars/7/out.txt")).unwrap();
    open_to_all(&place.path(""));
    // The gateway rejects an accounts file that others can read.
    std::fs::set_permissions(
        place.path("accounts.toml"),
        std::os::unix::fs::PermissionsExt::from_mode(0o600),
    )
    .unwrap();
}

fn names() -> Vec<String> {
    let more = ["50%41.jpg", "50A.jpg", "ends with a space ", "[x]", "a=b&c", "line\u{2028}separator"];
    let longest = ["é".repeat(125) + "x.jpg", "x".repeat(255)];
    // Percent-encoding triples its length, so the response head is longer than 4 KiB.
    let deep = [&"é".repeat(120), &"é".repeat(120), &"é".repeat(120), &*"é".repeat(127)].join("/");
    NAMES.iter().chain(&more).map(|name| (*name).to_owned()).chain(longest).chain([deep]).collect()
}

fn url(name: &str) -> String {
    let path = private_media::MediaPath::new(&format!("cars/7/{name}")).unwrap();
    format!("/private/{}", path.to_url())
}

fn fetch(address: SocketAddr, line: &str, headers: &[(&str, &str)]) -> Response {
    let mut bytes = Vec::new();
    send(address, line, headers, b"").read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

/// A request.
struct Case {
    /// The name in the documentation.
    name: &'static str,
    method: &'static str,
    path: String,
    /// `{etag}` and `{date}` stand for the validators that the same server sent.
    headers: Vec<(&'static str, &'static str)>,
    user: &'static str,
}

fn cases() -> Vec<Case> {
    // 17 ranges.
    const TOO_MANY: &str =
        "bytes=0-0,2-2,4-4,6-6,8-8,10-10,12-12,14-14,16-16,18-18,1-1,3-3,5-5,7-7,9-9,11-11,13-13";
    const DATE: &str = "Tue, 15 Nov 1988 08:12:31 GMT";
    let case = |name, method, path: &str, headers: &[_], user| Case {
        name,
        method,
        path: path.to_owned(),
        headers: headers.to_vec(),
        user,
    };
    let file = &url("twenty.txt");
    let mut cases = Vec::new();
    for user in ["alice", "carol", "bob", "nobody"] {
        for name in names() {
            cases.push(case("any name", "GET", &url(&name), &[], user));
        }
        cases.push(case("HEAD", "HEAD", file, &[], user));
        cases.push(case("missing", "GET", &url("none.txt"), &[], user));
        cases.push(case("active content", "GET", &url("page.html"), &[], user));
        cases.push(case("active content", "GET", &url("page.html"), &[("accept-encoding", "gzip")], user));
        cases.push(case("one range", "GET", file, &[("range", "bytes=2-5")], user));
    }
    for (name, headers) in [
        ("one range", &[("range", "bytes=0-0")][..]),
        ("one range", &[("range", "bytes=-5")]),
        ("one range", &[("range", "bytes=15-")]),
        ("one range", &[("range", "bytes=15-1000")]),
        ("several ranges", &[("range", "bytes=0-1,10-11")]),
        ("overlapping ranges", &[("range", "bytes=0-10,5-15")]),
        ("too many ranges", &[("range", TOO_MANY)]),
        ("a range beyond the end", &[("range", "bytes=100-")]),
        ("an invalid range", &[("range", "bytes=5-2")]),
        ("a range of another unit", &[("range", "lines=1-2")]),
        ("If-None-Match, the same", &[("if-none-match", "{etag}")]),
        ("If-None-Match, the same", &[("if-none-match", "\"x\", W/{etag}")]),
        ("If-None-Match, the same", &[("if-none-match", "*")]),
        ("If-None-Match, another", &[("if-none-match", "\"x\"")]),
        ("If-Modified-Since, the same", &[("if-modified-since", "{date}")]),
        ("If-Modified-Since, before", &[("if-modified-since", DATE)]),
        ("If-Match, the same", &[("if-match", "{etag}")]),
        ("If-Match, another", &[("if-match", "\"x\"")]),
        ("If-Unmodified-Since, the same", &[("if-unmodified-since", "{date}")]),
        ("If-Unmodified-Since, before", &[("if-unmodified-since", DATE)]),
        ("If-Range, the same", &[("if-range", "{etag}"), ("range", "bytes=0-3")]),
        ("If-Range, another", &[("if-range", "\"x\""), ("range", "bytes=0-3")]),
        ("If-Range, a date", &[("if-range", "{date}"), ("range", "bytes=0-3")]),
        ("a client's own hand-off", &[("x-accel-redirect", "/etc/passwd"), ("x-sendfile", "/etc/passwd")]),
        (
            "forwarded headers",
            &[("x-forwarded-for", "::1"), ("x-forwarded-user", "carol"), ("forwarded", "for=::1")],
        ),
    ] {
        cases.push(case(name, "GET", file, headers, "alice"));
    }
    for (name, method, path, headers) in [
        ("HEAD with If-None-Match", "HEAD", file, &[("if-none-match", "{etag}")][..]),
        ("HEAD with a range", "HEAD", file, &[("range", "bytes=2-5")]),
        ("an empty file", "GET", &url("empty.jpg"), &[]),
        ("an empty file", "HEAD", &url("empty.jpg"), &[]),
        ("a range of an empty file", "GET", &url("empty.jpg"), &[("range", "bytes=0-3")]),
        ("download", "GET", &(file.clone() + "?download"), &[]),
        ("a client that takes gzip", "GET", &url("compressible.txt"), &[("accept-encoding", "gzip, br")]),
        ("a link below the root", "GET", &url("link.txt"), &[]),
        ("a link out of the root", "GET", &url("out.txt"), &[]),
        ("another method", "POST", file, &[("content-length", "0")]),
        ("another method", "DELETE", file, &[]),
        ("the private URL", "GET", &"/private/".into(), &[]),
        ("a folder", "GET", &"/private/cars/7/".into(), &[]),
        ("a folder", "GET", &"/private/cars/7".into(), &[]),
        ("a page of the gateway", "GET", &"/private/-/health".into(), &[]),
        ("two slashes", "GET", &"/private//cars/7/twenty.txt".into(), &[]),
        ("dots", "GET", &"/private/./cars/7/twenty.txt".into(), &[]),
        ("dots", "GET", &"/private/cars/8/../7/twenty.txt".into(), &[]),
        ("encoded dots", "GET", &"/private/cars/8/%2e%2e/7/twenty.txt".into(), &[]),
        ("an encoded slash", "GET", &"/private/cars%2F7%2Ftwenty.txt".into(), &[]),
        ("a backslash", "GET", &"/private/cars/7\\twenty.txt".into(), &[]),
        ("an encoded backslash", "GET", &"/private/cars/7%5Ctwenty.txt".into(), &[]),
        ("an encoded NUL", "GET", &"/private/cars/7/twenty.txt%00".into(), &[]),
        ("an encoded line break", "GET", &"/private/cars/7/twenty%0d%0a.txt".into(), &[]),
        ("a broken encoding", "GET", &"/private/cars/7/twenty%zz.txt".into(), &[]),
        ("another encoding", "GET", &"/private/cars/7/%74wenty.txt".into(), &[]),
    ] {
        cases.push(case(name, method, path, headers, "alice"));
    }
    cases
}

/// Returns the response of a server to a case. `file` is its response with the validators.
fn fetch_case(address: SocketAddr, case: &Case, file: &Response) -> Response {
    let (etag, date) = (file.header("etag").unwrap(), file.header("last-modified").unwrap());
    let headers: Vec<_> = case
        .headers
        .iter()
        .map(|(name, value)| (*name, value.replace("{etag}", etag).replace("{date}", date)))
        .collect();
    let mut headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    headers.extend(credentials(case.user));
    fetch(address, &format!("{} {}", case.method, case.path), &headers)
}

/// The headers that are compared.
const COMPARED: [&str; 14] = [
    "content-type",
    "content-disposition",
    "content-length",
    "content-range",
    "content-security-policy",
    "content-encoding",
    "cache-control",
    "vary",
    "x-content-type-options",
    "cross-origin-resource-policy",
    "referrer-policy",
    "last-modified",
    "accept-ranges",
    "allow",
];

/// Returns what differs between the responses of a front server and the gateway; "all of it" if the front server sent a page of its own.
fn differences(front: &Response, direct: &Response) -> Vec<&'static str> {
    let mut names = Vec::new();
    if front.status != direct.status {
        names.push("status");
    }
    if body_without_boundary(front) != body_without_boundary(direct) {
        names.push("body");
    }
    // Neither repeated headers nor spaces in lists are differences.
    let values = |response: &Response, name: &str| {
        let prefix = format!("{name}: ");
        let values = response.head.lines().filter_map(|line| line.strip_prefix(&prefix));
        let mut values: Vec<_> = values.map(|value| without_boundary(value).replace(", ", ",")).collect();
        values.dedup();
        values
    };
    // The length of a multipart response depends on its boundary.
    let is_multipart = direct.header("content-type").is_some_and(|value| value.contains("boundary="));
    let compared = COMPARED.iter().filter(|name| !is_multipart || **name != "content-length");
    names.extend(compared.filter(|name| values(front, name) != values(direct, name)));
    if names.contains(&"body") && front.header("referrer-policy") != direct.header("referrer-policy") {
        // The front server sent a page of its own.
        names = vec!["all of it"];
    }
    names
}

/// Returns the body with a constant multipart boundary.
fn body_without_boundary(response: &Response) -> String {
    let body = String::from_utf8_lossy(&response.body).into_owned();
    match response.header("content-type").and_then(|value| value.split_once("boundary=")) {
        Some((_, boundary)) => body.replace(boundary, "BOUNDARY"),
        None => body,
    }
}

fn without_boundary(value: &str) -> String {
    value.split("boundary=").next().unwrap().to_owned()
}
