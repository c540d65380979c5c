//! An axum application with the library in it, and no gateway, behind the same front servers.

use std::net::SocketAddr;
use std::path::Path;

use private_media::delivery::{ApacheXSendfile, NginxXAccelRedirect};
use private_media::identity::accounts::{AccountsFile, AccountsOptions};
use private_media::{Accounts, Delivery, Grants, LocalStorage, PrivateMedia};

use super::server::{Front, FrontServer, Installed, free_address};
use super::{ask, fill, names, printed, url};
use crate::support::{GRANT, Place, credentials};

/// Serves the place in this process until the runtime is dropped.
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
    if !kind.is_here() {
        return;
    }
    let place = Place::new();
    fill(&place);
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let application = serve(&runtime, &place, delivery);
    let address = free_address();
    let front = Front::start(kind, address, &printed(&place, kind, address, application, arguments));
    let get = |path: &str, user, fields: &[_]| {
        ask(front.address, &format!("GET {path}"), &[&credentials(user), fields].concat())
    };
    for name in names() {
        for user in ["alice", "carol"] {
            let answer = get(&url(&name), user, &[]);
            assert_eq!((answer.status, answer.body.as_slice()), (200, name.as_bytes()), "{kind:?} {name:?}");
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
        assert_eq!(whole.field(field).unwrap_or_default(), value, "{kind:?} {field}");
    }
    let part = get(&url("twenty.txt"), "alice", &[("range", "bytes=2-5")]);
    assert_eq!((part.status, part.body.as_slice()), (206, &b"cdef"[..]), "{kind:?}");
    let etag = part.field("etag").unwrap();
    assert_eq!(get(&url("twenty.txt"), "alice", &[("if-none-match", etag)]).status, 304, "{kind:?}");
    // The application hands off what it is asked for, and never what a client says.
    let own =
        [("x-accel-redirect", "/private-media-internal/cars/7/twenty.txt"), ("x-sendfile", "/etc/passwd")];
    assert_eq!(get(&url("twenty.txt"), "bob", &own).status, 404, "{kind:?}");
    let direct = ask(application, &format!("GET {}", url("twenty.txt")), &credentials("alice"));
    let handed_off = direct.field("x-accel-redirect").or(direct.field("x-sendfile"));
    assert!(handed_off.unwrap().ends_with("/cars/7/twenty.txt") && direct.body.is_empty(), "{direct:?}");
}

#[test]
fn behind_nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"], |_| {
        Box::new(NginxXAccelRedirect::new("/private-media-internal/"))
    });
}

#[test]
fn behind_apache() {
    check(FrontServer::Apache, &["--mode", "apache"], |root| Box::new(ApacheXSendfile::new(root).unwrap()));
}

#[test]
fn behind_lighttpd() {
    check(FrontServer::Lighttpd, &["--mode", "apache"], |root| Box::new(ApacheXSendfile::new(root).unwrap()));
}
