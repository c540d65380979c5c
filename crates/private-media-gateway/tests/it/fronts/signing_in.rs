//! The gateway's own pages work through each front server as they do without.

use std::io::Read;

use super::server::{FrontServer, Installed};
use super::{Deployment, ask, url};
use crate::support::{Answer, send};

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_here() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    let front = deployment.front.address;
    let post = |page: &str, fields: &[(&str, &str)], content: &str| {
        let form = [("content-type", "application/x-www-form-urlencoded")];
        let mut bytes = Vec::new();
        let line = format!("POST /private/-/{page}");
        send(front, &line, &[&form, fields].concat(), content.as_bytes()).read_to_end(&mut bytes).unwrap();
        Answer::parse(&bytes)
    };
    let page = ask(front, "GET /private/-/sign-in", &[]);
    assert_eq!(page.status, 200, "{kind:?} {page:?} {}", deployment.front.log());
    // As a browser that knows no Sec-Fetch-Site: the host that it names has to reach the gateway.
    let origin = format!("http://{front}");
    let form = "name=alice&password=a+long+password&next=%2Fmine";
    let signed_in = post("sign-in", &[("origin", &origin)], form);
    assert_eq!(
        (signed_in.status, signed_in.field("location")),
        (303, Some("/mine")),
        "{kind:?} {signed_in:?}"
    );
    let cookie = signed_in.field("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let get = || ask(front, &format!("GET {}", url("twenty.txt")), &[("cookie", &cookie)]);
    assert_eq!((get().status, get().body), (200, b"abcdefghijklmnopqrst".to_vec()), "{kind:?}");
    let elsewhere = post("sign-in", &[("origin", "http://evil.example")], form);
    assert_eq!((elsewhere.status, elsewhere.field("set-cookie")), (403, None), "{kind:?}");
    let signed_out = post("sign-out", &[("origin", &origin), ("cookie", &cookie)], "next=%2F");
    assert_eq!(signed_out.status, 303, "{kind:?} {signed_out:?}");
    assert_eq!(get().status, 404, "{kind:?}: nothing keeps the answer of before");
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
