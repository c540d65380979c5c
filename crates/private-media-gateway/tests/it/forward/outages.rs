//! An application that does not answer, or answers nonsense: nobody gets in, and nobody but its users notices.

use std::io::Write;
use std::net::TcpListener;
use std::time::{Duration, Instant};

use super::app::{App, GRANTS};
use super::{get, place, serve, serve_permission, status};
use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::fronts::tls;
use crate::support::{Gateway, program};

const ALICES: &str = "cars/7/photo.jpg";
const ALICE: &str = "session=alice-1";

/// Responses that are no answer. `MUCH` stands for two mebibytes.
const INVALID: [(&str, &str); 22] = [
    ("nothing", ""),
    ("no HTTP", "nonsense\r\n\r\n"),
    ("TLS", "\u{15}\u{3}\u{1}\0\u{2}\u{2}P"),
    ("half a head", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\n"),
    ("half a body", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nContent-Length: 10\r\n\r\n123"),
    ("no status", "HTTP/1.1 OK\r\nX-User-Id: 7\r\n\r\n"),
    ("an impossible status", "HTTP/1.1 20 OK\r\nX-User-Id: 7\r\n\r\n"),
    ("an interim response alone", "HTTP/1.1 100 Continue\r\nX-User-Id: 7\r\n\r\n"),
    (
        "another protocol",
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\nX-User-Id: 7\r\n\r\n",
    ),
    ("a redirect", "HTTP/1.1 302 Found\r\nX-User-Id: 7\r\nLocation: /login\r\nContent-Length: 0\r\n\r\n"),
    (
        "a redirect to a file",
        "HTTP/1.1 307 T\r\nX-User-Id: 7\r\nLocation: file:///etc/passwd\r\nContent-Length: 0\r\n\r\n",
    ),
    ("not modified", "HTTP/1.1 304 Not Modified\r\nX-User-Id: 7\r\n\r\n"),
    ("a bad request", "HTTP/1.1 400 Bad Request\r\nX-User-Id: 7\r\nContent-Length: 0\r\n\r\n"),
    ("an error", "HTTP/1.1 500 Error\r\nX-User-Id: 7\r\nContent-Length: 0\r\n\r\n"),
    ("overload", "HTTP/1.1 503 Busy\r\nX-User-Id: 7\r\nRetry-After: 9\r\nContent-Length: 0\r\n\r\n"),
    ("a huge header", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nX: MUCH\r\n\r\n"),
    ("a huge body", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nContent-Length: 2097152\r\n\r\nMUCH"),
    ("a huge id", "HTTP/1.1 200 OK\r\nX-User-Id: MUCH\r\nContent-Length: 0\r\n\r\n"),
    ("two lengths", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n12"),
    ("two ids", "HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nX-User-Id: 7\r\nContent-Length: 0\r\n\r\n"),
    (
        "a control character",
        "HTTP/1.1 200 OK\r\nX-User-Id: 7\t\r\nX-User-Name: a\tb\r\nContent-Length: 0\r\n\r\n",
    ),
    ("a NUL", "HTTP/1.1 200 OK\r\nX-User-Id: 7\0\r\nContent-Length: 0\r\n\r\n"),
];

#[test]
fn invalid_responses_are_denials() {
    let (place, app) = (place(), App::start());
    let more = ", timeout=\"300ms\", cache_ttl=\"0s\"";
    let denying = serve(&place, &app.source("/whoami", more), &[]);
    let busy = serve(&place, &app.source("/whoami", &format!("{more}, unavailable=\"503\"")), &[]);
    let permission =
        serve_permission(&place, &app.source("/permission", &format!("{more}, permission=true")), &[]);
    let missing = get(&denying, "cars/7/none.jpg", ALICE).normalized();
    for (name, response) in INVALID {
        app.set_response(Some(response.replace("MUCH", &"x".repeat(2 << 20)).as_bytes()));
        for gateway in [&denying, &permission] {
            assert_eq!(get(gateway, ALICES, ALICE).normalized(), missing, "{name}");
        }
        let answer = get(&busy, ALICES, ALICE);
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("5")), "{name}");
        // Whether there is a file makes no difference.
        assert_eq!(answer.normalized(), get(&busy, "cars/7/none.jpg", ALICE).normalized(), "{name}");
        // Clients without a credential have nothing to do with it.
        assert_eq!(busy.get("/private/cars/7/photo.jpg", "nobody").status, 404, "{name}");
        app.set_response(None);
        for gateway in [&denying, &permission, &busy] {
            assert_eq!(status(gateway, ALICES, ALICE), 200, "after {name}");
        }
    }
}

/// The log names the application and the problem once in a while, not for each request.
#[test]
fn an_outage_is_logged_and_ends() {
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/whoami?key=secret", ", cache_ttl=\"0s\""), &[]);
    app.set_response(Some(
        b"HTTP/1.1 302 Found\r\nLocation: /login?next=secret\r\nContent-Length: 0\r\n\r\n",
    ));
    for _ in 0..50 {
        assert_eq!(status(&gateway, ALICES, ALICE), 404);
    }
    app.set_response(None);
    assert_eq!(status(&gateway, ALICES, ALICE), 200);
    assert!(gateway.logs("the application answers again"));
    let log = gateway.log();
    let lines = |text: &str| log.lines().filter(|line| line.contains(text)).count();
    assert_eq!(lines("the application does not answer"), 1, "{log}");
    assert!(log.contains("responded 302, a redirect to /login; expected 2xx"), "{log}");
    assert!(log.contains(&format!("http://{}/whoami\"", app.address)) && !log.contains("secret"), "{log}");
    assert_eq!(lines("\"ERROR\""), 1, "{log}");
    let refused = gateway
        .access_log()
        .iter()
        .filter(|line| line["refused"].to_string().contains("responded 302"))
        .count();
    assert_eq!(refused, 50);
}

#[test]
fn nobody_is_identified_while_the_application_is_down() {
    let place = place();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let source = format!("{{source=\"forward\", url=\"http://{address}/whoami\", timeout=\"400ms\"}}");
    // It starts without the application, which may come later.
    drop(listener);
    let gateway = serve(&place, &source, &[]);
    assert_eq!(status(&gateway, ALICES, ALICE), 404);
    assert!(gateway.logs("Connection refused"));
    // An application that accepts and never responds.
    let listener = TcpListener::bind(address).unwrap();
    let begin = Instant::now();
    assert_eq!(status(&gateway, ALICES, ALICE), 404);
    assert!(begin.elapsed() >= Duration::from_millis(350) && begin.elapsed() < Duration::from_secs(3));
    drop(listener);
    // And one that sends a byte at a time.
    let listener = TcpListener::bind(address).unwrap();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                for byte in b"HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nContent-Length: 0\r\n\r\n" {
                    let _ = stream.write_all(&[*byte]);
                    std::thread::sleep(Duration::from_millis(30));
                }
            });
        }
    });
    let begin = Instant::now();
    assert_eq!(status(&gateway, ALICES, ALICE), 404);
    assert!(begin.elapsed() < Duration::from_secs(3));
}

/// A slow application delays its own users, and nobody else.
#[test]
fn a_slow_application_delays_only_its_users() {
    let (place, app) = (place(), App::start());
    app.set_pause(Duration::from_millis(1500));
    let gateway =
        serve(&place, &app.source("/whoami", ""), &["--workers", "1", "--grant", "shared/{*file}=everyone"]);
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| status(&gateway, ALICES, ALICE));
        std::thread::sleep(Duration::from_millis(100));
        let begin = Instant::now();
        for _ in 0..20 {
            assert_eq!(gateway.get("/private/shared/photo.jpg", "nobody").status, 200);
        }
        assert!(begin.elapsed() < Duration::from_millis(1000), "{:?}", begin.elapsed());
        assert_eq!(slow.join().unwrap(), 200);
    });
}

/// More questions than are asked at a time wait for their turn, and are asked.
#[test]
fn a_flood_of_credentials_is_asked_in_turns() {
    let (place, app) = (place(), App::start());
    app.set_pause(Duration::from_millis(50));
    let gateway = serve(&place, &app.source("/whoami", ", timeout=\"20s\""), &[]);
    let cookies: Vec<_> = (0..300).map(|n| format!("session=alice-1; n={n}")).collect();
    std::thread::scope(|scope| {
        let requests = cookies.iter().map(|cookie| scope.spawn(|| status(&gateway, ALICES, cookie)));
        let requests: Vec<_> = requests.collect();
        assert!(requests.into_iter().all(|request| request.join().unwrap() == 200));
    });
    assert_eq!(app.take_questions().len(), 300);
    // A connection returns a moment after its response.
    assert!(app.most_connections() <= 128, "{}", app.most_connections());
}

/// A value that the application takes from a user and sends unchecked ends its response, and begins another one for the next user.
#[test]
fn bytes_after_a_response_reach_no_other_user() {
    const SPLIT: &[u8] = b"HTTP/1.1 200 OK\r\nX-User-Id: 8\r\nX-User-Name: x\r\nContent-Length: 0\r\n\r\n\
        HTTP/1.1 200 OK\r\nX-User-Id: 7\r\nX-User-Staff: true\r\nContent-Length: 0\r\n\r\n\r\nContent-Length: 2\r\n\r\n{}";
    // A second id, in front of or behind the right one.
    const DOUBLE: &[u8] =
        b"HTTP/1.1 200 OK\r\nX-User-Name: x\r\nX-User-Id: 7\r\nX-User-Id: 8\r\nContent-Length: 0\r\n\r\n";
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/whoami", ", cache_ttl=\"0s\""), &["--workers", "1"]);
    app.set_response(Some(SPLIT));
    for n in 0..200 {
        // Each request is the response to the one before it, if anything is.
        for (file, expected) in [("cars/8/photo.jpg", 200), (ALICES, 404), ("cars/9/photo.jpg", 404)] {
            assert_eq!(status(&gateway, file, &format!("session={n}")), expected, "{n} {file}");
        }
    }
    app.set_response(Some(DOUBLE));
    for file in [ALICES, "cars/8/photo.jpg"] {
        assert_eq!(status(&gateway, file, "session=x"), 404);
    }
}

/// Each row is what is trusted, the host of the URL, and the problem if there is one.
#[test]
fn https_needs_a_certificate_that_is_trusted() {
    if !FrontServer::Nginx.is_installed() || !tls::has_openssl() {
        return;
    }
    let (place, app, address) = (place(), App::start(), free_address());
    std::fs::create_dir(place.path("tls")).unwrap();
    tls::make_certificate(&place.path("tls"));
    open_to_all(&place.path("tls"));
    let file = |name: &str| place.path("tls").join(name).display().to_string();
    let block = format!(
        "server {{
    listen {address} ssl;
    ssl_certificate {};
    ssl_certificate_key {};
    location / {{ proxy_pass http://{}; }}
}}
",
        file("site.pem"),
        file("site.key"),
        app.address
    );
    let _front = Front::start(FrontServer::Nginx, address, &block);
    for (trusted, host, problem) in [
        ("ca.pem", "127.0.0.1", None),
        ("ca.pem", "localhost", Some("invalid peer certificate")),
        ("site.csr", "127.0.0.1", Some("no trusted certificates")),
    ] {
        let mut command = program();
        let source = format!("{{source=\"forward\", url=\"https://{host}:{}/whoami\"}}", address.port());
        command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANTS[0], "--identity", &source]);
        command.current_dir(place.path("")).env("SSL_CERT_FILE", file(trusted));
        let gateway = Gateway::spawn(command, place.path("https.log"));
        assert_eq!(
            status(&gateway, ALICES, ALICE),
            if problem.is_some() { 404 } else { 200 },
            "{trusted} {host}"
        );
        assert!(problem.is_none_or(|problem| gateway.logs(problem)), "{problem:?}: {}", gateway.log());
    }
}
