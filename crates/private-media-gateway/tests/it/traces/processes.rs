//! The end of the process, a reload and an upgrade lose no span.

use std::time::Duration;

use rustix::process::Signal;

use super::collector::Collector;
use super::{NEVER, SOON, serve};
use crate::support::Place;
use crate::upgrade::Upgradable;

const PHOTO: &str = "/private/cars/7/photo.jpg";

#[test]
fn the_last_spans_are_exported_at_the_end() {
    let (place, collector) = (Place::new(), Collector::start());
    let mut gateway = serve(&place, &collector, &[NEVER, ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "10")], &[]);
    for _ in 0..7 {
        assert_eq!(gateway.get(PHOTO, "nobody").status, 404);
    }
    gateway.signal(Signal::TERM);
    assert!(gateway.exit_within(Duration::from_secs(10)).success());
    // A batch of 4 requests with 3 spans each, and the rest.
    assert_eq!(collector.wait_for(7).len(), 21);
    assert_eq!(collector.heads().len(), 2);
    assert!(!gateway.log().contains("dropped"), "{}", gateway.log());
}

#[test]
fn a_reload_exports_on() {
    let (place, collector) = (Place::new(), Collector::start());
    place.write("private-media.toml", "url = \"/private/\"\n");
    let gateway = serve(&place, &collector, &[SOON], &[]);
    gateway.get(PHOTO, "nobody");
    place.write("private-media.toml", "url = \"/media/\"\n");
    gateway.signal(Signal::HUP);
    assert!(gateway.logs("the configuration was reloaded"), "{}", gateway.log());
    gateway.get("/media/cars/7/photo.jpg", "nobody");
    let spans = collector.wait_for(2);
    let routes: Vec<_> = spans.iter().filter_map(|span| span.attributes.get("http.route")).collect();
    assert_eq!(routes, ["/private/{*path}", "/media/{*path}"]);
}

#[test]
fn an_upgrade_exports_the_spans_of_both_processes() {
    let (place, collector) = (Place::new(), Collector::start());
    let variables = [("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url())];
    let gateway = Upgradable::start_with(&place, &[], &variables);
    gateway.gateway.get(PHOTO, "nobody");
    // The default delay is 5 seconds, so this span waits until the first process ends.
    gateway.upgrade();
    collector.wait_for(1);
    gateway.gateway.get(PHOTO, "nobody");
    collector.wait_for(2);
}
