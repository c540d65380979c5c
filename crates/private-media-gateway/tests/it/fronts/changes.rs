//! A replaced file is sent with its current content.

use super::server::{FrontServer, Installed, open_to_all};
use super::{Deployment, fetch, url};
use crate::support::credentials;

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    let place = &deployment.place;
    let get =
        || fetch(deployment.front.address, &format!("GET {}", url("changing.txt")), &credentials("alice"));
    let mut tags = Vec::new();
    for content in ["one", "two", "six"] {
        // Like a save: a new file of the same length replaces the old one within the same second.
        place.write("private/new", content);
        open_to_all(&place.path("private/new"));
        std::fs::rename(place.path("private/new"), place.path("private/cars/7/changing.txt")).unwrap();
        let response = get();
        assert_eq!((response.status, response.body.as_slice()), (200, content.as_bytes()), "{kind:?}");
        tags.push(response.header("etag").unwrap().to_owned());
    }
    // The gateway sends a new entity tag each time. That of nginx has a resolution of one second.
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

/// The gateway itself sends the file, and revalidates it for each request.
#[test]
fn caddy() {
    check(FrontServer::Caddy, &["--revalidate-after", "0s"]);
}
