//! The library in an axum application, without a gateway, behind the same front servers.

use std::net::SocketAddr;
use std::path::Path;

use private_media::delivery::{ApacheXSendfile, NginxXAccelRedirect};
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media::{Accounts, Delivery, Grants, LocalStorage, PrivateMedia};

use super::server::{Front, FrontServer, Installed, free_address};
use super::{fetch, fill, names, printed, url};
use crate::support::{GRANT, Place, credentials};

/// Serves the root in this process until the runtime is dropped.
fn serve(
    runtime: &tokio::runtime::Runtime,
    place: &Place,
    delivery: impl FnOnce(&Path) -> Box<dyn Delivery>,
) -> SocketAddr {
    let root = place.path("private");
    let accounts = AccountsFile::load(place.path("accounts.toml")).unwrap();
    let media = PrivateMedia::builder(LocalStorage::open_root(&root).unwrap())
        .identify(Accounts::new(accounts, AccountsOptions::default()).unwrap())
        .permissions(GRANT.parse::<Grants>().unwrap())
        .delivery(delivery(&root))
        .build();
    let app = axum::Router::new().nest_service("/private", media.service());
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        address
    })
}

fn check(kind: FrontServer, arguments: &[&str], delivery: fn(&Path) -> Box<dyn Delivery>) {
    if !kind.is_installed() {
        return;
    }
    let place = Place::new();
    fill(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let application = serve(&runtime, &place, delivery);
    let address = free_address();
    let front = Front::start(kind, address, &printed(&place, kind, address, application, arguments));
    let get = |path: &str, user, headers: &[_]| {
        fetch(front.address, &format!("GET {path}"), &[&credentials(user), headers].concat())
    };
    for name in names() {
        for user in ["alice", "carol"] {
            let response = get(&url(&name), user, &[]);
            assert_eq!(
                (response.status, response.body.as_slice()),
                (200, name.as_bytes()),
                "{kind:?} {name:?}"
            );
        }
        for user in ["bob", "nobody"] {
            assert_eq!(get(&url(&name), user, &[]).status, 404, "{kind:?} {name:?} as {user}");
        }
    }
    let whole = get(&url("page.html"), "alice", &[]);
    for (field, value) in [
        ("content-type", "text/html"),
        ("content-disposition", "attachment; filename=\"page.html\""),
        ("content-security-policy", "sandbox; default-src 'none'"),
        ("cache-control", "private, no-cache"),
        ("x-content-type-options", "nosniff"),
        ("x-accel-redirect", ""),
        ("x-sendfile", ""),
    ] {
        assert_eq!(whole.header(field).unwrap_or_default(), value, "{kind:?} {field}");
    }
    let part = get(&url("twenty.txt"), "alice", &[("range", "bytes=2-5")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &b"cdef"[..]), "{kind:?}");
    let etag = part.header("etag").unwrap();
    assert_eq!(get(&url("twenty.txt"), "alice", &[("if-none-match", etag)]).status, 304, "{kind:?}");
    // Hand-off headers of a client have no effect.
    let forged =
        [("x-accel-redirect", "/private-media-internal/cars/7/twenty.txt"), ("x-sendfile", "/etc/passwd")];
    assert_eq!(get(&url("twenty.txt"), "bob", &forged).status, 404, "{kind:?}");
    let direct = fetch(application, &format!("GET {}", url("twenty.txt")), &credentials("alice"));
    let handed_off = direct.header("x-accel-redirect").or(direct.header("x-sendfile"));
    assert!(handed_off.unwrap().ends_with("/cars/7/twenty.txt") && direct.body.is_empty(), "{direct:?}");
}

#[test]
fn files_arrive_through_nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"], |_| {
        Box::new(NginxXAccelRedirect::new("/private-media-internal/"))
    });
}

#[test]
fn files_arrive_through_apache() {
    check(FrontServer::Apache, &["--mode", "apache"], |root| Box::new(ApacheXSendfile::new(root).unwrap()));
}

#[test]
fn files_arrive_through_lighttpd() {
    check(FrontServer::Lighttpd, &["--mode", "apache"], |root| Box::new(ApacheXSendfile::new(root).unwrap()));
}
