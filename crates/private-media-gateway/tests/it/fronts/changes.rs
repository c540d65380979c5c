//! A file that changes under its name is sent as it is now.

use super::server::{FrontServer, Installed, open_to_all};
use super::{Deployment, ask, url};
use crate::support::credentials;

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_here() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    let place = &deployment.place;
    let get =
        || ask(deployment.front.address, &format!("GET {}", url("changing.txt")), &credentials("alice"));
    let mut tags = Vec::new();
    for content in ["one", "two", "six"] {
        // As a save does it: another file takes the name, in the same second, of the same length.
        place.write("private/new", content);
        open_to_all(&place.path("private/new"));
        std::fs::rename(place.path("private/new"), place.path("private/cars/7/changing.txt")).unwrap();
        let answer = get();
        assert_eq!((answer.status, answer.body.as_slice()), (200, content.as_bytes()), "{kind:?}");
        tags.push(answer.field("etag").unwrap().to_owned());
    }
    // nginx's own tag is as good as the second; the gateway's is another each time.
    tags.dedup();
    assert!(tags.len() == 3 || arguments.contains(&"nginx"), "{kind:?} {tags:?}");
    std::fs::remove_file(place.path("private/cars/7/changing.txt")).unwrap();
    assert_eq!(get().status, 404, "{kind:?}");
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

/// Where the gateway sends, it may send what a file was a moment ago, unless told to look each time.
#[test]
fn caddy() {
    check(FrontServer::Caddy, &["--revalidate-after", "0s"]);
}
