//! W3C Trace Context: the trace of a trusted proxy is kept, in the log and for the application.

use std::net::Ipv4Addr;

use crate::forward::app::{App, field};
use crate::support::{GRANT, Gateway, Place};
use crate::trusted_header::ask_from;

const PROXY: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 2);
const CLIENT: Ipv4Addr = Ipv4Addr::new(127, 0, 0, 3);
const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

fn serve(place: &Place, app: &App, more: &str) -> Gateway {
    let source = app.source("/whoami", more);
    let arguments = ["serve", "--listen", "127.0.0.1:0", "--grant", GRANT, "--trusted-proxy", "127.0.0.2"];
    Gateway::start(&place.path(""), &[&arguments[..], &["--identity", &source]].concat())
}

/// Sends a request of alice, and returns what the application was sent.
fn question(gateway: &Gateway, app: &App, peer: Ipv4Addr, line: &str, fields: &[(&str, &str)]) -> String {
    let session = [("cookie", "session=alice-1"), ("accept", "text/html"), ("sec-fetch-mode", "navigate")];
    let response = ask_from(peer, gateway.address, line, &[&session[..], fields].concat());
    assert_eq!(response.status, 200, "{response:?}");
    app.take_questions().pop().unwrap()
}

/// Returns the values of a header, in order.
fn values<'a>(head: &'a str, name: &str) -> Vec<&'a str> {
    head.lines().filter_map(|line| field(line, name)).collect()
}

#[test]
fn the_application_and_the_log_get_the_trace_of_a_trusted_proxy() {
    let (place, app) = (Place::new(), App::start());
    let gateway = serve(&place, &app, ", cache_ttl=\"0s\"");
    let states = [("tracestate", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"), ("tracestate", "a@b=1")];
    // A file, a page, and a method and a version that hyper serves.
    for line in ["GET /private/cars/7/photo.jpg", "GET /private/-/", "HEAD /private/cars/7/photo.jpg"] {
        let mut parents = Vec::new();
        for flags in ["01", "00", "03"] {
            let parent = format!("{}{flags}", &PARENT[..PARENT.len() - 2]);
            let sent =
                question(&gateway, &app, PROXY, line, &[("traceparent", &parent), states[0], states[1]]);
            let [received] = values(&sent, "traceparent")[..] else { panic!("{sent}") };
            let fields: Vec<_> = received.split('-').collect();
            assert_eq!((fields[0], fields[1], fields[3]), ("00", TRACE, flags), "{line}");
            assert!(fields[2].len() == 16 && !parent.contains(fields[2]), "{received}");
            assert!(!parents.contains(&fields[2].to_owned()), "{received}");
            parents.push(fields[2].to_owned());
            assert_eq!(values(&sent, "tracestate"), states.map(|(_, value)| value), "{line}");
            assert_eq!(gateway.access_log().pop().unwrap()["trace_id"], TRACE, "{line}");
        }
    }
}

#[test]
fn traces_of_others_and_invalid_ones_are_ignored() {
    let (place, app) = (Place::new(), App::start());
    let gateway = serve(&place, &app, ", cache_ttl=\"0s\"");
    let state = ("tracestate", "rojo=1");
    let upper = PARENT.to_uppercase();
    for (peer, fields) in [
        (CLIENT, &[("traceparent", PARENT), state][..]),
        (PROXY, &[state]),
        (PROXY, &[("traceparent", &upper), state]),
        (PROXY, &[("traceparent", PARENT), ("traceparent", PARENT), state]),
        (PROXY, &[("traceparent", "00-00000000000000000000000000000000-00f067aa0ba902b7-01"), state]),
    ] {
        let sent = question(&gateway, &app, peer, "GET /private/cars/7/photo.jpg", fields);
        assert_eq!((field(&sent, "traceparent"), field(&sent, "tracestate")), (None, None), "{sent}");
        let line = gateway.access_log().pop().unwrap();
        assert!(line.get("trace_id").is_none(), "{line}");
    }
}

/// Each request of a browser belongs to another trace. That must not make each one a question.
#[test]
fn an_answer_is_used_for_requests_of_other_traces() {
    let (place, app) = (Place::new(), App::start());
    let gateway = serve(&place, &app, ", cache_ttl=\"1h\"");
    for number in 1..=5 {
        let parent = format!("00-{number:032x}-00f067aa0ba902b7-01");
        let fields = [("cookie", "session=alice-1"), ("traceparent", &*parent)];
        let response = ask_from(PROXY, gateway.address, "GET /private/cars/7/photo.jpg", &fields);
        assert_eq!(response.status, 200);
        assert_eq!(gateway.access_log().pop().unwrap()["trace_id"], format!("{number:032x}"));
    }
    assert_eq!(app.count_questions(), 1);
}

#[test]
fn a_client_cannot_pass_on_its_own_trace() {
    let place = Place::new();
    let source = "{source=\"forward\", url=\"http://127.0.0.1:9/\", pass=[\"cookie\", \"traceparent\"]}";
    let line = place.refusal(&["serve", "--identity", source]);
    assert!(line.contains("traceparent belongs to the gateway's own request"), "{line}");
}

/// A build without the feature says so, and serves.
#[cfg(not(feature = "otel"))]
#[test]
fn an_endpoint_has_no_effect_without_the_feature() {
    let place = Place::new();
    let mut command = crate::support::program();
    command.env("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:9");
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(place.path(""));
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    gateway.fetch("GET /private/x", &[]);
    let log = gateway.log();
    assert!(log.contains("this program was built without the feature otel"), "{log}");
    assert!(gateway.access_log()[0].get("trace_id").is_none(), "{log}");
}
