//! A collector that is dead, slow or refuses changes no response.

use std::time::{Duration, Instant};

use rustix::process::Signal;

use super::collector::Collector;
use super::{NEVER, SOON, command, serve};
use crate::support::{Gateway, Place, free_address};

const PHOTO: &str = "/private/cars/7/photo.jpg";
const OUTAGE: &str = "traces cannot be exported";

/// Requests that have each kind of response.
fn responses(gateway: &Gateway) -> Vec<(String, Vec<u8>)> {
    let users = ["alice", "bob", "nobody"];
    let paths =
        [PHOTO, "/private/cars/7/none.jpg", "/private/", "/private/-/", "/private/-/health", "/elsewhere"];
    let all = paths.iter().flat_map(|path| users.map(|user| gateway.get(path, user).normalized()));
    all.map(|(head, body)| (head.replace(&gateway.address.to_string(), "gateway"), body)).collect()
}

#[test]
fn a_dead_collector_changes_no_response_and_is_one_warning() {
    let place = Place::new();
    let expected = responses(&place.serve(&["--trusted-proxy", "127.0.0.2"]));
    let dead = format!("http://{}", free_address());
    let log = place.path("gateway.log");
    let mut gateway = Gateway::spawn(command(&place, &dead, &[SOON], &[]), log);
    assert_eq!(responses(&gateway), expected);
    assert!(gateway.logs(OUTAGE), "{}", gateway.log());
    // Several exports fail.
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(100));
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
    }
    assert_eq!(gateway.get("/private/-/health", "nobody").status, 200);
    gateway.signal(Signal::TERM);
    assert!(gateway.exit_within(Duration::from_secs(10)).success());
    let log = gateway.log();
    let lines: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
    let [outage, lost] = lines[..] else { panic!("{log}") };
    for part in [&format!("{dead}/v1/traces"), "cannot connect", "change OTEL_EXPORTER_OTLP_ENDPOINT"] {
        assert!(outage.contains(part), "{part}: {outage}");
    }
    assert!(lost.contains("spans were dropped") && !lost.contains("\"lost\":0"), "{lost}");
}

#[test]
fn a_slow_collector_delays_neither_responses_nor_the_end() {
    let (place, collector) = (Place::new(), Collector::start());
    let expected = responses(&place.serve(&["--trusted-proxy", "127.0.0.2"]));
    collector.respond(200, Duration::from_secs(60));
    let variables = [SOON, ("OTEL_BSP_MAX_QUEUE_SIZE", "4"), ("OTEL_EXPORTER_OTLP_TIMEOUT", "1500")];
    let mut gateway = serve(&place, &collector, &variables, &["--admin-listen", "127.0.0.1:0"]);
    let begin = Instant::now();
    assert_eq!(responses(&gateway), expected);
    // Passwords take some time, but not that of the collector.
    assert!(begin.elapsed() < Duration::from_secs(20), "{:?}", begin.elapsed());
    assert!(gateway.logs(OUTAGE), "{}", gateway.log());
    assert!(gateway.logs("no response within 1s 500ms"), "{}", gateway.log());
    gateway.get(PHOTO, "alice");
    gateway.signal(Signal::TERM);
    let begin = Instant::now();
    assert!(gateway.exit_within(Duration::from_secs(10)).success());
    assert!(begin.elapsed() < Duration::from_secs(6), "{:?}", begin.elapsed());
    assert!(collector.spans().is_empty());
}

/// The queue is bounded: what it has no space for is counted.
#[test]
fn a_full_queue_drops_spans_and_counts_them() {
    let (place, collector) = (Place::new(), Collector::start());
    collector.respond(200, Duration::from_secs(3));
    let variables = [SOON, ("OTEL_BSP_MAX_QUEUE_SIZE", "2")];
    let gateway = serve(&place, &collector, &variables, &[]);
    assert_eq!(gateway.get(PHOTO, "nobody").status, 404);
    // Longer than a batch is open, so that its export runs now.
    std::thread::sleep(Duration::from_millis(200));
    for _ in 0..49 {
        assert_eq!(gateway.get(PHOTO, "nobody").status, 404);
    }
    assert!(gateway.logs("spans were dropped: the collector is slower"), "{}", gateway.log());
    let log = gateway.log();
    let line = log.lines().find(|line| line.contains("spans were dropped")).unwrap();
    let line: serde_json::Value = serde_json::from_str(line).unwrap();
    // A denial has three spans: the request, its identity and its permission.
    collector.respond(200, Duration::ZERO);
    let begin = Instant::now();
    while collector.spans().len() + usize::try_from(line["lost"].as_u64().unwrap()).unwrap() < 150 {
        assert!(begin.elapsed() < Duration::from_secs(10), "{line} {}", collector.spans().len());
        std::thread::sleep(Duration::from_millis(10));
    }
    assert_eq!(collector.spans().len() + usize::try_from(line["lost"].as_u64().unwrap()).unwrap(), 150);
}

#[test]
fn a_collector_that_refuses_or_comes_back_is_logged() {
    let (place, collector) = (Place::new(), Collector::start());
    for (status, fix) in [(401, "OTEL_EXPORTER_OTLP_HEADERS"), (404, "(4318)"), (400, "log of the collector")]
    {
        collector.respond(status, Duration::ZERO);
        let gateway = serve(&place, &collector, &[SOON], &[]);
        gateway.get(PHOTO, "nobody");
        let problem = format!("{}/v1/traces: the collector responded {status}; ", collector.url());
        assert!(gateway.logs(&problem), "{}", gateway.log());
        let log = gateway.log();
        assert!(log.lines().any(|line| line.contains(OUTAGE) && line.contains(fix)), "{log}");
        if status == 400 {
            collector.respond(200, Duration::ZERO);
            gateway.get(PHOTO, "nobody");
            assert!(gateway.logs("traces are exported again"), "{}", gateway.log());
            assert!(gateway.log().contains("\"lost\":3"), "{}", gateway.log());
            assert_eq!(collector.wait_for(1).len(), 3);
        }
    }
    // The exporter tries again by itself if the collector is only starting.
    let address = free_address();
    let endpoint = format!("http://{address}");
    let command = command(&place, &endpoint, &[SOON], &[]);
    let gateway = Gateway::spawn(command, place.path("gateway.log"));
    gateway.get(PHOTO, "nobody");
    std::thread::sleep(Duration::from_millis(60));
    let collector = Collector::start_at(address);
    collector.wait_for(1);
    assert!(!gateway.log().contains(OUTAGE), "{}", gateway.log());
}

#[test]
fn mistakes_in_the_environment_are_warnings() {
    let (place, collector) = (Place::new(), Collector::start());
    for (endpoint, variable, parts) in [
        ("not a url", NEVER, &["traces are not exported", "OTEL_EXPORTER_OTLP_ENDPOINT"][..]),
        (
            &collector.url(),
            ("OTEL_TRACES_SAMPLER", "sometimes"),
            &["\\\"sometimes\\\" for OTEL_TRACES_SAMPLER", "using parentbased_always_on"],
        ),
        (
            &collector.url(),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc"),
            &["OTEL_EXPORTER_OTLP_PROTOCOL is", "4318"],
        ),
    ] {
        let gateway = Gateway::spawn(command(&place, endpoint, &[variable], &[]), place.path("gateway.log"));
        assert_eq!(gateway.get(PHOTO, "alice").status, 200);
        let log = gateway.log();
        let warnings: Vec<_> = log.lines().filter(|line| line.contains("WARN")).collect();
        assert_eq!(warnings.len(), 1, "{log}");
        assert!(parts.iter().all(|part| warnings[0].contains(part)), "{log}");
    }
}
