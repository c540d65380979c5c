//! Proxies that name the client of a request: what they say counts, and nobody else's word.

use std::net::Ipv4Addr;

use crate::fronts::printed;
use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::{Gateway, Place, Response};
use crate::trusted_header::ask_from;

const PHOTO: &str = "/private/cars/7/photo.jpg";

/// Sends a request from an address on loopback, and returns its response and its line of the access log.
fn logged(
    gateway: &Gateway,
    peer: &str,
    fields: &[(&str, &str)],
) -> (Response, serde_json::Map<String, serde_json::Value>) {
    let peer: Ipv4Addr = peer.parse().unwrap();
    let response = ask_from(peer, gateway.address, &format!("GET {PHOTO}"), fields);
    let line = gateway.access_log().pop().unwrap();
    (response, line.as_object().unwrap().clone())
}

#[test]
fn the_log_names_the_client_and_keeps_the_id_of_a_trusted_proxy() {
    let place = Place::new();
    let gateway = place.serve(&["--trusted-proxy", "127.0.0.2;10.0.0.0/8"]);
    for (peer, forwarded_for, client) in [
        ("127.0.0.1", "203.0.113.9", "127.0.0.1"),
        ("127.0.0.2", "203.0.113.9", "203.0.113.9"),
        ("127.0.0.2", "203.0.113.1, 203.0.113.9", "203.0.113.9"),
        ("127.0.0.2", "203.0.113.1, 203.0.113.9, 10.1.2.3", "203.0.113.9"),
        ("127.0.0.2", "2001:db8::1", "2001:db8::1"),
        ("127.0.0.2", "unknown", "127.0.0.2"),
        ("127.0.0.2", "", "127.0.0.2"),
        ("127.0.0.3", "127.0.0.2", "127.0.0.3"),
    ] {
        let (response, line) =
            logged(&gateway, peer, &[("x-forwarded-for", forwarded_for), ("x-request-id", "abc-123")]);
        assert_eq!(line["client"], client, "{peer} {forwarded_for}");
        let id = response.header("x-request-id").unwrap();
        assert_eq!(line["id"], id);
        assert_eq!(id == "abc-123", peer == "127.0.0.2", "{peer}: {id}");
    }
}

#[test]
fn another_header_can_be_chosen() {
    let place = Place::new();
    for (header, value) in
        [("Forwarded", "for=\"203.0.113.9:4711\";proto=https"), ("CF-Connecting-IP", "203.0.113.9")]
    {
        let gateway = place.serve(&["--trusted-proxy", "127.0.0.1", "--client-header", header]);
        let fields = [("x-forwarded-for", "198.51.100.1"), (header, value)];
        assert_eq!(logged(&gateway, "127.0.0.1", &fields).1["client"], "203.0.113.9", "{header}");
    }
    let line = place.refusal(&["serve", "--client-header", "Forwarded"]);
    assert!(line.contains("--client-header") && line.contains("listen.trusted_proxies"), "{line}");
    let line = place.refusal(&["serve", "--trusted-proxy", "example.org"]);
    assert!(line.contains("\"example.org\" for --trusted-proxy"), "{line}");
    let line = place.refusal(&["serve", "--trusted-proxy", "0.0.0.0/0"]);
    assert!(line.contains("trusts every client"), "{line}");
}

/// Sign-ins are limited for each client, not for the proxy, whose other clients can still sign in.
#[test]
fn password_guesses_are_counted_by_client() {
    let place = Place::new();
    let gateway = place.serve(&["--trusted-proxy", "127.0.0.1"]);
    let sign_in = |client: &str, name: &str, password: &str| {
        let form = format!("name={name}&password={password}");
        let fields = [("content-type", "application/x-www-form-urlencoded"), ("x-forwarded-for", client)];
        gateway.send("POST /private/-/sign-in", &fields, form.as_bytes()).status
    };
    let mut refused = 0;
    while sign_in("203.0.113.9", &format!("user{refused}"), "wrong-password") != 429 {
        refused += 1;
        assert!(refused < 1000, "guesses of one client are not limited");
    }
    assert_eq!(sign_in("203.0.113.9", "alice", "a+long+password"), 429);
    assert_eq!(sign_in("198.51.100.1", "alice", "a+long+password"), 303);
    assert!(gateway.log().contains("\"from\":\"203.0.113.9\""), "{}", gateway.log());
}

/// The identity source `header` trusts connections. A client that a proxy names is no connection.
#[test]
fn a_named_client_is_no_trusted_sender_of_a_user() {
    let place = Place::with_files(&["cars/7/photo.jpg"]);
    let source = "{source=\"header\", header=\"Remote-User\", from=[\"127.0.0.3\"]}";
    let arguments =
        ["--identity", source, "--trusted-proxy", "127.0.0.2", "--grant", "cars/{owner}/{*file}=owner"];
    let gateway =
        Gateway::start(&place.path(""), &[&["serve", "--listen", "127.0.0.1:0"], &arguments[..]].concat());
    let fields = [("remote-user", "7"), ("x-forwarded-for", "127.0.0.3")];
    for (peer, status) in [("127.0.0.2", 404), ("127.0.0.3", 200)] {
        assert_eq!(logged(&gateway, peer, &fields).0.status, status, "{peer}");
    }
}

/// Each front server tells the gateway who its own client is, whatever that client claims.
fn check(kind: FrontServer) {
    if !kind.is_installed() {
        return;
    }
    let place = Place::new();
    open_to_all(&place.path("private"));
    let gateway = place.serve(&["--trusted-proxy", "127.0.0.1"]);
    let address = free_address();
    let front = Front::start(kind, address, &printed(&place, kind, address, gateway.address, &[]));
    for claimed in
        [&[][..], &[("x-forwarded-for", "203.0.113.9")], &[("x-forwarded-for", "203.0.113.9, 127.0.0.1")]]
    {
        let response = ask_from(Ipv4Addr::new(127, 0, 0, 9), front.address, &format!("GET {PHOTO}"), claimed);
        assert_eq!(response.status, 404, "{kind:?} {}", front.log());
        let line = gateway.access_log().pop().unwrap();
        assert_eq!(line["client"], "127.0.0.9", "{kind:?} {claimed:?}");
    }
}

#[test]
fn nginx() {
    check(FrontServer::Nginx);
}

#[test]
fn apache() {
    check(FrontServer::Apache);
}

#[test]
fn lighttpd() {
    check(FrontServer::Lighttpd);
}

#[test]
fn caddy() {
    check(FrontServer::Caddy);
}
