//! The command `check` decides like `serve`.

use private_media::identity::accounts::{AccountsFile, NewAccount};

use crate::support::{GRANT, PASSWORD, Place};

fn check(place: &Place, user: &str, path: &str, grants: &[&str]) -> (Option<i32>, String) {
    let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
    let output = place.run(&["check", user, path].into_iter().chain(grants).collect::<Vec<_>>());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn prints_the_deciding_grant() {
    const OWNER: &str = "allowed: owner, by grant cars/{owner}/{*file}\n";
    const BOB: &str =
        "denied: bob (id 8, by accounts) is neither owner (7) nor staff, by grant cars/{owner}/{*file}\n";
    let place = Place::new();
    for (user, path, code, line) in [
        ("alice", "cars/7/photo.jpg", 0, OWNER),
        ("alice", "/private/cars/7/photo.jpg", 0, OWNER),
        ("alice", "/private/cars/7/%70hoto.jpg?download", 0, OWNER),
        ("alice", "https://example.org/private/cars/7/%70hoto.jpg?download#top", 0, OWNER),
        ("7", "cars/7/photo.jpg", 0, OWNER),
        ("carol", "cars/7/photo.jpg", 0, "allowed: staff, by grant cars/{owner}/{*file}\n"),
        ("bob", "cars/7/photo.jpg", 1, BOB),
        ("8", "http://127.0.0.1:8000/private/cars/7/photo.jpg", 1, BOB),
        (
            "anonymous",
            "cars/7/photo.jpg",
            1,
            "denied: anonymous is neither owner (7) nor staff, by grant cars/{owner}/{*file}\n",
        ),
        ("{ id = '7' }", "cars/7/photo.jpg", 0, OWNER),
        (
            "{ id = '12', name = 'dave', groups = ['sales'] }",
            "cars/7/photo.jpg",
            1,
            "denied: dave (id 12) is neither owner (7) nor staff, by grant cars/{owner}/{*file}\n",
        ),
        ("alice", "other", 1, "denied: no grant matches the path\n"),
        ("alice", "../accounts.toml", 1, "denied: a segment of the path is '.' or '..'\n"),
        ("alice", "/etc/passwd", 1, "denied: a segment of the path is empty\n"),
    ] {
        assert_eq!(check(&place, user, path, &[GRANT]), (Some(code), line.to_owned()), "{user} {path}");
    }
    assert_eq!(
        check(&place, "alice", "cars/7/photo.jpg", &[]).0,
        Some(1),
        "the default grant is for staff only"
    );
    assert_eq!(check(&place, "carol", "cars/7/photo.jpg", &[]).0, Some(0));
}

#[test]
fn prints_a_note_about_a_missing_file() {
    let place = Place::new();
    let output = place.run(&["check", "alice", "cars/7/none.jpg", "--grant", GRANT]);
    let note = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success() && note.contains("no such file"), "{note}");
}

#[test]
fn rejects_unknown_users_and_values() {
    let place = Place::new();
    // The name of one account is the id of another.
    AccountsFile::update(place.path("accounts.toml"), |file| file.add(NewAccount::new("7", "11", PASSWORD)))
        .unwrap();
    for (arguments, parts) in [
        (&["dave", "cars/7/photo.jpg"][..], &["\"dave\"", "account list"][..]),
        (&["7", "cars/7/photo.jpg"], &["ambiguous user \"7\"", "name of one user and the id of another"]),
        (
            &["alice", "https://example.org/cars"],
            &["\"https://example.org/cars\"", "the private URL /private/"],
        ),
        (&["alice", "cars", "--action", "reed"], &["unknown action \"reed\"", "read, write"]),
        (&["{ id = 7 }", "cars"], &["invalid user \"{ id = 7 }\"", "{ id = \"7\", staff = true }"]),
        (&["{ id = '7', admin = true }", "cars"], &["invalid user", "`admin`"]),
        (&["{ id", "cars"], &["invalid user \"{ id\""]),
    ] {
        let line = place.refusal(&[&["check"], arguments].concat());
        assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
    let both = place.run(&["check", "alice", "cars", "--table", "cases.toml"]);
    assert_eq!(both.status.code(), Some(2), "one case, or a table");
}

/// Some sources know their users only by a request.
#[test]
fn users_of_a_source_without_a_list_are_made_up() {
    let place = Place::new();
    let source = "{source=\"header\", header=\"Remote-User\", from=[\"127.0.0.1\"]}";
    let arguments = ["cars/7/photo.jpg", "--grant", GRANT, "--identity", source];
    let line = place.refusal(&[&["check", "alice"], &arguments[..]].concat());
    assert!(line.contains("header cannot look users up; make a user up, e.g. { id = \"7\" }"), "{line}");
    let output = place.run(&[&["check", "{ id = \"7\" }"], &arguments[..]].concat());
    assert_eq!(output.stdout, b"allowed: owner, by grant cars/{owner}/{*file}\n");
}

const CASES: &str = r#"
[[case]]
user = "alice"
path = "cars/7/photo.jpg"
expected = "allowed"

[[case]]
user = "8"
path = "https://example.org/private/cars/7/photo.jpg?download"
action = "read"
expected = "EXPECTED"

[[case]]
user = "carol"
path = "cars/7/photo.jpg"
action = "write"
expected = "denied"

[[case]]
user = "anonymous"
path = "../accounts.toml"
expected = "denied"

[[case]]
user = { id = "12", staff = true }
path = "cars/7/none.jpg"
expected = "EXPECTED"
"#;

#[test]
fn a_table_is_compared() {
    let place = Place::new();
    let run = |expected: &str, arguments: &[&str]| {
        place.write("cases.toml", CASES.replace("EXPECTED", expected));
        let output = place.run(&[&["check", "--grant", GRANT, "--table", "cases.toml"], arguments].concat());
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        (output.status.code(), String::from_utf8(output.stdout).unwrap())
    };
    let denied = "cases.toml:24: 12, read cars/7/none.jpg\n\
                  - denied\n\
                  + allowed: staff, by grant cars/{owner}/{*file}\n\
                  \n\
                  1 of 5 cases differ\n";
    assert_eq!(run("denied", &[]), (Some(1), denied.to_owned()));
    let allowed = "cases.toml:7: 8, read cars/7/photo.jpg\n\
                   - allowed\n\
                   + denied: bob (id 8, by accounts) is neither owner (7) nor staff, by grant cars/{owner}/{*file}\n\
                   \n\
                   1 of 5 cases differ\n";
    assert_eq!(run("allowed", &[]), (Some(1), allowed.to_owned()));
    let (code, text) = run("allowed", &["--format", "json"]);
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, json.as_array().unwrap().len()), (Some(1), 5));
    assert_eq!(
        json[1],
        serde_json::json!({
            "line": 7,
            "user": "8",
            "path": "cars/7/photo.jpg",
            "action": "read",
            "expected": "allowed",
            "decision": "denied",
            "reason": "bob (id 8, by accounts) is neither owner (7) nor staff, by grant cars/{owner}/{*file}",
        })
    );
    place.write("cases.toml", "[[case]]\nuser = 'alice'\npath = 'cars/7/x'\nexpected = 'allowed'\n");
    let output = place.run(&["check", "--grant", GRANT, "--table", "cases.toml"]);
    assert_eq!((output.status.code(), &output.stdout[..]), (Some(0), &b"1 of 1 cases as expected\n"[..]));
}

#[test]
fn one_decision_as_json() {
    let place = Place::new();
    let output =
        place.run(&["check", "alice", "/private/cars/7/photo.jpg", "--grant", GRANT, "--format", "json"]);
    assert_eq!(
        serde_json::from_slice::<serde_json::Value>(&output.stdout).unwrap(),
        serde_json::json!({
            "user": "alice",
            "path": "cars/7/photo.jpg",
            "action": "read",
            "decision": "allowed",
            "reason": "owner, by grant cars/{owner}/{*file}",
        })
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn an_invalid_table_is_one_line() {
    let place = Place::new();
    let case = |user: &str, path: &str, rest: &str| {
        format!("# A comment.\n[[case]]\nuser = {user}\npath = {path}\n{rest}\n")
    };
    for (text, parts) in [
        (String::new(), &["missing field `case`"][..]),
        ("case = []".into(), &["no case", "[[case]]"]),
        ("[[cases]]\nuser = 'alice'".into(), &["line 1", "unknown field `cases`", "`case`"]),
        (case("'alice'", "'a'", ""), &["line 2", "missing field `expected`"]),
        (case("'alice'", "'a'", "expect = 'denied'"), &["line 5", "unknown field `expect`", "`expected`"]),
        (case("'alice'", "'a'", "expected = 'no'"), &["line 5", "unknown variant `no`", "`allowed`"]),
        (case("7", "'a'", "expected = 'denied'"), &["line 3", "expected a text", "{ id = "]),
        (case("{ name = 'x' }", "'a'", "expected = 'denied'"), &["line 3", "expected a text", "{ id = "]),
        (case("'alice'", "'a'", "action = 'x'\nexpected = 'denied'"), &["line 2", "unknown action \"x\""]),
        (case("'alice'", "'https://x/y'", "expected = 'denied'"), &["line 2", "the private URL /private/"]),
        (case("'dave'", "'a'", "expected = 'denied'"), &["line 2", "unknown user \"dave\""]),
        ("[[case]".into(), &["line 1"]),
    ] {
        place.write("cases.toml", &text);
        let line = place.refusal(&["check", "--table", "cases.toml"]);
        assert!(line.starts_with("private-media: cases.toml: "), "{line}");
        assert!(parts.iter().all(|part| line.contains(part)), "{text}: {line}");
    }
    let line = place.refusal(&["check", "--table", "none.toml"]);
    assert!(line.contains("none.toml: cannot be read") && line.contains("[[case]]"), "{line}");
}

/// For each user, path and grant, the exit code agrees with the status of the response.
#[test]
fn decides_like_serve() {
    let place = Place::new();
    let grants = [
        "cars/{owner}/{*file}=owner,staff",
        "shared/{*file}=authenticated",
        "open/{file}=everyone",
        "for/bob=user:8",
    ];
    let paths = [
        "cars/7/photo.jpg",
        "cars/8/a b.jpg",
        "cars/7",
        "shared/x/y",
        "open/ä",
        "open/x/y",
        "for/bob",
        "other",
        "cars/.h",
    ];
    for path in paths.iter().filter(|path| !matches!(**path, "cars/.h" | "cars/7")) {
        place.write(&format!("private/{path}"), "x");
    }
    let flags: Vec<_> = grants.iter().flat_map(|grant| ["--grant", grant]).collect();
    let gateway = crate::support::Gateway::start(
        &place.path(""),
        &[&["serve", "--listen", "127.0.0.1:0"], flags.as_slice()].concat(),
    );
    for path in paths {
        let url = format!("/private/{}", path.replace(' ', "%20").replace('ä', "%C3%A4"));
        for (user, name) in [("alice", "alice"), ("bob", "bob"), ("carol", "carol"), ("nobody", "anonymous")]
        {
            let status = gateway.get(&url, user).status;
            let (code, line) = check(&place, name, path, &grants);
            // A folder is not served, even with permission.
            if path != "cars/7" {
                assert_eq!(status == 200, code == Some(0), "{user} {path}: {status}, {line}");
            }
        }
    }
}
