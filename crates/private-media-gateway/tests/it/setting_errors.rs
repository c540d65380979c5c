//! The error of a setting names it as the user gave it: the flag, the variable, or the file and the key.

use std::process::Command;

use crate::support::{Place, program, refusal};

/// The flag of each setting that has invalid values, its TOML key, an invalid value, and the same value in TOML.
const SETTINGS: &[(&str, &str, &str, &str)] = &[
    ("listen", "listen", "nowhere", "'nowhere'"),
    ("root", "root", "none", "'none'"),
    ("url", "url", "private", "'private'"),
    ("debug", "debug", "maybe", "'maybe'"),
    ("public", "public", "none", "['none']"),
    ("workers", "workers", "many", "'many'"),
    ("log", "log", "verbose", "'verbose'"),
    ("state", "state", "state.db", "'state.db'"),
    ("identity", "identity", "ldap", "[{source = 'ldap'}]"),
    ("lookup", "lookup", "{paht = 'a'}", "[{paht = 'a'}]"),
    ("grant", "grant", "cars=owner", "[{path = 'cars', to = ['owner']}]"),
    ("site-name", "site.name", "", "''"),
    ("site-logo", "site.logo", "none.svg", "'none.svg'"),
    ("revalidate-after", "storage.revalidate_after", "5", "'5'"),
    ("follow-links", "storage.follow_links", "maybe", "'maybe'"),
    ("storage-endpoint", "storage.endpoint", "x", "'x'"),
    ("storage-region", "storage.region", "x", "'x'"),
    ("storage-path-style", "storage.path_style", "maybe", "'maybe'"),
    ("storage-allow-http", "storage.allow_http", "maybe", "'maybe'"),
    ("storage-conditional-writes", "storage.conditional_writes", "maybe", "'maybe'"),
    ("cache-path", "cache.path", "cache", "'cache'"),
    ("cache-size", "cache.size", "1GB", "'1GB'"),
    ("mode", "delivery.mode", "iis", "'iis'"),
    ("url-lifetime", "delivery.url_lifetime", "x", "'x'"),
    ("internal-url", "delivery.internal_url", "x", "'x'"),
    ("sendfile-encoding", "delivery.sendfile_encoding", "x", "'x'"),
    ("cors-origin", "cors.origins", "*", "['*']"),
    ("cors-credentials", "cors.credentials", "maybe", "'maybe'"),
    ("tls-certificate", "listen.tls.certificate", "none.pem", "'none.pem'"),
    ("tls-key", "listen.tls.key", "none.pem", "'none.pem'"),
    ("redirect-http", "listen.redirect_http", "x", "'x'"),
    ("hsts", "listen.hsts", "x", "'x'"),
    ("admin-listen", "admin.listen", "x", "'x'"),
    ("log-format", "log.format", "x", "'x'"),
    ("connections-per-client", "limits.connections_per_client", "x", "'x'"),
    ("requests-per-second", "limits.requests_per_second", "x", "'x'"),
    ("trusted-proxy", "listen.trusted_proxies", "nobody", "['nobody']"),
    ("client-header", "listen.client_header", "a b", "'a b'"),
    ("cors-max-age", "cors.max_age", "5", "'5'"),
    ("max-connections", "limits.max_connections", "0", "0"),
    ("header-timeout", "limits.header_timeout", "0s", "'0s'"),
    ("min-rate", "limits.min_rate", "x", "'x'"),
    ("shutdown-timeout", "limits.shutdown_timeout", "x", "'x'"),
    ("audit-path", "audit.path", "none/audit.jsonl", "'none/audit.jsonl'"),
    ("audit-overflow", "audit.overflow", "wait", "'wait'"),
    ("audit-rotate-size", "audit.rotate_size", "100", "'100'"),
    ("audit-rotate-age", "audit.rotate_age", "30", "'30'"),
    ("audit-keep", "audit.keep", "x", "'x'"),
    ("audit-fold", "audit.fold", "5", "'5'"),
    ("audit-sync", "audit.sync", "soon", "'soon'"),
    ("audit-key-file", "audit.key_file", "audit.key", "'audit.key'"),
];

/// The same for the settings of identity sources, with the source. Any text is a session engine's backend.
const OF_SOURCES: &[(&str, &str, &str, &str)] = &[
    ("accounts", "accounts", "accounts", "none.toml"),
    ("accounts", "cache-ttl", "cache_ttl", "5"),
    ("accounts", "session-lifetime", "session_lifetime", "0s"),
    ("django", "database", "database", "none"),
    ("django", "secret-file", "secret_file", "none.key"),
    ("django", "session-engine", "session_engine", "file"),
    ("django", "session-cookie", "session_cookie", "a b"),
    ("django", "cache-ttl", "cache_ttl", "5"),
    ("django", "session-lifetime", "session_lifetime", "0s"),
];

fn serve(place: &Place) -> Command {
    let mut command = program();
    command.args(["serve"]).current_dir(place.path(""));
    command
}

fn variable(flag: &str) -> String {
    format!("PRIVATE_MEDIA_{}", flag.replace('-', "_").to_uppercase())
}

/// Checks that the error contains the name, as a word of its own, and no other name of the setting.
fn assert_names(line: &str, name: &str, others: &[&str]) {
    let is_part = |c: char| c.is_alphanumeric() || "-_.".contains(c);
    let words: Vec<_> = line.split(|c| !is_part(c)).map(|word| word.trim_end_matches('.')).collect();
    assert!(words.contains(&name), "{name} is not named: {line}");
    for other in others {
        assert!(!words.contains(other), "{other} is named instead of {name}: {line}");
    }
}

#[test]
fn an_error_names_the_flag_the_variable_or_the_key() {
    let place = Place::new();
    for (flag, key, value, toml) in SETTINGS {
        let (dashed, variable) = (format!("--{flag}"), variable(flag));
        let line = refusal(&serve(&place).arg(format!("{dashed}={value}")).output().unwrap());
        assert_names(&line, &dashed, &[&variable, "--private-url"]);
        let line = refusal(&serve(&place).env(&variable, value).output().unwrap());
        assert_names(&line, &variable, &[&dashed, "--private-url"]);
        let text = match key.split_once('.') {
            Some((table, column)) => format!("[{table}]\n{column} = {toml}"),
            None => format!("{key} = {toml}"),
        };
        place.write("private-media.toml", text);
        let line = refusal(&serve(&place).output().unwrap());
        std::fs::remove_file(place.path("private-media.toml")).unwrap();
        assert_names(&line, key, &[&dashed, &variable]);
        assert!(line.contains("private-media.toml"), "{line}");
    }
}

#[test]
fn an_error_names_the_key_of_a_source() {
    let place = Place::new();
    place.write("secret.key", "x".repeat(50));
    std::fs::set_permissions(place.path("secret.key"), std::os::unix::fs::PermissionsExt::from_mode(0o600))
        .unwrap();
    for (source, flag, column, value) in OF_SOURCES {
        let (dashed, variable) = (format!("--{flag}"), variable(flag));
        let line = refusal(&serve(&place).args(["--identity", source, &dashed, value]).output().unwrap());
        assert_names(&line, &dashed, &[&variable]);
        let line =
            refusal(&serve(&place).args(["--identity", source]).env(&variable, value).output().unwrap());
        assert_names(&line, &variable, &[&dashed]);
        let text = format!("[[identity]]\nsource = '{source}'\n{column} = '{value}'");
        place.write("private-media.toml", text);
        let line = refusal(&serve(&place).output().unwrap());
        std::fs::remove_file(place.path("private-media.toml")).unwrap();
        assert_names(&line, &format!("identity.{column}"), &[&dashed, &variable]);
        assert!(line.contains("private-media.toml"), "{line}");
    }
}

/// `--url` of the doctor is the public URL.
#[test]
fn an_error_of_the_doctor_names_its_own_flags() {
    let place = Place::new();
    let doctor = |arguments: &[&str], variables: &[(&str, &str)]| {
        let mut command = program();
        command.arg("doctor").args(arguments).current_dir(place.path("")).envs(variables.iter().copied());
        refusal(&command.output().unwrap())
    };
    assert_names(&doctor(&["--private-url", "x"], &[]), "--private-url", &["--url", "PRIVATE_MEDIA_URL"]);
    assert_names(
        &doctor(&[], &[("PRIVATE_MEDIA_URL", "x")]),
        "PRIVATE_MEDIA_URL",
        &["--url", "--private-url"],
    );
}

/// The tables above have all flags of `serve`.
#[test]
fn every_flag_is_in_a_table() {
    let place = Place::new();
    let help = String::from_utf8(place.run(&["serve", "--help"]).stdout).unwrap();
    let flags =
        help.lines().filter_map(|line| line.trim_start().strip_prefix("--")?.split([' ', '[', '=']).next());
    for flag in flags.filter(|flag| !["config", "backend"].contains(flag)) {
        let is_known = SETTINGS.iter().any(|(known, ..)| *known == flag)
            || OF_SOURCES.iter().any(|(_, known, ..)| *known == flag);
        assert!(is_known, "{flag}");
    }
}
