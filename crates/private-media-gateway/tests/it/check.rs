//! The command `check` decides like `serve`.

use crate::support::{GRANT, Place};

fn check(place: &Place, user: &str, path: &str, grants: &[&str]) -> (Option<i32>, String) {
    let grants = grants.iter().flat_map(|grant| ["--grant", grant]);
    let output = place.run(&["check", user, path].into_iter().chain(grants).collect::<Vec<_>>());
    (output.status.code(), String::from_utf8(output.stdout).unwrap())
}

#[test]
fn prints_the_deciding_grant() {
    let place = Place::new();
    for (user, path, code, line) in [
        ("alice", "cars/7/photo.jpg", 0, "allowed: owner, by grant cars/{owner}/{*file}\n"),
        ("alice", "/private/cars/7/photo.jpg", 0, "allowed: owner, by grant cars/{owner}/{*file}\n"),
        ("alice", "/private/cars/7/%70hoto.jpg", 0, "allowed: owner, by grant cars/{owner}/{*file}\n"),
        ("carol", "cars/7/photo.jpg", 0, "allowed: staff, by grant cars/{owner}/{*file}\n"),
        (
            "bob",
            "cars/7/photo.jpg",
            1,
            "denied: user 8 is not granted access; grant cars/{owner}/{*file} is for owner,staff\n",
        ),
        (
            "anonymous",
            "cars/7/photo.jpg",
            1,
            "denied: not signed in; grant cars/{owner}/{*file} is for owner,staff\n",
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
fn rejects_unknown_users() {
    let place = Place::new();
    let line = place.refusal(&["check", "dave", "cars/7/photo.jpg"]);
    assert!(line.contains("\"dave\"") && line.contains("account list"), "{line}");
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
