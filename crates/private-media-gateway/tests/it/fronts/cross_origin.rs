//! Cross-origin requests get the same headers through a front server and from the gateway.

use super::server::{FrontServer, Installed};
use super::{Case, Deployment, fetch, fetch_case, url};
use crate::support::credentials;

const APP: &str = "https://app.example";
const CORS: [&str; 3] = ["--cors-origin", APP, "--cors-credentials"];
/// The headers that browsers decide by.
const COMPARED: [&str; 8] = [
    "cross-origin-resource-policy",
    "access-control-allow-origin",
    "access-control-allow-credentials",
    "access-control-expose-headers",
    "access-control-allow-methods",
    "access-control-allow-headers",
    "access-control-max-age",
    "vary",
];

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, &[arguments, &CORS].concat());
    let direct = deployment.place.serve(&CORS);
    let front = deployment.front.address;
    let photo = url("twenty.txt");
    let file = |address| fetch(address, &format!("GET {photo}"), &credentials("alice"));
    let (by_front, by_gateway) = (file(front), file(direct.address));
    assert_eq!(by_front.status, 200, "{by_front:?} {}", deployment.front.log());
    let preflight = ("access-control-request-method", "GET");
    for (method, header, user, status) in [
        ("GET", ("x-nothing", "special"), "alice", 200),
        ("HEAD", ("x-nothing", "special"), "alice", 200),
        ("GET", ("range", "bytes=2-5"), "alice", 206),
        ("GET", ("range", "bytes=100-"), "alice", 416),
        ("GET", ("if-none-match", "{etag}"), "alice", 304),
        ("GET", ("if-match", "\"x\""), "alice", 412),
        ("GET", ("x-nothing", "special"), "bob", 404),
        ("OPTIONS", preflight, "nobody", 204),
    ] {
        for (origin, policy) in [
            (Some(("origin", APP)), "cross-origin"),
            (Some(("origin", "https://evil.example")), "same-origin"),
            (Some(("origin", "null")), "same-origin"),
            (Some(("referer", "https://app.example/cars")), "cross-origin"),
            (None, "same-origin"),
        ] {
            let headers = [Some(header), origin].into_iter().flatten().collect();
            let case = Case { name: "", method, path: photo.clone(), headers, user };
            let (front, direct) =
                (fetch_case(front, &case, &by_front), fetch_case(direct.address, &case, &by_gateway));
            let about = format!("{kind:?}: {method} {:?} {user}\n{front:?}\n{direct:?}", case.headers);
            let is_allowed = origin == Some(("origin", APP));
            assert_eq!(
                front.status,
                if method == "OPTIONS" && !is_allowed { 405 } else { status },
                "{about}"
            );
            assert_eq!(front.header("cross-origin-resource-policy"), Some(policy), "{about}");
            assert_eq!(front.header("access-control-allow-origin"), is_allowed.then_some(APP), "{about}");
            for name in COMPARED {
                // A list is the same with and without spaces.
                let [front, direct] =
                    [&front, &direct].map(|response| response.header(name).map(|v| v.replace(", ", ",")));
                assert_eq!(front, direct, "{name}: {about}");
            }
        }
    }
}

#[test]
fn nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"]);
}

#[test]
fn nginx_as_a_proxy() {
    check(FrontServer::Nginx, &[]);
}

#[test]
fn apache() {
    check(FrontServer::Apache, &["--mode", "apache"]);
}

#[test]
fn lighttpd() {
    check(FrontServer::Lighttpd, &["--mode", "apache"]);
}

#[test]
fn caddy() {
    check(FrontServer::Caddy, &[]);
}
