//! What nginx does if a bucket fails, or if a hand-off names another URL.

use std::io::{BufRead as _, BufReader, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use super::bucket::{config_nginx, front};
use super::escapes::hand_off_server;
use super::fetch;
use super::server::{Front, FrontServer, Installed, free_address};
use super::tls::{has_openssl, make_certificate_for};
use crate::buckets::{PHOTO, command, stored};
use crate::s3_server::{BUCKET, Server};
use crate::support::{Gateway, Place, Response, credentials};

/// A server of a bucket that responds with the status that the path begins with. It ends the content of a path with `short` early.
struct FaultyStore {
    port: u16,
    requests: Arc<AtomicUsize>,
}

impl FaultyStore {
    fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let store = Self { port, requests: Arc::default() };
        let requests = Arc::clone(&store.requests);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                requests.fetch_add(1, Ordering::Relaxed);
                let mut stream = BufReader::new(stream.unwrap());
                let mut lines: Vec<String> = Vec::new();
                while lines.last().is_none_or(|line| line != "\r\n") {
                    let mut line = String::new();
                    if stream.read_line(&mut line).unwrap() == 0 {
                        break;
                    }
                    lines.push(line);
                }
                let status = lines.first().and_then(|line| line.get(5..8)?.parse().ok()).unwrap_or(400_u16);
                let len = if lines.first().is_some_and(|line| line.contains("short")) { 1000 } else { 15 };
                let response = format!(
                    "HTTP/1.1 {status} Because\r\ncontent-type: application/xml\r\nlocation: https://elsewhere.example/\r\n\
                     x-amz-request-id: 7\r\nset-cookie: of=store\r\nwww-authenticate: Basic\r\nx-accel-redirect: /private/x\r\n\
                     content-length: {len}\r\nconnection: close\r\n\r\n<Error/>secrets"
                );
                let _ = stream.get_mut().write_all(response.as_bytes());
            }
        });
        store
    }
}

/// Returns the response of nginx to a hand-off with this header.
fn hand_off(place: &Place, port: u16, target: &str) -> Response {
    let front = front(place, port, hand_off_server(hand_off_header(target)));
    fetch(front.address, "GET /private/x", &[("cookie", "session=secret")])
}

fn hand_off_header(target: &str) -> String {
    format!(
        "x-accel-redirect: {target}\r\ncontent-type: image/jpeg\r\ncache-control: private, no-cache\r\n\
         x-private-media-disposition: attachment; filename=\"a.jpg\"\r\nx-content-type-options: nosniff\r\nvary: cookie"
    )
}

fn assert_unavailable(response: &Response, about: &str) {
    assert_eq!((response.status, &*response.body), (503, &b"try again later\n"[..]), "{about}: {response:?}");
    for (name, value) in [
        ("content-type", Some("text/plain; charset=utf-8")),
        ("cache-control", Some("private, no-cache")),
        ("retry-after", Some("5")),
        ("x-content-type-options", Some("nosniff")),
        ("vary", Some("cookie")),
        ("content-disposition", None),
        ("location", None),
        ("set-cookie", None),
        ("x-amz-request-id", None),
    ] {
        assert_eq!(response.header(name), value, "{about}: {name}: {response:?}");
    }
}

#[test]
fn no_error_of_a_bucket_reaches_the_client() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let (store, place) = (FaultyStore::start(), Place::new());
    for status in
        [300, 301, 302, 304, 307, 400, 401, 403, 404, 405, 409, 412, 416, 429, 500, 501, 503, 504, 520]
    {
        let response =
            hand_off(&place, store.port, &format!("/private-media-internal/?{status}/a?X-Amz-Signature=1"));
        assert_unavailable(&response, &status.to_string());
    }
    let response = hand_off(&place, store.port, "/private-media-internal/?200/a");
    assert_eq!((response.status, response.header("content-type")), (200, Some("image/jpeg")), "{response:?}");
    assert_eq!(response.header("content-disposition"), Some("attachment; filename=\"a.jpg\""));
    for name in ["set-cookie", "location", "x-amz-request-id", "www-authenticate", "x-accel-redirect"] {
        assert_eq!(response.header(name), None, "{response:?}");
    }
}

#[test]
fn a_download_that_breaks_is_not_complete() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let (store, place) = (FaultyStore::start(), Place::new());
    let response = hand_off(&place, store.port, "/private-media-internal/?200/short");
    assert_eq!((response.status, response.header("content-length")), (200, Some("1000")), "{response:?}");
    assert!(response.body.len() < 1000, "{response:?}");
}

#[test]
fn no_hand_off_leads_to_another_server() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let (store, other, place) = (FaultyStore::start(), FaultyStore::start(), Place::new());
    let elsewhere = format!("127.0.0.1:{}", other.port);
    for target in [
        format!("/private-media-internal/?@{elsewhere}/200"),
        format!("/private-media-internal/?/{elsewhere}/200"),
        format!("/private-media-internal/?http://{elsewhere}/200"),
        format!("/private-media-internal/?:{}/200", other.port),
        format!("/private-media-internal/@{elsewhere}/?200"),
        format!("//{elsewhere}/200"),
        format!("http://{elsewhere}/200"),
    ] {
        let response = hand_off(&place, store.port, &target);
        assert!(!matches!(response.status, 301..=308), "{target}: {response:?}");
    }
    assert_eq!(other.requests.load(Ordering::Relaxed), 0);
}

#[test]
fn a_stale_or_wrong_signature_is_unavailable() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let Some(server) = Server::start() else { return };
    let place = Place::new();
    stored(&server);
    let mut serve = command(&place, &["serve", "--listen=127.0.0.1:0", "--mode=nginx"], server.port);
    serve.env("AWS_SECRET_ACCESS_KEY", "another");
    let gateway = Gateway::spawn(serve, place.path("gateway.log"));
    let response = fetch(
        front(&place, server.port, gateway.address).address,
        &format!("GET {PHOTO}"),
        &credentials("alice"),
    );
    assert_eq!((response.status, &*response.body), (503, &b"try again later\n"[..]), "{response:?}");
    let stale = format!(
        "/private-media-internal/?{BUCKET}/media/cars/7/photo.jpg?X-Amz-Algorithm=AWS4-HMAC-SHA256\
         &X-Amz-Credential=test%2F20200101%2Fus-east-1%2Fs3%2Faws4_request&X-Amz-Date=20200101T000000Z&X-Amz-Expires=60\
         &X-Amz-SignedHeaders=host&X-Amz-Signature=00"
    );
    assert_unavailable(&hand_off(&place, server.port, &stale), "stale");
    let missing = format!("/private-media-internal/?{BUCKET}/media/cars/7/none.jpg");
    assert_unavailable(&hand_off(&place, server.port, &missing), "missing");
}

#[test]
fn an_outage_of_the_bucket_is_unavailable() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let place = Place::new();
    let closed = free_address().port();
    assert_unavailable(&hand_off(&place, closed, "/private-media-internal/?a"), "refused");
    // The gateway notices first.
    let Some(mut server) = Server::start() else { return };
    stored(&server);
    let gateway = Gateway::spawn(
        command(&place, &["serve", "--listen=127.0.0.1:0", "--mode=nginx"], server.port),
        place.path("gateway.log"),
    );
    let front = front(&place, server.port, gateway.address);
    let get = || fetch(front.address, &format!("GET {PHOTO}"), &credentials("alice"));
    assert_eq!((get().status, &*get().body), (200, &b"the photo"[..]));
    server.stop();
    let response = get();
    assert_eq!((response.status, response.header("retry-after")), (503, Some("5")), "{response:?}");
}

#[test]
fn nginx_verifies_the_certificate_of_a_bucket() {
    if !FrontServer::Nginx.is_installed() || !has_openssl() {
        return;
    }
    let (store, place) = (FaultyStore::start(), Place::new());
    make_certificate_for("DNS:localhost", &place.path(""));
    let file = |name: &str| place.path(name).display().to_string();
    let (tls, authority) = (free_address(), file("ca.pem"));
    let _tls = Front::start(
        FrontServer::Nginx,
        tls,
        &format!(
            "server {{ listen {tls} ssl; ssl_certificate {}; ssl_certificate_key {}; location / {{ proxy_ignore_headers X-Accel-Redirect; proxy_pass http://127.0.0.1:{}; }} }}",
            file("site.pem"),
            file("site.key"),
            store.port
        ),
    );
    let endpoint = |host: &str| format!("https://{host}:{}", tls.port());
    let get = |changes: &[(&str, &str)]| {
        let gateway = hand_off_server(hand_off_header("/private-media-internal/?200/a"));
        let address = free_address();
        let output = config_nginx(&place, &endpoint("localhost"), address, gateway);
        let mut block = String::from_utf8(output.stdout).unwrap();
        for (from, to) in changes {
            assert!(block.contains(from), "{from}: {block}");
            block = block.replace(from, to);
        }
        let front = Front::start(FrontServer::Nginx, address, &block);
        fetch(front.address, "GET /private/x", &[])
    };
    let trusted = ("/etc/ssl/certs/ca-certificates.crt", authority.as_str());
    let response = get(&[trusted]);
    assert_eq!((response.status, &*response.body), (200, &b"<Error/>secrets"[..]), "{response:?}");
    assert_unavailable(&get(&[]), "an unknown authority");
    assert_unavailable(
        &get(&[trusted, ("proxy_ssl_name localhost;", "proxy_ssl_name other;")]),
        "another name",
    );
    let gateway = SocketAddr::from(([127, 0, 0, 1], 8000));
    let refused = config_nginx(&place, &endpoint("127.0.0.1"), free_address(), gateway);
    let error = String::from_utf8(refused.stderr).unwrap();
    assert!(error.contains("cannot verify the certificate of an IP address"), "{error}");
}
