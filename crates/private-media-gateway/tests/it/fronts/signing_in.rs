//! The gateway's sign-in pages work through each front server.

use std::io::Read;

use super::server::{FrontServer, Installed};
use super::{Deployment, fetch, url};
use crate::support::{Response, send};

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    let front = deployment.front.address;
    let post = |page: &str, headers: &[(&str, &str)], body: &str| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let mut bytes = Vec::new();
        let line = format!("POST /private/-/{page}");
        send(front, &line, &[&form, headers].concat(), body.as_bytes()).read_to_end(&mut bytes).unwrap();
        Response::parse(&bytes)
    };
    let page = fetch(front, "GET /private/-/sign-in", &[]);
    assert_eq!(page.status, 200, "{kind:?} {page:?} {}", deployment.front.log());
    // Like a browser without Sec-Fetch-Site: the gateway compares Origin with Host.
    let origin = format!("http://{front}");
    let form = "name=alice&password=a+long+password&next=%2Fmine";
    let signed_in = post("sign-in", &[("origin", &origin)], form);
    assert_eq!(
        (signed_in.status, signed_in.header("location")),
        (303, Some("/mine")),
        "{kind:?} {signed_in:?}"
    );
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let get = || fetch(front, &format!("GET {}", url("twenty.txt")), &[("cookie", &cookie)]);
    assert_eq!((get().status, get().body), (200, b"abcdefghijklmnopqrst".to_vec()), "{kind:?}");
    let elsewhere = post("sign-in", &[("origin", "http://evil.example")], form);
    assert_eq!((elsewhere.status, elsewhere.header("set-cookie")), (403, None), "{kind:?}");
    let signed_out = post("sign-out", &[("origin", &origin), ("cookie", &cookie)], "next=%2F");
    assert_eq!(signed_out.status, 303, "{kind:?} {signed_out:?}");
    assert_eq!(get().status, 404, "{kind:?}: the response was cached");
}

#[test]
fn nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"]);
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
