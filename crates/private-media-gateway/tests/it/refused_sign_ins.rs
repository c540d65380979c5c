//! Refused sign-ins in the log.

use crate::support::{Gateway, Place};

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
    lines.filter(|line| line["target"].as_str().unwrap().ends_with("::refusals")).collect()
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
fn at_debug_level_names_are_shortened_and_escaped() {
    let place = Place::new();
    let gateway = place.serve(&["--log", "debug"]);
    sign_in(&gateway, &format!("a%0Ab%1B{}", "x".repeat(4000)));
    let lines = refusals(&gateway);
    assert_eq!(lines.len(), 2, "{lines:?}");
    assert_eq!(lines[1]["name"], format!("a\\nb\\u{{1b}}{}", "x".repeat(60)));
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
