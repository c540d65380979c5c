//! Responses by user, over real connections.

use std::io::{Read, Write};

use crate::support::{Place, credentials};

#[test]
fn only_the_owner_and_staff_may_read() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for user in ["alice", "carol"] {
        let response = gateway.get("/private/cars/7/photo.jpg", user);
        assert_eq!((response.status, response.body.as_slice()), (200, &b"alice's photo"[..]), "{user}");
        assert_eq!(response.header("content-type"), Some("image/jpeg"));
        assert_eq!(response.header("content-disposition"), Some("inline; filename=\"photo.jpg\""));
        assert_eq!(response.header("cache-control"), Some("private, no-cache"));
        assert_eq!(response.header("vary"), Some("cookie, authorization"));
    }
    let refused = gateway.get("/private/cars/7/photo.jpg", "bob");
    assert_eq!(refused.status, 404);
    for (path, user) in [
        ("/private/cars/7/photo.jpg", "nobody"),
        ("/private/cars/7/none.jpg", "alice"),
        ("/private/cars/7/none.jpg", "bob"),
        ("/private/cars/7/none.jpg", "carol"),
        ("/private/cars/7", "alice"),
        ("/private/../private/cars/7/photo.jpg", "alice"),
        ("/private/", "carol"),
    ] {
        assert_eq!(gateway.get(path, user).normalized(), refused.normalized(), "{path} as {user}");
    }
}

/// HEAD, ranges and conditions work the same for all users with permission, and all others get the same denial.
#[test]
fn permission_does_not_change_the_protocol() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let etag = gateway.get("/private/cars/7/photo.jpg", "alice").header("etag").unwrap().to_owned();
    let date = gateway.get("/private/cars/7/photo.jpg", "alice").header("last-modified").unwrap().to_owned();
    for (method, fields, status, body) in [
        ("GET", vec![], 200, "alice's photo"),
        ("HEAD", vec![], 200, ""),
        ("GET", vec![("range", "bytes=0-4")], 206, "alice"),
        ("GET", vec![("range", "bytes=-5")], 206, "photo"),
        ("HEAD", vec![("range", "bytes=0-4")], 200, ""),
        ("GET", vec![("range", "bytes=100-")], 416, "range not satisfiable\n"),
        ("GET", vec![("if-none-match", etag.as_str())], 304, ""),
        ("HEAD", vec![("if-none-match", etag.as_str())], 304, ""),
        ("GET", vec![("if-none-match", "\"x\"")], 200, "alice's photo"),
        ("GET", vec![("if-modified-since", date.as_str())], 304, ""),
        ("GET", vec![("if-match", "\"x\"")], 412, "precondition failed\n"),
        ("GET", vec![("if-range", etag.as_str()), ("range", "bytes=0-4")], 206, "alice"),
        ("GET", vec![("if-range", "\"x\""), ("range", "bytes=0-4")], 200, "alice's photo"),
    ] {
        let fetch = |path: &str, user: &str| {
            gateway.fetch(&format!("{method} {path}"), &[fields.clone(), credentials(user)].concat())
        };
        for user in ["alice", "carol"] {
            let response = fetch("/private/cars/7/photo.jpg", user);
            assert_eq!(
                (response.status, response.body),
                (status, body.into()),
                "{method} {fields:?} as {user}"
            );
        }
        let missing = fetch("/private/cars/7/none.jpg", "alice").normalized();
        for user in ["bob", "nobody"] {
            assert_eq!(
                fetch("/private/cars/7/photo.jpg", user).normalized(),
                missing,
                "{method} {fields:?} as {user}"
            );
        }
    }
}

#[test]
fn other_urls_have_the_right_status() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for (line, status) in [
        ("GET /private/-/health", 200),
        ("HEAD /private/-/health", 200),
        ("POST /private/-/health", 405),
        ("GET /private/-/sign-in", 200),
        ("GET /private/-/nothing", 404),
        ("GET /private/-", 404),
        ("GET /private", 404),
        ("GET /", 303),
        ("GET /elsewhere", 404),
        ("OPTIONS *", 404),
        ("GET http://elsewhere.example/private/-/health", 200),
        ("DELETE /private/cars/7/photo.jpg", 405),
    ] {
        assert_eq!(gateway.fetch(line, &[]).status, status, "{line}");
    }
    assert_eq!(gateway.fetch("GET /private/-/health", &[]).body, b"ok\n");
}

/// Headers that only a front server should set have no effect.
#[test]
fn headers_of_front_servers_are_ignored() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let plain = gateway.get("/private/cars/7/photo.jpg", "nobody").normalized();
    for (name, value) in [
        ("x-forwarded-user", "alice"),
        ("x-remote-user", "alice"),
        ("remote-user", "alice"),
        ("remote_user", "alice"),
        ("x-original-url", "/private/-/health"),
        ("x-rewrite-url", "/private/-/health"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-http-method-override", "DELETE"),
        ("x-accel-redirect", "/etc/passwd"),
        ("x-sendfile", "/etc/passwd"),
        ("x-middleware-subrequest", "1"),
        ("forwarded", "for=127.0.0.1;host=evil.example"),
    ] {
        assert_eq!(
            gateway.fetch("GET /private/cars/7/photo.jpg", &[(name, value)]).normalized(),
            plain,
            "{name}: {value}"
        );
    }
}

#[test]
fn ambiguous_requests_are_rejected() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for head in [
        "GET /private/-/health HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
        "GET /private/-/health HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\ncontent-length: 6\r\n\r\nhello",
        "GET /private/-/health HTTP/1.1\r\nhost: x\r\ncontent-length: +5\r\n\r\nhello",
        "GET /private/-/health HTTP/1.1\r\nhost : x\r\n\r\n",
        "GET  /private/-/health HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /private/\0 HTTP/1.1\r\nhost: x\r\n\r\n",
    ] {
        let mut stream = gateway.connect();
        stream.write_all(head.as_bytes()).unwrap();
        stream.write_all(b"GET /private/-/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
        let mut response = String::new();
        // The connection may end with a reset or a close.
        let _ = stream.read_to_string(&mut response);
        // RFC 9112 section 6.1: with both lengths, the chunked one may be used if the connection is closed afterwards.
        let is_both = head.contains("chunked");
        assert!(
            response.starts_with("HTTP/1.1 400 ") || response.is_empty() || is_both,
            "{head:?}: {response}"
        );
        assert!(response.matches("HTTP/1.1").count() <= 1, "the connection ends: {response}");
    }
}

#[test]
fn the_log_contains_decisions_and_no_secrets() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let cookie = [("cookie", "private_media_session=stolen; other=c00kie")];
    gateway.get("/private/cars/7/photo.jpg?token=qu3ry", "alice");
    gateway.get("/private/cars/7/photo.jpg", "bob");
    gateway.fetch("GET /private/cars/7/photo.jpg", &cookie);
    gateway.fetch("GET /private/cars/7/a%0d%0ab", &[("referer", "http://x/?r3ferer")]);
    gateway.get("/private/cars/7/none.jpg", "alice");
    let last = gateway.get("/private/cars/7/photo.jpg", "carol");
    let lines = gateway.access_log();
    let found: Vec<_> = lines
        .iter()
        .map(|line| {
            let text = |name: &str| line[name].as_str().unwrap_or("").to_owned();
            (
                text("user"),
                text("path"),
                text("decision"),
                text("grant"),
                line["status"].as_u64().unwrap(),
                line["bytes"].as_u64().unwrap(),
            )
        })
        .collect();
    let row = |user: &str, path: &str, decision: &str, grant: &str, status, bytes| {
        (user.to_owned(), path.to_owned(), decision.to_owned(), grant.to_owned(), status, bytes)
    };
    let photo = "cars/7/photo.jpg";
    assert_eq!(
        found,
        [
            row("7", photo, "allowed", "owner, by grant cars/{owner}/{*file}", 200, 13),
            row("8", photo, "denied", "-", 404, 10),
            row("-", photo, "denied", "-", 404, 10),
            row("-", "/private/cars/7/a%0d%0ab", "denied", "-", 404, 10),
            row("7", "cars/7/none.jpg", "allowed", "owner, by grant cars/{owner}/{*file}", 404, 10),
            row("9", photo, "allowed", "staff, by grant cars/{owner}/{*file}", 200, 13),
        ]
    );
    let reason =
        |who: &str| format!("{who} is neither owner (7) nor staff, by grant cars/{{owner}}/{{*file}}");
    assert_eq!(lines[1]["refused"], reason("bob (id 8, by accounts)"));
    let refused = lines[2]["refused"].as_str().unwrap();
    assert!(refused.starts_with("anonymous (accounts: ") && refused.ends_with(&reason(")")), "{refused}");
    assert_eq!(lines[5]["id"].as_str(), last.header("x-request-id"), "the client can name its line");
    assert!(lines.iter().all(|line| line["milliseconds"].is_number() && line["method"] == "GET"));
    let log = gateway.log();
    for secret in ["qu3ry", "c00kie", "stolen", "r3ferer", "Basic", "a long password"] {
        assert!(!log.contains(secret), "{secret}: {log}");
    }
}

#[test]
fn health_checks_are_logged_at_debug_level() {
    let place = Place::new();
    for (level, lines) in [("info", 0), ("debug", 2)] {
        let gateway = place.serve(&["--log", level]);
        for line in ["GET /private/-/health", "HEAD /private/-/health"] {
            assert_eq!(gateway.fetch(line, &[]).status, 200);
        }
        let log = gateway.access_log();
        assert_eq!(log.len(), lines, "{log:?}");
        assert!(log.iter().all(|line| line["level"] == "DEBUG"), "{log:?}");
    }
}

#[test]
fn debug_mode_explains_denials() {
    let place = Place::new();
    let gateway = place.serve(&["--debug"]);
    let response = gateway.get("/private/cars/7/photo.jpg", "bob");
    assert_eq!(response.status, 403);
    let text = String::from_utf8(response.body).unwrap();
    let reason = "bob (id 8, by accounts) is neither owner (7) nor staff, by grant cars/{owner}/{*file}";
    assert_eq!(text, format!("forbidden: {reason}\n"));
    assert_eq!(gateway.get("/private/cars/7/none.jpg", "alice").status, 404);
}

#[test]
fn the_sign_in_page_creates_a_session() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let origin = format!("http://{}", gateway.address);
    let form = [("origin", origin.as_str()), ("content-type", "application/x-www-form-urlencoded")];
    let response =
        gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=a+long+password&next=%2Fmine");
    assert_eq!((response.status, response.header("location")), (303, Some("/mine")));
    let cookie = response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    assert!(
        response.header("set-cookie").unwrap().contains("Path=/private/"),
        "the application does not see it"
    );
    let get = || gateway.fetch("GET /private/cars/7/photo.jpg", &[("cookie", &cookie)]);
    assert_eq!(get().status, 200);
    assert_eq!(get().header("set-cookie"), None, "no file sets a cookie");
    let elsewhere = [("origin", "http://evil.example"), ("cookie", cookie.as_str())];
    assert_eq!(gateway.send("POST /private/-/sign-out", &elsewhere, b"next=/").status, 403);
    assert_eq!(get().status, 200, "another site cannot sign a user out");
    assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=/").status, 303);
    assert_eq!(get().status, 404);
    let wrong = gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=wrong");
    assert_eq!((wrong.status, wrong.header("set-cookie")), (403, None));
}

/// A proxy that reuses connections is told that a connection closes because of an unread body.
#[test]
fn a_denial_with_an_unread_body_closes_the_connection() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    for (line, field) in [
        ("POST /private/-/sign-in", "origin: http://evil.example"),
        ("POST /private/cars/7/photo.jpg", "x: y"),
        ("POST /elsewhere", "x: y"),
    ] {
        let mut stream = gateway.connect();
        let head = format!(
            "{line} HTTP/1.1\r\nhost: {}\r\n{field}\r\ncontent-length: 100000\r\n\r\nname=",
            gateway.address
        );
        stream.write_all(head.as_bytes()).unwrap();
        let mut response = String::new();
        let _ = stream.read_to_string(&mut response);
        assert!(response.contains("\r\nconnection: close\r\n"), "{line}: {response}");
        assert!(response.starts_with("HTTP/1.1 4"), "{line}: {response}");
    }
    let mut stream = gateway.connect();
    write!(stream, "GET /private/none HTTP/1.1\r\nhost: x\r\n\r\nGET /private/-/health HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut responses = String::new();
    stream.read_to_string(&mut responses).unwrap();
    assert!(responses.ends_with("ok\n"), "without content the connection goes on: {responses}");
}
