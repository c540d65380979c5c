//! What is sent, which answer is used for which request, and what counts as an answer.

use http::header::HeaderValue;
use http::{HeaderMap, Method, Response};
use private_media::User;
use private_media::identity::{ClientAddr, Rejection};
use proptest::prelude::*;

use super::answer::{Fresh, read};
use super::*;

fn options(permission: bool) -> ForwardOptions {
    let names = ["cookie", "authorization"].map(|name| name.parse().unwrap());
    ForwardOptions {
        url: "http://127.0.0.1:9000/whoami?x=1".parse().unwrap(),
        private_url: "/private/".into(),
        pass: PassedHeaders::new(names).unwrap(),
        cookies: vec![],
        timeout: Duration::from_secs(2),
        cache_ttl: Duration::from_secs(5),
        permission,
        retry_after: None,
        names: HeaderNames {
            id: HeaderName::from_static("x-user-id"),
            name: HeaderName::from_static("x-user-name"),
            groups: HeaderName::from_static("x-user-groups"),
            staff: HeaderName::from_static("x-user-staff"),
        },
    }
}

fn passing(names: &[&str]) -> ForwardOptions {
    let pass = PassedHeaders::new(names.iter().map(|name| name.parse().unwrap())).unwrap();
    ForwardOptions { pass, ..options(false) }
}

fn head(uri: &str, fields: &[(&str, &str)]) -> Parts {
    let mut request = Request::get(uri);
    for (name, value) in fields {
        request = request.header(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    let (mut head, ()) = request.body(()).unwrap().into_parts();
    head.extensions.insert(ClientAddr::Ip([192, 0, 2, 1].into()));
    head
}

/// The header fields that are sent, in order; `None` if nothing is asked.
fn sent_in_order(options: &ForwardOptions, head: &Parts) -> Option<Vec<String>> {
    let question = Question::new(options, head);
    assert_eq!(question.is_some(), question::has_credential(options, &head.headers));
    let request = question?.to_request(options).unwrap();
    assert_eq!((request.method(), request.uri()), (&Method::GET, &options.url));
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
    };
    Some(request.headers().iter().map(line).collect())
}

/// The header fields that are sent, by name.
fn sent(options: &ForwardOptions, head: &Parts) -> Option<Vec<String>> {
    let mut fields = sent_in_order(options, head)?;
    fields.sort();
    Some(fields)
}

const IDENTITY: &[&str] = &[
    "accept: application/json",
    "cookie: session=a",
    "user-agent: private-media/0.1.0",
    "x-forwarded-for: 192.0.2.1",
    "x-forwarded-host: example.org",
    "x-forwarded-method: GET",
    "x-forwarded-proto: http",
    "x-forwarded-uri: /private/",
    "x-original-method: GET",
    "x-original-uri: /private/",
];

#[test]
fn the_credential_and_where_it_comes_from() {
    let head = head(
        "/private/cars/7/a%20b.jpg?download",
        &[
            ("host", "example.org"),
            ("cookie", "session=a"),
            // None of these goes along.
            ("x-user-id", "1"),
            ("x-user-staff", "true"),
            ("x-forwarded-for", "203.0.113.9"),
            ("x-forwarded-host", "evil.example"),
            ("x-forwarded-user", "carol"),
            ("x-original-uri", "/public"),
            ("connection", "cookie, x-user-id"),
            ("te", "trailers"),
            ("range", "bytes=0-1"),
            ("if-none-match", "*"),
            ("user-agent", "curl"),
            ("accept", "text/html"),
            ("referer", "https://example.org/?token=1"),
        ],
    );
    assert_eq!(sent(&options(false), &head).unwrap(), IDENTITY);
    let mut expected: Vec<_> = IDENTITY.iter().map(|line| (*line).to_owned()).collect();
    for line in &mut expected {
        if line.ends_with("-uri: /private/") {
            line.push_str("cars/7/a%20b.jpg");
        }
    }
    assert_eq!(sent(&options(true), &head).unwrap(), expected);
    let mut head = head;
    head.method = Method::HEAD;
    assert_eq!(sent(&options(false), &head).unwrap(), IDENTITY);
    assert!(sent(&options(true), &head).unwrap().contains(&"x-original-method: HEAD".to_owned()));
}

#[test]
fn headers_that_are_listed_replace_ours() {
    let options = passing(&["x-api-key", "host", "user-agent", "x-forwarded-for", "x-forwarded-proto"]);
    let all = [
        ("host", "example.org"),
        ("x-api-key", "1"),
        ("x-api-key", "2"),
        ("user-agent", "curl"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-forwarded-proto", "https"),
        ("cookie", "session=a"),
    ];
    let fields = sent(&options, &head("/private/a", &all)).unwrap();
    assert_eq!(
        fields,
        [
            "accept: application/json",
            "host: example.org",
            "user-agent: curl",
            "x-api-key: 1",
            "x-api-key: 2",
            "x-forwarded-for: 203.0.113.9",
            "x-forwarded-host: example.org",
            "x-forwarded-method: GET",
            "x-forwarded-proto: https",
            "x-forwarded-uri: /private/",
            "x-original-method: GET",
            "x-original-uri: /private/",
        ]
    );
    // A listed header that the client does not send is not made up.
    let fields = sent(&options, &head("/private/a", &[("x-api-key", "1")])).unwrap();
    assert!(
        !fields.iter().any(|field| field.starts_with("x-forwarded-for") || field.starts_with("user-agent"))
    );
}

#[test]
fn which_credentials_are_asked_about() {
    let (all, mut some) = (options(false), options(false));
    some.cookies = vec!["session".into(), "sid".into()];
    for (fields, of_all, of_some) in [
        (&[][..], None, None),
        (&[("cookie", "")], None, None),
        (&[("cookie", " ")], None, None),
        (&[("authorization", "")], None, None),
        (&[("user-agent", "curl"), ("x-api-key", "1")], None, None),
        (&[("cookie", "theme=dark")], Some("cookie: theme=dark"), None),
        (
            &[("cookie", "a=b; session=c;sid = d ; sessions=e")],
            Some("cookie: a=b; session=c;sid = d ; sessions=e"),
            Some("cookie: session=c; sid = d"),
        ),
        (
            &[("cookie", "session=a"), ("cookie", "sid=b")],
            Some("cookie: session=a; sid=b"),
            Some("cookie: session=a; sid=b"),
        ),
        (
            &[("cookie", "session=a; session=b")],
            Some("cookie: session=a; session=b"),
            Some("cookie: session=a; session=b"),
        ),
        (
            &[("cookie", "xsession=a; Session=b; session")],
            Some("cookie: xsession=a; Session=b; session"),
            Some("cookie: session"),
        ),
        (&[("authorization", "Bearer x")], Some("authorization: Bearer x"), Some("authorization: Bearer x")),
    ] {
        for (options, expected) in [(&all, of_all), (&some, of_some)] {
            let fields = sent(options, &head("/private/a", fields));
            let credential = fields.map(|fields| {
                let mut own = fields
                    .into_iter()
                    .filter(|line| line.starts_with("cookie") || line.starts_with("authorization"));
                own.next().unwrap()
            });
            assert_eq!(credential.as_deref(), expected, "{:?}", options.cookies);
        }
    }
}

/// Returns what is sent, and the key of the answer.
fn sent_and_key(
    options: &ForwardOptions,
    head: &Parts,
) -> Option<(Vec<String>, private_media::decision_cache::CacheKey)> {
    Some((sent_in_order(options, head)?, Question::new(options, head)?.key()))
}

const NAMES: [&str; 6] = ["cookie", "authorization", "x-api-key", "host", "x-forwarded-for", "x-tenant"];

proptest! {
    /// Two requests share an answer if and only if the same is sent for both. Everything else would be somebody else's answer.
    #[test]
    fn an_answer_belongs_to_what_was_sent(
        requests in prop::collection::vec(
            (
                prop::collection::vec((prop::sample::select(&NAMES[..]), "(a|b|session=a|session=b|; |cookie|authorization){0,3}"), 0..4),
                "(a|b)(/(a|b))?", any::<bool>(), 1_u8..3,
            ),
            2..6,
        ),
        permission: bool, selected: bool,
    ) {
        let pass = PassedHeaders::new(["cookie", "authorization", "x-api-key", "x-tenant", "x-forwarded-for"].map(|name| name.parse().unwrap()));
        let cookies = if selected { vec!["session".to_owned()] } else { vec![] };
        let options = ForwardOptions { pass: pass.unwrap(), cookies, ..options(permission) };
        let requests: Vec<_> = requests.iter().filter_map(|(fields, path, is_head, ip)| {
            let fields: Vec<_> = fields.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let mut head = head(&format!("/private/{path}"), &fields);
            if *is_head {
                head.method = Method::HEAD;
            }
            head.extensions.insert(ClientAddr::Ip([192, 0, 2, *ip].into()));
            sent_and_key(&options, &head)
        }).collect();
        for (sent, key) in &requests {
            for (other_sent, other_key) in &requests {
                prop_assert_eq!(key == other_key, sent == other_sent, "{:?} {:?}", sent, other_sent);
            }
        }
    }

    /// No response of the application, whatever its headers, names a user who is not in the header for the id.
    #[test]
    fn only_the_header_for_the_id_names_a_user(
        status in prop::sample::select(&[200_u16, 204, 206, 301, 302, 304, 400, 401, 403, 404, 500, 503][..]),
        fields in prop::collection::vec((prop::sample::select(&["x-user-id", "x-user-name", "x-user-groups", "x-user-staff", "x-user"][..]), "[\\PC]{0,6}"), 0..5),
        permission: bool,
    ) {
        let mut response = Response::new(Bytes::new());
        *response.status_mut() = status.try_into().unwrap();
        for (name, value) in &fields {
            response.headers_mut().append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let ids: Vec<_> = fields.iter().filter(|(name, _)| *name == "x-user-id").map(|(_, value)| value.trim()).collect();
        if let Ok(Fresh { answer, .. }) = read(&response, &options(permission)) {
            if let Some(user) = answer.identity.user() {
                prop_assert!(status < 300 && ids == [user.id()] && !user.id().is_empty() && answer.is_yes);
            }
            prop_assert!(!answer.is_yes || status < 300);
            prop_assert!(permission || answer.identity.user().is_some() == answer.is_yes);
        }
    }
}

fn response(status: u16, fields: &[(&'static str, &str)]) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = status.try_into().unwrap();
    let fields = fields.iter().map(|(name, value)| {
        (HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap())
    });
    for (name, value) in fields {
        let headers: &mut HeaderMap = response.headers_mut();
        headers.append(name, value);
    }
    response
}

#[test]
fn what_a_response_says() {
    let alice = || User::new("7").source("forward");
    let (long, id) = ("x".repeat(256), ("x-user-id", "7"));
    for (response, expected) in [
        (response(200, &[id]), Ok(alice())),
        (response(204, &[id]), Ok(alice())),
        (response(299, &[("x-user-id", " 7 ")]), Ok(alice())),
        (response(200, &[id, ("x-user-name", "Zoë")]), Ok(alice().name("Zoë"))),
        (response(200, &[id, ("x-user-name", "")]), Ok(alice())),
        (
            response(200, &[id, ("x-user-groups", "a, b,,c d")]),
            Ok(alice().group("a").group("b").group("c d")),
        ),
        (response(200, &[id, ("x-user-staff", "true")]), Ok(alice().staff(true))),
        (response(200, &[id, ("x-user-staff", "True")]), Ok(alice().staff(true))),
        (response(200, &[id, ("x-user-staff", "1")]), Ok(alice().staff(true))),
        (response(200, &[id, ("x-user-staff", "0")]), Ok(alice())),
        (response(200, &[id, ("x-user-staff", "False")]), Ok(alice())),
        (response(200, &[id, ("x-user-staff", "")]), Ok(alice())),
        (response(401, &[id]), Err("the application responded 401")),
        (response(403, &[]), Err("the application responded 403")),
        (response(200, &[]), Err("without the header x-user-id")),
        (response(200, &[("x-user-id", "")]), Err("without the header x-user-id")),
        (response(200, &[("x-user-name", "alice")]), Err("without the header x-user-id")),
        // No answers.
        (response(200, &[id, id]), Err("!more than once")),
        (response(200, &[id, ("x-user-id", "1")]), Err("!more than once")),
        (response(200, &[id, ("x-user-staff", "false"), ("x-user-staff", "true")]), Err("!more than once")),
        (response(200, &[id, ("x-user-name", "a"), ("x-user-name", "b")]), Err("!more than once")),
        (response(200, &[id, ("x-user-staff", "yes, please")]), Err("!neither true nor false")),
        (response(200, &[("x-user-id", "7\t8")]), Err("!no printable UTF-8")),
        (response(200, &[("x-user-id", &long)]), Err("!longer than 255 bytes")),
        (response(302, &[("location", "/login?next=secret")]), Err("!a redirect to /login; expected")),
        (response(304, &[id]), Err("!responded 304; expected")),
        (response(400, &[id]), Err("!responded 400")),
        (response(404, &[id]), Err("!responded 404")),
        (response(407, &[id]), Err("!responded 407")),
        (response(500, &[id]), Err("!responded 500")),
        (response(101, &[id]), Err("!responded 101")),
    ] {
        match (read(&response, &options(false)), expected) {
            (Ok(fresh), Ok(user)) => assert_eq!(
                (fresh.answer, fresh.mistake),
                (Answer { identity: user.into(), is_yes: true }, None)
            ),
            (Ok(fresh), Err(reason)) => {
                let is_no = !fresh.answer.is_yes
                    && fresh.answer.identity.rejection().map(Rejection::source) == Some("forward");
                assert!(
                    is_no && fresh.answer.identity.rejection().unwrap().reason().contains(reason),
                    "{response:?}: {fresh:?}"
                );
            }
            (Err(problem), Err(text)) => {
                assert!(
                    text.strip_prefix('!').is_some_and(|text| problem.contains(text))
                        && !problem.contains("secret"),
                    "{response:?}: {problem}"
                );
            }
            (read, _) => panic!("{response:?}: {read:?}"),
        }
    }
    // With permission, a yes needs no name.
    let fresh = read(&response(200, &[]), &options(true)).unwrap();
    assert_eq!((fresh.answer, fresh.mistake), (Answer { identity: Identity::Anonymous, is_yes: true }, None));
    assert!(!read(&response(403, &[id]), &options(true)).unwrap().answer.is_yes);
}
