//! What the spans of a request contain, and which requests have some.

use std::net::Ipv4Addr;
use std::time::{Duration, SystemTime};

use super::collector::Collector;
use super::protobuf::Span;
use super::{SOON, serve};
use crate::forward::app::{App, field};
use crate::fronts::printed;
use crate::fronts::server::{Front, FrontServer, Installed, free_address, open_to_all};
use crate::support::Place;
use crate::trusted_header::ask_from;

const PHOTO: &str = "/private/cars/7/photo.jpg";
const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00f067aa0ba902b7";

fn attribute<'a>(span: &'a Span, key: &str) -> &'a str {
    span.attributes.get(key).map_or("", String::as_str)
}

/// Returns the span of the server with a path, and the others of its trace.
fn request<'a>(spans: &'a [Span], path: &str) -> (&'a Span, Vec<&'a Span>) {
    let server = spans.iter().find(|span| span.kind == 2 && attribute(span, "url.path") == path);
    let server = server.unwrap_or_else(|| panic!("{path}: {spans:#?}"));
    (server, spans.iter().filter(|span| span.kind != 2 && span.trace == server.trace).collect())
}

#[test]
fn a_request_is_a_span_with_a_child_of_each_step() {
    let (place, collector) = (Place::new(), Collector::start());
    place.write("private/cars/7/a photo.jpg", "a photo");
    let begin = SystemTime::now();
    let variables = [
        SOON,
        ("OTEL_EXPORTER_OTLP_HEADERS", "authorization=Bearer%20secret,x-tenant=cars"),
        ("OTEL_RESOURCE_ATTRIBUTES", "service.name=other,deployment.environment.name=test"),
        ("OTEL_SERVICE_NAME", "media"),
    ];
    let gateway = serve(&place, &collector, &variables, &[]);
    assert_eq!(gateway.get("/private/cars/7/a%20photo.jpg?token=secret", "alice").status, 200);
    assert_eq!(gateway.get(PHOTO, "bob").status, 404);
    assert_eq!(gateway.get("/private/%2e%2e/x", "nobody").status, 404);
    assert_eq!(gateway.get("/private/-/health", "nobody").status, 200);
    assert_eq!(gateway.send("POST /private/-/sign-in", &[], b"name=alice&password=wrong").status, 403);
    let spans = collector.wait_for(4);

    let (server, steps) = request(&spans, "/private/cars/7/a%20photo.jpg");
    assert_eq!(server.name, "GET /private/{*path}");
    assert_eq!((&*server.parent, server.is_error, server.flags & 1, server.trace.len()), ("", false, 1, 32));
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.response.body.size", "7"),
        ("http.route", "/private/{*path}"),
        ("url.scheme", "http"),
        ("client.address", "127.0.0.1"),
        ("enduser.id", "7"),
        ("private_media.decision", "allowed"),
    ] {
        assert_eq!(attribute(server, key), value, "{key}");
    }
    let names: Vec<_> = steps.iter().map(|step| &*step.name).collect();
    assert_eq!(names, ["identity", "permission", "storage"]);
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let begin = begin.duration_since(SystemTime::UNIX_EPOCH).unwrap().as_nanos();
    let mut last = server.times.0;
    for step in &steps {
        assert_eq!((&step.parent, step.kind, step.flags & 1), (&server.id, 1, 1), "{step:?}");
        assert!(step.times.0 == last && step.times.0 < step.times.1, "{step:?}");
        assert!(step.attributes.is_empty(), "{step:?}");
        last = step.times.1;
    }
    assert!(last <= server.times.1 && u128::from(server.times.1) <= now && begin < server.times.0.into());

    let (denied, steps) = request(&spans, PHOTO);
    assert_eq!(
        (attribute(denied, "enduser.id"), attribute(denied, "private_media.decision")),
        ("8", "denied")
    );
    assert_eq!((attribute(denied, "http.response.status_code"), denied.is_error), ("404", false));
    assert_eq!(steps.len(), 2, "{steps:?}");
    let (invalid, steps) = request(&spans, "/private/%2e%2e/x");
    assert_eq!((&*invalid.name, attribute(invalid, "enduser.id"), steps.len()), ("GET", "", 0));
    let (page, steps) = request(&spans, "/private/-/sign-in");
    assert_eq!((&*page.name, attribute(page, "http.response.status_code"), steps.len()), ("POST", "403", 0));

    for span in &spans {
        let service = |key: &str| span.service[key].as_str();
        assert_eq!((service("service.name"), service("deployment.environment.name")), ("media", "test"));
        assert_eq!((&*span.scope, service("service.version")), ("private-media", env!("CARGO_PKG_VERSION")));
        // Neither names, nor credentials, nor queries.
        let text = format!("{span:?}");
        assert!(!["alice", "bob", "secret", "wrong"].iter().any(|word| text.contains(word)), "{text}");
    }
    let head = collector.heads().remove(0);
    assert!(head.starts_with("POST /v1/traces HTTP/1.1\r\n"), "{head}");
    for (name, value) in
        [("content-type", "application/x-protobuf"), ("authorization", "Bearer secret"), ("x-tenant", "cars")]
    {
        assert_eq!(field(&head, name), Some(value), "{head}");
    }
    // The line of the log and the span name each other.
    let line = gateway.access_log().remove(0);
    assert_eq!(line["trace_id"], server.trace);
}

#[test]
fn failures_are_errors() {
    let (place, collector) = (Place::new(), Collector::start());
    let source = "{source=\"forward\", url=\"http://127.0.0.1:9/\", timeout=\"1s\"}";
    let gateway = serve(&place, &collector, &[SOON], &["--identity", source]);
    let response = gateway.fetch(&format!("GET {PHOTO}"), &[("cookie", "session=alice-1")]);
    assert_eq!(response.status, 404);
    let spans = collector.wait_for(1);
    let (server, steps) = request(&spans, PHOTO);
    // The server has responded; the step has failed.
    assert_eq!((server.is_error, steps.len()), (false, 1));
    assert!(steps[0].is_error && steps[0].name == "identity", "{steps:?}");
    assert_eq!(server.service["service.name"], "private-media");
}

#[test]
fn only_sampled_requests_are_exported() {
    let sampled = format!("00-{TRACE}-{PARENT}-01");
    let unsampled = format!("00-{}-{PARENT}-00", TRACE.replace('4', "5"));
    for (variables, of_sampled, of_unsampled, of_none) in [
        (&[][..], true, false, true),
        (&[("OTEL_TRACES_SAMPLER", "always_on")], true, true, true),
        (&[("OTEL_TRACES_SAMPLER", "always_off")], false, false, false),
        (&[("OTEL_TRACES_SAMPLER", "parentbased_always_off")], true, false, false),
        (
            &[("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"), ("OTEL_TRACES_SAMPLER_ARG", "0")],
            true,
            false,
            false,
        ),
    ] {
        let (place, collector, app) = (Place::new(), Collector::start(), App::start());
        let source = app.source("/whoami", ", cache_ttl=\"0s\"");
        let gateway = serve(&place, &collector, &[&[SOON], variables].concat(), &["--identity", &source]);
        let mut expected = Vec::new();
        for (parent, is_exported) in
            [(Some(&unsampled), of_unsampled), (None, of_none), (Some(&sampled), of_sampled)]
        {
            let mut fields = vec![("cookie", "session=alice-1"), ("tracestate", "rojo=1")];
            fields.extend(parent.map(|parent| ("traceparent", parent.as_str())));
            let response = ask_from(PROXY, gateway.address, &format!("GET {PHOTO}"), &fields);
            assert_eq!(response.status, 200);
            let line = gateway.access_log().pop().unwrap();
            let trace = line["trace_id"].as_str().unwrap().to_owned();
            // The application is told the decision, also about a trace that begins here.
            let question = app.take_questions().pop().unwrap();
            let sent: Vec<_> = field(&question, "traceparent").unwrap().split('-').collect();
            let flags = u8::from_str_radix(sent[3], 16).unwrap();
            assert_eq!((sent[1], flags & 1 == 1), (&*trace, is_exported), "{variables:?} {parent:?}");
            assert_eq!(field(&question, "tracestate"), parent.map(|_| "rojo=1"), "{question}");
            if is_exported {
                expected.push((trace, sent[2].to_owned(), parent.map_or("", |_| PARENT)));
            }
        }
        // The marks of the access log are requests, too.
        let is_photo = |span: &&Span| attribute(span, "url.path") == PHOTO;
        let begin = SystemTime::now();
        let spans = loop {
            let spans = collector.spans();
            if spans.iter().filter(is_photo).count() >= expected.len()
                && begin.elapsed().unwrap() > Duration::from_millis(200)
            {
                break spans;
            }
            assert!(begin.elapsed().unwrap() < Duration::from_secs(20), "{variables:?} {spans:#?}");
            std::thread::sleep(Duration::from_millis(10));
        };
        let found: Vec<_> = spans
            .iter()
            .filter(is_photo)
            .map(|span| (span.trace.clone(), span.id.clone(), span.parent.as_str()))
            .collect();
        assert_eq!(found, expected, "{variables:?}");
        let traces: Vec<_> = expected.iter().map(|(trace, ..)| trace).collect();
        if !of_none {
            assert!(spans.iter().all(|span| traces.contains(&&span.trace)), "{spans:#?}");
        }
        assert!(
            spans
                .iter()
                .filter(is_photo)
                .all(|span| span.state == if span.parent.is_empty() { "" } else { "rojo=1" })
        );
    }
}

/// nginx begins a trace, and the gateway and the application continue it.
#[test]
fn a_request_is_one_trace_across_nginx_the_gateway_and_the_application() {
    if !FrontServer::Nginx.is_installed() {
        return;
    }
    let (place, collector, app) = (Place::new(), Collector::start(), App::start());
    open_to_all(&place.path("private"));
    let source = app.source("/whoami", "");
    let arguments = ["--trusted-proxy", "127.0.0.1", "--identity", &source];
    let gateway = serve(&place, &collector, &[SOON], &arguments);
    let address = free_address();
    let host = "proxy_set_header Host $http_host;";
    let block = printed(&place, FrontServer::Nginx, address, gateway.address, &[]);
    assert!(block.contains(host), "{block}");
    let trace = format!("{host}\n        proxy_set_header traceparent 00-$request_id-$trace_span-01;");
    let map = "map $request_id $trace_span {\n    \"~^(?<span>.{16})\" $span;\n}\n";
    let front = Front::start(FrontServer::Nginx, address, &format!("{map}{}", block.replace(host, &trace)));
    // A client cannot choose its trace.
    let own = format!("00-{TRACE}-{PARENT}-00");
    let fields = [("cookie", "session=alice-1"), ("traceparent", own.as_str())];
    let response = ask_from(Ipv4Addr::LOCALHOST, front.address, &format!("GET {PHOTO}"), &fields);
    assert_eq!(response.status, 200, "{}", front.log());
    let spans = collector.wait_for(1);
    let (server, steps) = request(&spans, PHOTO);
    let question = app.take_questions().pop().unwrap();
    let expected = format!("00-{}-{}-01", server.trace, server.id);
    assert_eq!(field(&question, "traceparent"), Some(&*expected), "{question}");
    assert_eq!(server.parent, server.trace[..16], "the span of nginx");
    assert!(steps.len() == 3 && server.trace != TRACE, "{spans:#?}");
    // 0x300: the parent is known to be of another program.
    assert_eq!(server.flags & 0x300, 0x300);
    assert_eq!(gateway.access_log().remove(0)["trace_id"], server.trace);
}
