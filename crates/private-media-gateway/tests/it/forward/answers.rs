//! What goes to the application, what its answers allow, and what is said about them.

use super::app::{App, GRANTS, field};
use super::{get, place, serve, serve_permission, status, url};
use crate::unix_socket::UnixGateway;

#[test]
fn the_application_gets_the_credential_and_nothing_that_a_client_says_about_itself() {
    let (place, app) = (place(), App::start());
    let gateway = serve_permission(&place, &app.source("/permission", ", permission=true"), &[]);
    let line = format!("GET {}?download&token=secret", url("cars/7/a b, é.jpg"));
    let fields = [
        ("cookie", "session=alice-1"),
        ("x-user-id", "9"),
        ("x-user-staff", "true"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-uri", "/private/shared/x"),
        ("x-original-uri", "/private/shared/x"),
        ("x-forwarded-method", "DELETE"),
        ("x-http-method-override", "DELETE"),
        ("proxy-authorization", "Basic x"),
        ("te", "trailers"),
        ("range", "bytes=0-1"),
    ];
    let response = gateway.fetch(&line, &fields);
    assert_eq!(response.status, 206);
    let questions = app.take_questions();
    let [question] = &*questions else { panic!("{questions:?}") };
    let mut lines: Vec<_> = question
        .trim_end()
        .lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
            None => line.to_owned(),
        })
        .collect();
    lines[1..].sort();
    assert_eq!(
        lines,
        [
            "GET /permission HTTP/1.1".to_owned(),
            "accept: application/json".into(),
            "cookie: session=alice-1".into(),
            format!("host: {}", app.address),
            "user-agent: private-media/0.1.0".into(),
            "x-forwarded-for: 127.0.0.1".into(),
            format!("x-forwarded-host: {}", gateway.address),
            "x-forwarded-method: GET".into(),
            "x-forwarded-proto: http".into(),
            "x-forwarded-uri: /private/cars/7/a%20b%2C%20%C3%A9.jpg".into(),
            "x-original-method: GET".into(),
            "x-original-uri: /private/cars/7/a%20b%2C%20%C3%A9.jpg".into(),
            format!("x-request-id: {}", response.header("x-request-id").unwrap()),
        ]
    );
}

/// Each spelling of a path is asked about as the path of the file that it opens.
#[test]
fn the_path_that_is_asked_about_is_the_path_that_is_opened() {
    let (place, app) = (place(), App::start());
    place.write("private/shared/%2e%2e", "shared");
    let gateway =
        serve_permission(&place, &app.source("/permission", ", permission=true, cache_ttl=\"0s\""), &[]);
    for (path, expected) in [
        ("/private/cars/8/photo.jpg", Some("/private/cars/8/photo.jpg")),
        ("/private/cars/8/%70hoto.jpg", Some("/private/cars/8/photo.jpg")),
        ("/private/c%61rs/%38/photo.jpg?x=/../../shared/photo.jpg", Some("/private/cars/8/photo.jpg")),
        ("/private/shared/%252e%252e", Some("/private/shared/%252e%252e")),
        ("/private/shared/../cars/8/photo.jpg", None),
        ("/private/shared/%2e%2e/cars/8/photo.jpg", None),
        ("/private/shared%2f..%2fcars/8/photo.jpg", None),
        ("/private/cars/8%2fphoto.jpg", None),
        ("/private/shared\\..\\cars/8/photo.jpg", None),
        ("/private//cars/8/photo.jpg", None),
        ("/private/shared/;/cars/8/photo.jpg", Some("/private/shared/%3B/cars/8/photo.jpg")),
    ] {
        let answer = gateway.fetch(&format!("GET {path}"), &[("cookie", "session=alice-1")]);
        assert_eq!(answer.status, if path.contains("%252e") { 200 } else { 404 }, "{path}");
        let questions = app.take_questions();
        let asked: Vec<_> = questions.iter().map(|question| field(question, "x-original-uri")).collect();
        assert_eq!(asked, expected.map_or(vec![], |expected| vec![Some(expected)]), "{path}");
    }
}

/// The application's yes is one more grant. Nobody else gets more by it, and staff get nothing by default.
#[test]
fn a_yes_is_a_grant() {
    let (place, app) = (place(), App::start());
    let source = app.source("/permission", ", permission=true");
    let alone = serve_permission(&place, &source, &[]);
    // The application denies carol, who is staff, what is no car.
    assert_eq!(status(&alone, "other/photo.jpg", "session=carol"), 404);
    assert_eq!(status(&alone, "cars/7/photo.jpg", "session=carol"), 200);
    let grants = ["--grant", "sales/{*file}=everyone", "--grant", "other/{*file}=staff"];
    let more = serve_permission(&place, &source, &grants);
    for (file, cookie, expected) in [
        ("sales/photo.jpg", "session=bob", 200),
        ("sales/photo.jpg", "session=expired", 200),
        ("sales/photo.jpg", "", 200),
        ("cars/7/photo.jpg", "session=alice-1", 200),
        ("cars/7/photo.jpg", "session=bob", 404),
        // A denial rejects the credential, so the grants see an anonymous client.
        ("other/photo.jpg", "session=carol", 404),
    ] {
        assert_eq!(status(&more, file, cookie), expected, "{file} {cookie}");
    }
    let log = more.access_log();
    let grant_of = |path: &str, user: &str| {
        let line = log.iter().find(|line| line["path"] == path && line["user"] == user);
        line.map(|line| line["grant"].as_str().unwrap().to_owned())
    };
    assert_eq!(grant_of("cars/7/photo.jpg", "7").as_deref(), Some("the application, by grant forward"));
    assert_eq!(grant_of("sales/photo.jpg", "-").as_deref(), Some("everyone, by grant sales/{*file}"));
}

/// An endpoint that was made for `auth_request` says yes without a name.
#[test]
fn a_yes_needs_no_name_for_a_permission() {
    let (place, app) = (place(), App::start());
    app.set_response(Some(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"));
    let permission = serve_permission(&place, &app.source("/permission", ", permission=true"), &[]);
    assert_eq!(status(&permission, "cars/7/photo.jpg", "session=x"), 200);
    assert_eq!(status(&permission, "cars/7/photo.jpg", ""), 404);
    // But an identity does: without a name, grants have nobody to name.
    let identity = serve(&place, &app.source("/whoami", ""), &[]);
    for file in ["cars/7/photo.jpg", "shared/photo.jpg"] {
        assert_eq!(status(&identity, file, "session=x"), 404);
    }
    assert!(identity.logs("responded 200 without the header x-user-id"), "{}", identity.log());
}

#[test]
fn names_of_headers_can_be_set() {
    let (place, app) = (place(), App::start());
    app.set_response(Some(
        b"HTTP/1.1 202 Accepted\r\nX-Auth-Request-User: 8\r\nX-Auth-Request-Groups: sales,press\r\nRemote-Staff: 0\r\nX-User-Id: 7\r\nContent-Length: 0\r\n\r\n",
    ));
    let more = ", pass=[\"x-api-key\"], id_header=\"X-Auth-Request-User\", groups_header=\"X-Auth-Request-Groups\", staff_header=\"Remote-Staff\"";
    let gateway = serve(&place, &app.source("/whoami", more), &[]);
    for (file, expected) in [("cars/8/photo.jpg", 200), ("sales/photo.jpg", 200), ("cars/7/photo.jpg", 404)] {
        let line = format!("GET {}", url(file));
        assert_eq!(gateway.fetch(&line, &[("x-api-key", "1")]).status, expected, "{file}");
        assert_eq!(gateway.fetch(&line, &[("cookie", "session=bob")]).status, 404, "it does not go along");
        assert_eq!(gateway.fetch(&line, &[("x-api-key", "1")]).header("vary"), Some("x-api-key"));
    }
}

#[test]
fn what_is_wrong_is_one_line() {
    let place = place();
    for (source, parts) in [
        ("forward", &["--identity", "missing key \"url\"", "http://127.0.0.1:9000/whoami"][..]),
        ("{source=\"forward\", url=\"app:9000\"}", &["url", "expected an http or https URL"]),
        ("{source=\"forward\", url=\"ftp://app/\"}", &["url", "expected an http or https URL"]),
        ("{source=\"forward\", url=\"http://user:pencil@app/\"}", &["url", "pass"]),
        ("{source=\"forward\", url=\"http://app/\", pass=[]}", &["pass", "no header with a credential"]),
        (
            "{source=\"forward\", url=\"http://app/\", pass=[\"host\"]}",
            &["pass", "no header with a credential"],
        ),
        (
            "{source=\"forward\", url=\"http://app/\", pass=[\"cookie\", \"a b\"]}",
            &["\"a b\"", "pass", "not the name of a header"],
        ),
        (
            "{source=\"forward\", url=\"http://app/\", pass=[\"cookie\", \"Range\"]}",
            &["pass", "range belongs to"],
        ),
        (
            "{source=\"forward\", url=\"http://app/\", cookies=[\"a=b\"]}",
            &["\"a=b\"", "cookies", "not a cookie name"],
        ),
        ("{source=\"forward\", url=\"http://app/\", timeout=\"0s\"}", &["timeout", "greater than zero"]),
        ("{source=\"forward\", url=\"http://app/\", timeout=2}", &["timeout", "in quotes"]),
        (
            "{source=\"forward\", url=\"http://app/\", unavailable=\"allow\"}",
            &["\"allow\"", "unavailable", "deny or 503"],
        ),
        (
            "{source=\"forward\", url=\"http://app/\", id_header=\"X User\"}",
            &["\"X User\"", "id_header", "not the name of a header"],
        ),
        (
            "{source=\"forward\", url=\"http://app/\", permissions=true}",
            &["unknown key \"permissions\"", "did you mean \"permission\"?"],
        ),
        ("{source=\"forward\", url=\"http://app/\", permission=\"yes\"}", &["permission", "true or false"]),
    ] {
        let line = place.refusal(&["serve", "--identity", source]);
        assert!(parts.iter().all(|part| line.contains(part)) && !line.contains("pencil"), "{source}: {line}");
    }
    let (a, b) = ("{source=\"forward\", url=\"http://a/\"}", "{source=\"forward\", url=\"http://b/\"}");
    let line = place.refusal(&["serve", "--identity", a, "--identity", b]);
    assert!(line.contains("an earlier source"), "{line}");
}

/// `check` cannot know what the application says about a name, and asks it about a credential.
#[test]
fn check_asks_about_a_credential() {
    let (place, app) = (place(), App::start());
    let source = app.source("/permission", ", permission=true");
    let run = |arguments: &[&str]| {
        let output = place.run(&[&["check", "--identity", &source], arguments].concat());
        let texts = [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap());
        (output.status.code().unwrap(), texts.concat())
    };
    for (arguments, code, text) in [
        (
            &["--cookie", "session=alice-1", "cars/7/photo.jpg"][..],
            0,
            "allowed: the application, by grant forward",
        ),
        (&["--token", "alice-1", "cars/7/photo.jpg"], 0, "allowed: the application, by grant forward"),
        (&["--cookie", "session=alice-1", "cars/8/photo.jpg"], 1, "responded 403"),
        (&["--cookie", "session=expired", "cars/7/photo.jpg"], 1, "responded 401"),
        (&["anonymous", "cars/7/photo.jpg"], 1, "was not asked"),
        (&["{ id = \"7\" }", "cars/7/photo.jpg"], 1, "replace USER by the credential, e.g. --cookie"),
        (&["alice", "cars/7/photo.jpg"], 2, "--cookie"),
    ] {
        let (own, output) = run(arguments);
        assert!(own == code && output.contains(text), "{arguments:?}: {own} {output}");
    }
}

/// The address of a client of a Unix socket is not known, and is not made up.
#[test]
fn clients_of_a_unix_socket_have_no_address() {
    let (place, app) = (place(), App::start());
    let source = app.source("/whoami", "");
    let gateway = UnixGateway::start_with(&place, &["--identity", &source, "--grant", GRANTS[0]]);
    let answer = gateway.fetch(&format!("GET {}", url("cars/7/photo.jpg")), &[("cookie", "session=alice-1")]);
    assert_eq!(answer.status, 200);
    let questions = app.take_questions();
    assert!(questions.len() == 1 && field(&questions[0], "x-forwarded-for").is_none(), "{questions:?}");
}

/// Grants and the application's answer, from the same source of both.
#[test]
fn groups_and_staff_come_from_the_application() {
    let (place, app) = (place(), App::start());
    let gateway = serve(&place, &app.source("/whoami", ""), &[]);
    for (cookie, file, expected) in [
        ("session=dave", "sales/photo.jpg", 200),
        ("session=alice-1", "sales/photo.jpg", 404),
        ("session=carol", "cars/7/photo.jpg", 200),
        ("session=two-roles", "cars/7/photo.jpg", 404),
        ("session=long", "cars/an-id-that-is-quite-long@example.org/photo.jpg", 200),
    ] {
        assert_eq!(get(&gateway, file, cookie).status, expected, "{cookie} {file}");
    }
}
