//! With the printed configuration, no hand-off leads a front server out of the root.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use super::server::{Front, FrontServer, Installed, free_address};
use super::{Deployment, fetch, fill, printed};
use crate::support::{Place, credentials};

/// Starts a server that responds to every request with this hand-off header, and returns its address.
pub(super) fn hand_off_server(header: String) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut line = String::new();
            while line != "\r\n" {
                line.clear();
                if stream.read_line(&mut line).unwrap() == 0 {
                    break;
                }
            }
            let response =
                format!("HTTP/1.1 200 OK\r\n{header}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all(response.as_bytes());
        }
    });
    address
}

/// Returns status and body of the front server's response to a hand-off with this header.
fn fetch_hand_off(kind: FrontServer, place: &Place, header: String, arguments: &[&str]) -> (u16, String) {
    let address = free_address();
    let block = printed(place, kind, address, hand_off_server(header), arguments);
    let front = Front::start(kind, address, &block);
    let response = fetch(front.address, "GET /private/x", &[]);
    (response.status, String::from_utf8_lossy(&response.body).into_owned())
}

#[test]
fn nginx_sends_nothing_outside_the_root() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let place = Place::new();
    fill(&place);
    std::fs::create_dir(place.path("private-not")).unwrap();
    place.write("private-not/outside.txt", "outside");
    let internal = "/private-media-internal";
    let header = |value: &str| format!("x-accel-redirect: {value}");
    let arguments = ["--mode", "nginx"];
    let inside = fetch_hand_off(
        FrontServer::Nginx,
        &place,
        header(&format!("{internal}/cars/7/empty.jpg")),
        &arguments,
    );
    assert_eq!(inside, (200, String::new()), "a file inside the root");
    for value in [
        "/etc/passwd",
        &format!("{internal}/../outside.txt"),
        &format!("{internal}/%2e%2e/outside.txt"),
        &format!("{internal}../outside.txt"),
        &format!("{internal}/..%2foutside.txt"),
        &format!("{internal}-not/outside.txt"),
        // Links, even to files inside the root.
        &format!("{internal}/cars/7/out.txt"),
        &format!("{internal}/cars/7/link.txt"),
    ] {
        let (status, body) = fetch_hand_off(FrontServer::Nginx, &place, header(value), &arguments);
        assert!(matches!(status, 403 | 404) && !body.contains("outside"), "{value}: {status} {body}");
    }
}

#[test]
fn clients_cannot_request_the_internal_location() {
    let kind = FrontServer::Nginx;
    if !kind.is_installed() {
        return;
    }
    let deployment = Deployment::start(kind, &["--mode", "nginx"]);
    let full_path = Deployment::start(kind, &["--mode", "nginx", "--internal-url", "full-path"]);
    let root = full_path.place.path("private").display().to_string();
    for (front, path) in [
        (&deployment.front, "/private-media-internal/cars/7/twenty.txt"),
        (&deployment.front, "/private-media-internal/"),
        (&deployment.front, "/private-media-internal../accounts.toml"),
        (&deployment.front, "/private/../private-media-internal/cars/7/twenty.txt"),
        (&full_path.front, &format!("{root}/cars/7/twenty.txt")),
        (&full_path.front, &format!("{root}/../accounts.toml")),
    ] {
        for user in ["carol", "nobody"] {
            let response = fetch(front.address, &format!("GET {path}"), &credentials(user));
            assert_eq!(response.status, 404, "{path}: {response:?}");
        }
    }
}

#[test]
fn apache_and_lighttpd_send_nothing_outside_the_root() {
    for kind in [FrontServer::Apache, FrontServer::Lighttpd] {
        if !kind.is_installed() {
            continue;
        }
        let place = Place::new();
        fill(&place);
        place.write("private-not/outside.txt", "outside");
        let root = place.path("private").display().to_string();
        let header = |value: &str| format!("x-sendfile: {value}");
        let arguments = ["--mode", "apache"];
        let (status, body) =
            fetch_hand_off(kind, &place, header(&format!("{root}/cars/7/twenty.txt")), &arguments);
        assert_eq!(
            (status, body.as_str()),
            (200, "abcdefghijklmnopqrst"),
            "{kind:?}: a file inside the root"
        );
        for value in [
            "/etc/passwd",
            &format!("{root}/../outside.txt"),
            &format!("{root}/%2e%2e/outside.txt"),
            &format!("{root}-not/outside.txt"),
            "../outside.txt",
        ] {
            let (status, body) = fetch_hand_off(kind, &place, header(value), &arguments);
            assert!(matches!(status, 403 | 404 | 502), "{kind:?} {value}: {status} {body}");
            assert!(!body.contains("outside") && !body.contains("root:"), "{kind:?} {value}: {body}");
        }
        // Apache follows links, as documented.
        if kind == FrontServer::Lighttpd {
            let (status, body) =
                fetch_hand_off(kind, &place, header(&format!("{root}/cars/7/out.txt")), &arguments);
            assert!(matches!(status, 403 | 404), "{status} {body}");
        }
    }
}

#[test]
fn hand_offs_of_another_application_are_ignored() {
    for (kind, server, header) in [
        (FrontServer::Apache, "apache", "x-sendfile: ROOT/cars/7/twenty.txt"),
        (FrontServer::Nginx, "nginx", "x-accel-redirect: /private-media-internal/cars/7/twenty.txt"),
    ] {
        if !kind.is_installed() {
            continue;
        }
        let place = Place::new();
        fill(&place);
        let application =
            hand_off_server(header.replace("ROOT", &place.path("private").display().to_string()));
        let address = free_address();
        let block = printed(&place, kind, address, free_address(), &["--mode", server])
            // Uncomments the lines for the application.
            .replace("    #ProxyPass", "    ProxyPass")
            .replace("    #location", "    location")
            .replace("    #    proxy", "        proxy")
            .replace("    #}", "    }")
            .replace("127.0.0.1:9000", &application.to_string());
        let front = Front::start(kind, address, &block);
        let response = fetch(front.address, "GET /", &[]);
        assert_eq!(
            (response.status, response.body.as_slice()),
            (200, &b""[..]),
            "{kind:?} {response:?} {block}"
        );
    }
}
