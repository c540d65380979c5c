//! `who` says what `serve` would: the user of a credential, or why it is rejected.

use std::io::Write;
use std::process::{Output, Stdio};

use serde_json::{Value, json};

use crate::django::servers::Server;
use crate::django::shop::Shop;
use crate::support::{Gateway, PASSWORD, Place, program, refusal};

/// Runs `who` with a text on standard input. Returns its exit code and its output.
fn who(place: &Place, arguments: &[&str], input: &str) -> (i32, String) {
    let Output { status, stdout, stderr } = run(place, arguments, input);
    assert!(stderr.is_empty(), "{}", String::from_utf8_lossy(&stderr));
    (status.code().unwrap(), String::from_utf8(stdout).unwrap())
}

fn run(place: &Place, arguments: &[&str], input: &str) -> Output {
    let mut command = program();
    command.arg("who").args(arguments).current_dir(place.path(""));
    let streams = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = streams.spawn().unwrap();
    // A command that reads nothing may have ended.
    let _ = child.stdin.take().unwrap().write_all(input.as_bytes());
    child.wait_with_output().unwrap()
}

fn sign_in(gateway: &Gateway, name: &str) -> String {
    let form = format!("name={name}&password={}", PASSWORD.replace(' ', "+"));
    let response = gateway.send("POST /private/-/sign-in", &[], form.as_bytes());
    response.header("set-cookie").unwrap().split(';').next().unwrap().to_owned()
}

#[test]
fn says_who_it_is_or_why_not() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let (alice, ended) = (sign_in(&gateway, "alice"), sign_in(&gateway, "alice"));
    assert_eq!(gateway.send("POST /private/-/sign-out", &[("cookie", &ended)], b"next=/").status, 303);
    let user = |name: &str, id: &str, staff: &str| {
        format!("{name} (id {id}), identified by accounts\nstaff: {staff}\ngroups: -\n")
    };
    let nobody = "anonymous: no identity source recognizes the credential\n";
    let rejected = |reason: &str| format!("rejected by accounts: {reason}\n");
    let wrong = rejected("the name or the password is wrong");
    let right = format!("alice:{PASSWORD}");
    for (arguments, input, code, expected) in [
        (&["--cookie", alice.as_str()][..], "", 0, user("alice", "7", "no")),
        (&["--cookie", &format!("theme=dark; {alice}; a=b")], "", 0, user("alice", "7", "no")),
        (&["--cookie", "-"], &format!("{alice}\n"), 0, user("alice", "7", "no")),
        (&["--basic", "carol"], &format!("{PASSWORD}\r\n"), 0, user("carol", "9", "yes")),
        (&["--basic", "-"], right.as_str(), 0, user("alice", "7", "no")),
        (&["--cookie", &ended], "", 1, rejected("the session was signed out")),
        (
            &["--cookie", "private_media_session=x"],
            "",
            1,
            rejected("the session cookie is malformed, or signed with another secret"),
        ),
        (&["--cookie", &format!("{alice}; {alice}")], "", 1, rejected("the request has two session cookies")),
        (&["--basic", "carol"], "wrong", 1, wrong.clone()),
        (&["--basic", "dave"], PASSWORD, 1, wrong.clone()),
        // HTTP Basic decides alone, as in `serve`.
        (&["--cookie", &alice, "--basic", "carol"], "wrong", 1, wrong),
        (&["--basic", "-"], "no colon", 1, rejected("malformed HTTP Basic credentials")),
        (&["--token", "eyJhbGciOiJub25lIn0.e30."], "", 1, nobody.to_owned()),
        (&["--token", "-"], "x\n", 1, nobody.to_owned()),
        (&["--cookie", "sessionid=abc"], "", 1, nobody.to_owned()),
        (&["--cookie", ""], "", 1, nobody.to_owned()),
    ] {
        assert_eq!(who(&place, arguments, input), (code, expected), "{arguments:?}");
    }
}

#[test]
fn prints_an_object_for_scripts() {
    let place = Place::new();
    let gateway = place.serve(&[]);
    let alice = sign_in(&gateway, "alice");
    for (cookie, code, expected) in [
        (
            alice.as_str(),
            0,
            json!({"identity": "user", "source": "accounts", "id": "7", "name": "alice", "staff": false, "groups": [], "claims": {}}),
        ),
        (
            "private_media_session=x",
            1,
            json!({"identity": "rejected", "source": "accounts", "reason": "the session cookie is malformed, or signed with another secret"}),
        ),
        ("a=b", 1, json!({"identity": "anonymous", "recognized_by": []})),
    ] {
        let (found, text) = who(&place, &["--cookie", cookie, "--format", "json"], "");
        assert_eq!((found, text.lines().count()), (code, 1), "{text}");
        assert_eq!(serde_json::from_str::<Value>(&text).unwrap(), expected);
    }
}

#[test]
fn errors_are_one_line() {
    let place = Place::new();
    for (arguments, part) in [
        (&["--cookie", "a=\u{7}"][..], "--cookie: not the value of a header"),
        (&["--cookie", "a=b", "--accounts", "none.toml"], "no such file"),
        (&["--cookie", "a=b", "--identity", "ldap"], "unknown source \"ldap\""),
        (&["--cookie", "a=b", "--state", "postgres://a:pencil@127.0.0.1:1/x"], "cannot open the state store"),
    ] {
        let line = refusal(&run(&place, arguments, ""));
        assert!(line.contains(part) && !line.contains("pencil"), "{arguments:?}: {line}");
    }
    for arguments in [&[][..], &["--token", "a", "--basic", "b"], &["--cookie", "a=b", "--format", "xml"]] {
        let output = run(&place, arguments, "");
        assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0), "{arguments:?}");
    }
    assert!(!place.path("state.db").exists(), "it creates no store");
}

#[test]
fn asks_every_source() {
    let Some(mut shop) = Shop::open("5.2", Some(Server::Sqlite), "db") else { return };
    let django = format!("{{source = \"django\", database = \"{}\"}}", shop.url);
    let sources = ["--identity", &django, "--identity", "accounts"];
    let erin = format!("sessionid={}", shop.run("sign-in erin"));
    let ended = format!("sessionid={}", shop.run("sign-in erin"));
    assert_eq!(shop.run(&format!("sign-out {}", &ended["sessionid=".len()..])), "ok");
    let visitor = format!("sessionid={}", shop.run("visit"));
    for (credential, input, code, expected) in [
        (
            &["--cookie", erin.as_str()][..],
            "",
            0,
            "erin (id 10), identified by django\nstaff: no\ngroups: sales, ops\n",
        ),
        (
            &["--cookie", &ended],
            "",
            1,
            "rejected by django: the session does not exist: it was signed out, or it expired\n",
        ),
        (&["--cookie", &visitor], "", 1, "anonymous: recognized by django, and nobody is signed in\n"),
        (&["--basic", "alice"], PASSWORD, 0, "alice (id 7), identified by accounts\nstaff: no\ngroups: -\n"),
        (
            &["--cookie", &ended, "--basic", "alice"],
            PASSWORD,
            1,
            "rejected by django: the session does not exist: it was signed out, or it expired\n",
        ),
    ] {
        let (found, text) = who(&shop.place, &[&sources[..], credential].concat(), input);
        assert_eq!((found, text.as_str()), (code, expected), "{credential:?}");
    }
    assert_eq!(shop.run("deactivate erin"), "1");
    let (code, text) = who(&shop.place, &[&sources[..], &["--cookie", &erin]].concat(), "");
    assert_eq!((code, text.as_str()), (1, "rejected by django: the user is not active\n"));
}
