//! Which answer is used for which request: never that of another credential, and as few questions as possible.

use std::io::{Read, Write};
use std::time::{Duration, Instant};

use super::app::App;
use super::{get, place, serve, serve_permission, status, until, url};
use crate::support::{Gateway, Response};

const ALICES: &str = "cars/7/photo.jpg";
const BOBS: &str = "cars/8/photo.jpg";

/// The header fields of a request.
type Fields<'a> = &'a [(&'a str, &'a str)];

/// Sends requests on one connection, and returns the status of each response.
fn on_one_connection(gateway: &Gateway, requests: &[(&str, Fields<'_>)]) -> Vec<u16> {
    let mut stream = gateway.connect();
    let mut bytes = Vec::new();
    for (number, (file, fields)) in (1..).zip(requests) {
        let fields: String = fields.iter().map(|(name, value)| format!("{name}: {value}\r\n")).collect();
        let close = if number == requests.len() { "connection: close\r\n" } else { "" };
        write!(stream, "GET {} HTTP/1.1\r\nhost: x\r\n{fields}{close}\r\n", url(file)).unwrap();
    }
    stream.read_to_end(&mut bytes).unwrap();
    let text = String::from_utf8_lossy(&bytes).into_owned();
    text.match_indices("HTTP/1.1 ").map(|(at, _)| text[at + 9..at + 12].parse().unwrap()).collect()
}

/// Two users ask for the same paths by turns, with credentials that differ in little.
#[test]
fn no_user_gets_the_answer_of_another() {
    let place = place();
    for permission in [false, true] {
        let app = App::start();
        let gateway = if permission {
            serve_permission(&place, &app.source("/permission", ", permission=true"), &[])
        } else {
            serve(&place, &app.source("/whoami", ""), &[])
        };
        let credentials: [(Fields<'_>, bool, bool); 12] = [
            (&[("cookie", "session=alice-1")], true, false),
            (&[("cookie", "session=bob")], false, true),
            // A prefix, a suffix and another case of a token.
            (&[("cookie", "session=alice-")], false, false),
            (&[("cookie", "session=alice-11")], false, false),
            (&[("cookie", "session=Alice-1")], false, false),
            // The same bytes in other headers, and in another order.
            (&[("authorization", "session=alice-1")], false, false),
            (&[("authorization", "Bearer bob"), ("cookie", "theme=dark")], false, true),
            (&[("cookie", "theme=dark"), ("authorization", "Bearer alice-1")], true, false),
            (&[("cookie", "session=bob; x=session=alice-1")], false, true),
            (&[("cookie", "x=1"), ("cookie", "session=alice-1")], true, false),
            (&[("cookie", "session=alice-1"), ("cookie", "session=bob")], true, false),
            (&[], false, false),
        ];
        for round in 0..4 {
            let mut requests = Vec::new();
            let mut expected = Vec::new();
            for number in 0..credentials.len() {
                // Another neighbour in each round.
                let (fields, of_alice, of_bob) =
                    credentials[(number * (2 * round + 1) + round) % credentials.len()];
                for (file, is_allowed) in [(ALICES, of_alice), (BOBS, of_bob)] {
                    requests.push((file, fields));
                    expected.push(if is_allowed { 200 } else { 404 });
                }
            }
            assert_eq!(on_one_connection(&gateway, &requests), expected, "{permission} {round}");
        }
        // The second to fourth rounds were answered from the cache: 11 credentials, with two paths if the path counts.
        assert_eq!(app.take_questions().len(), if permission { 22 } else { 11 });
    }
}

/// Everything that goes along is part of the key: the address and the host of a client, too.
#[test]
fn an_answer_is_for_one_host_and_address() {
    let (place, app) = (place(), App::start());
    let gateway =
        serve(&place, &app.source("/whoami", ", pass=[\"cookie\", \"x-tenant\", \"x-forwarded-for\"]"), &[]);
    let base = [("cookie", "session=alice-1")];
    let line = format!("GET {}", url(ALICES));
    for more in [
        &[][..],
        &[("x-tenant", "a")],
        &[("x-tenant", "b")],
        &[("x-forwarded-for", "192.0.2.1")],
        &[("x-forwarded-for", "192.0.2.2")],
        &[("x-tenant", "a"), ("x-forwarded-for", "192.0.2.1")],
    ] {
        for _ in 0..3 {
            assert_eq!(gateway.fetch(&line, &[&base, more].concat()).status, 200);
        }
        assert_eq!(app.take_questions().len(), 1, "{more:?}");
    }
    // What does not go along makes no difference.
    for more in [("user-agent", "a"), ("x-tenants", "a"), ("range", "bytes=0-1"), ("accept", "image/png")] {
        gateway.fetch(&line, &[&base[..], &[more]].concat());
    }
    assert_eq!(app.take_questions().len(), 0);
}

#[test]
fn many_requests_are_one_question() {
    let (place, app) = (place(), App::start());
    app.set_pause(Duration::from_millis(300));
    let gateway = serve(&place, &app.source("/whoami", ""), &["--workers", "3"]);
    let statuses: Vec<_> = std::thread::scope(|scope| {
        let requests = (0..200).map(|n| {
            let gateway = &gateway;
            let (file, cookie) = if n % 2 == 0 { (ALICES, "session=alice-1") } else { (BOBS, "session=bob") };
            scope.spawn(move || status(gateway, file, cookie))
        });
        requests.collect::<Vec<_>>().into_iter().map(|request| request.join().unwrap()).collect()
    });
    assert!(statuses.iter().all(|status| *status == 200), "{statuses:?}");
    assert_eq!(app.take_questions().len(), 2);
}

#[test]
fn a_client_that_disconnects_cancels_no_shared_question() {
    let (place, app) = (place(), App::start());
    app.set_pause(Duration::from_millis(500));
    let gateway = serve(&place, &app.source("/whoami", ""), &["--workers", "1"]);
    let mut first = gateway.connect();
    write!(
        first,
        "GET {} HTTP/1.1\r\nhost: {}\r\ncookie: session=alice-1\r\n\r\n",
        url(ALICES),
        gateway.address
    )
    .unwrap();
    until(1, Duration::from_secs(10), || u16::try_from(app.count_questions()).unwrap());
    let second = std::thread::scope(|scope| {
        let second = scope.spawn(|| status(&gateway, ALICES, "session=alice-1"));
        std::thread::sleep(Duration::from_millis(100));
        reset(first);
        second.join().unwrap()
    });
    assert_eq!((second, app.take_questions().len()), (200, 1));
}

/// Resets a connection, so that the gateway notices at once.
fn reset(stream: std::net::TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn a_sign_out_is_noticed_within_the_cache_time() {
    let place = place();
    for (path, more) in [("/whoami", ""), ("/permission", ", permission=true")] {
        let app = App::start();
        let source = app.source(path, &format!("{more}, cache_ttl=\"1s\""));
        let gateway = if more.is_empty() {
            serve(&place, &source, &[])
        } else {
            serve_permission(&place, &source, &[])
        };
        assert_eq!(status(&gateway, ALICES, "session=alice-1"), 200);
        app.sign_out("alice-1");
        let asked = Instant::now();
        until(404, Duration::from_secs(10), || status(&gateway, ALICES, "session=alice-1"));
        assert!(asked.elapsed() < Duration::from_millis(1500), "{path}: {:?}", asked.elapsed());
        // Signing in again is noticed as fast.
        app.sign_in("alice-1");
        until(200, Duration::from_millis(1500), || status(&gateway, ALICES, "session=alice-1"));
    }
}

/// The ranges and the conditional requests of a download are authorized again, too.
#[test]
fn a_sign_out_ends_ranges_and_revalidations() {
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/whoami", ", cache_ttl=\"0s\""), &[]);
    let etag = get(&gateway, ALICES, "session=alice-1").header("etag").unwrap().to_owned();
    let line = format!("GET {}", url(ALICES));
    for (field, before) in [(("range", "bytes=0-3"), 206), (("if-none-match", &*etag), 304)] {
        let ask = || gateway.fetch(&line, &[("cookie", "session=alice-1"), field]).status;
        assert_eq!(ask(), before);
        app.sign_out("alice-1");
        assert_eq!(ask(), 404);
        app.sign_in("alice-1");
    }
}

/// Each row is the application's `Cache-Control`, the time that answers are kept at most, and how many questions three requests are.
#[test]
fn the_application_says_how_long_its_answer_counts() {
    let place = place();
    for (cache_control, ttl, expected) in [
        (None, "1m", 1),
        (Some("private"), "1m", 1),
        (Some("max-age=60"), "1m", 1),
        (Some("no-store"), "1m", 3),
        (Some("max-age=0, private, must-revalidate"), "1m", 3),
        (None, "0s", 3),
        (Some("max-age=60"), "0s", 3),
    ] {
        let app = App::start();
        app.set_cache_control(cache_control);
        let source = app.source("/whoami", &format!(", cache_ttl=\"{ttl}\""));
        let gateway = serve(&place, &source, &[]);
        for cookie in ["session=alice-1", "session=expired", "session=banned"] {
            let statuses: Vec<_> = (0..3).map(|_| status(&gateway, ALICES, cookie)).collect();
            let is_alice = cookie.ends_with("alice-1");
            assert!(
                statuses.iter().all(|status| *status == if is_alice { 200 } else { 404 }),
                "{statuses:?}"
            );
            assert_eq!(app.take_questions().len(), expected, "{cache_control:?} {ttl} {cookie}");
        }
    }
    let app = App::start();
    app.set_cache_control(Some("max-age=1"));
    let gateway = serve(&place, &app.source("/whoami", ", cache_ttl=\"1h\""), &[]);
    assert_eq!(status(&gateway, ALICES, "session=alice-1"), 200);
    app.sign_out("alice-1");
    until(404, Duration::from_secs(3), || status(&gateway, ALICES, "session=alice-1"));
}

#[test]
fn without_a_credential_nothing_is_asked() {
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/whoami", ", cookies=[\"session\"]"), &[]);
    let line = format!("GET {}", url(ALICES));
    for fields in [
        &[][..],
        &[("cookie", "theme=dark")],
        &[("cookie", "")],
        &[("x-user-id", "7")],
        &[("x-api-key", "alice-1")],
        &[("proxy-authorization", "Bearer alice-1")],
        &[("user-agent", "session=alice-1")],
    ] {
        assert_eq!(gateway.fetch(&line, fields).status, 404, "{fields:?}");
    }
    assert_eq!(app.take_questions(), Vec::<String>::new());
    // Nor for paths that no file can have.
    let answer: Response = gateway.fetch("GET /private/../x", &[("cookie", "session=alice-1")]);
    assert_eq!((answer.status, app.take_questions().len()), (404, 0));
    // Cookies of others do not go along, so they make no difference either.
    for n in 0..3 {
        assert_eq!(status(&gateway, ALICES, &format!("_ga={n}; session=alice-1; theme=dark")), 200);
    }
    let questions = app.take_questions();
    assert!(
        questions.len() == 1 && !questions[0].contains("_ga") && !questions[0].contains("theme"),
        "{questions:?}"
    );
}
