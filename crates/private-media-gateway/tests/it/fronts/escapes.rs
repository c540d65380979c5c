//! A front server with the printed configuration is not led out of the root, whatever it is told by whoever is behind it.

use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpListener};

use super::server::{Front, FrontServer, Installed, free_address};
use super::{Deployment, ask, fill, printed};
use crate::support::{Place, credentials};

/// Answers every request with one hand-off, as a gateway would that is not ours.
fn hands_off(field: String) -> SocketAddr {
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
            let answer =
                format!("HTTP/1.1 200 OK\r\n{field}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    address
}

fn answer(kind: FrontServer, place: &Place, field: String, arguments: &[&str]) -> (u16, String) {
    let address = free_address();
    let block = printed(place, kind, address, hands_off(field), arguments);
    let front = Front::start(kind, address, &block);
    let answer = ask(front.address, "GET /private/x", &[]);
    (answer.status, String::from_utf8_lossy(&answer.body).into_owned())
}

#[test]
fn nginx() {
    if !FrontServer::Nginx.is_here() {
        return;
    }
    let place = Place::new();
    fill(&place);
    std::fs::create_dir(place.path("private-not")).unwrap();
    place.write("private-not/outside.txt", "outside");
    let internal = "/private-media-internal";
    let full = |value: &str| format!("x-accel-redirect: {value}");
    let arguments = ["--mode", "nginx"];
    let inside =
        answer(FrontServer::Nginx, &place, full(&format!("{internal}/cars/7/empty.jpg")), &arguments);
    assert_eq!(inside, (200, String::new()), "what is inside is sent");
    for value in [
        "/etc/passwd",
        &format!("{internal}/../outside.txt"),
        &format!("{internal}/%2e%2e/outside.txt"),
        &format!("{internal}../outside.txt"),
        &format!("{internal}/..%2foutside.txt"),
        &format!("{internal}-not/outside.txt"),
        // Links, also to what is inside.
        &format!("{internal}/cars/7/out.txt"),
        &format!("{internal}/cars/7/link.txt"),
    ] {
        let (status, body) = answer(FrontServer::Nginx, &place, full(value), &arguments);
        assert!(matches!(status, 403 | 404) && !body.contains("outside"), "{value}: {status} {body}");
    }
}

/// The internal location is nobody's but the gateway's.
#[test]
fn no_client_gets_to_the_internal_location() {
    let kind = FrontServer::Nginx;
    if !kind.is_here() {
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
            let answer = ask(front.address, &format!("GET {path}"), &credentials(user));
            assert_eq!(answer.status, 404, "{path}: {answer:?}");
        }
    }
}

#[test]
fn apache_and_lighttpd() {
    for kind in [FrontServer::Apache, FrontServer::Lighttpd] {
        if !kind.is_here() {
            continue;
        }
        let place = Place::new();
        fill(&place);
        place.write("private-not/outside.txt", "outside");
        let root = place.path("private").display().to_string();
        let full = |value: &str| format!("x-sendfile: {value}");
        let arguments = ["--mode", "apache"];
        let (status, body) = answer(kind, &place, full(&format!("{root}/cars/7/twenty.txt")), &arguments);
        assert_eq!(
            (status, body.as_str()),
            (200, "abcdefghijklmnopqrst"),
            "{kind:?}: what is inside is sent"
        );
        for value in [
            "/etc/passwd",
            &format!("{root}/../outside.txt"),
            &format!("{root}/%2e%2e/outside.txt"),
            &format!("{root}-not/outside.txt"),
            "../outside.txt",
        ] {
            let (status, body) = answer(kind, &place, full(value), &arguments);
            assert!(matches!(status, 403 | 404 | 502), "{kind:?} {value}: {status} {body}");
            assert!(!body.contains("outside") && !body.contains("root:"), "{kind:?} {value}: {body}");
        }
        // Of Apache the documentation says that it follows links.
        if kind == FrontServer::Lighttpd {
            let (status, body) = answer(kind, &place, full(&format!("{root}/cars/7/out.txt")), &arguments);
            assert!(matches!(status, 403 | 404), "{status} {body}");
        }
    }
}

/// An application at the same address may say what it likes: files are handed off by the gateway alone.
#[test]
fn no_application_hands_off() {
    for (kind, server, field) in [
        (FrontServer::Apache, "apache", "x-sendfile: ROOT/cars/7/twenty.txt"),
        (FrontServer::Nginx, "nginx", "x-accel-redirect: /private-media-internal/cars/7/twenty.txt"),
    ] {
        if !kind.is_here() {
            continue;
        }
        let place = Place::new();
        fill(&place);
        let application = hands_off(field.replace("ROOT", &place.path("private").display().to_string()));
        let address = free_address();
        let block = printed(&place, kind, address, free_address(), &["--mode", server])
            // The application's lines, which are printed as comments.
            .replace("    #ProxyPass", "    ProxyPass")
            .replace("    #location", "    location")
            .replace("    #    proxy", "        proxy")
            .replace("    #}", "    }")
            .replace("127.0.0.1:9000", &application.to_string());
        let front = Front::start(kind, address, &block);
        let answer = ask(front.address, "GET /", &[]);
        assert_eq!((answer.status, answer.body.as_slice()), (200, &b""[..]), "{kind:?} {answer:?} {block}");
    }
}
