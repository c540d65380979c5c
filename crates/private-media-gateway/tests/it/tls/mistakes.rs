//! Mistakes of operators: each is an error that names the setting, the value and the fix.

use std::os::unix::fs::PermissionsExt as _;

use super::certificates::Pair;
use super::{TLS, serve, write_key};
use crate::support::Place;

#[test]
fn a_certificate_that_cannot_be_used_is_an_error() {
    let (pair, other) = (Pair::new(), Pair::new());
    let (chain, key) = (pair.chain(), pair.key.clone());
    for (name, content, expected) in [
        (
            "chain.pem",
            "",
            "--tls-certificate \"chain.pem\": contains no complete certificate; name a PEM file",
        ),
        (
            "chain.pem",
            &chain[..100],
            "--tls-certificate \"chain.pem\": contains no complete certificate; name a PEM file",
        ),
        (
            "chain.pem",
            &key,
            "--tls-certificate \"chain.pem\": contains no complete certificate; name a PEM file",
        ),
        (
            "chain.pem",
            &format!("{}{}", pair.authority, pair.leaf),
            "--tls-certificate \"chain.pem\": the key is that of certificate 2 of the file, not of the first one; put",
        ),
        ("key.pem", "", "--tls-key \"key.pem\": contains no complete private key; name a PEM file"),
        ("key.pem", &chain, "--tls-key \"key.pem\": contains no complete private key; name a PEM file"),
        (
            "key.pem",
            &other.key,
            "--tls-key \"key.pem\": the key does not match the certificate; name the key that",
        ),
    ] {
        let place = Place::new();
        pair.write(&place.path(""));
        write_key(&place.path(name), content);
        let error = place.refusal(&[&["serve", "--listen", "127.0.0.1:0"], &TLS[..]].concat());
        assert!(
            error.starts_with(&format!("private-media: {expected}")) || error.contains(expected),
            "{error}"
        );
    }
}

#[test]
fn a_key_that_others_can_read_is_an_error() {
    let place = Place::new();
    Pair::new().write(&place.path(""));
    let key = place.path("key.pem");
    std::fs::set_permissions(&key, std::fs::Permissions::from_mode(0o644)).unwrap();
    let error = place.refusal(&[&["serve"], &TLS[..]].concat());
    assert!(
        error.contains(
            "--tls-key \"key.pem\": its mode 644 lets other users read or change the key; run: chmod 640"
        ),
        "{error}"
    );
    std::fs::remove_file(&key).unwrap();
    let error = place.refusal(&[&["serve"], &TLS[..]].concat());
    assert!(error.contains("--tls-key \"key.pem\": cannot be read: No such file"), "{error}");
    // A client could download a key below the root, if a grant permits it.
    let pair = Pair::new();
    pair.write(&place.path("private"));
    place.write("chain.pem", pair.chain());
    let error = place.refusal(&["serve", "--tls-certificate", "chain.pem", "--tls-key", "private/key.pem"]);
    assert!(
        error.contains("--tls-key") && error.contains("private/key.pem") && error.contains("root"),
        "{error}"
    );
}

#[test]
fn settings_that_do_not_fit_together_are_errors() {
    let place = Place::new();
    Pair::new().write(&place.path(""));
    let with_tls = |more: &[&'static str]| [&TLS[..], more].concat();
    for (arguments, expected) in [
        (
            vec!["--tls-certificate", "chain.pem"],
            "--tls-certificate \"chain.pem\": the certificate has no key; name its key in listen.tls.key",
        ),
        (
            vec!["--tls-key", "key.pem"],
            "--tls-key \"key.pem\": the key has no certificate; name it in listen.tls.certificate",
        ),
        (
            vec!["--redirect-http", "127.0.0.1:0"],
            "--redirect-http \"127.0.0.1:0\": the gateway does not serve https; set listen.tls.certificate",
        ),
        (vec!["--hsts", "1d"], "--hsts \"1d\": the gateway does not serve https; set listen.tls.certificate"),
        (with_tls(&["--hsts", "1"]), "invalid value \"1\" for --hsts: "),
        (
            with_tls(&["--redirect-http", "80"]),
            "invalid value \"80\" for --redirect-http: expected HOST:PORT",
        ),
        (
            with_tls(&["--redirect-http", "unix:x"]),
            "invalid value \"unix:x\" for --redirect-http: expected HOST:PORT",
        ),
        (
            with_tls(&["--listen", "unix:x.sock"]),
            "--tls-certificate \"chain.pem\": listen is a Unix socket, whose clients need no TLS; listen on HOST:PORT",
        ),
    ] {
        let error = place.refusal(&[&["serve"], &arguments[..]].concat());
        assert!(error.contains(expected), "{arguments:?}: {error}");
    }
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let error = place
        .refusal(&[&["serve", "--listen", "127.0.0.1:0", "--redirect-http", &address], &TLS[..]].concat());
    assert!(
        error.contains(&format!(
            "--redirect-http \"{address}\": address already in use by another program; use another"
        )),
        "{error}"
    );
}

#[test]
fn the_settings_of_the_file_are_relative_to_it_and_shown() {
    let place = Place::new();
    let pair = Pair::new();
    std::fs::create_dir(place.path("etc")).unwrap();
    pair.write(&place.path("etc"));
    place.write(
        "etc/media.toml",
        "root = \"../private\"\n[listen]\naddress = \"127.0.0.1:0\"\ntls = { certificate = \"chain.pem\", key = \"key.pem\" }\nhsts = \"1h\"\n\
         [[identity]]\nsource = \"accounts\"\naccounts = \"../accounts.toml\"\n",
    );
    let shown = place.run(&["config", "show", "--config", "etc/media.toml"]);
    let shown = String::from_utf8(shown.stdout).unwrap();
    assert!(shown.contains("\n[listen]\n"), "{shown}");
    assert!(shown.contains("\ntls.certificate = \"chain.pem\"  # etc/media.toml\n"), "{shown}");
    assert!(shown.contains("\nhsts = \"1h\"  # etc/media.toml\n"), "{shown}");
    let gateway = crate::support::Gateway::start(&place.path(""), &["serve", "--config", "etc/media.toml"]);
    let health = super::client::fetch(&gateway, &pair, "GET /private/-/health", &[], b"");
    assert_eq!(health.body, b"ok\n");
    // What is shown means the same.
    place.write("etc/shown.toml", &shown);
    let again = place.run(&["config", "show", "--config", "etc/shown.toml"]);
    let again = String::from_utf8(again.stdout).unwrap();
    let values = |text: &str| {
        text.lines().map(|line| line.split("  #").next().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(values(&again), values(&shown));
}

#[test]
fn a_front_server_is_not_configured_for_https() {
    let place = Place::new();
    Pair::new().write(&place.path(""));
    for front in ["nginx", "apache", "lighttpd", "caddy"] {
        let error = place.refusal(&[&["config", front], &TLS[..]].concat());
        assert!(
            error.contains(
                "the gateway serves https to clients, so it needs no front server; remove listen.tls"
            ),
            "{error}"
        );
    }
}

#[test]
fn the_doctor_checks_the_certificate_and_the_gateway_with_it() {
    let place = Place::new();
    let (gateway, pair) = serve(&place, &[]);
    let doctor = || {
        let address = gateway.address.to_string();
        let output = place.run(&[&["doctor", "--listen", &address], &TLS[..]].concat());
        String::from_utf8(output.stdout).unwrap()
    };
    let text = doctor();
    assert!(text.contains("ok       certificate: valid until 4000-01-01T00:00:00Z"), "{text}");
    assert!(
        text.contains(&format!("ok       gateway: https://{}/private/-/health responds", gateway.address)),
        "{text}"
    );
    place.write("chain.pem", &pair.leaf);
    assert!(doctor().contains("problem  certificate: the certificate file has no intermediate certificates"));
    let expired = Pair::expired();
    expired.write(&place.path(""));
    let text = doctor();
    assert!(text.contains("problem  certificate: the certificate expired at 2021-01-01T00:00:00Z"), "{text}");
    std::fs::set_permissions(place.path("key.pem"), std::fs::Permissions::from_mode(0o644)).unwrap();
    assert!(doctor().contains("problem  certificate: key.pem: its mode 644"));
}
