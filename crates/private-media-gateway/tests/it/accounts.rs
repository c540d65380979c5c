//! The command `account`, also with a running gateway.

use std::io::Write;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use crate::support::{Place, program, refusal};

fn add(place: &Place, arguments: &[&str], password: &str) -> Output {
    let mut command = program();
    command.args(["account", "add", "--password-stdin"]).args(arguments).current_dir(place.path(""));
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    writeln!(child.stdin.take().unwrap(), "{password}").unwrap();
    child.wait_with_output().unwrap()
}

#[test]
fn accounts_are_added_listed_and_removed() {
    let place = Place::new();
    std::fs::remove_file(place.path("accounts.toml")).unwrap();
    assert!(
        add(&place, &["dave", "--id", "12", "--group", "sales", "--group", "ops"], "long enough")
            .status
            .success()
    );
    let erin = add(&place, &["erin", "--staff"], "long enough");
    assert_eq!(String::from_utf8(erin.stdout).unwrap(), "added erin (id erin) to accounts.toml\n");
    let mode = std::os::unix::fs::PermissionsExt::mode(
        &place.path("accounts.toml").metadata().unwrap().permissions(),
    );
    assert_eq!(mode & 0o777, 0o600);
    let list = |place: &Place| String::from_utf8(place.run(&["account", "list"]).stdout).unwrap();
    assert_eq!(list(&place), "dave\t12\t-\tsales,ops\nerin\terin\tstaff\t-\n");
    let json = place.run(&["account", "list", "--format", "json"]).stdout;
    // No other field: a hash is for nobody.
    let expected = r#"[{"groups":["sales","ops"],"id":"12","name":"dave","staff":false},{"groups":[],"id":"erin","name":"erin","staff":true}]"#;
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&json).unwrap(),
        serde_json::from_str::<serde_json::Value>(expected).unwrap()
    );
    assert!(place.run(&["account", "remove", "dave"]).status.success());
    assert_eq!(list(&place), "erin\terin\tstaff\t-\n");
}

#[test]
fn rejected_commands_change_nothing() {
    let place = Place::new();
    let before = std::fs::read(place.path("accounts.toml")).unwrap();
    for (arguments, password, part) in [
        (&["alice"][..], "long enough", "the name is already taken"),
        (&["dave", "--id", "7"], "long enough", "id \"7\" already belongs to alice"),
        (&["dave", "--id", "a/b"], "long enough", "\"a/b\""),
        (&["da:ve"], "long enough", "without colons"),
        (&["dave"], "short", "too short"),
        (&["dave"], "", "too short"),
    ] {
        let line = refusal(&add(&place, arguments, password));
        assert!(line.contains(part), "{arguments:?}: {line}");
    }
    let line = place.refusal(&["account", "remove", "dave"]);
    assert!(line.contains("\"dave\"") && line.contains("account list"), "{line}");
    let line = place.refusal(&["account", "add", "dave"]);
    assert!(line.contains("--password-stdin"), "without a terminal: {line}");
    // A name that is taken is an error before the password is asked for.
    let line = place.refusal(&["account", "add", "alice"]);
    assert!(line.contains("the name is already taken"), "{line}");
    assert_eq!(std::fs::read(place.path("accounts.toml")).unwrap(), before);
}

/// A change takes effect within the cache time.
#[test]
fn a_running_gateway_applies_changes() {
    let place = Place::new();
    let gateway = place.serve(&["--cache-ttl", "200ms"]);
    let status = || gateway.get("/private/cars/7/photo.jpg", "alice").status;
    assert_eq!(status(), 200);
    assert!(place.run(&["account", "remove", "alice"]).status.success());
    until(|| status() == 404);
    // An invalid file is logged and changes nothing.
    let good = std::fs::read(place.path("accounts.toml")).unwrap();
    place.write("accounts.toml", "[[account]]\nname = 5");
    until(|| gateway.log().contains("the accounts stay as they were"));
    assert_eq!(gateway.get("/private/cars/7/photo.jpg", "carol").status, 200);
    place.write("accounts.toml", good);
    assert!(add(&place, &["alice", "--id", "7"], crate::support::PASSWORD).status.success());
    until(|| status() == 200);
}

fn until(condition: impl Fn() -> bool) {
    let begin = Instant::now();
    while !condition() {
        assert!(begin.elapsed() < Duration::from_secs(20), "timeout");
        std::thread::sleep(Duration::from_millis(50));
    }
}
