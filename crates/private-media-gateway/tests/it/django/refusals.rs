//! Errors of the settings for Django are one line without passwords.

use std::os::unix::fs::PermissionsExt;

use crate::support::Place;

/// Returns a folder with a secret key and an empty database.
fn place() -> Place {
    let place = Place::new();
    place.write("secret.key", "a secret key");
    std::fs::set_permissions(place.path("secret.key"), PermissionsExt::from_mode(0o600)).unwrap();
    place.write("empty.sqlite3", "");
    place.write("private/db.sqlite3", "");
    place.write("open.key", "a secret key");
    std::fs::set_permissions(place.path("open.key"), PermissionsExt::from_mode(0o644)).unwrap();
    place
}

#[test]
fn invalid_settings_are_one_line_errors() {
    let place = place();
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let silent = format!("postgres://a:pencil@{}/shop", listener.local_addr().unwrap());
    for (arguments, parts) in [
        (
            &["--database", "sqlite:none.sqlite3"][..],
            &["--database \"sqlite:none.sqlite3\"", "cannot connect to the database"][..],
        ),
        (&["--database", "sqlite:empty.sqlite3"], &["auth_user", "no such table", "manage.py migrate"]),
        (&["--database", "sqlite:private/db.sqlite3"], &["is inside the root", "move it"]),
        (&["--database", "sqlite:"], &["no file name", "sqlite:PATH"]),
        (&["--database", "oracle://a:pencil@h/shop"], &["\"…\" for --database", "sqlite:PATH"]),
        (&["--database", "pencil"], &["\"…\" for --database", "sqlite:PATH"]),
        (&["--database", "postgres://a:pencil@127.0.0.1:1/shop"], &["a:…@127.0.0.1:1", "refused"]),
        (&["--database", "mysql://a:pencil@127.0.0.1:1/shop"], &["a:…@127.0.0.1:1", "refused"]),
        (&["--database", "mysql://a:pencil@h:x/shop"], &["a:…@h:x", "not a database URL"]),
        (&["--database", &silent], &["timed out"]),
        (&["--secret-file", "none.key"], &["--secret-file \"none.key\"", "no such file", "SECRET_KEY"]),
        (&["--secret-file", "empty.sqlite3"], &["--secret-file \"empty.sqlite3\"", "chmod 600"]),
        (&["--secret-file", "open.key"], &["--secret-file \"open.key\"", "644", "chmod 600"]),
        (&["--secret-file", "private/x.key"], &["is inside the root", "move it"]),
        (&["--session-engine", "cache"], &["\"cache\" for --session-engine", "only Django", "cached_db"]),
        (&["--session-engine", "redis"], &["\"redis\" for --session-engine", "signed_cookies"]),
        (&["--session-cookie", "a b"], &["\"a b\" for --session-cookie", "not a cookie name"]),
        (&["--session-cookie", ""], &["\"\" for --session-cookie", "not a cookie name"]),
    ] {
        for command in [&["serve"][..], &["check", "alice", "x"]] {
            // `check` has no flags for the cookie, which it does not read.
            if command[0] == "check" && arguments[0] == "--session-cookie" {
                continue;
            }
            let line = place.refusal(&[command, &["--identity", "django"], arguments].concat());
            assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
            assert!(!line.contains("pencil"), "{line}");
        }
    }
}

#[test]
fn passwords_are_not_shown() {
    let place = place();
    for (text, shown) in [
        ("database = \"mysql://a:pencil@h/shop\"", "database = \"mysql://a:…@h/shop\"  # private-media.toml"),
        ("database = \"postgres://a:pencil@h/s?password=pencil\"", "database = \"postgres://a:…@h/s?…\""),
    ] {
        place.write("private-media.toml", format!("[[identity]]\nsource = \"django\"\n{text}\n"));
        let output = place.run(&["config", "show"]);
        let text = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
        assert!(text.contains(shown) && !text.contains("pencil"), "{text}");
    }
    let text = "[[identity]]\nsource = \"django\"\ndatabase = [\"mysql://a:pencil@h/shop\"]\n";
    place.write("private-media.toml", text);
    let line = place.refusal(&["config", "show"]);
    assert!(line.contains("invalid value … for database") && !line.contains("pencil"), "{line}");
    std::fs::remove_file(place.path("private-media.toml")).unwrap();
    for identity in [
        "{source = \"django\", database = \"mysql://a:pencil@h:x/shop\"}",
        "{source = \"django\", database = \"pencil\"}",
        "{source = \"django\", database = [\"pencil\"]}",
        "{source = \"django\", database = pencil}",
        "{source = \"djang\", database = \"pencil\"}",
    ] {
        let line = place.refusal(&["serve", "--identity", identity]);
        assert!(line.contains("--identity") && !line.contains("pencil"), "{line}");
    }
}

#[test]
fn a_sqlite_path_in_a_file_is_relative_to_that_file() {
    let place = place();
    place.write(
        "shop/private-media.toml",
        "[[identity]]\nsource = \"django\"\ndatabase = \"sqlite:db.sqlite3\"\n",
    );
    place.write("shop/secret.key", "a secret key");
    std::fs::set_permissions(place.path("shop/secret.key"), PermissionsExt::from_mode(0o600)).unwrap();
    place.write("shop/private/x", "x");
    place.write("shop/db.sqlite3", "");
    let line = place.refusal(&["serve", "--config", "shop/private-media.toml"]);
    assert!(line.contains("shop/private-media.toml") && line.contains("no such table"), "{line}");
}
