//! One table of requests through each front server and to the gateway itself.

use std::collections::BTreeSet;

use super::server::{FrontServer, Installed};
use super::{Deployment, answer, ask, cases, different, url};
use crate::support::{Answer, credentials};

/// A row of the documentation's table: what is asked for, and what of the answer is another.
type Row = (String, String);

/// Asks everything of both; what differs has to be what the documentation's table says of this server.
fn check(server: &str, kind: FrontServer, arguments: &[&str]) {
    if !kind.is_here() {
        return;
    }
    let deployment = Deployment::start(kind, arguments);
    let mut found = BTreeSet::new();
    let file = |address| ask(address, &format!("GET {}", url("twenty.txt")), &credentials("alice"));
    let (by_front, by_gateway) = (file(deployment.front.address), file(deployment.direct.address));
    assert_eq!(by_front.status, 200, "{by_front:?} {}", deployment.front.log());
    for case in cases() {
        let front = answer(deployment.front.address, &case, &by_front);
        let direct = answer(deployment.direct.address, &case, &by_gateway);
        let about = format!("{server}: {} {} {:?} {}", case.method, case.path, case.fields, case.user);
        never(&front, &about);
        let names = different(&front, &direct);
        // The client can name its line in the gateway's log.
        let has_id = front.field("x-request-id").is_some() || names == ["all of it"] || front.status == 412;
        assert!(has_id, "{about}: {front:?}");
        if !names.is_empty() {
            println!("{about}: {names:?}\n  {front:?}\n  {direct:?}");
            found.insert((case.name.to_owned(), names.join(", ")));
        }
    }
    assert_eq!(found, documented(server), "left: found, right: docs/how-to/front-servers.md, of {server}");
}

/// What no answer of a front server may have.
fn never(front: &Answer, about: &str) {
    for name in ["x-accel-redirect", "x-sendfile", "content-encoding", "set-cookie"] {
        assert_eq!(front.field(name), None, "{about}: {front:?}");
    }
    assert!(!String::from_utf8_lossy(&front.body).contains("outside"), "{about}: {front:?}");
    assert!(!front.field("etag").unwrap_or_default().starts_with("W/"), "{about}: {front:?}");
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
