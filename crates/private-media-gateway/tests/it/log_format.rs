//! The lines of the log, as text and as JSON.

use std::fs::File;
use std::io::{BufRead, BufReader};
use std::process::Command;

use rustix::fs::{Mode, OFlags};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use crate::support::{GRANT, Gateway, Place, base64, program, refusal};

/// Returns a gateway's command in a place.
fn serve(place: &Place, arguments: &[&str]) -> Command {
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0", "--grant", GRANT]).args(arguments);
    command.current_dir(place.path(""));
    command
}

/// Sends requests of each kind, and a sign-in and a sign-out.
fn use_gateway(gateway: &Gateway) {
    for user in ["alice", "carol", "bob", "nobody"] {
        gateway.get("/private/cars/7/photo.jpg", user);
    }
    gateway.get("/private/-/health", "nobody");
    gateway.fetch("HEAD /private/cars/7/none.jpg", &[]);
    gateway.fetch("GET /private/cars/7/%1b[2J", &[]);
    gateway.fetch("GET /elsewhere", &[]);
    let wrong = format!("Basic {}", base64("alice:wrong"));
    gateway.fetch("GET /private/cars/7/photo.jpg", &[("authorization", &wrong)]);
    let form = [("content-type", "application/x-www-form-urlencoded")];
    let signed_in = gateway.send("POST /private/-/sign-in", &form, b"name=alice&password=a+long+password");
    let cookie = signed_in.header("set-cookie").unwrap().split(';').next().unwrap().to_owned();
    let signed_out = gateway.send("POST /private/-/sign-out", &[("cookie", &cookie)], b"next=/");
    assert_eq!((signed_in.status, signed_out.status), (303, 303));
    gateway.fetch("GET /the-last-one", &[]);
}

/// Returns a line with its durations replaced.
fn without_time(line: &str) -> String {
    let words = line.split(' ').map(|word| {
        let number = word.trim_end_matches(|c: char| c.is_ascii_alphabetic());
        let is_time = number != word && number.parse::<f64>().is_ok() && word.ends_with('s');
        if is_time { "TIME" } else { word }
    });
    words.collect::<Vec<_>>().join(" ")
}

#[test]
fn text_has_one_short_line_for_each_event() {
    let place = Place::new();
    place.write("private-media.toml", "[log]\nlevel = \"info\"\nformat = \"text\"\n");
    let gateway = Gateway::spawn(serve(&place, &[]), place.path("gateway.log"));
    use_gateway(&gateway);
    assert!(gateway.logs("/the-last-one"), "{}", gateway.log());
    let reason = "is neither owner (7) nor staff, by grant cars/{owner}/{*file}";
    let found: Vec<_> = gateway.log().lines().map(without_time).collect();
    let expected = [
        "200 alice cars/7/photo.jpg owner TIME 13 B".to_owned(),
        "200 carol cars/7/photo.jpg staff TIME 13 B".to_owned(),
        format!("404 bob cars/7/photo.jpg denied TIME 10 B: bob (id 8, by accounts) {reason}"),
        format!("404 - cars/7/photo.jpg denied TIME 10 B: anonymous {reason}"),
        format!("404 - HEAD cars/7/none.jpg denied TIME 0 B: anonymous {reason}"),
        "404 - /private/cars/7/%1b[2J denied TIME 10 B: a segment of the path contains a control character".to_owned(),
        "404 - /elsewhere denied TIME 10 B: the path is outside /private/".to_owned(),
        "warning: a sign-in was refused (account: alice, from: 127.0.0.1, refused: the name or the password is wrong)"
            .to_owned(),
        format!("404 - cars/7/photo.jpg denied TIME 10 B: anonymous (accounts: the name or the password is wrong) {reason}"),
        "signed in (account: alice, from: 127.0.0.1)".to_owned(),
        "303 - POST /private/-/sign-in TIME 0 B".to_owned(),
        "signed out (account: alice, from: 127.0.0.1)".to_owned(),
        "303 - POST /private/-/sign-out TIME 0 B".to_owned(),
        "404 - /the-last-one denied TIME 10 B: the path is outside /private/".to_owned(),
    ];
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn json_has_numbers_with_three_digits_and_no_module_names() {
    let place = Place::new();
    let gateway = place.serve(&["--log", "debug", "--log-format", "json"]);
    use_gateway(&gateway);
    assert!(gateway.logs("/the-last-one"), "{}", gateway.log());
    let log = gateway.log();
    for line in log.lines() {
        let fields: serde_json::Value = serde_json::from_str(line).unwrap();
        if fields["target"] == "access" {
            let digits = line.split_once("\"milliseconds\":").unwrap().1;
            let digits: String = digits.chars().take_while(|c| !",}".contains(*c)).collect();
            assert_eq!(digits.split_once('.').map(|(_, digits)| digits.len()), Some(3), "{line}");
            assert!(fields.get("text.name").is_none(), "{line}");
        }
        for rust in ["::", "Some(", "None", "\\\"", "\\u{"] {
            assert!(!line.contains(rust), "{rust} in {line}");
        }
    }
    let signed_in = log.lines().find(|line| line.contains("\"signed in\"")).unwrap();
    let signed_in: serde_json::Value = serde_json::from_str(signed_in).unwrap();
    assert_eq!((&signed_in["account"], &signed_in["from"]), (&"alice".into(), &"127.0.0.1".into()));
    assert_eq!(signed_in["level"], "INFO");
}

/// Returns the first line that a gateway logs on a terminal.
fn first_line_at_a_terminal(arguments: &[&str], variables: &[(&str, &str)]) -> String {
    let place = Place::new();
    let terminal = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
    grantpt(&terminal).unwrap();
    unlockpt(&terminal).unwrap();
    let name = ptsname(&terminal, Vec::new()).unwrap();
    let end = rustix::fs::open(name, OFlags::RDWR | OFlags::NOCTTY, Mode::empty()).unwrap();
    let mut command = serve(&place, arguments);
    command.envs(variables.iter().copied());
    let gateway = Gateway::spawn_with(command, end.into(), place.path("none"));
    gateway.get("/private/cars/7/photo.jpg", "carol");
    let mut line = String::new();
    BufReader::new(File::from(terminal)).read_line(&mut line).unwrap();
    line
}

#[test]
fn only_a_terminal_gets_colors() {
    let colored = first_line_at_a_terminal(&[], &[]);
    assert!(colored.starts_with("\x1b[32m200\x1b[0m carol cars/7/photo.jpg staff\x1b[2m "), "{colored:?}");
    for (name, value) in [("NO_COLOR", "1"), ("TERM", "dumb")] {
        let plain = first_line_at_a_terminal(&[], &[(name, value)]);
        assert!(plain.starts_with("200 carol cars/7/photo.jpg staff "), "{plain:?}");
        assert!(!plain.contains('\x1b'), "{plain:?}");
    }
    // By its definition, an empty variable has no effect.
    assert!(first_line_at_a_terminal(&[], &[("NO_COLOR", "")]).contains('\x1b'));
    assert!(first_line_at_a_terminal(&["--log-format", "json"], &[]).starts_with("{\"timestamp\":"));
}

#[test]
fn the_level_has_a_short_form_and_invalid_values_are_errors() {
    let place = Place::new();
    for text in ["log = \"warn\"", "[log]\nlevel = \"warn\""] {
        place.write("private-media.toml", text);
        let gateway = Gateway::spawn(serve(&place, &[]), place.path("gateway.log"));
        assert_eq!(gateway.get("/private/cars/7/photo.jpg", "carol").status, 200);
        assert!(!gateway.log().contains("photo.jpg"), "{text}: {}", gateway.log());
        let shown = place.run(&["config", "show"]).stdout;
        let shown = String::from_utf8(shown).unwrap();
        let file = place.path("private-media.toml");
        let table = format!("[log]\nlevel = \"warn\"  # {}\nformat = \"auto\"  # default\n", file.display());
        assert!(
            shown.contains(&table) || shown.contains("[log]\nlevel = \"warn\"  # private-media.toml\n"),
            "{shown}"
        );
    }
    for (text, key) in [("[log]\nformat = \"xml\"", "log.format"), ("[log]\nlevel = \"loud\"", "log")] {
        place.write("private-media.toml", text);
        let error = refusal(&serve(&place, &[]).output().unwrap());
        assert!(error.contains(&format!("for {key}: ")) && error.contains("expected"), "{error}");
    }
}
