//! Refused sign-ins in the log.

use crate::support::{Gateway, Place, base64};

fn sign_in(gateway: &Gateway, name: &str) {
    let form = format!("name={name}&password=wrong-password");
    let fields = [("content-type", "application/x-www-form-urlencoded")];
    let response = gateway.send("POST /private/-/sign-in", &fields, form.as_bytes());
    assert!([403, 429].contains(&response.status), "{response:?}");
}

/// Returns the log lines about refusals so far.
fn refusals(gateway: &Gateway) -> Vec<serde_json::Value> {
    let _ = gateway.access_log();
    let log = gateway.log();
    let lines = log.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let is_refusal = |line: &serde_json::Value| {
        line["message"]
            .as_str()
            .is_some_and(|message| message.contains("refused") && message.contains("sign-in"))
    };
    lines.filter(is_refusal).collect()
}

#[test]
fn names_without_an_account_are_not_logged() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    // A password in the name field.
    sign_in(&gateway, "my-s3cret-password");
    sign_in(&gateway, "alice");
    let lines = refusals(&gateway);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!((&lines[0]["account"], &lines[0]["from"]), (&serde_json::Value::Null, &"127.0.0.1".into()));
    assert_eq!(lines[1]["account"], "alice");
    assert!(!gateway.log().contains("s3cret") && !gateway.log().contains("wrong-password"));
}

#[test]
fn at_debug_level_names_are_shortened_and_printable() {
    let place = Place::new();
    let gateway = place.serve(&["--log", "debug"]);
    sign_in(&gateway, &format!("a%0Ab%1B{}", "x".repeat(4000)));
    let lines = refusals(&gateway);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1]["name"], format!("a\u{fffd}b\u{fffd}{}", "x".repeat(60)));
    assert_eq!(lines[1]["level"], "DEBUG");
}

#[test]
fn a_flood_of_refusals_is_logged_in_a_few_lines() {
    const SENT: usize = 60;
    let place = Place::new();
    let gateway = place.serve(&[]);
    for n in 0..SENT {
        sign_in(&gateway, &format!("{n}-{}", "x".repeat(8000)));
    }
    assert!(gateway.logs("\"suppressed\":"), "{}", gateway.log());
    let lines = refusals(&gateway);
    let suppressed: u64 = lines.iter().filter_map(|line| line["suppressed"].as_u64()).sum();
    let logged = lines.iter().filter(|line| line["suppressed"].is_null()).count();
    assert!(logged < SENT && !gateway.log().contains("xxx"), "{logged}");
    assert!(suppressed > 0 && logged as u64 + suppressed <= SENT as u64, "{logged} {suppressed}");
}

#[test]
fn wrong_passwords_in_http_basic_are_logged_and_limited() {
    const SENT: usize = 40;
    let place = Place::new();
    let gateway = place.serve(&[]);
    for n in 0..SENT {
        let credentials = format!("Basic {}", base64(&format!("alice:guess {n}")));
        let response =
            gateway.fetch("GET /private/cars/7/photo.jpg", &[("authorization", credentials.as_str())]);
        assert!([404, 429].contains(&response.status), "{response:?}");
    }
    let lines = refusals(&gateway);
    assert_eq!((&lines[0]["account"], &lines[0]["from"]), (&"alice".into(), &"127.0.0.1".into()));
    assert_eq!(
        (&lines[0]["level"], &lines[0]["refused"]),
        (&"WARN".into(), &"the name or the password is wrong".into())
    );
    assert!((1..SENT / 2).contains(&lines.len()), "{}", lines.len());
    assert!(gateway.logs("\"suppressed\":") && !gateway.log().contains("guess"), "{}", gateway.log());
    // The right password is no event: a client sends it with each request.
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "carol").status, 200);
    assert!(!gateway.log().contains("carol"), "{}", gateway.log());
}
