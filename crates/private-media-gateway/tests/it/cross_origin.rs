//! The gateway allows listed origins to use files, and no other page.

use crate::support::{Place, credentials};

const APP: (&str, &str) = ("origin", "https://app.example");
const METHOD: (&str, &str) = ("access-control-request-method", "GET");
const FILE: &str = "/private/cars/7/photo.jpg";

#[test]
fn files_are_for_listed_origins_and_pages_are_not() {
    let place = Place::new();
    place.write(
        "private-media.toml",
        "[cors]\norigins = [\"https://app.example\", \"http://localhost:3000\"]\ncredentials = true\nmax_age = \"10m\"\n",
    );
    let gateway = place.serve(&[]);
    for (line, fields, status, origin) in [
        (format!("GET {FILE}"), &[APP][..], 200, Some(APP.1)),
        (format!("HEAD {FILE}"), &[APP], 200, Some(APP.1)),
        (format!("GET {FILE}"), &[("origin", "http://localhost:3000")], 200, Some("http://localhost:3000")),
        (format!("GET {FILE}"), &[("origin", "http://localhost:3001")], 200, None),
        ("GET /private/cars/7/none.jpg".into(), &[APP], 404, Some(APP.1)),
        (format!("OPTIONS {FILE}"), &[APP, METHOD], 204, Some(APP.1)),
        (format!("OPTIONS {FILE}"), &[("origin", "null"), METHOD], 405, None),
        (format!("POST {FILE}"), &[APP, METHOD], 405, Some(APP.1)),
        // The gateway's own pages are for its own origin.
        ("GET /private/-/sign-in".into(), &[APP], 200, None),
        ("OPTIONS /private/-/sign-in".into(), &[APP, METHOD], 405, None),
        ("GET /private/-/health".into(), &[APP], 200, None),
        ("GET /elsewhere".into(), &[APP], 404, None),
    ] {
        let response = gateway.fetch(&line, &[fields, &credentials("alice")].concat());
        assert_eq!(response.status, status, "{line}: {response:?}");
        assert_eq!(response.header("access-control-allow-origin"), origin, "{line}: {response:?}");
        let credentials = response.header("access-control-allow-credentials");
        assert_eq!(credentials, origin.map(|_| "true"), "{line}: {response:?}");
        assert_eq!(response.header("access-control-max-age"), (status == 204).then_some("600"), "{line}");
    }
    // A preflight request is about no file, so nothing was decided.
    let log = gateway.access_log();
    let preflight = log.iter().find(|line| line["status"] == 204).unwrap();
    assert_eq!((&preflight["method"], &preflight["decision"]), (&"OPTIONS".into(), &"-".into()));
    assert!(preflight["refused"].is_null(), "{preflight}");
}
