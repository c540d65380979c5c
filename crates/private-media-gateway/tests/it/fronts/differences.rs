//! Compares each front server with the gateway. All differences are in `docs/how-to/front-servers.md`.

use std::collections::BTreeSet;
use std::net::SocketAddr;

use super::server::{Front, FrontServer, Installed};
use super::{Deployment, cases, differences, fetch, fetch_case, url};
use crate::support::{Response, credentials};

/// A row of the table in the documentation: the request, and the parts of the response that differ.
type Row = (String, String);

/// Sends all requests to the front server and to the gateway. The differences must be those of the documentation.
fn check(server: &str, kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    compare(server, &deployment.front, deployment.direct.address);
}

/// Sends all requests to a front server, and to a gateway that sends the same files itself.
pub(super) fn compare(server: &str, front_server: &Front, gateway: SocketAddr) {
    let mut found = BTreeSet::new();
    let file = |address| fetch(address, &format!("GET {}", url("twenty.txt")), &credentials("alice"));
    let (by_front, by_gateway) = (file(front_server.address), file(gateway));
    assert_eq!(by_front.status, 200, "{by_front:?} {}", front_server.log());
    for case in cases() {
        let front = fetch_case(front_server.address, &case, &by_front);
        let direct = fetch_case(gateway, &case, &by_gateway);
        let about = format!("{server}: {} {} {:?} {}", case.method, case.path, case.headers, case.user);
        check_invariants(&front, &about);
        let names = differences(&front, &direct);
        // The request id identifies the line in the gateway's log.
        let has_id = front.header("x-request-id").is_some() || names == ["all of it"] || front.status == 412;
        assert!(has_id, "{about}: {front:?}");
        if !names.is_empty() {
            println!("{about}: {names:?}\n  {front:?}\n  {direct:?}");
            found.insert((case.name.to_owned(), names.join(", ")));
        }
    }
    assert_eq!(
        found,
        documented(server),
        "found, and documented in docs/how-to/front-servers.md for {server}"
    );
}

/// Checks what no response of a front server may contain.
fn check_invariants(front: &Response, about: &str) {
    for name in ["x-accel-redirect", "x-sendfile", "content-encoding", "set-cookie"] {
        assert_eq!(front.header(name), None, "{about}: {front:?}");
    }
    assert!(!String::from_utf8_lossy(&front.body).contains("outside"), "{about}: {front:?}");
    assert!(!front.header("etag").unwrap_or_default().starts_with("W/"), "{about}: {front:?}");
}

fn documented(server: &str) -> BTreeSet<Row> {
    let page = include_str!("../../../../../docs/how-to/front-servers.md");
    let table = page.split_once("\n## What differs\n").unwrap().1;
    let rows = table.lines().filter_map(|line| line.strip_prefix(&format!("| {server} | ")));
    rows.map(|row| {
        let mut cells = row.split(" | ").map(str::to_owned);
        (cells.next().unwrap(), cells.next().unwrap())
    })
    .collect()
}

#[test]
fn nginx() {
    check("nginx", FrontServer::Nginx, &["--mode", "nginx"]);
}

#[test]
fn nginx_full_path() {
    check("nginx", FrontServer::Nginx, &["--mode", "nginx", "--internal-url", "full-path"]);
}

#[test]
fn nginx_as_a_proxy() {
    check("nginx, direct", FrontServer::Nginx, &[]);
}

#[test]
fn apache() {
    check("Apache", FrontServer::Apache, &["--mode", "apache"]);
}

#[test]
fn apache_plain() {
    check("Apache", FrontServer::Apache, &["--mode", "apache", "--sendfile-encoding", "plain"]);
}

#[test]
fn apache_as_a_proxy() {
    check("Apache, direct", FrontServer::Apache, &[]);
}

#[test]
fn lighttpd() {
    check("lighttpd", FrontServer::Lighttpd, &["--mode", "apache"]);
}

#[test]
fn lighttpd_encoded() {
    check("lighttpd", FrontServer::Lighttpd, &["--mode", "apache", "--sendfile-encoding", "encoded"]);
}

#[test]
fn lighttpd_as_a_proxy() {
    check("lighttpd, direct", FrontServer::Lighttpd, &[]);
}

#[test]
fn caddy() {
    check("Caddy, direct", FrontServer::Caddy, &[]);
}
