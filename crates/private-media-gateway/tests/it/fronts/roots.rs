//! Roots with unusual paths, and a private URL at the top of a host.

use super::server::{Front, FrontServer, Installed, free_address, open_to_all};
use super::{fetch, printed};
use crate::support::{GRANT, Gateway, Place, credentials};

const ROOTS: [&str; 4] = ["my root's (1); #2", "Ångström é", "link", "beside/../private"];

fn check(kind: FrontServer, arguments: &[&str]) {
    if !kind.is_installed() {
        return;
    }
    for root in ROOTS {
        let place = Place::new();
        std::os::unix::fs::symlink("private", place.path("link")).unwrap();
        std::fs::create_dir(place.path("beside")).unwrap();
        place.write(&format!("{root}/cars/7/a b%41é.jpg"), "inside");
        open_to_all(&place.path(root));
        open_to_all(&place.path("private"));
        std::fs::set_permissions(place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let arguments = [&["--root", root], arguments].concat();
        let serve = [&["serve", "--listen", "127.0.0.1:0", "--grant", GRANT], &arguments[..]].concat();
        let gateway = Gateway::start(&place.path(""), &serve);
        let address = free_address();
        let front = Front::start(kind, address, &printed(&place, kind, address, gateway.address, &arguments));
        let response =
            fetch(front.address, "GET /private/cars/7/a%20b%2541%C3%A9.jpg", &credentials("alice"));
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, &b"inside"[..]),
            "{kind:?} {root}: {}",
            front.log()
        );
        let by_gateway = gateway.get("/private/cars/7/a%20b%2541%C3%A9.jpg", "alice");
        assert!(by_gateway.body.is_empty(), "a hand-off: {by_gateway:?}");
    }
}

#[test]
fn nginx() {
    check(FrontServer::Nginx, &["--mode", "nginx"]);
    check(FrontServer::Nginx, &["--mode", "nginx", "--internal-url", "full-path"]);
}

#[test]
fn apache() {
    check(FrontServer::Apache, &["--mode", "apache", "--sendfile-encoding", "plain"]);
}

#[test]
fn lighttpd() {
    check(FrontServer::Lighttpd, &["--mode", "apache", "--sendfile-encoding", "encoded"]);
}

#[test]
fn the_private_url_may_be_the_whole_host() {
    for (kind, arguments) in [
        (FrontServer::Nginx, &["--mode", "nginx", "--internal-url", "/-/files/"][..]),
        (FrontServer::Apache, &["--mode", "apache"]),
        (FrontServer::Lighttpd, &["--mode", "apache"]),
        (FrontServer::Caddy, &[]),
    ] {
        if !kind.is_installed() {
            continue;
        }
        let place = Place::new();
        open_to_all(&place.path("private"));
        std::fs::set_permissions(place.path(""), std::os::unix::fs::PermissionsExt::from_mode(0o755))
            .unwrap();
        let arguments = [&["--url", "/"], arguments].concat();
        let gateway = place.serve(&arguments);
        let address = free_address();
        let front = Front::start(kind, address, &printed(&place, kind, address, gateway.address, &arguments));
        let get = |path: &str, user| fetch(front.address, &format!("GET {path}"), &credentials(user));
        let response = get("/cars/7/photo.jpg", "alice");
        assert_eq!((response.status, response.body.as_slice()), (200, &b"alice's photo"[..]), "{kind:?}");
        assert_eq!(get("/cars/7/photo.jpg", "bob").status, 404, "{kind:?}");
        assert_eq!(get("/-/files/cars/7/photo.jpg", "alice").status, 404, "{kind:?}");
        assert_eq!(get("/-/health", "nobody").body, b"ok\n", "{kind:?}");
        assert_eq!(get("/-/sign-in", "nobody").status, 200, "{kind:?}");
    }
}
