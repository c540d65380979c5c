//! Precedence of settings, and errors of one line that name key, value and fix.

use crate::support::{Place, program, refusal};

fn shown(place: &Place, arguments: &[&str]) -> String {
    let output = place.run(&[&["config", "show"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// Invalid arguments of `serve`, and parts of the error.
const INVALID: &[(&[&str], &[&str])] = &[
    (&["--root", "nowhere"], &["--root \"nowhere\"", "no such folder", "mkdir -p -m 750 nowhere"]),
    (&["--root", "nowhere"], &["no such folder in /", "or start in another folder"]),
    (&["--root", "/none/private"], &["--root \"/none/private\": no such folder; create it"]),
    (&["--root", "file"], &["--root \"file\"", "not a folder"]),
    (
        &["--root", "media/private", "--public", "media"],
        &["--root \"media/private\"", "inside the public folder", "move it"],
    ),
    (
        &["--root", "link/private", "--public", "media"],
        &["--root \"link/private\"", "inside the public folder"],
    ),
    (&["--root", "media", "--public", "link"], &["--root \"media\"", "inside the public folder"]),
    (&["--public", "private/media"], &["--public \"private/media\"", "is inside the root"]),
    (&["--public", "none"], &["--public \"none\"", "no such folder"]),
    (&["--accounts", "none.toml"], &["--accounts \"none.toml\"", "no such file", "account add"]),
    (&["--listen", "nowhere"], &["\"nowhere\" for --listen", "HOST:PORT"]),
    (&["--listen", "127.0.0.1:99999"], &["\"127.0.0.1:99999\" for --listen", "HOST:PORT"]),
    (&["--listen", "192.0.2.1:80"], &["--listen \"192.0.2.1:80\"", "cannot listen on this address"]),
    (&["--url", "private"], &["\"private\" for --url", "slash on both sides"]),
    (&["--url", "/a b/"], &["\"/a b/\" for --url", "slash on both sides"]),
    (&["--url", "/../"], &["\"/../\" for --url", "slash on both sides"]),
    (&["--grant", "cars"], &["\"cars\" for --grant", "TEMPLATE=GRANTEES"]),
    (&["--grant", "cars/{id}=owner"], &["--grant", "needs {owner}"]),
    (&["--grant", "cars/{owner}=owners"], &["\"owners\"", "staff, authenticated"]),
    (&["--root", "."], &["accounts.toml", "is inside the root", "move it"]),
    (&["--log", "verbose"], &["\"verbose\" for --log", "info"]),
    (&["--cache-ttl", "18446744073709551615s"], &["--cache-ttl", "longer than a year"]),
    (&["--cache-ttl", "5"], &["\"5\" for --cache-ttl", "missing unit, e.g. 5s"]),
    (&["--session-lifetime", "0s"], &["\"0s\" for --session-lifetime", "greater than zero"]),
    (&["--session-lifetime", "2y"], &["\"2y\" for --session-lifetime", "longer than a year"]),
    (&["--workers", "0"], &["\"0\" for --workers", "at least 1"]),
    (&["--max-connections", "none"], &["\"none\" for --max-connections", "at least 1"]),
    (&["--max-connections", "9223372036854775808"], &["--max-connections", "at least 1"]),
    (&["--min-rate", "-1"], &["--min-rate", "bytes per second"]),
    (&["--debug=maybe"], &["\"maybe\" for --debug", "true or false"]),
    (&["--mode", "iis"], &["\"iis\" for --mode", "direct, nginx, apache or redirect"]),
    (&["--sendfile-encoding", "utf-8"], &["\"utf-8\" for --sendfile-encoding", "auto, plain or encoded"]),
    (
        &["--internal-url", "internal"],
        &["\"internal\" for --internal-url", "slash on both sides", "full-path"],
    ),
    (&["--internal-url", "/a/../"], &["\"/a/../\" for --internal-url", "slash on both sides"]),
    (&["--mode", "nginx", "--internal-url", "/private/"], &["overlap", "/private/-/files/"]),
    (&["--mode", "nginx", "--internal-url", "/private/x/"], &["overlap", "/private/-/files/"]),
    (&["--mode", "nginx", "--url", "/a/b/", "--internal-url", "/a/"], &["overlap"]),
    (&["--mode", "nginx", "--url", "/"], &["overlap", "/-/files/"]),
    (
        &["--mode", "nginx", "--root", "/private", "--internal-url", "full-path"],
        &["--internal-url \"full-path\"", "overlap"],
    ),
    (&["--cors-origin", "*"], &["\"*\" for --cors-origin", "a wildcard", "list each origin"]),
    (
        &["--cors-origin", "https://app.example/"],
        &["--cors-origin", "it has a path; expected https://app.example"],
    ),
    (&["--cors-origin", "https://a.example;null"], &["\"null\" for --cors-origin", "list each origin"]),
    (&["--cors-credentials"], &["--cors-credentials \"true\"", "no origin is allowed", "cors.origins"]),
    (&["--cors-max-age", "60"], &["\"60\" for --cors-max-age", "missing unit"]),
    (&["--state", "state.db"], &["\"…\" for --state", "sqlite:PATH"]),
    (&["--log", "a=b=c"], &["\"a=b=c\" for --log", "info"]),
    (&["--config", "none.toml"], &["none.toml", "cannot be read", "--config"]),
    (&["--root", "a\nb"], &["no such folder"]),
];

#[test]
fn invalid_settings_are_one_line_errors() {
    let place = Place::new();
    place.write("file", "x");
    std::fs::create_dir(place.path("media")).unwrap();
    std::fs::create_dir(place.path("media/private")).unwrap();
    std::fs::create_dir(place.path("private/media")).unwrap();
    std::os::unix::fs::symlink("media", place.path("link")).unwrap();
    for (arguments, parts) in INVALID {
        let arguments = [&["serve"], *arguments].concat();
        // A value that begins with a dash is given with its flag.
        let arguments: Vec<_> = arguments
            .iter()
            .map(|argument| if *argument == "-1" { "--min-rate=-1" } else { argument })
            .filter(|argument| *argument != "--min-rate")
            .collect();
        let line = place.refusal(&arguments);
        assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
}

#[test]
fn invalid_files_are_one_line_errors() {
    let place = Place::new();
    for (text, parts) in [
        ("rot = \"x\"", &["unknown key \"rot\"", "did you mean \"root\""][..]),
        ("port = 8000", &["unknown key \"port\"", "write listen = \"127.0.0.1:8000\""]),
        ("bat = 8000", &["unknown key \"bat\"", "remove it"]),
        ("[nonsense]\na = 1", &["unknown key \"nonsense.a\"", "remove it"]),
        ("listen = 8000", &["invalid value 8000 for listen", "in quotes"]),
        ("[listen]\nadress = \"127.0.0.1:0\"", &["unknown key \"listen.adress\""]),
        ("[listen]\naddress = 8000", &["invalid value 8000 for listen", "in quotes"]),
        ("[listen]\ntrusted_proxies = \"10.0.0.1\"", &["listen.trusted_proxies", "an array of texts"]),
        ("[listen]\ntrusted_proxies = [\"10.0.0.0/33\"]", &["10.0.0.0/33", "listen.trusted_proxies"]),
        ("debug = \"yes\"", &["invalid value \"yes\" for debug", "true or false"]),
        ("root = \"nowhere\"", &["root = \"nowhere\"", "no such folder"]),
        (
            "[limits]\nmax_connections = \"many\"",
            &["invalid value \"many\" for limits.max_connections", "a number"],
        ),
        ("[limits]\nmax_connections = 0", &["invalid value \"0\" for limits.max_connections", "at least 1"]),
        ("public = \"media\"", &["invalid value \"media\" for public", "an array"]),
        ("[grant]\npath = \"a\"\nto = [\"staff\"]", &["[[grant]]"]),
        ("[[grant]]\npath = \"a\"", &["grant", "to = "]),
        ("[[grant]]\npath = \"a\"\nto = [\"staff\"]\nextra = 1", &["no other key, such as \"extra\""]),
        ("[[grant]]\npaht = \"a\"\nto = [\"staff\"]", &["\"path\" instead of \"paht\""]),
        ("[[grant]]\npath = \"/cars/{owner}\"\nto = [\"owner\"]", &["remove the '/' at the beginning"]),
        ("[[grant]]\npath = \"{*f}\"\nto = [\"nobody\"]", &["\"nobody\""]),
        ("[[grant]]\npath = \"a\"\nto = [\"user:x=everyone\"]", &["expected path"]),
        ("[[grant]]\npath = \"a\"\nto = [\"group:a,everyone\"]", &["expected path"]),
        ("root = ", &["line 1: invalid TOML"]),
        ("root = \"a\"\nroot = \"b\"", &["line 2: invalid TOML"]),
    ] {
        place.write("private-media.toml", text);
        let line = place.refusal(&["serve"]);
        assert!(
            line.contains("private-media.toml") && parts.iter().all(|part| line.contains(part)),
            "{text}: {line}"
        );
    }
}

#[test]
fn an_accounts_file_that_others_can_read_is_an_error() {
    let place = Place::new();
    let path = place.path("accounts.toml");
    std::fs::set_permissions(&path, std::os::unix::fs::PermissionsExt::from_mode(0o644)).unwrap();
    for command in [&["serve"][..], &["account", "list"], &["check", "alice", "x"]] {
        let line = place.refusal(command);
        assert!(
            line.contains("accounts.toml") && line.contains("644") && line.contains("chmod 600"),
            "{line}"
        );
    }
}

#[test]
fn a_port_in_use_is_an_error() {
    let place = Place::new();
    let other = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = other.local_addr().unwrap().to_string();
    for command in ["serve", "demo"] {
        let line = place.refusal(&[command, "--listen", &address]);
        assert!(line.contains(&address) && line.contains("port 0"), "{line}");
    }
    assert!(!place.path("private/cars/9").exists(), "the demo created files");
    // A second gateway of the same user is an error, too.
    let gateway = place.serve(&[]);
    let line = place.refusal(&["serve", "--listen", &gateway.address.to_string()]);
    assert!(line.contains("another program"), "{line}");
}

#[test]
fn flags_override_variables_which_override_the_file() {
    let place = Place::new();
    let url = |arguments: &[&str], variable: Option<&str>| {
        let mut command = program();
        command.args(["config", "show"]).args(arguments).current_dir(place.path(""));
        command.envs(variable.map(|value| ("PRIVATE_MEDIA_URL", value)));
        let shown = String::from_utf8(command.output().unwrap().stdout).unwrap();
        shown.lines().find(|line| line.starts_with("url = ")).unwrap().to_owned()
    };
    assert_eq!(url(&[], None), "url = \"/private/\"  # default");
    place.write("private-media.toml", "url = \"/file/\"");
    assert_eq!(url(&[], None), "url = \"/file/\"  # private-media.toml");
    assert_eq!(url(&[], Some("/variable/")), "url = \"/variable/\"  # PRIVATE_MEDIA_URL");
    assert_eq!(url(&["--url", "/flag/"], Some("/variable/")), "url = \"/flag/\"  # --url");
    let mut command = program();
    command.args(["serve"]).current_dir(place.path("")).env("PRIVATE_MEDIA_URL", "nonsense");
    let line = refusal(&command.output().unwrap());
    assert!(line.contains("invalid value \"nonsense\" for PRIVATE_MEDIA_URL"), "{line}");
}

#[test]
fn config_show_prints_a_file_with_the_same_meaning() {
    let place = Place::new();
    std::fs::create_dir(place.path("media")).unwrap();
    let arguments = [
        "--listen",
        "127.0.0.1:0",
        "--url",
        "/p/",
        "--debug",
        "--public",
        "media",
        "--workers",
        "3",
        "--cache-ttl",
        "0s",
        "--grant",
        "cars/{owner}/{*file}=owner,group:a b",
        "--grant",
        "{*f}=user:7",
        "--min-rate",
        "0",
        "--log",
        "warn",
        "--trusted-proxy",
        "10.0.0.0/8;unix",
    ];
    let shown_first = shown(&place, &arguments);
    place.write("private-media.toml", &shown_first);
    let values = |text: &str| -> Vec<String> {
        text.lines().map(|line| line.split("  # ").next().unwrap().to_owned()).collect()
    };
    assert_eq!(values(&shown(&place, &[])), values(&shown_first));
    assert!(values(&shown_first).contains(&"to = [\"owner\", \"group:a b\"]".to_owned()), "{shown_first}");
}

#[test]
fn paths_in_a_file_are_relative_to_it() {
    let place = Place::new();
    place.write("elsewhere/x", "");
    place.write(
        "private-media.toml",
        "root = \"private\"\n[[identity]]\nsource = \"accounts\"\naccounts = \"accounts.toml\"",
    );
    let mut command = program();
    command.args(["check", "carol", "cars/7/photo.jpg", "--config", "../private-media.toml"]);
    let output = command.current_dir(place.path("elsewhere")).output().unwrap();
    let note =
        "note: no grant is configured, so the default applies: staff may read every file, and nobody else\n";
    assert_eq!((output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()), (Some(0), note));
}

#[test]
fn help_names_every_setting() {
    let place = Place::new();
    let help = String::from_utf8(place.run(&["serve", "--help"]).stdout).unwrap();
    for flag in
        ["--root", "--url", "--listen", "--accounts", "--grant", "--mode", "--workers", "PRIVATE_MEDIA_ROOT"]
    {
        assert!(help.contains(flag), "{flag}: {help}");
    }
}

/// The paths are compared as the kernel resolves them.
#[test]
fn a_full_path_must_not_overlap_the_private_url() {
    let place = Place::new();
    let full_path = ["serve", "--mode", "nginx", "--internal-url", "full-path", "--url", "/usr/"];
    for (root, problem) in
        [("/usr", "overlap"), ("/usr/lib/..", "overlap"), ("none/../private", "no such folder")]
    {
        let line = place.refusal(&[&full_path[..], &["--root", root]].concat());
        assert!(line.contains(problem), "{root}: {line}");
    }
}

#[test]
fn invalid_front_server_settings_are_errors() {
    let place = Place::new();
    std::fs::create_dir(place.path("a$b")).unwrap();
    for (arguments, parts) in [
        (&["nginx", "--front", "example.org"][..], &["--front \"example.org\"", "HOST:PORT"][..]),
        (&["nginx", "--front", "a;b:80"], &["--front \"a;b:80\"", "HOST:PORT"]),
        (&["nginx", "--listen", "127.0.0.1:0"], &["--listen \"127.0.0.1:0\"", "cannot know port 0"]),
        (&["nginx", "--mode", "apache"], &["--mode \"apache\"", "X-Sendfile", "use nginx or direct"]),
        (&["apache", "--mode", "nginx"], &["--mode \"nginx\"", "X-Accel-Redirect", "use apache or direct"]),
        (&["lighttpd", "--mode", "nginx"], &["--mode \"nginx\"", "apache"]),
        (
            &["lighttpd", "--mode", "apache", "--sendfile-encoding", "plain"],
            &["--sendfile-encoding \"plain\"", "use encoded"],
        ),
        (&["caddy", "--mode", "nginx"], &["--mode \"nginx\"", "use direct"]),
        (&["nginx", "--root", "a$b"], &["--root \"a$b\"", "cannot be quoted", "symbolic link"]),
        (&["apache", "--root", "/"], &["--root \"/\"", "whole file system"]),
        (&["apache", "--url", "nonsense"], &["\"nonsense\" for --url", "slash on both sides"]),
    ] {
        let line = place.refusal(&[&["config"], arguments].concat());
        assert!(parts.iter().all(|part| line.contains(part)), "{arguments:?}: {line}");
    }
}

#[test]
fn front_server_configuration_follows_the_settings() {
    let place = Place::new();
    let printed = |arguments: &[&str]| {
        let output = place.run(&[&["config"], arguments].concat());
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let root = place.path("private").display().to_string();
    for (arguments, has, has_not) in [
        (
            &["nginx"][..],
            vec!["listen 80;", "server 127.0.0.1:8000;", "location ^~ /private/ {"],
            vec!["internal", "server_name"],
        ),
        (
            &[
                "nginx",
                "--mode",
                "nginx",
                "--front",
                "Example.org:8080",
                "--url",
                "/p/q/",
                "--listen",
                "0.0.0.0:9",
            ],
            vec![
                "listen 8080;",
                "server_name example.org;",
                "location ^~ /p/q/ {",
                "server 127.0.0.1:9;",
                "internal;",
                &root,
            ],
            vec![],
        ),
        (
            &["nginx", "--mode", "nginx", "--internal-url", "/-/x/", "--url", "/", "--front", "[::1]:80"],
            vec!["location ^~ \"/-/x/\" {", "location ^~ / {", "listen [::1]:80;"],
            vec!["private-media-internal"],
        ),
        (&["apache"], vec!["<VirtualHost *:80>"], vec!["XSendFile", "ServerName", "xsendfile"]),
        (
            &["apache", "--mode", "apache", "--front", "example.org:80"],
            vec!["ServerName example.org", "XSendFile On", "XSendFilePath"],
            vec![],
        ),
        (&["lighttpd"], vec!["mod_proxy", "^/private/"], vec!["x-sendfile", "$HTTP[\"host\"]"]),
        (
            &["lighttpd", "--mode", "apache", "--front", "example.org:80"],
            vec!["x-sendfile-docroot", "^example\\.org(:[0-9]+)?$", "follow-symlink"],
            vec![],
        ),
        (&["caddy"], vec!["http://:80 {", "handle /private/*"], vec!["bind"]),
        (&["caddy", "--front", "example.org:443"], vec!["\nexample.org {"], vec!["http://example"]),
        (&["caddy", "--front", "127.0.0.1:8080"], vec!["bind 127.0.0.1", "http://:8080 {"], vec![]),
    ] {
        let text = printed(arguments);
        assert!(has.iter().all(|part| text.contains(part)), "{arguments:?} {has:?}: {text}");
        assert!(!has_not.iter().any(|part| text.contains(part)), "{arguments:?} {has_not:?}: {text}");
    }
}

/// Found by the fuzz target `configuration`.
#[test]
fn config_show_prints_numbers_in_toml_syntax() {
    let place = Place::new();
    let text = shown(&place, &["--max-connections", "007", "--min-rate", "+5"]);
    assert!(text.contains("connections = 7  #") && text.contains("min_rate = 5  #"), "{text}");
    place.write("private-media.toml", &text);
    let again = shown(&place, &[]);
    assert!(again.contains("connections = 7  #") && again.contains("min_rate = 5  #"), "{again}");
}

/// A setting without a flag in a command may still come from the environment or the file.
#[test]
fn settings_of_other_commands_are_valid_in_the_environment_and_the_file() {
    let place = Place::new();
    let text = "root = \"private\"\nlisten = \"127.0.0.1:0\"\n[limits]\nmin_rate = 5\n[[identity]]\nsource = \"accounts\"\naccounts = \"none.toml\"\n";
    place.write("private-media.toml", text);
    let list = |variables: &[(&str, &str)]| {
        let mut command = program();
        command.args(["account", "list"]).current_dir(place.path("")).envs(variables.iter().copied());
        command.output().unwrap()
    };
    let accounts = ("PRIVATE_MEDIA_ACCOUNTS", "accounts.toml");
    let output =
        list(&[accounts, ("PRIVATE_MEDIA_WORKERS", "2"), ("PRIVATE_MEDIA_GRANT", "a=staff;b=staff")]);
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
    // Their values are checked, too.
    let line = refusal(&list(&[accounts, ("PRIVATE_MEDIA_WORKERS", "none")]));
    assert!(line.contains("invalid value \"none\" for PRIVATE_MEDIA_WORKERS"), "{line}");
    let line = refusal(&list(&[accounts, ("PRIVATE_MEDIA_GRANT", "a=staff;b")]));
    assert!(line.contains("invalid value \"b\" for PRIVATE_MEDIA_GRANT"), "{line}");
}

#[test]
fn an_unknown_variable_is_a_warning() {
    let place = Place::new();
    let unknown = [("PRIVATE_MEDIA_ROTO", "elsewhere"), ("PRIVATE_MEDIA_SERVER", "a.Django.Class")];
    let mut command = program();
    command.args(["account", "list"]).current_dir(place.path("")).envs(unknown);
    let output = command.output().unwrap();
    let warning = "private-media: warning: unknown environment variable PRIVATE_MEDIA_ROTO is ignored; did you mean PRIVATE_MEDIA_ROOT?\n";
    assert_eq!(
        (output.status.code(), String::from_utf8(output.stderr).unwrap().as_str()),
        (Some(0), warning)
    );
    // A gateway logs it, once.
    let mut command = program();
    command.args(["serve", "--listen", "127.0.0.1:0"]).current_dir(place.path("")).envs(unknown);
    let gateway = crate::support::Gateway::spawn(command, place.path("gateway.log"));
    let log = gateway.log();
    assert_eq!(log.matches("did you mean PRIVATE_MEDIA_ROOT?").count(), 1, "{log}");
    assert!(log.lines().all(|line| line.starts_with('{')), "{log}");
}
